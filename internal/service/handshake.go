package service

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// How the asking side of TLS ends otherwise than well. TLS refuses in a language
// of its own, alerts (RFC 8446 section 6), during the handshake and after it. What
// the library refuses that a real client may accept is a limit of ours.

// A hello is which ClientHello the asking side sends; the zero hello is for TLS 1.2
// and 1.3.
type hello int

const (
	// helloOld, for who refuses that: TLS 1.0 to 1.2, as an old client says it.
	helloOld hello = iota + 1
	// helloBare, for who refuses that too, offers what the library does not have, and
	// ends with the answer to it: it tells a server that wants such a thing from one
	// that wants nothing.
	helloBare
)

// A tlsConn is the asking side of TLS. It tells what an end of it means, whenever
// it comes. Reading and writing may be concurrent.
type tlsConn struct {
	*tls.Conn
	wire  *countedConn
	asked atomic.Bool // the server asked for a certificate, and got none
	heard atomic.Bool // something came inside TLS
}

func newTLSConn(conn net.Conn) *tlsConn { return &tlsConn{wire: &countedConn{Conn: conn}} }

// A countedConn counts what was read.
type countedConn struct {
	net.Conn
	got  atomic.Int64 // bytes
	head [heardBytes]byte
}

// heardBytes is how many of the first bytes that came are kept.
const heardBytes = 256

// enoughHeard tells most protocols by their first bytes; hearingOn is how long more may
// take to come.
const (
	enoughHeard = 16
	hearingOn   = 200 * time.Millisecond
)

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if had := c.got.Add(int64(n)) - int64(n); had < heardBytes {
		copy(c.head[had:], b[:n])
	}
	return n, err
}

// heard are the first bytes that came.
func (c *countedConn) heard() []byte { return c.head[:min(c.got.Load(), heardBytes)] }

// hearOn reads what has come beyond what was asked for, where that was too little to
// tell who sent it.
func (c *countedConn) hearOn() {
	if c.got.Load() < enoughHeard {
		_ = c.SetReadDeadline(time.Now().Add(hearingOn))
		_, _ = c.Read(make([]byte, heardBytes))
	}
}

// loneAlert is the alert that is all that came, nil if that is not so. The library
// takes a warning, or the notice of a close, for no error, and reports the end that
// follows.
func (c *countedConn) loneAlert() *tls.AlertError {
	if c.got.Load() != alertRecord || c.head[0] != recordAlert || c.head[1] != 3 {
		return nil
	}
	a := tls.AlertError(c.head[alertRecord-1])
	return &a
}

// noCertificate answers a server that asks for the client's certificate: there is
// none (RFC 8446 section 4.4.2).
func (c *tlsConn) noCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.asked.Store(true)
	return new(tls.Certificate), nil
}

// Read implements net.Conn.
func (c *tlsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.later(err)
}

// Write implements net.Conn. In TLS 1.3 the handshake ends here before the server
// has looked at the client's part of it, and a write may find the connection
// closed before anybody has read why.
func (c *tlsConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		var one [1]byte
		if _, rerr := c.Conn.Read(one[:]); alertOf(rerr) != nil {
			err = rerr
		}
	}
	return n, c.later(err)
}

// later says what an error after the handshake means.
func (c *tlsConn) later(err error) error {
	var op *net.OpError
	switch alert := alertOf(err); {
	case err == nil:
		return nil
	case alert != nil:
		return c.refused(*alert)
	case isEnded(err) && c.asked.Load() && !c.heard.Load():
		return refusedTLS(result.ReasonCertificate, "", "it asked for the client's certificate and got none, and ended the connection without another word")
	case errors.As(err, &op) && op.Op == "local error":
		return unreadError{"inside TLS: " + shown(op.Err.Error())}
	}
	return err
}

// helloError is an end that the hello itself brought about: another one may fare
// better.
type helloError struct{ error }

func (e helloError) Unwrap() error { return e.error }

// notTLSError says that other bytes than TLS answered a hello.
type notTLSError struct {
	foreignError
	isHTTP bool
}

// alertRecord is how long a record with an alert is before there are keys (RFC
// 8446 sections 5.1, 6).
const alertRecord = 5 + 2

// recordHead is how long the head of a record is, recordAlert the type of an
// alert's.
const (
	recordHead  = 5
	recordAlert = 21
)

// failure says what an error of the handshake means.
func (c *tlsConn) failure(err error) error {
	var record tls.RecordHeaderError
	var op *net.OpError
	alert := alertOf(err)
	if alert == nil && isEnded(err) {
		alert = c.wire.loneAlert()
	}
	switch got := c.wire.got.Load(); {
	case alert != nil && got <= alertRecord && isOfHello(*alert):
		return helloError{c.refused(*alert)}
	case alert != nil:
		return c.refused(*alert)
	case errors.As(err, &record):
		return notTLS(record)
	case errors.Is(err, errForeign): // from what carries the records
		return fmt.Errorf("TLS handshake: %w", err)
	case isEnded(err) && c.asked.Load():
		return refusedTLS(result.ReasonCertificate, "", "it asked for the client's certificate and got none, and ended the handshake without another word")
	case isEnded(err) && got == 0:
		return helloError{fmt.Errorf("TLS handshake: %w", err)}
	case (errors.Is(err, os.ErrDeadlineExceeded) || isEnded(err)) && got >= recordHead: // of a record of TLS, as the library has seen
		return begunError{fmt.Errorf("TLS handshake: %w", err), result.StageTLSBegun}
	case errors.Is(err, os.ErrDeadlineExceeded), isEnded(err), errors.As(err, &op) && op.Op != "local error":
		return fmt.Errorf("TLS handshake: %w", err)
	case strings.Contains(err.Error(), "downgrade attempt"): // RFC 8446 section 4.1.3: no server does that
		return meddledError{foreignError{"TLS handshake: " + shown(err.Error())}}
	}
	unread := unreadError{"the far end speaks TLS, and this program's TLS library does not go along: " + shown(err.Error())}
	if strings.Contains(err.Error(), "unsupported protocol version") {
		return helloError{unread} // an old server takes what it knows
	}
	return unread
}

// notTLS is what an answer means that is no TLS record.
func notTLS(record tls.RecordHeaderError) error {
	e := notTLSError{isHTTP: string(record.RecordHeader[:4]) == "HTTP"}
	what := fmt.Sprintf("bytes that are not TLS (%q)", record.RecordHeader[:])
	if e.isHTTP {
		what = "HTTP without TLS"
	}
	e.words = "a TLS handshake was sent and the answer was " + what
	return e
}

func isEnded(err error) bool { return sock.IsReset(err) || sock.IsClosed(err) }

// Alerts of RFC 8446 section 6 and RFC 5246 section 7.2.
const (
	alertCloseNotify   tls.AlertError = 0
	alertUnexpected    tls.AlertError = 10
	alertNoHandshake   tls.AlertError = 40
	alertNoCertificate tls.AlertError = 41 // SSL 3.0
	alertBadCert       tls.AlertError = 42
	alertUnsupportCert tls.AlertError = 43
	alertUnknownCert   tls.AlertError = 46
	alertIllegal       tls.AlertError = 47
	alertUnknownCA     tls.AlertError = 48
	alertAccessDenied  tls.AlertError = 49
	alertDecode        tls.AlertError = 50
	alertVersion       tls.AlertError = 70
	alertTooWeak       tls.AlertError = 71
	alertInternal      tls.AlertError = 80
	alertFallback      tls.AlertError = 86
	alertMissingExt    tls.AlertError = 109
	alertUnsupportExt  tls.AlertError = 110
	alertName          tls.AlertError = 112
	alertCertRequired  tls.AlertError = 116
)

// isOfHello reports whether an alert is about what a hello offers, or about its
// form.
func isOfHello(a tls.AlertError) bool {
	return slices.Contains([]tls.AlertError{alertCloseNotify, alertUnexpected, alertNoHandshake, alertIllegal, alertDecode, alertVersion, alertTooWeak,
		alertInternal, alertFallback, alertMissingExt, alertUnsupportExt}, a)
}

// alertNumbers undoes the library's words: the type of its alerts outside of QUIC
// is not exported.
var alertNumbers = func() map[string]tls.AlertError {
	m := map[string]tls.AlertError{}
	for n := range 256 {
		m[tls.AlertError(n).Error()] = tls.AlertError(n)
	}
	return m
}()

// alertOf is the alert with which the far end ended TLS; nil: it was no alert.
func alertOf(err error) *tls.AlertError {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return nil
	}
	if a, ok := alertNumbers[op.Err.Error()]; ok {
		return &a
	}
	return nil
}

// refused is what an alert of the far end means.
func (c *tlsConn) refused(a tls.AlertError) error {
	reason := result.ReasonTLS
	switch a {
	case alertCertRequired, alertNoCertificate:
		reason = result.ReasonCertificate
	case alertNoHandshake, alertTooWeak:
		reason = result.ReasonCipher
	case alertVersion, alertFallback:
		reason = result.ReasonTLSVersion
	case alertName:
		reason = result.ReasonTLSName
	}
	if c.asked.Load() { // before TLS 1.3 there is no alert of its own for that
		switch a {
		case alertNoHandshake, alertBadCert, alertUnsupportCert, alertUnknownCert, alertUnknownCA, alertAccessDenied:
			reason = result.ReasonCertificate
		}
	}
	return refusedTLS(reason, fmt.Sprintf("alert %d", a), strings.TrimPrefix(a.Error(), "tls: "))
}

// refusedTLS makes TLS's own "no".
func refusedTLS(reason result.Reason, code, words string) error {
	return refusedError{result.Refusal{By: result.RefuserTLS, Reason: reason, Code: code, Words: shown(words)}}
}

// dheSuites are the cipher suites with ephemeral Diffie-Hellman keys (RFC 5246
// section A.5, RFC 5288, 5932, 6655, 7905), otherSuites more that the library does
// not have.
var (
	dheSuites = []uint16{0x0039, 0x0033, 0x006b, 0x0067, 0x009f, 0x009e, 0xccaa, 0x0016, 0x0088, 0x0045, 0x00c4, 0x00be, 0x009a, 0xc09f, 0xc09e, 0xc0a3, 0xc0a2,
		0x0038, 0x0032, 0x006a, 0x0040, 0x00a3, 0x00a2, 0x0013, 0x0087, 0x0044}
	otherSuites = []uint16{0x0084, 0x0041, 0x00c0, 0x00ba, 0xc09d, 0xc09c, 0xc0a1, 0xc0a0, 0xc0af, 0xc0ae, 0xc0ad, 0xc0ac, 0xc073, 0xc072, 0xc077, 0xc076, 0x0096, 0x0007, 0x0004}
)

// bareHello sends a hello for all of SSL 3.0 to TLS 1.2 and says what the answer
// means. It always ends with an error.
func bareHello(conn net.Conn, name string) error {
	if _, err := conn.Write(appendBareHello(nil, name)); err != nil {
		return helloError{fmt.Errorf("TLS handshake: %w", err)}
	}
	var head [alertRecord]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return helloError{fmt.Errorf("TLS handshake: %w", err)}
	}
	const handshake, serverHello = 22, 2
	switch {
	case head[0] == recordAlert && head[1] == 3:
		return helloError{new(tlsConn).refused(tls.AlertError(head[6]))}
	case head[0] != handshake || head[1] != 3 || head[5] != serverHello:
		return foreignError{fmt.Sprintf("a TLS hello was answered with %q", head[:])}
	}
	said := &handshakeBytes{r: conn, left: int(binary.BigEndian.Uint16(head[3:])) - 2}
	var body [2 + 2 + 32 + 1]byte // the rest of the length; version, random, length of the session's id
	if _, err := io.ReadFull(said, body[:]); err != nil {
		return helloError{fmt.Errorf("TLS handshake: %w", err)}
	}
	rest := make([]byte, int(body[36])+2)
	if _, err := io.ReadFull(said, rest); err != nil {
		return helloError{fmt.Errorf("TLS handshake: %w", err)}
	}
	version, suite := binary.BigEndian.Uint16(body[2:]), binary.BigEndian.Uint16(rest[len(rest)-2:])
	with := suiteWords(suite)
	unread := int64(head[6])<<16 | int64(binary.BigEndian.Uint16(body[:])) - int64(len(body)-2+len(rest))
	if _, err := io.CopyN(io.Discard, said, max(unread, 0)); err == nil {
		if key := foreignKey(said); key != "" {
			with = fmt.Sprintf("%s and %s in its certificate", tls.CipherSuiteName(suite), key)
		}
	}
	return unreadError{fmt.Sprintf("the far end speaks TLS, and what it agrees to, %s with %s, this program's TLS library does not go along with", tls.VersionName(version), with)}
}

// A handshakeBytes gives what handshake records have in them, until another kind of
// record comes.
type handshakeBytes struct {
	r    io.Reader
	left int // of the record that is read
}

// Read implements io.Reader.
func (h *handshakeBytes) Read(b []byte) (int, error) {
	for h.left <= 0 {
		var head [recordHead]byte
		if _, err := io.ReadFull(h.r, head[:]); err != nil {
			return 0, err
		}
		const handshake = 22
		if head[0] != handshake {
			return 0, io.EOF
		}
		h.left = int(binary.BigEndian.Uint16(head[3:]))
	}
	n, err := h.r.Read(b[:min(len(b), h.left)])
	h.left -= n
	return n, err
}

// foreignKey reads a Certificate message (RFC 5246 section 7.4.2) and says which kind
// of key the server's certificate has, if the library has none of that kind; ""
// otherwise.
func foreignKey(said io.Reader) string {
	const certificate = 11
	var head [1 + 3 + 3 + 3]byte // type, length; length of the list; of its first
	if _, err := io.ReadFull(said, head[:]); err != nil || head[0] != certificate || head[7] != 0 {
		return ""
	}
	der := make([]byte, binary.BigEndian.Uint16(head[8:]))
	if _, err := io.ReadFull(said, der); err != nil {
		return ""
	}
	var c struct { // RFC 5280 section 4.1, up to the key
		Of struct {
			Version   int `asn1:"optional,explicit,default:0,tag:0"`
			Serial    *big.Int
			Signature pkix.AlgorithmIdentifier
			Issuer    asn1.RawValue
			Validity  asn1.RawValue
			Subject   asn1.RawValue
			Key       struct{ Algorithm pkix.AlgorithmIdentifier }
		}
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		return ""
	}
	of := c.Of.Key.Algorithm
	switch kind := of.Algorithm.String(); kind {
	case "1.2.840.113549.1.1.1", "1.3.101.112": // RSA, Ed25519
		return ""
	case "1.2.840.10045.2.1": // an elliptic curve
		var curve asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(of.Parameters.FullBytes, &curve); err != nil {
			return "a key of a curve without a name"
		}
		switch curve.String() {
		case "1.2.840.10045.3.1.7", "1.3.132.0.33", "1.3.132.0.34", "1.3.132.0.35": // P-256, P-224, P-384, P-521
			return ""
		}
		return "a key of the curve " + curve.String()
	case "1.2.840.10040.4.1":
		return "a DSA key"
	case "1.2.840.113549.1.1.10":
		return "an RSA-PSS key"
	case "1.3.101.113":
		return "an Ed448 key"
	default:
		return "a key of the kind " + kind
	}
}

func suiteWords(id uint16) string {
	switch {
	case slices.Contains(dheSuites, id):
		return fmt.Sprintf("DHE keys (cipher %#04x)", id)
	case slices.Contains(otherSuites, id):
		return fmt.Sprintf("the cipher %#04x", id)
	}
	return tls.CipherSuiteName(id)
}

// appendBareHello makes a ClientHello (RFC 5246 section 7.4.1.2) in a record.
func appendBareHello(b []byte, name string) []byte {
	u16 := binary.BigEndian.AppendUint16
	list := func(b, of []byte) []byte { return append(u16(b, uint16(len(of))), of...) }
	numbers := func(of ...uint16) (out []byte) {
		for _, n := range of {
			out = u16(out, n)
		}
		return out
	}
	extension := func(b []byte, kind uint16, data []byte) []byte { return list(u16(b, kind), data) }

	body := u16(nil, tls.VersionTLS12)
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	body = append(body, random[:]...)
	body = append(body, 0)                                                                              // no session
	body = list(body, numbers(slices.Concat(dheSuites, otherSuites, oldSuites(), []uint16{0x00ff})...)) // RFC 5746 section 3.3
	body = append(body, 1, 0)                                                                           // no compression
	var ext []byte
	if name != "" && len(name) < 256 {
		ext = extension(ext, 0, list(nil, list([]byte{0}, []byte(name)))) // RFC 6066 section 3
	}
	ext = extension(ext, 10, list(nil, numbers(29, 23, 24, 25, 30, 22, 26, 27, 28, 256, 257, 258))) // RFC 8422, RFC 7027, RFC 7919
	ext = extension(ext, 11, []byte{1, 0})
	ext = extension(ext, 13, list(nil, numbers(0x0807, 0x0808, 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201, 0x0402, 0x0502, 0x0202))) // RFC 8446 section 4.2.3
	body = list(body, ext)

	b = append(b, 22, 3, 1) // RFC 5246 appendix E.1
	b = u16(b, uint16(4+len(body)))
	b = append(b, 1, 0)
	return list(b, body)
}

// oldSuites are the library's suites for TLS 1.2 and before.
func oldSuites() []uint16 {
	var out []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			out = append(out, s.ID)
		}
	}
	return out
}

// hasTLS is nil if the far end answers a hello as TLS does, with whatever it says.
func hasTLS(conn net.Conn, q Question, protos ...string) error {
	_, _, _, err := dialTLS(conn, q, protos...)
	var no refusedError
	var unread unreadError
	if errors.As(err, &no) || errors.As(err, &unread) {
		return nil
	}
	return err
}
