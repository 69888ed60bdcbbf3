package service

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// TLS (RFC 8446, RFC 5246) under the protocols that are spoken inside it. A
// completed handshake proves that the path passes TLS records, and which
// certificate's holder is at the other end of them. What passes inside cannot
// be read or changed on the way.
//
// What stays unnoticed: a device that forwards the records and only reads the
// handshake (the server name, the ports), and one that ends TLS with a
// certificate that this system trusts, where neither our listener's fingerprint
// nor anything inside the conversation says which certificate it ought to be.
// All else shows: the certificate is not our listener's, or it is not good for
// the host that was dialed.

// dialTLS makes conn a TLS connection, whoever is at the other end: it sends
// nothing secret, and the certificate is evidence. changed says, a sentence
// each, what is not as it ought to be. The deadline is the caller's.
func dialTLS(_ context.Context, conn net.Conn, q Question, protos ...string) (tc *tls.Conn, facts []result.Fact, changed []string, err error) {
	conf := &tls.Config{
		InsecureSkipVerify: true, // looked at below, with q to compare with
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protos,
		// A hello without post-quantum keys fits into one segment, as that of the
		// software we stand in for: a larger one fails at devices that pass ours.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		// Old servers choose RSA key exchange, which says nothing about the path.
		CipherSuites: everyCipherSuite(),
	}
	if _, err := netip.ParseAddr(q.Host); err != nil {
		conf.ServerName = q.Host // RFC 6066 section 3: a name, never an address
	}
	tc = tls.Client(conn, conf)
	if err := tc.Handshake(); err != nil { // not HandshakeContext, which closes conn
		return nil, nil, nil, handshakeError(err)
	}
	cs := tc.ConnectionState() // a server always has a certificate: no PSK was offered
	facts = tlsFacts(cs)
	if q.Answer == nil {
		facts = append(facts, trustFact(cs.PeerCertificates, q.Host))
	}
	return tc, facts, distrust(cs.PeerCertificates, q, nil), nil
}

// acceptTLS makes conn a TLS connection under the listener's certificate. The
// whole handshake has one message's time.
func acceptTLS(ctx context.Context, conn net.Conn, a *Answerer, protos ...string) (*tls.Conn, error) {
	a.step(ctx, conn)
	tc := tls.Server(conn, &tls.Config{
		Certificates:           []tls.Certificate{a.Certificate},
		MinVersion:             tls.VersionTLS12,
		NextProtos:             protos,
		SessionTicketsDisabled: true, // every connection shows the certificate
	})
	a.came("TLS")
	if err := tc.Handshake(); err != nil {
		a.ended(tlsEnd(err))
		return nil, handshakeError(err)
	}
	return tc, nil
}

// NewCertificate makes a certificate for one run of a listener, signed by
// itself, and gives its fingerprint: the SHA-256 of its DER form.
func NewCertificate(names []string, addrs []netip.Addr) (tls.Certificate, []byte, error) {
	fail := func(err error) (tls.Certificate, []byte, error) {
		return tls.Certificate{}, nil, fmt.Errorf("make a certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fail(err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), // positive: RFC 5280 section 4.1.2.2
		Subject:      pkix.Name{CommonName: "Dialtone test listener"},
		// The far end's clock may be wrong by hours.
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.Add(48 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		// A machine may be named in other letters, which no certificate holds.
		if n != "" && strings.IndexFunc(n, func(r rune) bool { return r <= ' ' || r > '~' }) < 0 {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	for _, a := range addrs {
		t.IPAddresses = append(t.IPAddresses, a.Unmap().WithZone("").AsSlice())
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return fail(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, sum[:], nil
}

// distrust says what is wrong with a certificate chain. roots are the system's
// if nil.
func distrust(chain []*x509.Certificate, q Question, roots *x509.CertPool) []string {
	leaf := chain[0]
	if q.Fingerprint != nil {
		if sum := sha256.Sum256(leaf.Raw); !bytes.Equal(sum[:], q.Fingerprint) {
			return []string{"TLS was ended on the way: the certificate is not the listener's but " + certificateWords(leaf)}
		}
	}
	if !q.Public {
		return nil
	}
	if err := verifyChain(chain, q.Host, roots); err != nil {
		return []string{fmt.Sprintf("the certificate is not good for %s on this system (%s): it is %s, valid until %s, for %s",
			shown(q.Host), shown(err.Error()), certificateWords(leaf), leaf.NotAfter.UTC().Format(time.RFC3339), certificateNames(leaf))}
	}
	return nil
}

// verifyChain reports whether a chain is good for a host. roots are the system's
// if nil.
func verifyChain(chain []*x509.Certificate, host string, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Intermediates: between, Roots: roots})
	return err
}

// trustFact says of a host that is not ours whether this system trusts its
// certificate. An institution's own may well be one that it does not.
func trustFact(chain []*x509.Certificate, host string) result.Fact {
	f := result.Fact{Name: result.FactTrusted, Value: "yes"}
	if err := verifyChain(chain, host, nil); err != nil {
		f.Value = "no: " + shown(err.Error())
	}
	return f
}

func tlsFacts(cs tls.ConnectionState) []result.Fact {
	leaf := cs.PeerCertificates[0]
	return []result.Fact{
		{Name: "TLS version", Value: tls.VersionName(cs.Version)},
		{Name: "cipher", Value: tls.CipherSuiteName(cs.CipherSuite)},
		{Name: "subject", Value: certificateName(leaf.Subject)},
		{Name: "issuer", Value: certificateName(leaf.Issuer)},
		{Name: "not after", Value: leaf.NotAfter.UTC().Format(time.RFC3339)},
		{Name: result.FactCertificate, Value: fingerprintOf(leaf.Raw)},
	}
}

func certificateWords(c *x509.Certificate) string {
	return fmt.Sprintf("%s, issued by %s", certificateName(c.Subject), certificateName(c.Issuer))
}

func certificateName(n pkix.Name) string {
	if s := n.String(); s != "" {
		return shown(s)
	}
	return "(no name)"
}

// certificateNames lists what a certificate is good for.
func certificateNames(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, a := range c.IPAddresses {
		all = append(all, a.String())
	}
	if len(all) == 0 {
		return "no name"
	}
	return shown(strings.Join(all, ", "))
}

func everyCipherSuite() []uint16 {
	var out []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		out = append(out, s.ID)
	}
	return out
}

// A foreignError says in its own words that the answer was not the protocol's.
type foreignError struct{ words string }

func (e foreignError) Error() string        { return e.words }
func (e foreignError) Is(target error) bool { return target == errForeign }

// handshakeError tells other bytes and a refusal from a connection that ended.
func handshakeError(err error) error {
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &record):
		what := fmt.Sprintf("bytes that are not TLS (%q)", record.RecordHeader[:])
		if bytes.HasPrefix(record.RecordHeader[:], []byte("HTTP")) {
			what = "HTTP without TLS"
		}
		return foreignError{"a TLS handshake was sent and the answer was " + what}
	case errors.As(err, &op) && op.Op == "remote error":
		return foreignError{"the far end refused the TLS handshake: " + op.Err.Error()}
	case errors.As(err, &op) && op.Op == "local error":
		return foreignError{"the far end's TLS handshake is wrong: " + op.Err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded), sock.IsReset(err), sock.IsClosed(err), errors.As(err, &op):
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return foreignError{"TLS handshake: " + shown(err.Error())}
}
