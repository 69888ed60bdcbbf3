package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// A Visit is what a client did at the answering side, for a log. It is made of
// this package's own words alone: of what a client sends any part may be a
// password, a name or what somebody searched for.
type Visit struct {
	Service string // what stands on the port, for people; "": no service's conversation is known
	Words   string // what came, and what was done about it
}

// A word is a piece of a Visit. Only constants are: nothing that came may become
// one.
type word string

// A visit gathers the words of one connection. Its zero value is ready for use.
type visit struct {
	mu    sync.Mutex
	came  []word // each once
	ended word
	last  bool // something was said to end the conversation with
}

// maxCame is more than any conversation has of different words.
const maxCame = 24

// came notes what a client did.
func (a *Answerer) came(w word) {
	if a.visit == nil {
		return
	}
	a.visit.mu.Lock()
	defer a.visit.mu.Unlock()
	if !slices.Contains(a.visit.came, w) && len(a.visit.came) < maxCame {
		a.visit.came = append(a.visit.came, w)
	}
}

// ended notes what was done about it, or how it ended. The last word counts.
func (a *Answerer) ended(w word) {
	if a.visit == nil {
		return
	}
	a.visit.mu.Lock()
	defer a.visit.mu.Unlock()
	a.visit.ended = w
}

const (
	asMeant word = "refused as meant"
	inWords word = "told in words what is here"
)

// words are those of a visit that ended with err. Of err only its kind is used.
func (v *visit) words(err error) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	end := v.ended
	switch {
	case len(v.came) == 0 && errors.Is(err, errForeign):
		return "something that is not of this service came"
	case len(v.came) == 0:
		return "nothing that is of this service came"
	case end == "":
		end = endOf(err)
	}
	if end == "" {
		return list(v.came) + " came"
	}
	return list(v.came) + " came, " + string(end)
}

// endOf is how a conversation ended that nobody has a better word for.
func endOf(err error) word {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "then nothing for too long"
	case sock.IsReset(err):
		return "then the client reset the connection"
	case sock.IsClosed(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "then the client closed"
	case errors.Is(err, errForeign):
		return "then something that is not of this service"
	}
	return ""
}

func list(words []word) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// tlsEnd is how a TLS handshake failed that a client began, by the kind of
// crypto/tls's error alone.
func tlsEnd(err error) word {
	var op *net.OpError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	remote := errors.As(err, &op) && op.Op == "remote error"
	text := err.Error()
	switch {
	case errors.As(err, &record):
		return "then something that is not TLS"
	case remote && errors.As(op.Err, &alert), remote:
		for _, distrust := range []string{"bad certificate", "unknown certificate", "certificate unknown", "unsupported certificate", "expired certificate"} {
			if strings.Contains(text, distrust) {
				return "and the client does not trust the test certificate"
			}
		}
		return "and the client refused the handshake"
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "protocol version"):
		return "of an older version than 1.2 only: refused"
	case strings.Contains(text, "no cipher suite"), strings.Contains(text, "curve"), strings.Contains(text, "signature algorithm"):
		return "with nothing in common that both could use: refused"
	case strings.Contains(text, "application protocol"):
		return "for another protocol inside it than this service's: refused"
	}
	return endOf(err)
}

// What a client may speak, by its first bytes.
const (
	spokeTLS    word = "TLS"
	spokeHTTP   word = "HTTP"
	spokeHTTP2  word = "HTTP/2"
	spokeSSH    word = "SSH"
	spokeSMB    word = "SMB"
	spokeTDS    word = "SQL Server's TDS"
	spokeRDP    word = "Remote Desktop's negotiation"
	spokeLDAP   word = "LDAP"
	spokeZ3950  word = "Z39.50"
	spokeILL    word = "ISO ILL"
	spokeSMTP   word = "SMTP"
	spokeFTP    word = "FTP"
	spokeTelnet word = "Telnet"
	spokeText   word = "a line of text"
	spokeOther  word = "bytes of no protocol known here"
)

// tlsRecord is the type of a TLS handshake record (RFC 8446 section 5.1).
const tlsRecord = 0x16

// isTLS reports whether bytes begin a TLS handshake: its first two bytes are
// never those of a text.
func isTLS(b []byte) bool { return len(b) > 0 && b[0] == tlsRecord && (len(b) == 1 || b[1] == 3) }

var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "CONNECT", "TRACE", "PATCH", "PROPFIND"}

// spokenBy tells a protocol by the first bytes of a client. It answers for what
// comes to these ports, not for all there is.
func spokenBy(b []byte) word {
	has := func(prefix string) bool { return bytes.HasPrefix(b, []byte(prefix)) }
	verb, rest, isCommand := bytes.Cut(b, []byte(" "))
	switch {
	case isTLS(b):
		return spokeTLS
	case has("PRI * HTTP/2"):
		return spokeHTTP2
	case isCommand && len(rest) > 0 && slices.Contains(httpMethods, string(verb)) && bytes.ContainsAny(rest[:1], "/*h"),
		isCommand && string(verb) == "CONNECT":
		return spokeHTTP
	case has("SSH-"):
		return spokeSSH
	case len(b) >= 8 && b[0] == 0 && (b[4] == 0xfe || b[4] == 0xff) && string(b[5:8]) == "SMB":
		return spokeSMB
	case len(b) >= 4 && (b[0] == tdsPrelogin || b[0] == tdsLogin) && b[1]&^0x1f == 0 && (b[2] > 0 || b[3] >= tdsHeader):
		return spokeTDS
	case has("\x03\x00"):
		return spokeRDP
	case len(b) >= 2 && isLDAP(b[0]) && (b[1] >= 0x05 && bytes.Contains(b[:min(len(b), 7)], []byte{0x02, 0x01}) || b[1] > 0x80):
		return spokeLDAP
	case len(b) >= 2 && isZ3950(b[0]) && b[0] != 0xbf: // an Init is [20]
		return spokeZ3950
	case isILLHead(b):
		return spokeILL
	case has("EHLO"), has("HELO"), has("ehlo"), has("helo"):
		return spokeSMTP
	case has("USER "), has("PASS "), has("AUTH "):
		return spokeFTP
	case len(b) >= 2 && b[0] == 0xff && b[1] >= 0xf0:
		return spokeTelnet
	case isText(b):
		return spokeText
	}
	return spokeOther
}

// IsTLS reports whether a client that begins so speaks TLS.
func IsTLS(first []byte) bool { return isTLS(first) }

// IsHTTP reports whether a client that begins so speaks HTTP.
func IsHTTP(first []byte) bool { return spokenBy(first) == spokeHTTP }

// isILLHead reports whether bytes begin a message of ISO ILL's: an
// [APPLICATION] tag, a length, and the SEQUENCE inside.
func isILLHead(b []byte) bool {
	if len(b) < 2 || !isISOILL(b[0]) {
		return false
	}
	at := 2
	if b[1] > 0x80 {
		at += int(b[1] & 0x7f)
	}
	return at < len(b) && b[at] == 0x30
}

// isText reports whether bytes are somebody's typing: a line, or enough of one to
// be nothing else. The first bytes of BER may well be letters, but the third is a
// type: an INTEGER, or ISO ILL's SEQUENCE, which is the digit 0.
func isText(b []byte) bool {
	letters := 0
	for i, c := range b {
		switch {
		case c >= ' ' && c < 0x7f:
			letters++
		case c != '\r' && c != '\n' && c != '\t', i == 1 && letters > 0 && len(b) > 2:
			return false
		}
	}
	return len(b) > 0 && b[len(b)-1] == '\n' || letters >= 16 || letters >= 3 && b[2] != '0'
}

// firstBytes are as many as it takes to tell a protocol.
const firstBytes = 512

// hear reads the first bytes of a client and gives the connection with them
// before it.
func (a *Answerer) hear(ctx context.Context, conn net.Conn, patience time.Duration) (*headConn, word, error) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if ctx.Err() != nil {
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
	b := make([]byte, firstBytes)
	n, err := 0, error(nil)
	for n == 0 && err == nil {
		n, err = conn.Read(b)
	}
	if n == 0 {
		return nil, "", err
	}
	return &headConn{Conn: conn, head: b[:n]}, spokenBy(b[:n]), nil
}

// strange answers a client that speaks another protocol than the port's, in
// that protocol where it has words; false: the service itself finds better ones.
func (a *Answerer) strange(ctx context.Context, conn *headConn, p plan.Protocol, spoke word) (bool, error) {
	switch {
	case slices.Contains(conversations[p].begins, spoke):
		return false, nil
	case spoke == spokeHTTP2:
		a.came(spoke)
		a.ended("refused in its own words")
		a.say(ctx, conn, http2Refusal)
		return true, errForeign
	case p == plan.HTTP && isBinary(spoke): // net/http would wait for the end of a line
		a.came(spoke)
		a.ended("answered with 400 in words")
		a.say(ctx, conn, plainRefusal("This port speaks HTTP without TLS. Use http:// for it."))
		return true, errForeign
	case p == plan.HTTP:
		return false, nil
	case spoke == spokeHTTP:
		w := spoke
		if p.Language().Within != "" {
			w = "HTTP without TLS"
		}
		a.came(w)
		a.ended("answered with 400 in words")
		instead := "This port is for " + p.Language().Title + ", and your client spoke HTTP."
		if p == plan.HTTPS {
			instead = "This port is for HTTPS, and your client spoke HTTP without TLS. Use https:// for it."
		}
		_ = servePages(ctx, conn, a, "", instead) // which sees to it that the answer arrives
		return true, errForeign
	case spoke == spokeTLS:
		a.came(spoke)
		a.ended("which is not spoken on this port: refused")
		a.say(ctx, conn, tlsRefusal)
		return true, errForeign
	case conversations[p].tells:
		return false, nil
	case spoke == spokeText, spoke == spokeSSH, spoke == spokeSMTP, spoke == spokeFTP, spoke == spokeTelnet:
		a.came(spoke)
		a.ended(inWords)
		a.say(ctx, conn, a.forPeople(p))
		return true, errForeign
	}
	return false, nil // in its own protocol's words, where it has some
}

// isBinary reports whether what a client speaks has no lines.
func isBinary(spoke word) bool {
	return slices.Contains([]word{spokeTLS, spokeSMB, spokeTDS, spokeRDP, spokeLDAP, spokeZ3950, spokeILL, spokeTelnet, spokeOther}, spoke)
}

// forPeople is what somebody gets who types a line.
func (a *Answerer) forPeople(p plan.Protocol) string {
	return strings.Join(slices.Concat([]string{
		"This is the " + a.Software + " test listener on the port that " + p.Language().Title + " uses, not " + p.Language().Title + " itself.",
		"You have reached it. What you sent was neither kept nor logged.",
	}, a.Lines, []string{""}), "\r\n")
}

// tlsRefusal is the fatal alert unexpected_message (RFC 8446 section 6.2).
const tlsRefusal = "\x15\x03\x01\x00\x02\x02\x0a"

// plainRefusal is an HTTP response for a client that cannot be answered as one.
func plainRefusal(why string) string {
	return "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" + pageTitle + "\r\n" + why + "\r\n"
}

// http2Refusal are an empty SETTINGS frame and a GOAWAY frame that asks for
// HTTP/1.1 (RFC 9113 sections 3.4, 6.5, 6.8 and 7).
const http2Refusal = "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x20\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x0d" + "HTTP/1.1 is spoken here."

// say sends the last that is said in a conversation, as far as it can be sent.
func (a *Answerer) say(ctx context.Context, conn net.Conn, text string) {
	a.step(ctx, conn)
	_, _ = io.WriteString(conn, text)
	if a.visit != nil {
		a.visit.last = true
	}
}

// linger half-closes a connection and reads for a moment what still comes:
// closing with bytes unread would reset it, and what was said last be lost.
func linger(ctx context.Context, conn net.Conn, a *Answerer) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(min(time.Second, a.patience())))
	if ctx.Err() != nil {
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
	_, _ = io.CopyN(io.Discard, conn, 64<<10)
}

// tlsInPlain answers a TLS handshake that comes where a line should: it has no
// end of a line, and its client waits for an answer.
func (a *Answerer) tlsInPlain(r *bufio.Reader, conn net.Conn) bool {
	if b, err := r.Peek(1); err != nil || b[0] != tlsRecord {
		return false
	}
	a.came(spokeTLS)
	a.ended("which is not spoken on this port: refused")
	_, _ = io.WriteString(conn, tlsRefusal)
	if a.visit != nil {
		a.visit.last = true
	}
	return true
}

// isAlien reports whether the first word of a line is of a protocol that has
// strayed to one of lines: a browser's request, or SSH's greeting.
func isAlien(verb string) bool {
	return slices.Contains(httpMethods, verb) || strings.HasPrefix(verb, "SSH-")
}
