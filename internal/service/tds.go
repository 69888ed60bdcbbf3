package service

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"unicode/utf16"

	"dialtone/internal/result"
)

// TDS (MS-TDS 7.x; the answering side knows 8.0 too): SQL Server.
//
// The asking side sends a PRELOGIN (section 2.2.6.5) as an ILLiad client does,
// with encryption "off", which means that the login alone is encrypted: so a
// server that requires more says so. Then it makes the TLS handshake inside TDS
// packets. It sends no login to a server that is not our own listener.
//
// The token is the client's NONCEOPT, which a server must answer with a
// NONCEOPT of its own. That of our listener is two seals: one says that it
// knows the key, the other covers both PRELOGIN messages, byte for byte. To our
// own listener a LOGIN7 without a password follows, which a firewall may treat
// differently. It is refused in words, and the error's procedure name holds two
// more seals: over the listener's certificate, and over the login as it arrived
// and the refusal. So the conversation proves that this listener answered this
// very asking side, and shows each changed byte of both exchanges, and a device
// that ends TLS, even to an asking side that was not told the fingerprint.
//
// What stays unnoticed: how the messages were cut into TDS packets and segments,
// the packets' SPID, number and window (section 2.2.3.1), a device that only
// reads along, and one that waits for what comes after a login (queries,
// results). Of a server that is not ours, everything that a device changes in a
// PRELOGIN without breaking its form, such as encryption that is negotiated
// away.
//
// A real SQL Server was not at hand: the asking side was tried with the bytes of
// MS-TDS's examples and those that nmap knows servers by, the answering side
// with FreeTDS, Microsoft's driver for Go and nmap.

const (
	tdsReply    = 0x04 // section 2.2.3.1.1
	tdsLogin    = 0x10
	tdsPrelogin = 0x12

	tdsHeader      = 8         // bytes
	tdsPacket      = 4096      // until the login agrees on another size
	maxTDSPrelogin = 4 << 10   // bytes; real ones have some 50
	maxTDSLogin    = 128 << 10 // section 2.2.6.4: less than 128 KiB
	maxTDSReply    = 32 << 10

	// PRELOGIN options
	tdsVersion    = 0x00
	tdsEncryption = 0x01
	tdsInstance   = 0x02
	tdsThread     = 0x03
	tdsMARS       = 0x04
	tdsTrace      = 0x05
	tdsFederated  = 0x06
	tdsNonce      = 0x07
	tdsTerminator = 0xff

	// values of ENCRYPTION
	tdsEncryptOff  = 0 // of the login alone
	tdsEncryptOn   = 1
	tdsEncryptNot  = 2 // not available
	tdsEncryptReq  = 3
	tdsEncryptCert = 0x80 // or-ed to the others: with the client's certificate

	tdsErrorToken = 0xaa // section 2.2.7.10
	tdsInfoToken  = 0xab // section 2.2.7.13
	tdsEnvToken   = 0xe3 // section 2.2.7.9
	tdsDoneToken  = 0xfd // section 2.2.7.6

	// tdsRefusal numbers our login error: above those of SQL Server itself.
	tdsRefusal = 51433
	tdsV72     = 0x72000000 // from here on some integers are longer
	tdsV74     = 0x74000004
	tdsV80     = 0x08000000
)

// tdsOptionNames are for sentences.
var tdsOptionNames = map[byte]string{
	tdsVersion: "VERSION", tdsEncryption: "ENCRYPTION", tdsInstance: "INSTOPT", tdsThread: "THREADID",
	tdsMARS: "MARS", tdsTrace: "TRACEID", tdsFederated: "FEDAUTHREQUIRED", tdsNonce: "NONCEOPT",
}

// tdsListenerVersion is what the listener gives as the version of what it stands
// in for: SQL Server 2019, 15.0.2000, sub-build 0. Devices and scanners know it.
var tdsListenerVersion = []byte{15, 0, 0x07, 0xd0, 0, 0}

func askTDS(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	var out result.Conversation
	ours := q.isOurs()
	request := appendPrelogin(nil, tdsRequest(q))
	if err := writeTDS(conn, tdsPrelogin, request); err != nil {
		return out, err
	}
	reply, err := readTDS(conn, maxTDSPrelogin, tdsReply)
	if err != nil {
		return out, err
	}
	if len(reply) > 0 && isTDSToken(reply[0]) { // a server that refuses connections altogether
		e, to, err := readTDSTokens(reply)
		if err != nil {
			return out, err
		}
		if to != "" {
			out.Reach(result.StageGreeted)
			out.Facts = append(out.Facts, result.Fact{Name: result.FactLeadsTo, Value: shown(to)})
			if ours {
				out.Changed = append(out.Changed, "the answer does not contain the listener's reply: it sends clients on to "+shown(to))
			}
			return out, nil
		}
		out.Software = "a TDS server"
		if e.server != "" {
			out.Software = shown("SQL Server " + e.server)
		}
		out.Reach(result.StageGreeted)
		if ours {
			out.Changed = append(out.Changed, fmt.Sprintf("the answer does not contain the listener's reply: it is the error %q", shown(e.text)))
		}
		out.Facts = append(out.Facts, result.Fact{Name: "error", Value: fmt.Sprintf("%d: %s", e.number, shown(e.text))})
		if tdsLoginErrors[e.number] { // about an account: nobody has logged in
			return out, nil
		}
		return out, refused(tdsReason(e.number), strconv.FormatUint(uint64(e.number), 10), e.text)
	}
	options, err := parsePrelogin(reply)
	if err != nil {
		return out, err
	}
	encryption := tdsOption(options, tdsEncryption)
	if len(encryption) != 1 {
		return out, unreadError{"the answer to a PRELOGIN says nothing of encryption"}
	}
	out.Software, out.Facts = tdsFacts(options)
	out.Reach(result.StageGreeted)
	if ours {
		out.Keyed, out.Changed = tdsProof(q, request, reply, options, out.Software)
	}

	// Whatever both sides have, "off" among it, the login needs TLS (section
	// 2.2.6.5), unless one of them has none.
	full := encryption[0] == tdsEncryptOn || encryption[0] == tdsEncryptReq
	var plain, sealed net.Conn = conn, conn
	var certificate []byte
	ended := false // TLS, and that was said
	if full || encryption[0] == tdsEncryptOff {
		h := &tdsHandshake{Conn: conn}
		tc, facts, changed, err := dialTLS(h, q)
		if err != nil {
			return out, fmt.Errorf("after the PRELOGIN: %w", err)
		}
		h.done = true
		out.Reach(result.StageTLS)
		certificate = tc.ConnectionState().PeerCertificates[0].Raw
		out.Facts = append(out.Facts, facts...)
		out.Changed, ended = append(out.Changed, changed...), len(changed) > 0
		if sealed = tc; full {
			plain = tc
		}
	}
	if !out.Keyed {
		return out, nil
	}
	login := tdsEmptyLogin()
	if err := writeTDS(sealed, tdsLogin, login); err != nil {
		return out, fmt.Errorf("the login: %w", err)
	}
	refusal, err := readTDS(plain, maxTDSReply, tdsReply)
	if err != nil {
		return out, fmt.Errorf("the login's answer: %w", err)
	}
	e, err := parseTDSError(refusal, tdsV74)
	if err != nil {
		return out, err
	}
	out.Software = shown(e.server)
	proofs, err := hex.DecodeString(e.proc)
	if err != nil || len(proofs) != 2*AnswerSize {
		out.Changed = append(out.Changed, fmt.Sprintf("the answer to the login is not the listener's: %q", shown(e.text)))
		return out, nil
	}
	if !hmac.Equal(proofs[:AnswerSize], sealOf(q.Answer, "tds certificate", certificate)) && !ended {
		out.Changed = append(out.Changed, "the listener's certificate is another than the one that arrived: TLS was ended on the way")
	}
	sum := sha256.Sum256(login)
	if !hmac.Equal(proofs[AnswerSize:], sealOf(q.Answer, "tds login", sum[:], e.withoutProc(refusal))) {
		out.Changed = append(out.Changed, "the login or the listener's answer to it was changed on the way")
	}
	return out, nil
}

// tdsLoginErrors are the errors about an account, or a database that it asked for
// (SQL Server's sys.messages), as a server that serves gives them to a stranger.
var tdsLoginErrors = map[uint32]bool{4060: true, 4064: true, 18450: true, 18452: true, 18456: true, 18470: true, 18486: true, 18487: true, 18488: true}

// tdsTurnedAway are the errors that say that this machine is not let in: a
// dedicated administrator connection's, a PRELOGIN that it does not take, a logon
// trigger; and Azure SQL's, that the name is none of its servers', that its own
// firewall has no rule for this address, and that it takes none from outside.
var tdsTurnedAway = map[uint32]bool{17810: true, 17828: true, 17892: true, 40532: true, 40615: true, 47073: true}

// tdsReason is what an error in place of an answer to PRELOGIN means: the server
// is paused (17142), shutting down (17148, 18451), starting up (17187, 18401), full
// (17809, 17300), unless it turns away this client.
func tdsReason(number uint32) result.Reason {
	switch {
	case number == 17835: // encryption is required, and the client has none
		return result.ReasonNeedsTLS
	case tdsTurnedAway[number]:
		return result.ReasonTurnedAway
	}
	return result.ReasonUnavailable
}

// tdsRequest makes the client's options. A server that is not ours gets those
// that every client sends.
func tdsRequest(q Question) []tdsOptionData {
	out := []tdsOptionData{
		{tdsVersion, []byte{9, 0, 0, 0, 0, 0}}, // as FreeTDS
		{tdsEncryption, []byte{tdsEncryptOff}},
		{tdsInstance, []byte{0}}, // whichever it is
		{tdsThread, []byte{1, 0, 0, 0}},
		{tdsMARS, []byte{0}},
	}
	if q.isOurs() {
		out = append(out, tdsOptionData{tdsNonce, q.Token[:]})
	}
	return out
}

// tdsFacts are what the server says of itself.
func tdsFacts(options []tdsOptionData) (string, []result.Fact) {
	v := tdsOption(options, tdsVersion)
	version := fmt.Sprintf("%d.%d.%d", v[0], v[1], binary.BigEndian.Uint16(v[2:]))
	facts := []result.Fact{{Name: "server version", Value: version}}
	words := map[byte]string{
		tdsEncryptOff: "of the login alone", tdsEncryptOn: "on", tdsEncryptNot: "not available", tdsEncryptReq: "required",
	}
	e := tdsOption(options, tdsEncryption)[0]
	if words[e] == "" {
		words[e] = fmt.Sprintf("unknown (%d)", e)
	}
	facts = append(facts, result.Fact{Name: "encryption", Value: words[e]})
	if i := tdsOption(options, tdsInstance); len(i) > 0 {
		word := "matches"
		if i[0] != 0 {
			word = "another than was asked for"
		}
		facts = append(facts, result.Fact{Name: "instance", Value: word})
	}
	if m := tdsOption(options, tdsMARS); len(m) > 0 {
		word := "off"
		if m[0] != 0 {
			word = "on"
		}
		facts = append(facts, result.Fact{Name: "MARS", Value: word})
	}
	return sqlServerName(v[0], v[1]), facts
}

// sqlServerName gives the product of a version, which people know it by.
func sqlServerName(major, minor byte) string {
	names := map[byte]string{
		7: "7.0", 8: "2000", 9: "2005", 10: "2008", 11: "2012", 12: "2014", 13: "2016",
		14: "2017", 15: "2019", 16: "2022", 17: "2025",
	}
	name := names[major]
	switch {
	case name == "":
		return fmt.Sprintf("Microsoft SQL Server, version %d.%d", major, minor)
	case major == 10 && minor >= 50:
		name += " R2"
	}
	return "Microsoft SQL Server " + name
}

// tdsProof looks for the listener's proof in its PRELOGIN.
func tdsProof(q Question, request, reply []byte, options []tdsOptionData, software string) (keyed bool, changed []string) {
	nonce := tdsOption(options, tdsNonce)
	if len(nonce) != 2*AnswerSize || !hmac.Equal(nonce[:AnswerSize], sealOf(q.Answer, "tds answer")) {
		return false, []string{"the PRELOGIN's answer does not contain the listener's reply: it is from " + software}
	}
	// nonce points into reply.
	seal := bytes.Clone(nonce[AnswerSize:])
	clear(nonce[AnswerSize:])
	if hmac.Equal(seal, sealOf(q.Answer, "tds prelogin", request, reply)) {
		return true, nil
	}
	sent, _ := tdsAnswer(tdsRequest(q))
	for _, s := range sent {
		got := tdsOption(options, s.option)
		if s.option != tdsNonce && !bytes.Equal(got, s.data) {
			changed = append(changed, fmt.Sprintf("the PRELOGIN was changed on the way: the option %s has the value %x, where the listener answers %x to what was sent",
				tdsOptionNames[s.option], got, s.data))
		}
	}
	if len(changed) == 0 {
		changed = append(changed, "the PRELOGIN was changed on the way, in one direction or both")
	}
	return true, changed
}

func answerTDS(ctx context.Context, conn net.Conn, a *Answerer) error {
	a.step(ctx, conn)
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return err
	}
	again := &headConn{Conn: conn, head: first[:]}
	if first[0] == 0x16 { // TDS 8.0: TLS stands before the PRELOGIN (section 3.3.5.4)
		tc, err := acceptTLS(ctx, again, a, "tds/8.0")
		if err != nil {
			return err
		}
		defer tc.CloseWrite()
		return tdsServer{ctx, tc, a}.serve(true)
	}
	return tdsServer{ctx, again, a}.serve(false)
}

// A tdsServer is the answering side on one connection.
type tdsServer struct {
	ctx  context.Context
	conn net.Conn // with TLS around everything in TDS 8.0
	a    *Answerer
}

// serve answers a PRELOGIN and a LOGIN7; sealed says that TLS is in place.
func (s tdsServer) serve(sealed bool) error {
	s.a.step(s.ctx, s.conn)
	m, err := openTDS(s.conn, maxTDSLogin)
	switch {
	case err != nil:
		return err
	case m.kind == tdsLogin: // as TDS 7.0 clients do
		s.a.came("login")
		return s.refuse(m, s.conn, nil, nil)
	case m.kind != tdsPrelogin:
		return foreignError{fmt.Sprintf("the first message is of type %#02x, not PRELOGIN", m.kind)}
	}
	m.limit = maxTDSPrelogin
	request, err := io.ReadAll(m)
	if err != nil {
		return err
	}
	options, err := parsePrelogin(request)
	if err != nil {
		return err
	}
	s.a.came("PRELOGIN")
	answers, encryption := tdsAnswer(options)
	answer := s.a.tdsKey(options)
	reply := appendPrelogin(nil, answers)
	if nonce := tdsOption(mustPrelogin(reply), tdsNonce); nonce != nil {
		if _, err := rand.Read(nonce); err != nil {
			return err
		}
		if answer != nil {
			copy(nonce, sealOf(answer, "tds answer"))
			clear(nonce[AnswerSize:])
			copy(nonce[AnswerSize:], sealOf(answer, "tds prelogin", request, reply))
		}
	}
	s.a.step(s.ctx, s.conn)
	if err := writeTDS(s.conn, tdsReply, reply); err != nil {
		return err
	}
	if encryption == tdsEncryptReq { // section 2.2.6.5: the client's certificate without TLS
		return errors.New("the client wants to show a certificate and has no TLS")
	}
	if sealed || encryption == tdsEncryptNot {
		return s.login(s.conn, s.conn, answer, sealed)
	}
	tc, err := s.startTLS()
	if err != nil {
		return err
	}
	if encryption == tdsEncryptOff {
		return s.login(tc, s.conn, answer, true)
	}
	defer tc.CloseWrite()
	return s.login(tc, tc, answer, true)
}

// startTLS makes the TLS handshake inside TDS packets, which is at most TLS
// 1.2 in TDS 7.x: FreeTDS waits forever for the tickets of a 1.3 handshake.
func (s tdsServer) startTLS() (*tls.Conn, error) {
	s.a.step(s.ctx, s.conn)
	h := &tdsHandshake{Conn: s.conn}
	tc := tls.Server(h, &tls.Config{
		Certificates:           []tls.Certificate{s.a.Certificate},
		MinVersion:             tls.VersionTLS12,
		MaxVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
	})
	s.a.came("TLS")
	if err := tc.Handshake(); err != nil {
		s.a.ended(tlsEnd(err))
		return nil, handshakeError(err)
	}
	h.done = true
	return tc, nil
}

// login reads a LOGIN7 from one stream and refuses it on another.
func (s tdsServer) login(from io.Reader, to io.Writer, answer []byte, sealed bool) error {
	s.a.step(s.ctx, s.conn)
	m, err := openTDS(from, maxTDSLogin)
	if err != nil {
		return err
	}
	if m.kind != tdsLogin {
		return foreignError{fmt.Sprintf("the message after PRELOGIN is of type %#02x, not LOGIN7", m.kind)}
	}
	s.a.came("login")
	var certificate []byte
	if sealed {
		certificate = s.a.Certificate.Certificate[0]
	}
	return s.refuse(m, to, answer, certificate)
}

// refuse reads a LOGIN7 (section 2.2.6.4) and answers it with an error. Of the
// login it looks at the protocol's version alone; the name and password in it
// are overwritten as they come, and only the holder of a key gets a digest.
func (s tdsServer) refuse(m *tdsMessage, to io.Writer, answer, certificate []byte) error {
	var head [8]byte // length, version
	if _, err := io.ReadFull(m, head[:]); err != nil {
		return foreignError{"the LOGIN7 message is too short"}
	}
	digest := sha256.New()
	digest.Write(head[:])
	var rest [4096]byte
	defer clear(rest[:])
	for {
		n, err := m.Read(rest[:])
		if answer != nil {
			digest.Write(rest[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	e := tdsError{
		number: tdsRefusal, state: 1, class: 14, server: s.a.Software,
		text: "This is " + s.a.Software + "'s test listener, not SQL Server: the network path works. Nothing is stored here.",
	}
	version := binary.LittleEndian.Uint32(head[4:])
	if answer != nil {
		e.text += strings.Repeat(" ", len(filling)/2) // two bytes each
		e.proc = noProc
		seal := sealOf(answer, "tds login", digest.Sum(nil), e.append(nil, version))
		e.proc = hex.EncodeToString(append(sealOf(answer, "tds certificate", certificate), seal...))
	}
	s.a.step(s.ctx, s.conn)
	s.a.ended(asMeant)
	return writeTDS(to, tdsReply, e.append(nil, version))
}

// tdsKey gives the keyed answer to the client's token; nil: it brought none.
func (a *Answerer) tdsKey(options []tdsOptionData) []byte {
	token := tdsOption(options, tdsNonce)
	if len(token) != TokenSize {
		return nil
	}
	answer, ok := a.Answer(token)
	if !ok {
		return nil
	}
	return answer
}

// tdsAnswer makes the server's options, of those that the client sent and no
// others: nmap, for one, knows a SQL Server by that. It also gives the value of
// ENCRYPTION, by the table in section 2.2.6.5 for a server that has TLS and
// does not require it.
func tdsAnswer(request []tdsOptionData) ([]tdsOptionData, byte) {
	encryption := byte(tdsEncryptNot)
	var out []tdsOptionData
	for _, o := range request {
		switch o.option {
		case tdsVersion:
			out = append(out, tdsOptionData{o.option, tdsListenerVersion})
		case tdsEncryption:
			if len(o.data) > 0 {
				switch o.data[0] {
				case tdsEncryptOff, tdsEncryptCert | tdsEncryptOff:
					encryption = tdsEncryptOff
				case tdsEncryptOn, tdsEncryptReq, tdsEncryptCert | tdsEncryptOn, tdsEncryptCert | tdsEncryptReq:
					encryption = tdsEncryptOn
				case tdsEncryptCert | tdsEncryptNot:
					encryption = tdsEncryptReq
				}
			}
			out = append(out, tdsOptionData{o.option, []byte{encryption}})
		case tdsInstance, tdsMARS, tdsFederated: // it matches; off; not required
			out = append(out, tdsOptionData{o.option, []byte{0}})
		case tdsThread, tdsTrace: // empty from a server
			out = append(out, tdsOptionData{o.option, nil})
		case tdsNonce:
			out = append(out, tdsOptionData{o.option, make([]byte, 2*AnswerSize)})
		}
	}
	return out, encryption
}

// A tdsOptionData is one option of a PRELOGIN.
type tdsOptionData struct {
	option byte
	data   []byte
}

// tdsOption returns an option's value, nil if it is not there.
func tdsOption(options []tdsOptionData, option byte) []byte {
	for _, o := range options {
		if o.option == option {
			return o.data
		}
	}
	return nil
}

// parsePrelogin takes a PRELOGIN apart (section 2.2.6.5). The values point into
// b. One of them is the version, the first by the specification, which has at least
// 6 bytes.
func parsePrelogin(b []byte) ([]tdsOptionData, error) {
	bad := func(what string) ([]tdsOptionData, error) {
		return nil, unreadError{"the PRELOGIN is malformed: " + what}
	}
	var out []tdsOptionData
	for at := 0; ; at += 5 {
		if at >= len(b) {
			return bad("its list of options has no end")
		}
		if b[at] == tdsTerminator {
			break
		}
		if at+5 > len(b) {
			return bad("its list of options is cut off")
		}
		from, n := int(binary.BigEndian.Uint16(b[at+1:])), int(binary.BigEndian.Uint16(b[at+3:]))
		if from+n > len(b) {
			return bad("an option lies outside of it")
		}
		for _, o := range out {
			if o.option == b[at] {
				return bad("an option stands there twice")
			}
		}
		out = append(out, tdsOptionData{b[at], b[from : from+n : from+n]})
	}
	if len(tdsOption(out, tdsVersion)) < 6 {
		return bad("it has no version")
	}
	return out, nil
}

// mustPrelogin takes apart what appendPrelogin has put together.
func mustPrelogin(b []byte) []tdsOptionData {
	out, err := parsePrelogin(b)
	if err != nil {
		panic(err)
	}
	return out
}

func appendPrelogin(b []byte, options []tdsOptionData) []byte {
	at := 5*len(options) + 1
	for _, o := range options {
		b = append(b, o.option)
		b = binary.BigEndian.AppendUint16(b, uint16(at))
		b = binary.BigEndian.AppendUint16(b, uint16(len(o.data)))
		at += len(o.data)
	}
	b = append(b, tdsTerminator)
	for _, o := range options {
		b = append(b, o.data...)
	}
	return b
}

// tdsEmptyLogin makes a LOGIN7 without a password (section 2.2.6.4).
func tdsEmptyLogin() []byte {
	const fixed = 94
	b := make([]byte, fixed)
	binary.LittleEndian.PutUint32(b[4:], tdsV74)
	binary.LittleEndian.PutUint32(b[8:], tdsPacket)
	binary.LittleEndian.PutUint32(b[12:], 0x07000000) // the client's version, as in section 4.2
	b[24], b[25] = 0xe0, 0x03                         // flags, as there
	binary.LittleEndian.PutUint32(b[32:], 0x0409)     // language
	for at, text := range []string{"dialtone", "dialtone", "", "Dialtone", "", "", "ODBC", "", ""} {
		binary.LittleEndian.PutUint16(b[36+4*at:], uint16(len(b)))
		binary.LittleEndian.PutUint16(b[38+4*at:], uint16(len(text)))
		b = appendUCS2(b, text)
	}
	binary.LittleEndian.PutUint16(b[78:], uint16(len(b))) // SSPI, as large as a Kerberos ticket
	binary.LittleEndian.PutUint16(b[80:], uint16(len(filling)))
	b = append(b, filling...)
	for _, at := range []int{82, 86} { // file, new password: none
		binary.LittleEndian.PutUint16(b[at:], uint16(len(b)))
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

// A tdsError is an ERROR token (section 2.2.7.10).
type tdsError struct {
	number             uint32
	state, class       byte
	text, server, proc string
	procAt             int // where the procedure's name stands in the message
}

// noProc stands for the two seals while they are not known.
var noProc = strings.Repeat("0", 4*AnswerSize)

// append makes the whole answer: the token, and the DONE token that ends it
// (section 2.2.7.6), with the error bit.
func (e tdsError) append(b []byte, version uint32) []byte {
	long := version >= tdsV72 || version == tdsV80
	t := binary.LittleEndian.AppendUint32(nil, e.number)
	t = append(t, e.state, e.class)
	t = binary.LittleEndian.AppendUint16(t, uint16(len(utf16.Encode([]rune(e.text)))))
	t = appendUCS2(t, e.text)
	for _, s := range []string{e.server, e.proc} {
		u := utf16.Encode([]rune(s))
		u = u[:min(len(u), 255)]
		t = append(t, byte(len(u)))
		t = appendUCS2(t, string(utf16.Decode(u)))
	}
	t = append(t, 1, 0) // line
	if long {
		t = append(t, 0, 0)
	}
	b = append(b, tdsErrorToken)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(t)))
	b = append(b, t...)
	b = append(b, tdsDoneToken, 2, 0, 0, 0, 0, 0, 0, 0) // error; no command; no rows
	if long {
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

// withoutProc is the message without the seals.
func (e tdsError) withoutProc(message []byte) []byte {
	b := bytes.Clone(message)
	copy(b[e.procAt:], appendUCS2(nil, noProc[:min(len(noProc), len(e.proc))]))
	return b
}

// isTDSToken reports whether a byte begins one of the tokens that a server says
// before a login; no PRELOGIN begins so.
func isTDSToken(b byte) bool {
	return b == tdsErrorToken || b == tdsInfoToken || b == tdsEnvToken || b == tdsDoneToken
}

// readTDSTokens finds the ERROR token among those of a message, and the host and
// port to which it sends clients on (ENVCHANGE of type 20), "" if to none.
func readTDSTokens(b []byte) (e tdsError, to string, err error) {
	for len(b) >= 3 {
		end := 3 + int(binary.LittleEndian.Uint16(b[1:]))
		switch {
		case b[0] == tdsErrorToken:
			e, err = parseTDSError(b, tdsV74)
			return e, "", err
		case b[0] == tdsEnvToken && end <= len(b):
			if to := tdsRoute(b[3:end]); to != "" {
				return e, to, nil
			}
		case b[0] != tdsInfoToken || end > len(b):
			b = nil
			continue
		}
		b = b[end:]
	}
	return e, "", unreadError{"the answer to a PRELOGIN is neither one nor an error"}
}

// tdsRoute reads an ENVCHANGE's routing, "" if it is another.
func tdsRoute(b []byte) string {
	const routing, head = 20, 1 + 2 + 1 + 2 + 2 // type; length, protocol (TCP is 0), port, length of the name
	if len(b) < head || b[0] != routing || b[3] != 0 {
		return ""
	}
	units := make([]uint16, binary.LittleEndian.Uint16(b[6:]))
	if head+2*len(units) > len(b) {
		return ""
	}
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[head+2*i:])
	}
	return net.JoinHostPort(string(utf16.Decode(units)), strconv.Itoa(int(binary.LittleEndian.Uint16(b[4:]))))
}

// parseTDSError reads the ERROR token (or, of the same form, the INFO token)
// that a message begins with.
func parseTDSError(b []byte, version uint32) (tdsError, error) {
	var e tdsError
	bad := unreadError{"the answer is not an ERROR token"}
	if len(b) < 3 || b[0] != tdsErrorToken && b[0] != 0xab {
		return e, bad
	}
	end := 3 + int(binary.LittleEndian.Uint16(b[1:]))
	if end > len(b) || end < 11 {
		return e, bad
	}
	e.number, e.state, e.class = binary.LittleEndian.Uint32(b[3:]), b[7], b[8]
	at := 11
	take := func(units int) (string, bool) {
		if at+2*units > end {
			return "", false
		}
		u := make([]uint16, units)
		for i := range u {
			u[i] = binary.LittleEndian.Uint16(b[at+2*i:])
		}
		at += 2 * units
		return string(utf16.Decode(u)), true
	}
	ok := false
	if e.text, ok = take(int(binary.LittleEndian.Uint16(b[9:]))); !ok {
		return e, bad
	}
	for _, s := range []*string{&e.server, &e.proc} {
		if at >= end {
			return e, bad
		}
		units := int(b[at])
		at++
		e.procAt = at
		if *s, ok = take(units); !ok {
			return e, bad
		}
	}
	return e, nil
}

func appendUCS2(b []byte, s string) []byte {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// writeTDS sends one message in as many packets as it needs (section 2.2.3),
// with one write.
func writeTDS(w io.Writer, kind byte, data []byte) error {
	_, err := w.Write(appendTDS(nil, kind, data))
	return err
}

func appendTDS(b []byte, kind byte, data []byte) []byte {
	for number := byte(1); ; number++ {
		n := min(len(data), tdsPacket-tdsHeader)
		status := byte(0)
		if n == len(data) {
			status = 1 // end of message
		}
		b = append(b, kind, status)
		b = binary.BigEndian.AppendUint16(b, uint16(tdsHeader+n))
		b = append(b, 0, 0, number, 0)
		b = append(b, data[:n]...)
		if data = data[n:]; status == 1 {
			return b
		}
	}
}

// A tdsMessage reads one message out of its packets, up to a limit. It ends
// with io.EOF; a connection that ends before is io.ErrUnexpectedEOF.
type tdsMessage struct {
	r     io.Reader
	kind  byte
	limit int // bytes that may still come
	left  int // bytes of this packet
	last  bool
}

// openTDS waits for a message.
func openTDS(r io.Reader, limit int) (*tdsMessage, error) {
	m := &tdsMessage{r: r, limit: limit}
	return m, m.next()
}

// readTDS reads a message that must be of one kind.
func readTDS(r io.Reader, limit int, kind byte) ([]byte, error) {
	m, err := openTDS(r, limit)
	if err != nil {
		return nil, err
	}
	if m.kind != kind {
		return nil, foreignError{fmt.Sprintf("the answer is a TDS message of type %#02x, where %#02x should come", m.kind, kind)}
	}
	return io.ReadAll(m)
}

// next reads a packet's header.
func (m *tdsMessage) next() error {
	var h [tdsHeader]byte
	if _, err := io.ReadFull(m.r, h[:]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	n := int(binary.BigEndian.Uint16(h[2:]))
	switch {
	case h[0] == 0 || h[0] > tdsPrelogin || h[1]&^0x1f != 0 || n < tdsHeader:
		what := fmt.Sprintf("it begins with %q", h[:])
		if s := Software(h[:]); s != "" {
			what = "it is from " + shown(s)
		}
		return foreignError{"the answer is not TDS: " + what}
	case m.kind != 0 && m.kind != h[0]:
		return unreadError{"a TDS message changes its type"}
	case m.kind != 0 && n == tdsHeader && h[1]&1 == 0:
		return unreadError{"a TDS message has empty packets"}
	}
	m.kind, m.left, m.last = h[0], n-tdsHeader, h[1]&1 == 1
	return nil
}

// Read implements io.Reader.
func (m *tdsMessage) Read(b []byte) (int, error) {
	for m.left == 0 {
		if m.last {
			return 0, io.EOF
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
	n, err := m.r.Read(b[:min(len(b), m.left)])
	m.left -= n
	if m.limit -= n; m.limit < 0 {
		return 0, unreadError{"a TDS message is too long"}
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
		if m.left == 0 && m.last {
			err = nil
		}
	}
	return n, err
}

// A tdsHandshake carries the TLS handshake inside TDS packets (section
// 2.2.6.5), and after it (done) the bare records. One goroutine uses it.
type tdsHandshake struct {
	net.Conn
	left int // bytes of the packet that is being read
	done bool
}

// Read implements net.Conn.
func (h *tdsHandshake) Read(b []byte) (int, error) {
	if h.done && h.left == 0 {
		return h.Conn.Read(b)
	}
	for tries := 0; h.left == 0; tries++ {
		// Servers of other versions send the answer type (section 2.2.6.5).
		m, err := openTDS(h.Conn, 0)
		if err != nil {
			return 0, err
		}
		if m.kind != tdsPrelogin && m.kind != tdsReply || tries > 0 && m.left == 0 {
			return 0, foreignError{fmt.Sprintf("a TDS message of type %#02x came where the TLS handshake should", m.kind)}
		}
		h.left = m.left
	}
	n, err := h.Conn.Read(b[:min(len(b), h.left)])
	h.left -= n
	return n, err
}

// Write implements net.Conn.
func (h *tdsHandshake) Write(b []byte) (int, error) {
	if h.done {
		return h.Conn.Write(b)
	}
	if err := writeTDS(h.Conn, tdsPrelogin, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// A headConn is a connection of which some bytes were read already.
type headConn struct {
	net.Conn
	head []byte
}

// Read implements net.Conn.
func (c *headConn) Read(b []byte) (int, error) {
	if len(c.head) > 0 && len(b) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// CloseWrite half-closes the connection.
func (c *headConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
