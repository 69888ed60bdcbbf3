package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// SMTP (RFC 5321), as the server that mails patrons speaks it to a mail host:
// greeting, EHLO, STARTTLS (RFC 3207) where it is offered, QUIT. No mail is
// ever named, let alone sent or taken.
//
// Our own listener takes a token from the domain in EHLO, and answers it in the
// first line of its reply, together with a receipt under a seal: its greeting,
// the verb that reached it, the extensions that it offers and its certificate.
// So the conversation proves that this listener answered this very EHLO, and
// shows a masked or rewritten greeting, an extension that was taken away
// (STARTTLS above all), added or changed, EHLO that a device refused in the
// listener's name, and TLS that was ended on the way. Of a server that is not
// ours only what such devices are known to leave behind shows.
//
// What stays unnoticed: a device that only reads along, the case of verbs, how
// lines were cut into segments, and what a device would do to the commands that
// carry a mail (MAIL, RCPT, DATA), since none is sent.

const (
	maxMailLine     = 512 // of a command or reply with its CR LF: RFC 5321 section 4.5.3.1
	maxMailReply    = 16 << 10
	maxMailCommands = 50
	maxMailErrors   = 8

	mailDomain = "dialtone.invalid" // RFC 6761 section 6.4: never a real one
)

// mailOffers are the extensions that our listener offers; STARTTLS comes and
// goes with TLS.
var mailOffers = []string{"PIPELINING", "SIZE 10485760", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "HELP"}

// A mailReceipt is what the answering side says that it received and sent.
type mailReceipt struct {
	Greeting    string // without the code
	Verb        string
	Offers      []string
	SeenAs      string
	Certificate []byte // SHA-256 of its DER form
}

// marshal writes a receipt so that it fits into a line of maxMailLine bytes.
func (r mailReceipt) marshal() []byte {
	return []byte(strings.Join([]string{r.Greeting, r.Verb, strings.Join(r.Offers, ","), r.SeenAs, base64.RawURLEncoding.EncodeToString(r.Certificate)}, "\n"))
}

func unmarshalMailReceipt(b []byte) (r mailReceipt, ok bool) {
	f := strings.Split(string(b), "\n")
	if len(f) != 5 {
		return r, false
	}
	c, err := base64.RawURLEncoding.DecodeString(f[4])
	r = mailReceipt{Greeting: f[0], Verb: f[1], SeenAs: f[3], Certificate: c}
	if f[2] != "" {
		r.Offers = strings.Split(f[2], ",")
	}
	return r, err == nil
}

// mailProof is the text of the first line of the reply that answers a token.
func mailProof(answer []byte, r mailReceipt) string {
	b := r.marshal()
	return fmt.Sprintf("%s %x %x %s", mailDomain, sealOf(answer, "smtp answer"), sealOf(answer, "smtp receipt", b), base64.RawURLEncoding.EncodeToString(b))
}

// openMailProof takes the text of mailProof: whether the answer is right, and
// the receipt, nil if the seal is not.
func openMailProof(answer []byte, line string) (keyed bool, r *mailReceipt) {
	f := strings.Fields(line)
	if len(f) < 2 || !isHex(f[1], sealOf(answer, "smtp answer")) {
		return false, nil
	}
	if len(f) != 4 || f[0] != mailDomain {
		return true, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(f[3])
	if err != nil || !isHex(f[2], sealOf(answer, "smtp receipt", b)) {
		return true, nil
	}
	if got, ok := unmarshalMailReceipt(b); ok {
		r = &got
	}
	return true, r
}

// A mailReply is a reply with its lines, without the codes.
type mailReply struct {
	code  int
	lines []string
}

func (r mailReply) String() string { return shown(fmt.Sprintf("%d %s", r.code, r.lines[0])) }

// A mailClient is the asking side of an open connection.
type mailClient struct {
	conn    io.Writer
	limited *io.LimitedReader
	r       *bufio.Reader
	aside   error // what ended STARTTLS, without which mail goes as well
}

func newMailClient(conn net.Conn) *mailClient {
	l := &io.LimitedReader{R: conn}
	return &mailClient{conn: conn, limited: l, r: bufio.NewReader(l)}
}

// replyCode is what every line of a reply begins with (RFC 5321 section 4.2).
var replyCode = regexp.MustCompile(`^[2-5][0-9][0-9][- \r\n]`)

func (c *mailClient) reply() (mailReply, error) {
	c.limited.N = maxMailReply
	if b, err := c.r.Peek(4); err != nil {
		return mailReply{}, err
	} else if !replyCode.Match(b) {
		more, _ := c.r.Peek(min(c.r.Buffered(), 60))
		return mailReply{}, foreignError{"the answer is not SMTP: it begins with " + shown(string(more))}
	}
	var out mailReply
	for {
		line, err := c.r.ReadString('\n')
		switch {
		case err != nil && c.limited.N == 0:
			return mailReply{}, unreadError{fmt.Sprintf("a reply has more than %d bytes", maxMailReply)}
		case err != nil:
			return mailReply{}, err
		}
		whole := strings.TrimRight(line, "\r\n")
		if !replyCode.MatchString(line) { // some servers leave out the code in the middle
			out.lines = append(out.lines, whole)
			continue
		}
		code, _ := strconv.Atoi(line[:3])
		isLast, text := line[3] != '-', whole[min(len(whole), 4):]
		switch {
		case out.code == 0 || code == out.code:
			out.code, out.lines = code, append(out.lines, text)
		case isLast: // a server that closes may say so at any time: section 3.8
			return mailReply{code, []string{text}}, nil
		default:
			out.lines = append(out.lines, whole)
		}
		if isLast {
			return out, nil
		}
	}
}

func (c *mailClient) say(command string) (mailReply, error) {
	if _, err := io.WriteString(c.conn, command+"\r\n"); err != nil {
		return mailReply{}, err
	}
	return c.reply()
}

func askSMTP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return askMail(ctx, conn, q, nil)
}

// askSMTPS speaks SMTP in TLS from the first byte (RFC 8314 section 3.3). The
// greeting comes inside and may take its time, the handshake may not.
func askSMTPS(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	limit := func(at time.Time) {
		if until, ok := ctx.Deadline(); ok && (at.IsZero() || until.Before(at)) {
			at = until
		}
		_ = conn.SetDeadline(at)
		if ctx.Err() != nil {
			_ = conn.SetDeadline(time.Unix(1, 0))
		}
	}
	if q.AfterGreeting > 0 {
		limit(time.Now().Add(q.AfterGreeting))
	}
	tc, facts, changed, err := dialTLS(conn, q)
	if err != nil {
		return result.Conversation{Facts: facts, Changed: changed}, err
	}
	limit(time.Time{})
	greeted := &greetedConn{Conn: tc, ctx: ctx, start: time.Now(), rest: q.AfterGreeting}
	sum := sha256.Sum256(tc.ConnectionState().PeerCertificates[0].Raw)
	out, err := askMail(ctx, greeted, q, sum[:])
	out.GreetingMS = result.Milliseconds(greeted.after())
	out.Facts = append(facts, out.Facts...)
	for _, c := range out.Changed {
		if !slices.Contains(changed, c) {
			changed = append(changed, c)
		}
	}
	out.Changed = changed
	return out, err
}

// mailOtherCertificate is what the receipt shows where no fingerprint is known.
const mailOtherCertificate = "the listener's certificate is another than the one that arrived: TLS was ended on the way"

// askMail speaks SMTP on conn. certificate is the SHA-256 of the one under which
// TLS is spoken already; nil: none.
func askMail(ctx context.Context, conn net.Conn, q Question, certificate []byte) (out result.Conversation, err error) {
	defer func() { out.Changed = out.Changed[:min(len(out.Changed), maxChanges)] }()
	note := func(name, value string) {
		out.Facts = append(out.Facts, result.Fact{Name: name, Value: shown(value)})
	}
	if certificate != nil {
		out.Reach(result.StageTLS)
	}
	c := newMailClient(conn)
	greeting, err := c.reply()
	if err != nil {
		return out, err
	}
	if no := greeting.refusal(); no != nil { // RFC 5321 section 3.1
		note("refused", greeting.String())
		return mailUnanswered(out, q, greeting), no
	}
	if greeting.code != 220 {
		return out, foreignError{"the greeting is not SMTP's: " + greeting.String()}
	}
	out.Software = shown(greeting.lines[0])
	out.Reach(result.StageGreeted)
	if certificate == nil && slices.ContainsFunc(greeting.lines, maskedGreeting) { // nothing on the way can mask it inside TLS
		out.Changed = append(out.Changed, fmt.Sprintf("the greeting is masked (%s), as the mail inspection of some firewalls does", greeting))
	}
	domain := mailName(conn, q)
	verb := "EHLO"
	hello, err := c.say(verb + " " + domain)
	var refused mailReply
	if err == nil && hello.code/100 == 5 {
		refused, verb = hello, "HELO" // RFC 5321 section 3.2
		hello, err = c.say(verb + " " + domain)
		if err != nil && refused.code != 500 && refused.code != 502 {
			hello, err = refused, nil // it said no, and that was its last word
		}
	}
	if err != nil {
		return out, err
	}
	if hello.code != 250 {
		no := hello.refusal()
		switch {
		case no == nil:
			return out, foreignError{"neither EHLO nor HELO is understood: " + hello.String()}
		case !q.isOurs() && isFTPsNo(hello) && !isSMTPs.MatchString(greeting.lines[0]):
			return out, anotherRefusal(strconv.Itoa(hello.code), strings.Join(hello.lines, " / ")+": it greets as SMTP does, and knows neither EHLO nor HELO, as an FTP server")
		case q.isOurs() && isFTPsNo(hello):
			return out, foreignError{"neither EHLO nor HELO is understood: " + hello.String()}
		}
		note("refused", hello.String())
		return mailUnanswered(out, q, hello), no
	}
	out.Reach(result.StageAccepted)
	offers := hello.lines[1:]
	for _, o := range offers {
		if certificate == nil && maskedOffer.MatchString(o) {
			out.Changed = append(out.Changed, fmt.Sprintf("the extension %s is masked, as the mail inspection of some firewalls does", shown(o)))
		}
	}
	var r *mailReceipt
	if q.isOurs() {
		out.Keyed, r = openMailProof(q.Answer, hello.lines[0])
		switch {
		case !out.Keyed:
			out.Changed = append(out.Changed, "the answer does not contain the listener's reply: it is "+hello.String())
		case r == nil:
			out.Changed = append(out.Changed, "the first line of the answer to "+verb+" is not as the listener sent it")
		default:
			out.Changed = append(out.Changed, r.changes(greeting, verb, offers)...)
			if certificate != nil && q.Fingerprint == nil && !bytes.Equal(certificate, r.Certificate) {
				out.Changed = append(out.Changed, mailOtherCertificate)
			}
			note("seen as", r.SeenAs)
		}
		if refused.code != 0 && out.Keyed {
			out.Changed = append(out.Changed, fmt.Sprintf("EHLO was refused in the listener's name (%s)", refused))
		}
	}
	for _, name := range []string{"SIZE", "AUTH"} {
		if v, ok := mailOffered(offers, name); ok {
			note(name, v)
		}
	}
	if certificate != nil {
		// it is under TLS already
	} else if _, ok := mailOffered(offers, "STARTTLS"); ok {
		facts, changed, tc := c.startTLS(ctx, conn, q, r)
		out.Facts, out.Changed = append(out.Facts, facts...), append(out.Changed, changed...)
		if tc == nil {
			return out, c.aside
		}
		out.Reach(result.StageTLS)
		c = newMailClient(tc)
	} else {
		note("STARTTLS", "not offered")
	}
	if out.Keyed && slices.Contains(out.Stages, result.StageTLS) {
		if err := c.fill(); err != nil {
			return out, fmt.Errorf("inside TLS: %w", err)
		}
	}
	_, _ = c.say("QUIT") // all is known already
	return out, nil
}

// fill makes packets of full size go both ways: commands in one write out, and a long
// reply in. It is inside TLS, where no mail inspection sees commands that no client
// sends so.
func (c *mailClient) fill() error {
	const each = maxMailLine / 2
	var commands strings.Builder
	n := 0
	for ; n*each < len(filling); n++ {
		fmt.Fprintf(&commands, "NOOP %s\r\n", filling[n*each:(n+1)*each])
	}
	if _, err := io.WriteString(c.conn, commands.String()); err != nil {
		return err
	}
	for range n {
		if _, err := c.reply(); err != nil {
			return err
		}
	}
	_, err := c.say("HELP")
	return err
}

// refusal is what a reply says no with, nil if it does not. The codes of the
// first kind pass, those of the second stay (RFC 5321 section 4.2.1).
func (r mailReply) refusal() error {
	code, words := strconv.Itoa(r.code), strings.Join(r.lines, " / ")
	switch {
	case r.code/100 != 4 && r.code/100 != 5:
		return nil
	case wantsTLS(words):
		return refused(result.ReasonNeedsTLS, code, words)
	case r.code/100 == 4:
		return refused(result.ReasonUnavailable, code, words)
	}
	return refused(result.ReasonTurnedAway, code, words)
}

// isFTPsNo reports whether a reply to EHLO and HELO is one of a server that has no
// such commands. Without an account to log in FTP says 530 to all it does not know;
// an SMTP server says it to who has not logged in, with an enhanced code (RFC 4954
// section 6).
func isFTPsNo(r mailReply) bool {
	return slices.Contains([]int{500, 502, 530}, r.code) && !wantsTLS(r.lines[0]) && !enhancedCode.MatchString(r.lines[0])
}

// enhancedCode is what an SMTP server's reply may begin with (RFC 3463), and no
// other's does.
var enhancedCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// How servers say that they refuse for want of TLS: what they want and how much, in
// one clause, with no "not" in it; or that they do not take what goes without.
var (
	clauseEnd  = regexp.MustCompile(`[.,;:()/!](\s|$)|\n| - `)
	hostOrURL  = regexp.MustCompile(`\S+://\S+|\b[\w-]+(\.[\w-]+)+`)
	ofTLS      = `(START ?TLS|(SSL/)?TLS|(TLS/)?SSL|FTPS|(transport )?encryption|secured? (connection|channel|session))`
	tlsWanted  = regexp.MustCompile(`(?i)\b(must|requires?|required|needs?|needed|have to|has to|please|mandatory|issue)\b.*\b` + ofTLS + `\b|\b` + ofTLS + `\b.*\b(must|required|needed|mandatory|first|enforced)\b|\bonly (over |via |with |under |in |through |accepts? |allows? )?(an? )?` + ofTLS + `\b|\b` + ofTLS + ` (connections? |sessions? |is |are |logins? )*(only|allowed only)$|\bAUTH (TLS |SSL )?first\b`)
	plainWords = regexp.MustCompile(`(?i)\b(clear ?-?text|plain ?-?text|plain|unencrypted|unsecured?|insecure|non-?(TLS|SSL)|(without|no) ` + ofTLS + `)\b`)
	refusing   = regexp.MustCompile(`(?i)\b(not|never|no longer|cannot|disabled|forbidden|prohibited|refused|rejected|denied|disallowed)\b|n't\b`)
)

// wantsTLS reports whether a refusal says that it is for want of TLS.
func wantsTLS(words string) bool {
	for _, clause := range clauseEnd.Split(hostOrURL.ReplaceAllString(words, "_"), -1) {
		isNot := refusing.MatchString(clause)
		if !isNot && tlsWanted.MatchString(strings.TrimSpace(clause)) || isNot && plainWords.MatchString(clause) {
			return true
		}
	}
	return false
}

// mailUnanswered adds what it means that our own listener's reply is not there.
func mailUnanswered(out result.Conversation, q Question, instead mailReply) result.Conversation {
	if q.isOurs() {
		out.Changed = append(out.Changed, "the answer does not contain the listener's reply: it is "+instead.String())
	}
	return out
}

// changes compares what arrived with what the listener says it sent.
func (r mailReceipt) changes(greeting mailReply, verb string, offers []string) []string {
	var out []string
	if got := strings.Join(greeting.lines, " / "); got != r.Greeting {
		out = append(out, fmt.Sprintf("the greeting %q arrived as %q", shown(r.Greeting), shown(got)))
	}
	if verb != r.Verb {
		out = append(out, fmt.Sprintf("%s arrived at the listener as %s", verb, shown(r.Verb)))
	}
	for _, o := range r.Offers {
		if !slices.Contains(offers, o) {
			out = append(out, "the listener's extension "+shown(o)+" was taken away")
		}
	}
	for _, o := range offers {
		if !slices.Contains(r.Offers, o) {
			out = append(out, "the extension "+shown(o)+" was added to the listener's")
		}
	}
	return out
}

// startTLS goes on under TLS; without it there is no tc, and the connection is
// of no more use. r is nil if the far end is not ours.
func (c *mailClient) startTLS(ctx context.Context, conn net.Conn, q Question, r *mailReceipt) (facts []result.Fact, changed []string, tc net.Conn) {
	failed := func(why string) ([]result.Fact, []string, net.Conn) {
		if r != nil { // our listener does not offer what does not work
			changed = append(changed, "the listener's STARTTLS does not work: "+why)
		}
		return []result.Fact{{Name: "STARTTLS", Value: "offered, and fails: " + why}}, changed, nil
	}
	ready, err := c.say("STARTTLS")
	if err != nil {
		return failed(endWords(err))
	}
	if ready.code != 220 {
		return failed(ready.String())
	}
	if c.r.Buffered() > 0 { // would be taken for what TLS protects
		changed = append(changed, "bytes in clear follow the answer to STARTTLS")
		return failed("bytes in clear follow its answer")
	}
	t, facts, changed, err := dialTLS(conn, q)
	if err != nil {
		c.aside = asideError{err}
		return failed(endWords(err))
	}
	if r != nil && len(changed) == 0 {
		if sum := sha256.Sum256(t.ConnectionState().PeerCertificates[0].Raw); !bytes.Equal(sum[:], r.Certificate) {
			changed = append(changed, mailOtherCertificate)
		}
	}
	return append([]result.Fact{{Name: "STARTTLS", Value: "offered"}}, facts...), changed, t
}

// mailName is the domain in EHLO: a token's where our listener is expected,
// else an address literal, which every server takes (RFC 5321 section 4.1.3).
func mailName(conn net.Conn, q Question) string {
	if q.isOurs() {
		h := hex.EncodeToString(q.Token[:])
		return h[:len(h)/2] + "." + h[len(h)/2:] + "." + mailDomain // a label has at most 63 letters
	}
	a := sock.AddrPortOf(conn.LocalAddr()).Addr().WithZone("")
	if a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}

// mailToken undoes mailName.
func mailToken(domain string) ([]byte, bool) {
	h, ok := strings.CutSuffix(strings.ToLower(domain), "."+mailDomain)
	if !ok || len(h) != 2*TokenSize+1 || h[TokenSize] != '.' {
		return nil, false
	}
	token, err := hex.DecodeString(h[:TokenSize] + h[TokenSize+1:])
	return token, err == nil
}

// maskedOffer is an extension's keyword under the letters that Cisco's
// inspection puts over those that it does not know.
var maskedOffer = regexp.MustCompile(`^X{3,}[A-Z]?( |$)`)

// maskedGreeting reports whether a line of a greeting is one of asterisks: that
// inspection leaves the digits of the code 220 wherever they stand, and spaces.
func maskedGreeting(line string) bool {
	stars := strings.Count(line, "*")
	return stars >= 2 && strings.Trim(line, "*20 ") == "" || stars >= 8 && 2*stars > len(line)
}

// mailOffered finds an extension by its keyword and gives its parameters.
func mailOffered(offers []string, keyword string) (string, bool) {
	for _, o := range offers {
		if k, v, _ := strings.Cut(o, " "); strings.EqualFold(k, keyword) {
			return v, true
		}
	}
	return "", false
}

// A mailServer is the answering side of one connection.
type mailServer struct {
	a        *Answerer
	greeting string
	remote   netip.AddrPort
	secure   bool // under TLS
	helloed  bool
	refused  int
}

var (
	errMailNoHello  = errors.New("neither EHLO nor HELO came")
	errMailFlood    = errors.New("too much that is not SMTP came")
	errMailEarlyTLS = errors.New("bytes in clear follow STARTTLS")
	errMailCommands = errors.New("too many commands came")
)

func answerSMTP(ctx context.Context, conn net.Conn, a *Answerer) error {
	return serveMail(ctx, conn, a, false)
}

func answerSMTPS(ctx context.Context, conn net.Conn, a *Answerer) error {
	tc, err := acceptTLS(ctx, conn, a)
	if err != nil {
		return err
	}
	err = serveMail(ctx, tc, a, true)
	a.step(ctx, conn)
	_ = tc.CloseWrite() // close_notify: RFC 8446 section 6.1
	return err
}

// serveMail is the answering side on conn, which is under TLS already if it is
// secure.
func serveMail(ctx context.Context, conn net.Conn, a *Answerer, secure bool) error {
	s := &mailServer{a: a, remote: sock.AddrPortOf(conn.RemoteAddr()), secure: secure}
	s.greeting = mailDomain + " ESMTP " + a.Software + " test listener, takes no mail"
	a.step(ctx, conn)
	if _, err := io.WriteString(conn, "220 "+s.greeting+"\r\n"); err != nil {
		return err
	}
	var over net.Conn = conn // conn, or TLS on it
	r := bufio.NewReaderSize(over, 2*maxMailLine)
	for range maxMailCommands {
		a.step(ctx, conn)
		if a.tlsInPlain(r, over) {
			return errMailFlood
		}
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			_, _ = io.WriteString(over, "500 5.5.2 The line is too long\r\n")
			return errMailFlood
		}
		if err != nil {
			return s.end(err)
		}
		reply, then := s.obey(strings.TrimRight(string(line), "\r\n"))
		early := then == mailThenTLS && r.Buffered() > 0
		if early { // RFC 3207 section 4: it must not be obeyed after the handshake
			reply, then = "501 5.5.4 Nothing may follow STARTTLS\r\n", mailThenEnd
		}
		if _, err := io.WriteString(over, reply); err != nil {
			return s.end(err)
		}
		switch {
		case early:
			return errMailEarlyTLS
		case s.refused >= maxMailErrors:
			_, _ = io.WriteString(over, "421 4.7.0 Too many errors\r\n")
			return errMailFlood
		case then == mailThenEnd:
			return s.end(nil)
		case then == mailThenTLS:
			tc, err := acceptTLS(ctx, conn, a)
			if err != nil {
				return err
			}
			s.secure, s.helloed = true, false
			over, r = tc, bufio.NewReaderSize(tc, 2*maxMailLine)
			defer func() { // close_notify: RFC 8446 section 6.1
				a.step(ctx, conn)
				_ = tc.CloseWrite()
			}()
		}
	}
	_, _ = io.WriteString(over, "421 4.7.0 Too many commands\r\n")
	return errMailCommands
}

// end says what a connection that ends amounts to: one that has said EHLO has
// got what there is.
func (s *mailServer) end(err error) error {
	switch {
	case s.helloed || s.secure:
		return nil
	case err == nil:
		return errMailNoHello
	}
	return err
}

// What follows a reply.
const (
	mailThenMore = iota
	mailThenEnd
	mailThenTLS
)

// obey answers one command.
func (s *mailServer) obey(line string) (reply string, then int) {
	verb, arg, _ := strings.Cut(line, " ")
	verb, arg = strings.ToUpper(verb), strings.TrimSpace(arg)
	s.note(verb)
	if isAlien(verb) { // what follows is no command either
		return "421 4.7.0 This port is for SMTP, and another protocol came\r\n", mailThenEnd
	}
	switch verb {
	case "EHLO", "HELO":
		if arg == "" {
			return s.refuse("501 5.5.4 Say which host you are")
		}
		s.helloed = true
		return s.hello(verb, arg), mailThenMore
	case "NOOP", "RSET":
		return "250 2.0.0 Well\r\n", mailThenMore
	case "HELP":
		return s.help(), mailThenMore
	case "QUIT":
		return "221 2.0.0 " + mailDomain + " says goodbye\r\n", mailThenEnd
	case "STARTTLS":
		switch {
		case s.secure:
			return s.refuse("503 5.5.1 This is under TLS already")
		case len(s.a.Certificate.Certificate) == 0:
			return s.refuse("502 5.5.1 There is no TLS here")
		case arg != "":
			return s.refuse("501 5.5.4 STARTTLS stands alone")
		}
		return "220 2.0.0 Go ahead\r\n", mailThenTLS
	case "MAIL", "RCPT", "DATA", "BDAT":
		return s.refuse("550 5.7.1 This is a test listener: it takes no mail")
	case "AUTH":
		return s.refuse("502 5.5.1 This is a test listener: nobody logs in here")
	case "VRFY", "EXPN":
		return s.refuse("502 5.5.1 This is a test listener: it knows no address")
	}
	return s.refuse("500 5.5.2 What?")
}

// note tells of a command, by the verb alone.
func (s *mailServer) note(verb string) {
	switch verb {
	case "EHLO", "HELO":
		s.a.came("EHLO")
		s.a.ended("answered")
	case "STARTTLS":
		s.a.came("STARTTLS")
	case "AUTH":
		s.a.came("a login")
		s.a.ended(asMeant)
	case "MAIL", "RCPT", "DATA", "BDAT":
		s.a.came("a mail")
		s.a.ended(asMeant)
	case "QUIT", "NOOP", "RSET", "HELP":
	default:
		switch {
		case slices.Contains(httpMethods, verb):
			s.a.came(spokeHTTP)
		case strings.HasPrefix(verb, "SSH-"):
			s.a.came(spokeSSH)
		default:
			s.a.came("a command that SMTP does not have")
		}
		s.a.ended(asMeant)
	}
}

func (s *mailServer) refuse(text string) (string, int) {
	s.refused++
	return text + "\r\n", mailThenMore
}

// hello greets back; to a token with its answer.
func (s *mailServer) hello(verb, domain string) string {
	var offers []string
	if verb == "EHLO" {
		for _, o := range mailOffers {
			if o != "STARTTLS" || !s.secure && len(s.a.Certificate.Certificate) > 0 {
				offers = append(offers, o)
			}
		}
	}
	first := mailDomain + " greets you"
	if token, ok := mailToken(domain); ok && s.a.Answer != nil {
		if answer, ok := s.a.Answer(token); ok {
			r := mailReceipt{Greeting: s.greeting, Verb: verb, Offers: offers, SeenAs: s.remote.String()}
			if c := s.a.Certificate.Certificate; len(c) > 0 {
				sum := sha256.Sum256(c[0])
				r.Certificate = sum[:]
			}
			first = mailProof(answer, r)
		}
	}
	return mailLines("250", append([]string{first}, offers...))
}

func (s *mailServer) help() string {
	lines := append([]string{"2.0.0 This is a test listener in the place of a mail server. It takes no mail."}, s.a.Lines...)
	if s.secure { // fill of the asking side
		for fill := range slices.Chunk([]byte(filling), maxMailLine/2) {
			lines = append(lines, string(fill))
		}
	}
	return mailLines("214", lines)
}

// mailLines makes a reply (RFC 5321 section 4.2.1) of as many lines as text has.
func mailLines(code string, text []string) string {
	var b strings.Builder
	for i, l := range text {
		mark := "-"
		if i == len(text)-1 {
			mark = " "
		}
		l = strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?' // RFC 5321 section 4.2: a reply is ASCII
			}
			return r
		}, l)
		fmt.Fprintf(&b, "%s%s%s\r\n", code, mark, l[:min(len(l), maxMailLine-len("250-\r\n"))])
	}
	return b.String()
}
