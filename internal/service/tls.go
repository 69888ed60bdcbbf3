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
// each, what is not as it ought to be. With an error there may be facts, and no
// more than those. The deadline is the caller's.
func dialTLS(conn net.Conn, q Question, protos ...string) (tc *tlsConn, facts []result.Fact, changed []string, err error) {
	name := ""
	if _, err := netip.ParseAddr(q.Host); err != nil {
		name = q.Host // RFC 6066 section 3: a name, never an address
	}
	if q.hello == helloBare {
		return nil, nil, nil, bareHello(conn, name)
	}
	tc = newTLSConn(conn)
	conf := &tls.Config{
		InsecureSkipVerify: true, // looked at below, with q to compare with
		ServerName:         name,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protos,
		// A hello without post-quantum keys fits into one segment, as that of the
		// software we stand in for: a larger one fails at devices that pass ours.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		// Old servers choose RSA key exchange, which says nothing about the path.
		CipherSuites: everyCipherSuite(),
		// Apache asks for a certificate once it knows what is requested (in TLS 1.2),
		// and goes on without one where it is optional.
		Renegotiation:        tls.RenegotiateFreelyAsClient,
		GetClientCertificate: tc.noCertificate,
	}
	if q.hello == helloOld {
		conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS12
		conf.CurvePreferences = append(conf.CurvePreferences, tls.CurveP521)
	}
	tc.Conn = tls.Client(tc.wire, conf)
	if err := tc.Handshake(); err != nil { // not HandshakeContext, which closes conn
		return nil, nil, nil, tc.failure(err)
	}
	cs := tc.ConnectionState() // a server always has a certificate: no PSK was offered
	facts = tlsFacts(cs)
	if !q.isOurs() {
		facts = append(facts, trustFacts(cs.PeerCertificates, q.Host, nil)...)
	}
	changed, err = distrust(cs.PeerCertificates, q, nil)
	return tc, facts, changed, err
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

// distrust says what is wrong with a certificate chain; the error is that no client
// of a public host takes it. roots are the system's if nil.
func distrust(chain []*x509.Certificate, q Question, roots *x509.CertPool) ([]string, error) {
	leaf := chain[0]
	if q.Fingerprint != nil {
		if sum := sha256.Sum256(leaf.Raw); !bytes.Equal(sum[:], q.Fingerprint) {
			return []string{"TLS was ended on the way: the certificate is not the listener's but " + certificateWords(leaf)}, nil
		}
	}
	if !q.Public {
		return nil, nil
	}
	if err := verifyChain(chain, q.Host, roots); err != nil {
		// The authorities that systems trust say where their own certificates are to
		// be had (CA/Browser Forum, Baseline Requirements, 7.1.2.7.7); a device that
		// ends TLS does not.
		if last := missingIssuer(chain, err); last != nil && len(last.IssuingCertificateURL) > 0 {
			return nil, refusedTLS(result.ReasonChain, "", chainWords(last))
		}
		return []string{fmt.Sprintf("the certificate is not good for %s on this system (%s): it is %s, valid until %s, for %s",
			shown(q.Host), shown(err.Error()), certificateWords(leaf), leaf.NotAfter.UTC().Format(time.RFC3339), certificateNames(leaf))}, nil
	}
	return nil, nil
}

// missingIssuer is the last certificate of a chain whose issuer's is neither sent
// nor known here, as err says; nil: it is not that.
func missingIssuer(chain []*x509.Certificate, err error) *x509.Certificate {
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		return nil
	}
	last := chain[0]
	for range chain { // each at most once
		i := slices.IndexFunc(chain, func(c *x509.Certificate) bool {
			return c != last && bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		last = chain[i]
	}
	if bytes.Equal(last.RawSubject, last.RawIssuer) {
		return nil // it is whole, and nobody trusts it
	}
	return last
}

func chainWords(last *x509.Certificate) string {
	return fmt.Sprintf("it ends with %s: that issuer's certificate was not sent, and is not among those that this machine trusts", certificateWords(last))
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

// trustFacts say of a host that is not ours whether this system trusts its
// certificate. An institution's own may well be one that it does not.
func trustFacts(chain []*x509.Certificate, host string, roots *x509.CertPool) []result.Fact {
	err := verifyChain(chain, host, roots)
	if err == nil {
		return []result.Fact{{Name: result.FactTrusted, Value: "yes"}}
	}
	out := []result.Fact{{Name: result.FactTrusted, Value: "no: " + shown(err.Error())}}
	if last := missingIssuer(chain, err); last != nil {
		out = append(out, result.Fact{Name: result.FactChain, Value: shown(chainWords(last))})
	}
	return out
}

func tlsFacts(cs tls.ConnectionState) []result.Fact {
	leaf := cs.PeerCertificates[0]
	return []result.Fact{
		{Name: result.FactTLSVersion, Value: tls.VersionName(cs.Version)},
		{Name: result.FactCipher, Value: tls.CipherSuiteName(cs.CipherSuite)},
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

// handshakeError tells the answering side other bytes and a refusal from a
// connection that ended.
func handshakeError(err error) error {
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &record):
		return notTLS(record)
	case errors.As(err, &op) && op.Op == "remote error":
		return foreignError{"the far end refused the TLS handshake: " + op.Err.Error()}
	case errors.As(err, &op) && op.Op == "local error":
		return foreignError{"the far end's TLS handshake is wrong: " + op.Err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded), isEnded(err), errors.As(err, &op):
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return foreignError{"TLS handshake: " + shown(err.Error())}
}
