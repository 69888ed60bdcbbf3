package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// LDAP (RFC 4511), as the server that checks patrons' passwords speaks it to a
// directory: an anonymous bind, a search for the root entry (RFC 4512 section
// 5.1), unbind; under TLS on the port for that. No password ever travels.
//
// Our own listener takes a token from the name of a requested attribute, such
// as real servers ignore, and answers it as that attribute's value. With the
// end of the search comes a receipt under a seal: all bytes that it received
// and sent, and its certificate. So the conversation proves that this listener
// answered this very search, and shows every changed, added or missing byte
// either way: attributes that a directory proxy or an inspecting firewall takes
// away or adds (StartTLS above all), messages encoded anew, TLS that was ended
// on the way. Of a server that is not ours the conversation proves only that
// something which speaks LDAP answered.
//
// What stays unnoticed: a device that only reads along, how messages were cut
// into segments, what a device would do to the requests that are not made
// (binds with a password, searches for people), and a change of the receipt's
// own message that leaves the receipt.

const (
	maxLDAPMessages = 64
	maxLDAPTold     = 8 << 10   // bytes of a receipt, before base64
	maxLDAPAnswer   = 256 << 10 // bytes of all that one far end may say
	maxLDAPChanges  = 10        // sentences about attributes

	ldapTokenPrefix = "dialtone-"              // before the token's 64 digits
	ldapStartTLS    = "1.3.6.1.4.1.1466.20037" // RFC 4511 section 4.14
	ldapWhoAmI      = "1.3.6.1.4.1.4203.1.11.3"
	ldapNotice      = "1.3.6.1.4.1.1466.20036" // of disconnection: RFC 4511 section 4.4.1
)

func isLDAP(first byte) bool { return first == 0x30 } // LDAPMessage is a SEQUENCE

func askLDAP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return askDirectory(ctx, conn, q, nil)
}

func askLDAPS(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	tc, facts, changed, err := dialTLS(conn, q)
	if err != nil {
		return result.Conversation{Facts: facts, Changed: changed}, err
	}
	sum := sha256.Sum256(tc.ConnectionState().PeerCertificates[0].Raw)
	out, err := askDirectory(ctx, tc, q, sum[:])
	out.Facts = append(facts, out.Facts...)
	for _, c := range out.Changed {
		if !slices.Contains(changed, c) {
			changed = append(changed, c)
		}
	}
	out.Changed = changed
	return out, err
}

// An ldapWire lets the library see whole messages of bounded cost only, keeps
// what was said, and stays open when it is closed: it only ends what waits in it.
type ldapWire struct {
	net.Conn
	r    *bufio.Reader
	rest []byte // of a message that the library has not yet taken

	mu     sync.Mutex
	asked  int64 // requests; the library numbers them from 1
	sent   []byte
	got    [][]byte
	size   int         // of all in got
	notice *ldapResult // why the far end ends the connection; nil: it does not say
	err    error       // what ended reading or writing
	closed bool
}

func (w *ldapWire) Read(b []byte) (int, error) {
	if len(w.rest) == 0 {
		raw, err := readBER(w.r, isLDAP)
		if w.rest, err = w.take(raw, err); err != nil {
			return 0, err
		}
	}
	n := copy(b, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// take looks at a message before the library does.
func (w *ldapWire) take(raw []byte, err error) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.size += len(raw)
		err = w.check(raw)
	}
	if err != nil {
		if w.err == nil && !w.closed {
			w.err = err
		}
		return nil, err
	}
	w.got = append(w.got, raw)
	return raw, nil
}

func (w *ldapWire) check(raw []byte) error {
	if w.size > maxLDAPAnswer {
		return unreadError{fmt.Sprintf("the answers have more than %d bytes", maxLDAPAnswer)}
	}
	id, op, _, err := ldapMessage(raw)
	switch {
	case err != nil:
		return err
	case id == 0 && op.Tag == ldap.ApplicationExtendedResponse:
		r := readLDAPResult(op)
		w.notice = &r
	case op.Tag == ldap.ApplicationBindRequest, op.Tag == ldap.ApplicationSearchRequest, op.Tag == ldap.ApplicationUnbindRequest:
		return foreignError{"the answer is a request, as of something that sends back what it gets"}
	case id != w.asked:
		return unreadError{fmt.Sprintf("message %d was answered by message %d", w.asked, id)}
	}
	return nil
}

func (w *ldapWire) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.asked++
	w.sent = append(w.sent, b...)
	w.mu.Unlock()
	n, err := w.Conn.Write(b)
	if err != nil {
		w.mu.Lock()
		if w.err == nil {
			w.err = err
		}
		w.mu.Unlock()
	}
	return n, err
}

func (w *ldapWire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.Conn.SetReadDeadline(time.Unix(1, 0))
}

// upTo gives what was sent, and what arrived before the first message with that
// operation.
func (w *ldapWire) upTo(op ber.Tag) (sent, got []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, raw := range w.got {
		if _, p, _, err := ldapMessage(raw); err != nil || p.Tag == op {
			break
		}
		got = append(got, raw...)
	}
	return slices.Clone(w.sent), got
}

// failure is the error behind one that the library made of it.
func (w *ldapWire) failure(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	return unreadError{"LDAP: " + shown(err.Error())}
}

func (w *ldapWire) farewell() *ldapResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notice
}

// An ldapResult is an LDAPResult (RFC 4511 section 4.1.9).
type ldapResult struct {
	code int64
	text string // the server's own words
}

func readLDAPResult(op *ber.Packet) ldapResult {
	r := ldapResult{code: -1, text: "no result"}
	if len(op.Children) >= 3 {
		r.code, _ = berNumber(op.Children[0])
		r.text = strings.TrimRight(berText(op.Children[2]), "\x00")
	}
	return r
}

// name is the code as people know it.
func (r ldapResult) name() string {
	if r.code >= 0 && r.code < ldap.ErrorNetwork {
		if name := ldap.LDAPResultCodeMap[uint16(r.code)]; name != "" {
			return fmt.Sprintf("%s (%d)", name, r.code)
		}
	}
	return fmt.Sprintf("result %d", r.code)
}

func (r ldapResult) String() string {
	if r.text == "" {
		return r.name()
	}
	return r.name() + ": " + shown(r.text)
}

// refusal is what a result says no with; nil if a stranger's want of a login is
// all that it speaks of: ILLiad has one of its own.
func (r ldapResult) refusal() error {
	switch r.code {
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultAdminLimitExceeded, ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultOther:
		return refused(result.ReasonUnavailable, r.name(), r.text)
	case ldap.LDAPResultStrongAuthRequired: // Samba's and AD's words for it
		if wantsTLS(r.text) {
			return refused(result.ReasonNeedsTLS, r.name(), r.text)
		}
	case ldap.LDAPResultConfidentialityRequired:
		return refused(result.ReasonNeedsTLS, r.name(), r.text)
	}
	return nil
}

// disconnection is what a Notice of Disconnection (RFC 4511 section 4.4.1) says
// no with.
func (r ldapResult) disconnection() error {
	if no := r.refusal(); no != nil {
		return no
	}
	return refused(result.ReasonTurnedAway, r.name(), r.text)
}

// ldapRefusal gives the result that the far end sent; false: the error is of
// another kind.
func ldapRefusal(err error) (ldapResult, bool) {
	var e *ldap.Error
	if !errors.As(err, &e) || e.ResultCode >= ldap.ErrorNetwork || e.Packet == nil {
		return ldapResult{}, false
	}
	return readLDAPResult(e.Packet.Children[1]), true // the library has looked at it
}

// askDirectory speaks LDAP on conn. certificate is the SHA-256 of the one under
// which TLS is spoken; nil: none.
func askDirectory(ctx context.Context, conn net.Conn, q Question, certificate []byte) (out result.Conversation, err error) {
	note := func(name, value string) {
		out.Facts = append(out.Facts, result.Fact{Name: name, Value: shown(value)})
	}
	if certificate != nil {
		out.Reach(result.StageTLS)
	}
	w := &ldapWire{Conn: conn, r: bufio.NewReader(conn)}
	c := ldap.NewConn(w, certificate != nil)
	if until, ok := ctx.Deadline(); ok { // the connection's own deadline comes first
		c.SetTimeout(max(time.Until(until), 0) + time.Second)
	}
	c.Start()
	defer c.Close()

	isRefused := false
	if err := c.UnauthenticatedBind(""); err == nil {
		note("anonymous bind", "accepted")
		out.Reach(result.StageGreeted)
		out.Reach(result.StageAccepted)
	} else if r, ok := ldapRefusal(err); ok {
		out.Reach(result.StageGreeted)
		note("anonymous bind", "refused: "+r.String())
		if no := r.refusal(); no != nil {
			return ldapUnanswered(out, q, r.String()), no
		}
		isRefused = true
	} else if r := w.farewell(); r != nil {
		out.Reach(result.StageGreeted)
		note("disconnected", r.String())
		return ldapUnanswered(out, q, r.String()), r.disconnection()
	} else {
		return out, w.failure(err)
	}

	attributes := []string{"*", "+"} // RFC 3673
	token := ldapTokenPrefix + hex.EncodeToString(q.Token[:])
	if q.isOurs() {
		attributes = append(attributes, token, "x-fill-"+filling) // the receipt brings it back
	}
	search := ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attributes, nil)
	search.EnforceSizeLimit = true
	found, err := c.Search(search)
	if err != nil {
		words := "the connection was ended"
		var no error
		switch r, ok := ldapRefusal(err); {
		case ok:
			words, no = r.String(), r.refusal()
		case w.farewell() != nil:
			words, no = w.farewell().String(), w.farewell().disconnection()
		default:
			// A server that has refused the bind may leave it at that.
			if err = w.failure(err); !isRefused || !sock.IsClosed(err) && !sock.IsReset(err) {
				return out, err
			}
		}
		note("root entry", "refused: "+words)
		return ldapUnanswered(out, q, words), no
	}
	if len(found.Entries) == 0 {
		note("root entry", "none")
		return ldapUnanswered(out, q, "the root entry is missing"), nil
	}
	root := found.Entries[0]
	out.Software = ldapSoftware(root)
	for _, f := range []struct{ name, attribute string }{
		{"naming contexts", "namingContexts"}, {"LDAP versions", "supportedLDAPVersion"}, {"host", "dnsHostName"},
	} {
		if v := root.GetEqualFoldAttributeValues(f.attribute); len(v) > 0 {
			note(f.name, strings.Join(v, ", "))
		}
	}
	switch {
	case slices.Contains(root.GetEqualFoldAttributeValues("supportedExtension"), ldapStartTLS):
		note("StartTLS", "offered")
	case certificate == nil:
		note("StartTLS", "not offered")
	}
	if !q.isOurs() {
		_ = c.Unbind()
		return out, nil
	}
	out.Keyed = isBERProof(q.Answer, "ldap", root.GetEqualFoldAttributeValue(token))
	if !out.Keyed {
		_ = c.Unbind()
		return ldapUnanswered(out, q, ldapWhose(out.Software)), nil
	}
	sent, got := w.upTo(ldap.ApplicationSearchResultDone)
	_ = c.Unbind()
	receipt, ok := openBERReceipt(q.Answer, "ldap", found.DiagnosticMessage)
	if !ok {
		out.Changed = append(out.Changed, "the end of the answer is not as the listener sent it: "+shownBytes([]byte(found.DiagnosticMessage)))
		return out, nil
	}
	if s := berChange("the request", sent, receipt.Got); s != "" {
		out.Changed = append(out.Changed, s)
	}
	if more := ldapChanges(receipt.Sent, got); len(more) > 0 {
		out.Changed = append(out.Changed, more...)
	} else if s := berChange("the answer", receipt.Sent, got); s != "" {
		out.Changed = append(out.Changed, s)
	}
	if !bytes.Equal(receipt.Certificate, certificate) && q.Fingerprint == nil { // else dialTLS has said so
		out.Changed = append(out.Changed, "the listener's certificate is another than the one that arrived: TLS was ended on the way")
	}
	return out, nil
}

// ldapUnanswered adds what it means that our own listener's answer is not there.
func ldapUnanswered(out result.Conversation, q Question, instead string) result.Conversation {
	if q.isOurs() {
		out.Changed = append(out.Changed, "the answer does not contain the listener's reply: "+shown(instead))
	}
	return out
}

func ldapWhose(software string) string {
	if software == "" {
		return "it is another server's"
	}
	return "it is from " + software
}

// ldapSoftware names what has this root entry, as far as it shows.
func ldapSoftware(root *ldap.Entry) string {
	first := func(name string) string {
		if v := root.GetEqualFoldAttributeValues(name); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	if s := strings.TrimSpace(first("vendorName") + " " + first("vendorVersion")); s != "" { // RFC 3045
		return shown(s)
	}
	for _, name := range []string{"structuralObjectClass", "objectClass"} {
		if slices.Contains(root.GetEqualFoldAttributeValues(name), "OpenLDAProotDSE") {
			return "OpenLDAP"
		}
	}
	capabilities := root.GetEqualFoldAttributeValues("supportedCapabilities")
	switch { // MS-ADTS section 3.1.1.3.4.3
	case slices.Contains(capabilities, "1.2.840.113556.1.4.1851"):
		return "Active Directory Lightweight Directory Services"
	case slices.Contains(capabilities, "1.2.840.113556.1.4.800"):
		return "Active Directory"
	}
	return ""
}

// ldapChanges names the attributes that differ between the root entry that the
// listener sent and the one that arrived, each the last of its messages.
func ldapChanges(sent, arrived []byte) []string {
	s, a := ldapEntry(sent), ldapEntry(arrived)
	if s == nil || a == nil {
		return nil
	}
	var out []string
	say := func(format string, args ...any) {
		if len(out) < maxLDAPChanges {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for _, x := range s {
		values, ok := a.values(x.name)
		if !ok {
			say("the listener's attribute %s (%s) was taken away", shown(x.name), shown(strings.Join(x.values, ", ")))
			continue
		}
		for _, v := range x.values {
			if !slices.Contains(values, v) {
				say("the listener's value %s of the attribute %s was taken away", shown(v), shown(x.name))
			}
		}
		for _, v := range values {
			if !slices.Contains(x.values, v) {
				say("the value %s was added to the listener's attribute %s", shown(v), shown(x.name))
			}
		}
	}
	for _, x := range a {
		if _, ok := s.values(x.name); !ok {
			say("the attribute %s (%s) was added to the listener's", shown(x.name), shown(strings.Join(x.values, ", ")))
		}
	}
	return out
}

type ldapAttribute struct {
	name   string
	values []string
}

type ldapAttributes []ldapAttribute

func (l ldapAttributes) values(name string) ([]string, bool) {
	for _, x := range l {
		if x.name == name {
			return x.values, true
		}
	}
	return nil, false
}

// ldapEntry reads the attributes of the last of some messages; nil: it is no entry.
func ldapEntry(messages []byte) ldapAttributes {
	all, err := berAll(messages)
	if err != nil || len(all) == 0 {
		return nil
	}
	op := berPart(all[len(all)-1], ber.ClassApplication, ldap.ApplicationSearchResultEntry)
	if op == nil || len(op.Children) != 2 {
		return nil
	}
	out := ldapAttributes{}
	for _, c := range op.Children[1].Children {
		if len(c.Children) != 2 {
			return nil
		}
		x := ldapAttribute{name: berText(c.Children[0])}
		for _, v := range c.Children[1].Children {
			x.values = append(x.values, berText(v))
		}
		out = append(out, x)
	}
	return out
}

// ldapMessage takes an LDAPMessage (RFC 4511 section 4.1.1) apart. critical says
// that it has a control that must not be ignored (section 4.1.11).
func ldapMessage(raw []byte) (id int64, op *ber.Packet, critical bool, err error) {
	p, err := decodeBER(raw)
	if err != nil {
		return 0, nil, false, err
	}
	if len(p.Children) < 2 || len(p.Children) > 3 {
		return 0, nil, false, foreignError{"what came is not an LDAP message"}
	}
	first := p.Children[0]
	id, ok := berNumber(first)
	op = p.Children[1]
	if !ok || first.ClassType != ber.ClassUniversal || first.Tag != ber.TagInteger || id < 0 || id > 1<<31-1 || op.ClassType != ber.ClassApplication {
		return 0, nil, false, foreignError{"what came is not an LDAP message"}
	}
	if len(p.Children) == 3 {
		for _, c := range p.Children[2].Children {
			if b := berPart(c, ber.ClassUniversal, ber.TagBoolean); b != nil {
				n, _ := berNumber(b)
				critical = critical || n != 0
			}
		}
	}
	return id, op, critical, nil
}

func answerLDAP(ctx context.Context, conn net.Conn, a *Answerer) error {
	return serveDirectory(ctx, conn, conn, a, nil)
}

func answerLDAPS(ctx context.Context, conn net.Conn, a *Answerer) error {
	tc, err := acceptTLS(ctx, conn, a)
	if err != nil {
		return err
	}
	err = serveDirectory(ctx, conn, tc, a, ldapFingerprint(a))
	a.step(ctx, conn)
	_ = tc.CloseWrite()
	return err
}

func ldapFingerprint(a *Answerer) []byte {
	sum := sha256.Sum256(a.Certificate.Certificate[0])
	return sum[:]
}

var (
	errLDAPUnanswered = errors.New("no request came that has an answer")
	errLDAPEarlyTLS   = errors.New("bytes in clear follow StartTLS")
)

// serveDirectory speaks LDAP over conn or TLS on it. certificate is the
// SHA-256 of the one that over is under; nil: none.
func serveDirectory(ctx context.Context, conn, over net.Conn, a *Answerer, certificate []byte) error {
	s := &ldapServer{a: a, certificate: certificate}
	r := bufio.NewReader(over)
	for range maxLDAPMessages {
		a.step(ctx, conn)
		raw, err := readBER(r, isLDAP)
		switch {
		case errors.Is(err, errForeign):
			a.say(ctx, over, string(ldapFarewell(ldap.LDAPResultProtocolError, "this is not an LDAP message")))
			return err
		case errors.Is(err, io.EOF) && s.answered:
			return nil
		case err != nil:
			return err
		}
		reply, done, then := s.obey(raw)
		clear(raw) // it may have had a password
		if then == ldapThenTLS && r.Buffered() > 0 {
			a.say(ctx, over, string(ldapFarewell(ldap.LDAPResultProtocolError, "nothing may follow StartTLS before its answer")))
			return errLDAPEarlyTLS
		}
		// Each message by itself: curl waits for more bytes with the end of a search
		// in its hands, if that came in one TLS record with the entry.
		for _, m := range [][]byte{reply, done} {
			if len(m) == 0 {
				continue
			}
			if _, err := over.Write(m); err != nil {
				return err
			}
		}
		switch then {
		case ldapThenEnd:
			if !s.answered {
				return errLDAPUnanswered
			}
			return nil
		case ldapThenTLS:
			tc, err := acceptTLS(ctx, conn, a)
			if err != nil {
				return err
			}
			s.certificate, over, r = ldapFingerprint(a), tc, bufio.NewReader(tc)
			defer func() {
				a.step(ctx, conn)
				_ = tc.CloseWrite()
			}()
		}
	}
	_, _ = over.Write(ldapFarewell(ldap.LDAPResultUnavailable, "too many requests for a test"))
	return errBERMessages
}

// ldapFarewell is the Notice of Disconnection (RFC 4511 section 4.4.1).
func ldapFarewell(code int64, text string) []byte {
	return ldapReply(0, ldap.ApplicationExtendedResponse, code, text, berString(ber.ClassContext, 10, ldapNotice))
}

// ldapReply makes a message with an LDAPResult and what follows it.
func ldapReply(id int64, op ber.Tag, code int64, text string, more ...*ber.Packet) []byte {
	return ldapEnvelope(id, berGroup(ber.ClassApplication, op, append([]*ber.Packet{
		berInteger(ber.ClassUniversal, ber.TagEnumerated, code),
		berString(ber.ClassUniversal, ber.TagOctetString, ""),
		berString(ber.ClassUniversal, ber.TagOctetString, text),
	}, more...)...))
}

func ldapEnvelope(id int64, op *ber.Packet) []byte {
	return berGroup(ber.ClassUniversal, ber.TagSequence, berInteger(ber.ClassUniversal, ber.TagInteger, id), op).Bytes()
}

// What follows a reply.
const (
	ldapThenMore = iota
	ldapThenEnd
	ldapThenTLS
)

// An ldapServer is the answering side of one connection. It keeps no name and
// no password.
type ldapServer struct {
	a           *Answerer
	certificate []byte
	answered    bool
	got, sent   []byte // for a receipt
	untold      bool   // something came that must not or cannot be in a receipt
}

// obey answers one message, a search with two.
func (s *ldapServer) obey(raw []byte) (reply, done []byte, then int) {
	id, op, critical, err := ldapMessage(raw)
	if err != nil || id == 0 {
		return ldapFarewell(ldap.LDAPResultProtocolError, "this is not an LDAP message"), nil, ldapThenEnd
	}
	if s.untold = s.untold || ldapSecret(op); !s.untold {
		s.got = append(s.got, raw...)
	}
	answer, ok := ldapAnswers[op.Tag]
	switch {
	case op.Tag == ldap.ApplicationUnbindRequest:
		return nil, nil, ldapThenEnd
	case op.Tag == ldap.ApplicationAbandonRequest: // everything is answered already
		return nil, nil, ldapThenMore
	case !ok:
		return ldapFarewell(ldap.LDAPResultProtocolError, "no request has this form"), nil, ldapThenEnd
	case critical:
		reply = ldapReply(id, answer, ldap.LDAPResultUnavailableCriticalExtension, s.words("no control is known"))
	case op.Tag == ldap.ApplicationBindRequest:
		code, text := s.bind(op)
		reply = ldapReply(id, answer, code, text)
		if s.a.ended("answered"); code != ldap.LDAPResultSuccess {
			s.a.ended(asMeant)
		}
	case op.Tag == ldap.ApplicationSearchRequest:
		reply, done = s.search(id, op) // done is not in the receipt that it has
		if s.a.came("search"); reply == nil {
			s.a.ended(asMeant)
		} else {
			s.a.ended("answered with the root entry")
		}
	case op.Tag == ldap.ApplicationExtendedRequest:
		reply, then = s.extended(id, op)
	default:
		s.a.came("a request to read or change something")
		s.a.ended(asMeant)
		reply = ldapReply(id, answer, ldap.LDAPResultUnwillingToPerform, s.words("there is nothing to read or change"))
	}
	s.answered = true
	s.sent = append(s.sent, reply...)
	s.sent = append(s.sent, done...)
	if s.untold = s.untold || len(s.got)+len(s.sent) > maxLDAPTold; s.untold {
		s.got, s.sent = nil, nil
	}
	return reply, done, then
}

// ldapAnswers are the requests that have an answer.
var ldapAnswers = map[ber.Tag]ber.Tag{
	ldap.ApplicationBindRequest:     ldap.ApplicationBindResponse,
	ldap.ApplicationSearchRequest:   ldap.ApplicationSearchResultDone,
	ldap.ApplicationModifyRequest:   ldap.ApplicationModifyResponse,
	ldap.ApplicationAddRequest:      ldap.ApplicationAddResponse,
	ldap.ApplicationDelRequest:      ldap.ApplicationDelResponse,
	ldap.ApplicationModifyDNRequest: ldap.ApplicationModifyDNResponse,
	ldap.ApplicationCompareRequest:  ldap.ApplicationCompareResponse,
	ldap.ApplicationExtendedRequest: ldap.ApplicationExtendedResponse,
}

// ldapSecret reports whether a request may hold what nobody is to keep: only
// an anonymous bind and a search certainly do not.
func ldapSecret(op *ber.Packet) bool {
	switch op.Tag {
	case ldap.ApplicationSearchRequest, ldap.ApplicationUnbindRequest, ldap.ApplicationAbandonRequest:
		return false
	case ldap.ApplicationBindRequest:
		return len(op.Children) != 3 || op.Children[2].Tag != 0 || berText(op.Children[1])+berText(op.Children[2]) != ""
	}
	return true
}

func (s *ldapServer) words(why string) string {
	return fmt.Sprintf("This is a %s test listener, not a directory: %s", s.a.Software, why)
}

// bind answers a BindRequest (RFC 4511 section 4.2).
func (s *ldapServer) bind(op *ber.Packet) (code int64, text string) {
	if len(op.Children) != 3 {
		return ldap.LDAPResultProtocolError, "a bind has three parts"
	}
	version, _ := berNumber(op.Children[0])
	switch {
	case op.Children[2].Tag != 0:
		s.a.came("a bind by SASL")
	case berText(op.Children[2]) != "":
		s.a.came("a bind with a password")
	default:
		s.a.came("a bind without a password")
	}
	name, how := berText(op.Children[1]), op.Children[2]
	switch {
	case version != 3:
		return ldap.LDAPResultProtocolError, s.words("it speaks version 3 only")
	case how.ClassType != ber.ClassContext || how.Tag != 0:
		return ldap.LDAPResultAuthMethodNotSupported, s.words("it takes an anonymous bind only")
	case berText(how) != "":
		return ldap.LDAPResultInvalidCredentials, s.words("it knows nobody. The name and the password were neither kept nor logged")
	case name != "": // RFC 4513 section 5.1.2
		return ldap.LDAPResultUnwillingToPerform, s.words("it takes no name without a password")
	}
	return ldap.LDAPResultSuccess, ""
}

// search answers a SearchRequest (RFC 4511 section 4.5): the root entry, and
// the end.
func (s *ldapServer) search(id int64, op *ber.Packet) (entry, done []byte) {
	refuse := func(code int64, text string) ([]byte, []byte) {
		return nil, ldapReply(id, ldap.ApplicationSearchResultDone, code, text)
	}
	if len(op.Children) != 8 {
		return refuse(ldap.LDAPResultProtocolError, "a search has eight parts")
	}
	base, filter := berText(op.Children[0]), op.Children[6]
	scope, _ := berNumber(op.Children[1])
	typesOnly, _ := berNumber(op.Children[5])
	switch {
	case base != "" || scope != ldap.ScopeBaseObject:
		return refuse(ldap.LDAPResultNoSuchObject, s.words("it has the root entry only (base \"\", scope base)"))
	case filter.ClassType != ber.ClassContext || filter.Tag != ldap.FilterPresent || !strings.EqualFold(berText(filter), "objectClass"):
		return refuse(ldap.LDAPResultUnwillingToPerform, s.words("it knows the filter (objectClass=*) only"))
	}
	var wanted []string
	for _, c := range op.Children[7].Children {
		wanted = append(wanted, strings.ToLower(berText(c)))
	}
	has := func(name string) bool {
		// All that the entry has is shown to those who ask for any group of it,
		// as Active Directory does.
		return len(wanted) == 0 || slices.Contains(wanted, "*") || slices.Contains(wanted, "+") || slices.Contains(wanted, strings.ToLower(name))
	}
	list := berGroup(ber.ClassUniversal, ber.TagSequence)
	add := func(name string, values ...string) {
		set := berGroup(ber.ClassUniversal, ber.TagSet)
		if typesOnly == 0 {
			for _, v := range values {
				set.AppendChild(berString(ber.ClassUniversal, ber.TagOctetString, v))
			}
		}
		list.AppendChild(berGroup(ber.ClassUniversal, ber.TagSequence, berString(ber.ClassUniversal, ber.TagOctetString, name), set))
	}
	extensions := []string{ldapWhoAmI}
	if s.certificate == nil {
		extensions = append(extensions, ldapStartTLS)
	}
	for _, x := range []ldapAttribute{
		{"objectClass", []string{"top"}},
		{"vendorName", []string{s.a.Software}},
		{"vendorVersion", []string{"test listener"}},
		{"supportedLDAPVersion", []string{"3"}},
		{"supportedExtension", extensions},
		{"description", []string{s.words("it stands in for one that will use this port")}},
	} {
		if has(x.name) {
			add(x.name, x.values...)
		}
	}
	var answer []byte
	for _, w := range wanted {
		h, ok := strings.CutPrefix(w, ldapTokenPrefix)
		token, err := hex.DecodeString(h)
		if !ok || err != nil || len(token) != TokenSize {
			continue
		}
		if got, ok := s.a.Answer(token); ok {
			answer = got
			add(w, berProof(answer, "ldap"))
		}
		break
	}
	entry = ldapEnvelope(id, berGroup(ber.ClassApplication, ldap.ApplicationSearchResultEntry,
		berString(ber.ClassUniversal, ber.TagOctetString, ""), list))
	text := ""
	if answer != nil && !s.untold {
		r := berReceipt{Got: s.got, Sent: append(slices.Clone(s.sent), entry...), Certificate: s.certificate}
		text = r.seal(answer, "ldap")
	}
	return entry, ldapReply(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSuccess, text)
}

// extended answers an ExtendedRequest (RFC 4511 section 4.12).
func (s *ldapServer) extended(id int64, op *ber.Packet) (reply []byte, then int) {
	const response = ldap.ApplicationExtendedResponse
	switch berText(berPart(op, ber.ClassContext, 0)) {
	case ldapStartTLS:
		s.a.came("StartTLS")
		name := berString(ber.ClassContext, 10, ldapStartTLS)
		if s.certificate != nil {
			return ldapReply(id, response, ldap.LDAPResultOperationsError, "TLS is in use already", name), ldapThenMore
		}
		return ldapReply(id, response, ldap.LDAPResultSuccess, "", name), ldapThenTLS
	case ldapWhoAmI: // RFC 4532: nobody
		return ldapReply(id, response, ldap.LDAPResultSuccess, "", berString(ber.ClassContext, 11, "")), ldapThenMore
	}
	return ldapReply(id, response, ldap.LDAPResultProtocolError, s.words("it does not know this operation")), ldapThenMore
}
