package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// FTP (RFC 959, RFC 2428; what of it servers really do: RFC 1123 section 4.1;
// how it is abused: RFC 2577).
//
// What it proves: login, and one transfer by every way to open a data
// connection: PASV and EPSV, where the asking side opens it, PORT and EPRT, where
// the answering side does, from its port 20. Firewalls let FTP through by reading
// the control connection: such a helper (ALG) opens the data connection's port
// only if it understands what was said, and rewrites the address in it behind
// NAT. Each way is a different sentence to it, so each is tried.
//
// Our own answering side sends a file, dialtone/TOKEN, over the data connection:
// a record of what it sent and received on the control connection up to then,
// sealed with the keyed answer, and a pattern that fills several segments. The
// asking side holds that against what it received and sent itself. So a rewritten
// greeting, 227 or 229 reply, PORT or EPRT argument, source port 20 or pattern
// is named with both values. Where a data connection did not come about, the same
// record is asked for on the control connection (STAT with a pathname, RFC 959
// section 4.1.3).
//
// What goes unnoticed: a device that changes and restores, that ends the TCP
// connection and holds its own towards the listener but relays every byte, and
// what it changes in replies that are not in the record (login, SYST), which say
// nothing of the path.
//
// The library jlaffaye/ftp is not used for asking: it keeps the greeting and the
// 227 and 229 replies to itself, which are what matters here, reads lines of any
// length, and knows no active mode.

// Bounds of the control connection on both sides.
const (
	ftpMaxLine     = 1024     // bytes of a line, with its end
	ftpMaxLines    = 100      // lines of a reply
	ftpMaxCommands = 200      // commands of a session
	ftpMaxData     = 64 << 10 // bytes of a listing or file that are read
	ftpMaxRecord   = 32 << 10 // bytes of a record
	ftpPatternSize = 8 << 10  // bytes of the pattern
)

// ftpFolder holds, for those who have the key, a file for each token.
const ftpFolder = "/dialtone/"

// An ftpReader reads the lines of a control connection.
type ftpReader struct{ b *bufio.Reader }

func newFTPReader(r io.Reader) ftpReader {
	return ftpReader{bufio.NewReaderSize(r, ftpMaxLine)}
}

// line returns the next line without its end and without Telnet's commands,
// which a control connection may carry (RFC 1123 section 4.1.2.12).
func (r ftpReader) line() (string, error) {
	l, err := r.b.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return string(l), fmt.Errorf("%w: a line of more than %d bytes", errForeign, ftpMaxLine)
	case err != nil && len(l) > 0 && errors.Is(err, io.EOF):
		return string(l), io.ErrUnexpectedEOF
	case err != nil:
		return string(l), err
	}
	return string(bytes.TrimRight(ftpWithoutTelnet(l), "\r\n")), nil
}

// ftpWithoutTelnet leaves out Telnet's commands (RFC 854): IAC and one byte, or
// two where an option is negotiated. IAC IAC is the byte 255.
func ftpWithoutTelnet(l []byte) []byte {
	const iac, will, dont = 255, 251, 254
	if !bytes.Contains(l, []byte{iac}) {
		return l
	}
	var out []byte
	for i := 0; i < len(l); i++ {
		if l[i] != iac {
			out = append(out, l[i])
			continue
		}
		if i++; i >= len(l) {
			break
		}
		switch {
		case l[i] == iac:
			out = append(out, iac)
		case l[i] >= will && l[i] <= dont:
			i++
		}
	}
	return out
}

// An ftpReply is a server's reply: its code, and its lines as they came, without
// their ends.
type ftpReply struct {
	code  int
	lines []string
}

// String is the reply's last line, for facts and sentences.
func (r ftpReply) String() string { return shown(r.lines[len(r.lines)-1]) }

// words is what a reply says beside its code, of all its lines.
func (r ftpReply) words() string {
	var all []string
	for i, l := range r.lines {
		if i == 0 || i == len(r.lines)-1 || strings.HasPrefix(l, fmt.Sprintf("%03d", r.code)) {
			l = strings.TrimLeft(l[min(3, len(l)):], "- ")
		}
		if l = strings.TrimSpace(l); l != "" {
			all = append(all, l)
		}
	}
	return strings.Join(all, " / ")
}

// refusal is what a reply says no with, nil if it does not.
func (r ftpReply) refusal() error {
	code := fmt.Sprintf("%03d", r.code)
	switch {
	case r.code/100 != 4 && r.code/100 != 5:
		return nil
	case wantsTLS(r.words()):
		return refused(result.ReasonNeedsTLS, code, r.words())
	case r.code/100 == 4:
		return refused(result.ReasonUnavailable, code, r.words())
	}
	return refused(result.ReasonTurnedAway, code, r.words())
}

// reply reads a reply of one or several lines (RFC 959 section 4.2).
func (r ftpReader) reply() (ftpReply, error) {
	first, err := r.line()
	if err != nil {
		if first != "" {
			return ftpReply{lines: []string{first}}, err
		}
		return ftpReply{}, err
	}
	out := ftpReply{lines: []string{first}}
	if len(first) < 3 || len(first) > 3 && first[3] != ' ' && first[3] != '-' || !ftpIsCode(first[:3]) {
		return out, fmt.Errorf("%w: \"%s\" is no FTP reply", errForeign, shown(first))
	}
	out.code, _ = strconv.Atoi(first[:3])
	if len(first) == 3 || first[3] == ' ' {
		return out, nil
	}
	for len(out.lines) < ftpMaxLines {
		l, err := r.line()
		if err != nil {
			// A server that closes may say so in the middle (RFC 959 section 5.4).
			if last := out.lines[len(out.lines)-1]; strings.HasPrefix(last, "421 ") {
				return ftpReply{421, []string{last}}, nil
			}
			return out, err
		}
		out.lines = append(out.lines, l)
		if strings.HasPrefix(l, first[:3]) && (len(l) == 3 || l[3] == ' ') {
			return out, nil
		}
	}
	return out, unreadError{fmt.Sprintf("a reply of more than %d lines", ftpMaxLines)}
}

// ftpIsCode reports whether s is a reply code (RFC 959 section 4.2.1).
func ftpIsCode(s string) bool {
	return s[0] >= '1' && s[0] <= '5' && s[1] >= '0' && s[1] <= '5' && s[2] >= '0' && s[2] <= '9'
}

// ---- addresses ----

// ftpHostPort writes an IPv4 address and port as PORT and 227 do.
func ftpHostPort(at netip.AddrPort) string {
	return fmt.Sprintf("%s,%d,%d", strings.ReplaceAll(at.Addr().String(), ".", ","), at.Port()>>8, at.Port()&0xFF)
}

// parseFTPHostPort reads PORT's argument.
func parseFTPHostPort(s string) (netip.AddrPort, error) {
	var b [6]byte
	fields := strings.Split(s, ",")
	if len(fields) != len(b) {
		return netip.AddrPort{}, errors.New("not six numbers")
	}
	for i, f := range fields {
		n, err := strconv.ParseUint(f, 10, 8)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("\"%s\" is not a number from 0 to 255", shown(f))
		}
		b[i] = byte(n)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), binary.BigEndian.Uint16(b[4:])), nil
}

// ftpSixNumbers finds the address in a 227 reply, whose form no one agrees on
// (RFC 1123 section 4.1.2.6).
var ftpSixNumbers = regexp.MustCompile(`\d{1,3}(?:,\d{1,3}){5}`)

// parseFTP227 reads the reply to PASV, with its code.
func parseFTP227(line string) (netip.AddrPort, error) {
	if len(line) < 4 {
		return netip.AddrPort{}, errors.New("no address in it")
	}
	at, err := parseFTPHostPort(ftpSixNumbers.FindString(line[4:]))
	if err == nil && at.Port() == 0 {
		err = errors.New("0 is not a port")
	}
	return at, err
}

// ftpExtended writes EPRT's argument (RFC 2428 section 2).
func ftpExtended(at netip.AddrPort) string {
	return fmt.Sprintf("|%s|%s|%d|", ftpFamily(at.Addr()), at.Addr().WithZone(""), at.Port())
}

// ftpFamily is the number of an address family (RFC 2428 section 2).
func ftpFamily(a netip.Addr) string {
	if a.Is4() {
		return "1"
	}
	return "2"
}

// errFTPFamily says that EPRT names an address family that is neither IPv4 nor
// IPv6.
var errFTPFamily = errors.New("not a known address family")

// parseFTPExtended reads EPRT's argument.
func parseFTPExtended(s string) (netip.AddrPort, error) {
	if len(s) == 0 || s[0] < 33 || s[0] > 126 {
		return netip.AddrPort{}, errors.New("no delimiter")
	}
	fields := strings.Split(s, s[:1])
	if len(fields) != 5 || fields[0] != "" || fields[4] != "" {
		return netip.AddrPort{}, errors.New("not three fields")
	}
	if fields[1] != "1" && fields[1] != "2" {
		return netip.AddrPort{}, errFTPFamily
	}
	addr, err := netip.ParseAddr(fields[2])
	if err != nil || addr.Zone() != "" || ftpFamily(addr) != fields[1] {
		return netip.AddrPort{}, fmt.Errorf("\"%s\" is not an address of that family", shown(fields[2]))
	}
	port, err := strconv.ParseUint(fields[3], 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("\"%s\" is not a port", shown(fields[3]))
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// ftpExtendedPort finds the port in a 229 reply (RFC 2428 section 3).
var ftpExtendedPort = regexp.MustCompile(`\(([!-~])([!-~])([!-~])(\d{1,5})([!-~])\)`)

// parseFTP229 reads the reply to EPSV.
func parseFTP229(line string) (uint16, error) {
	m := ftpExtendedPort.FindStringSubmatch(line)
	if m == nil || m[1] != m[2] || m[1] != m[3] || m[1] != m[5] {
		return 0, errors.New("no port in it")
	}
	port, err := strconv.ParseUint(m[4], 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%s is not a port", m[4])
	}
	return uint16(port), nil
}

// ---- what our own two sides say to each other ----

// An ftpRecord is what one side sent or received in a session: by key, the last
// text of that kind.
type ftpRecord map[string]string

// Keys of a record. Those of the ways to open a data connection are the commands.
const (
	ftpGreeting = "greeting" // the first line, as the answering side sent it
	ftpData     = "data"     // the data connection's addresses at the answering side: its own, the asking side's
)

// ftpRecordKeys are all keys, in their order.
var ftpRecordKeys = []string{ftpGreeting, "PASV", "EPSV", "PORT", "EPRT", ftpData}

const ftpRecordTitle = "Dialtone FTP record/1"

// sealed writes a record, and its seal as the last line.
func (r ftpRecord) sealed(answer []byte) []byte {
	var b bytes.Buffer
	b.WriteString(ftpRecordTitle + "\r\n")
	for _, k := range ftpRecordKeys {
		if v, ok := r[k]; ok {
			fmt.Fprintf(&b, "%s %s\r\n", k, strconv.QuoteToASCII(v))
		}
	}
	fmt.Fprintf(&b, "seal %x\r\n", sealOf(answer, "ftp", b.Bytes()))
	return b.Bytes()
}

// parseFTPRecord reads a record from the start of b and returns what follows it.
// The record is nil if the seal is not that of the answer.
func parseFTPRecord(b, answer []byte) (ftpRecord, []byte) {
	head := b[:min(len(b), ftpMaxRecord)]
	if !bytes.HasPrefix(head, []byte(ftpRecordTitle+"\r\n")) {
		return nil, nil
	}
	r := ftpRecord{}
	for at := len(ftpRecordTitle) + 2; ; {
		line, _, ended := bytes.Cut(head[at:], []byte("\r\n"))
		if !ended {
			return nil, nil
		}
		key, value, _ := strings.Cut(string(line), " ")
		if key == "seal" {
			seal, err := hex.DecodeString(value)
			if err != nil || len(answer) == 0 || !hmac.Equal(seal, sealOf(answer, "ftp", head[:at])) {
				return nil, nil
			}
			return r, b[at+len(line)+2:]
		}
		text, err := strconv.Unquote(value)
		if err != nil || !slices.Contains(ftpRecordKeys, key) {
			return nil, nil
		}
		r[key] = text
		at += len(line) + 2
	}
}

// ftpPattern is what follows the record in the file: printable lines that only
// this token's file has.
func ftpPattern(token []byte) []byte {
	out := make([]byte, 0, ftpPatternSize+64)
	for i := uint32(0); len(out) < ftpPatternSize; i++ {
		sum := sha256.Sum256(slices.Concat([]byte("dialtone ftp pattern"), binary.BigEndian.AppendUint32(nil, i), token))
		out = append(base64.StdEncoding.AppendEncode(out, sum[:]), '\r', '\n')
	}
	return out[:ftpPatternSize]
}

// ---- the asking side ----

// How long a data connection may take to open, enough for a SYN and two
// repetitions, and how long a reply or the next bytes of a data connection may
// take once modes are tried. The answering side waits as long for the data
// connection, so that its reply is in time.
const (
	ftpOpening = 4 * time.Second
	ftpWait    = 6 * time.Second
)

// ftpGreetingWait is how long greeting and login may take: servers look up the
// client's name first.
const ftpGreetingWait = time.Minute

// ftpModes are the ways to open a data connection, the usual ones of each kind
// first. PASV and PORT are IPv4's only.
var ftpModes = []struct {
	command  string
	passive  bool
	onlyIPv4 bool
}{{"PASV", true, true}, {"EPSV", true, false}, {"PORT", false, true}, {"EPRT", false, false}}

// ftpCompleted says that a data connection opened and carried what it should.
const ftpCompleted = "completed"

// errFTPOutOfStep says that the server still owes a reply, so that nothing more
// can be asked of it.
var errFTPOutOfStep = errors.New("the server still owes a reply")

type ftpClient struct {
	ctx  context.Context
	conn net.Conn
	in   ftpReader
	q    Question
	out  *result.Conversation
	// seen is what was received and sent here.
	seen        ftpRecord
	local, peer netip.AddrPort
	refused     bool   // something was refused that our own listener never refuses
	incomplete  bool   // a way to open a data connection did not complete
	activeFrom  uint16 // source port of the last active data connection; 0: there was none
}

func askFTP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	var out result.Conversation
	c := &ftpClient{
		ctx: ctx, conn: conn, in: newFTPReader(conn), q: q, out: &out, seen: ftpRecord{},
		local: sock.AddrPortOf(conn.LocalAddr()), peer: sock.AddrPortOf(conn.RemoteAddr()),
	}
	err := c.hold()
	if errors.Is(err, errFTPOutOfStep) {
		err = nil
	}
	if q.isOurs() && !out.Keyed && c.refused {
		c.changed("The far end refuses what our own listener never refuses.")
	}
	return out, err
}

func (c *ftpClient) fact(name, value string) {
	c.out.Facts = append(c.out.Facts, result.Fact{Name: name, Value: value})
}

func (c *ftpClient) changed(format string, args ...any) { c.tell(&c.out.Changed, format, args) }

// adapted tells of what an FTP helper has to rewrite.
func (c *ftpClient) adapted(format string, args ...any) { c.tell(&c.out.Adapted, format, args) }

func (c *ftpClient) tell(to *[]string, format string, args []any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(*to, s) {
		*to = append(*to, s)
	}
}

// within gives the control connection's next step its time.
func (c *ftpClient) within(d time.Duration) {
	end := time.Now().Add(d)
	if last, ok := c.ctx.Deadline(); ok && last.Before(end) {
		end = last
	}
	_ = c.conn.SetDeadline(end)
	if c.ctx.Err() != nil {
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	}
}

func (c *ftpClient) send(command string) error {
	_, err := io.WriteString(c.conn, command+"\r\n")
	return err
}

// command sends a command and reads the reply.
func (c *ftpClient) command(text string) (ftpReply, error) {
	err := c.send(text)
	var r ftpReply
	if err == nil {
		r, err = c.in.reply()
	}
	if err != nil {
		verb, _, _ := strings.Cut(text, " ")
		return r, fmt.Errorf("%s: %w", verb, err)
	}
	return r, nil
}

// hold logs in as anyone does (RFC 1635), tries each way to open a data
// connection and takes its leave.
func (c *ftpClient) hold() error {
	c.within(ftpGreetingWait)
	r, err := c.in.reply()
	if err != nil {
		if len(r.lines) > 0 {
			c.out.Software = shown(Software([]byte(r.lines[0])))
		}
		return err
	}
	c.seen[ftpGreeting] = r.lines[0]
	for r.code == 120 { // "service ready in nnn minutes"
		soon := r
		if r, err = c.in.reply(); err != nil {
			c.fact("greeting", soon.String())
			return refused(result.ReasonUnavailable, "120", soon.words())
		}
	}
	c.out.Software = shown(Software([]byte(r.lines[0])))
	if no := r.refusal(); no != nil { // RFC 959 section 5.4: the greeting is 120, 220 or 421
		c.fact("greeting", r.String())
		c.refused = true
		return no
	}
	if r.code != 220 {
		return unreadError{"the greeting is not FTP's: " + r.String()}
	}
	c.out.Reach(result.StageGreeted)

	r, err = c.command("USER anonymous")
	if err == nil && (r.code == 331 || r.code == 332) {
		r, err = c.command("PASS dialtone@")
	}
	if err != nil {
		return err
	}
	if !c.q.isOurs() && c.isMail(r) {
		return anotherRefusal(fmt.Sprintf("%03d", r.code), r.words()+": the login is not known, and EHLO is, as with an SMTP server")
	}
	if r.code == 421 || r.code/100 == 5 && wantsTLS(r.words()) {
		c.fact("login", "refused: "+r.String())
		c.refused = true
		return r.refusal()
	}
	if r.code/100 != 2 { // a stranger's login: a program has one of its own
		c.fact("login", "refused: "+r.String())
		c.refused = true
		return c.quit()
	}
	c.fact("login", "anonymous")
	c.out.Reach(result.StageAccepted)
	if r, err = c.command("SYST"); err != nil {
		return err
	}
	if r.code == 215 {
		c.fact("system", shown(strings.TrimSpace(r.lines[0][3:])))
	}
	if r, err = c.command("TYPE I"); err != nil {
		return err
	}
	if r.code/100 != 2 {
		c.fact("TYPE I", "refused: "+r.String())
		c.refused = true
		return c.quit()
	}
	if err := c.modes(); err != nil {
		return err
	}
	if c.q.isOurs() && c.incomplete {
		if err := c.stat(); err != nil {
			return err
		}
	}
	return c.quit()
}

// isMail reports whether a server that knows no login answers as one of SMTP does,
// which greets like one of FTP.
func (c *ftpClient) isMail(login ftpReply) bool {
	if !slices.Contains([]int{500, 501, 502, 503, 550, 554}, login.code) || wantsTLS(login.words()) {
		return false
	}
	r, err := c.command("EHLO " + mailName(c.conn, c.q))
	return err == nil && r.code == 250
}

// quit takes leave; that the server does not answer is of no interest.
func (c *ftpClient) quit() error {
	c.within(time.Second)
	_, _ = c.command("QUIT")
	return nil
}

// modes tries each way to open a data connection and puts what came of it into
// the facts: of passive and active mode, and of each command.
func (c *ftpClient) modes() error {
	active := c.q.DataAddr.IsValid() && c.q.DataAddr.Unmap().Is4() == c.peer.Addr().Is4()
	kinds := map[bool]string{true: "not tried", false: "not tried"} // by passive
	if !active {
		kinds[false] = "not tried: there is no address to be called back at"
	}
	var each []result.Fact
	var err error
	for _, m := range ftpModes {
		if !c.peer.IsValid() || m.onlyIPv4 && !c.peer.Addr().Is4() || !m.passive && !active {
			continue
		}
		var words string
		switch {
		case err != nil:
			words = "not tried: " + err.Error()
		case m.passive:
			words, err = c.passive(m.command)
		default:
			words, err = c.active(m.command)
		}
		if words == "" {
			words = "the control connection failed: " + err.Error()
		}
		if words != ftpCompleted {
			c.incomplete = true
		}
		each = append(each, result.Fact{Name: m.command, Value: words})
		if strings.HasPrefix(kinds[m.passive], "not tried") || words == ftpCompleted {
			kinds[m.passive] = words
		}
	}
	c.fact("passive", kinds[true])
	c.fact("active", kinds[false])
	c.out.Facts = append(c.out.Facts, each...)
	if c.activeFrom != 0 {
		c.fact("source port of active data", strconv.Itoa(int(c.activeFrom)))
	}
	return err
}

// passive tries one command of passive mode. What came of it is "" if the control
// connection failed before it could tell.
func (c *ftpClient) passive(command string) (string, error) {
	c.within(ftpWait)
	r, err := c.command(command)
	if err != nil {
		return "", err
	}
	line := r.lines[len(r.lines)-1]
	c.seen[command] = line
	var to netip.AddrPort
	switch {
	case command == "PASV" && r.code == 227:
		at, err := parseFTP227(line)
		if err != nil {
			return fmt.Sprintf("the reply \"%s\" names no address and port", r), nil
		}
		if at.Addr() != c.peer.Addr() {
			c.adapted("The reply to PASV names %s, but the server was reached at %s: a program that goes by it gets no data connection, unless it can reach that address too.",
				at.Addr(), c.peer.Addr())
		}
		// The connection goes to the server's own address, whatever the reply
		// says: it must not send us elsewhere.
		to = netip.AddrPortFrom(c.peer.Addr(), at.Port())
	case command == "EPSV" && r.code == 229:
		port, err := parseFTP229(line)
		if err != nil {
			return fmt.Sprintf("the reply \"%s\" names no port", r), nil
		}
		to = netip.AddrPortFrom(c.peer.Addr(), port)
	default:
		return "refused by the server: " + r.String(), nil
	}

	ctx, cancel := context.WithTimeout(c.ctx, ftpOpening)
	defer cancel()
	d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(c.local.Addr(), 0), to)
	if d.Err != nil {
		return c.notOpen(to, d), c.ctx.Err()
	}
	defer d.Conn.Close()
	if err := c.send(c.wanted()); err != nil {
		return "", err
	}
	c.within(ftpWait)
	if r, err = c.in.reply(); err != nil {
		return c.outOfStep("the data connection opened, but the server says nothing more", err)
	}
	if r.code/100 != 1 {
		return fmt.Sprintf("the data connection opened, but the server says \"%s\"", r), nil
	}
	return c.read(command, d.Conn)
}

// notOpen says why a passive data connection did not open.
func (c *ftpClient) notOpen(to netip.AddrPort, d sock.Dialed) string {
	var why string
	switch outcome := sock.Classify(d.Err); {
	case d.ICMP != nil && d.ICMP.From.IsValid():
		why = fmt.Sprintf("was rejected by %s (ICMP type %d, code %d)", d.ICMP.From, d.ICMP.Type, d.ICMP.Code)
	case outcome == result.ConnectTimeout:
		why = "did not open: nothing came back"
	case outcome == result.ConnectRST:
		why = "was refused"
	default:
		why = "did not open: " + d.Err.Error()
	}
	return fmt.Sprintf("the data connection to %s %s", to, why)
}

// outOfStep says what is known when the reply to a transfer does not come: if
// only that took too long, nothing more can be asked, but the conversation stands.
func (c *ftpClient) outOfStep(words string, err error) (string, error) {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.ctx.Err() == nil {
		return words, errFTPOutOfStep
	}
	return words, err
}

// active tries one command of active mode.
func (c *ftpClient) active(command string) (string, error) {
	l, err := sock.ListenTCP(c.ctx, netip.AddrPortFrom(c.q.DataAddr.Unmap(), 0), false)
	if err != nil {
		return "not tried: " + err.Error(), nil
	}
	defer l.Close()
	at := sock.AddrPortOf(l.Addr())
	argument := ftpHostPort(at)
	if command == "EPRT" {
		argument = ftpExtended(at)
	}
	c.within(ftpWait)
	r, err := c.command(command + " " + argument)
	if err != nil {
		return "", err
	}
	c.seen[command] = argument
	if r.code/100 != 2 {
		return "refused by the server: " + r.String(), nil
	}

	came := make(chan net.Conn, 1)
	var other netip.AddrPort // complete when came is closed
	go func() {
		defer close(came)
		for range 16 {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if from := sock.AddrPortOf(conn.RemoteAddr()); from.Addr() != c.peer.Addr() {
				other = from
				conn.Close()
				continue
			}
			came <- conn
			return
		}
	}()
	defer func() { // nothing is left open, whatever came in the end
		l.Close()
		if conn := <-came; conn != nil {
			conn.Close()
		}
	}()
	absent := func(more string) string {
		l.Close()
		if conn := <-came; conn != nil {
			conn.Close()
			return "the data connection came back, but the server says nothing of it" + more
		}
		if other.IsValid() {
			more = fmt.Sprintf("; one came from %s instead of the server", other) + more
		}
		return "the data connection did not come back" + more
	}

	if err := c.send(c.wanted()); err != nil {
		return "", err
	}
	c.within(ftpWait)
	if r, err = c.in.reply(); err != nil {
		return c.outOfStep(absent(""), err)
	}
	if r.code/100 != 1 {
		return absent(fmt.Sprintf("; the server says \"%s\"", r)), nil
	}
	timer := time.NewTimer(ftpOpening)
	defer timer.Stop()
	select {
	case conn := <-came:
		if conn == nil {
			return absent(""), errFTPOutOfStep
		}
		defer conn.Close()
		c.activeFrom = sock.AddrPortOf(conn.RemoteAddr()).Port()
		return c.read(command, conn)
	case <-timer.C:
	case <-c.ctx.Done():
	}
	words := absent("")
	// The server gives up as well some time, perhaps in time.
	c.within(ftpWait)
	if r, err = c.in.reply(); err != nil {
		return c.outOfStep(words, err)
	}
	return fmt.Sprintf("%s; the server says \"%s\"", words, r), nil
}

// wanted is the command that makes the server send something.
func (c *ftpClient) wanted() string {
	if c.q.isOurs() {
		return fmt.Sprintf("RETR %s%x", ftpFolder, c.q.Token)
	}
	return "LIST"
}

// read takes what the data connection carries and the reply that ends it.
func (c *ftpClient) read(command string, data net.Conn) (string, error) {
	stop := context.AfterFunc(c.ctx, func() { _ = data.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var got []byte
	buf := make([]byte, 4<<10)
	var rerr error
	for rerr == nil && len(got) < ftpMaxData {
		_ = data.SetReadDeadline(time.Now().Add(ftpWait))
		if c.ctx.Err() != nil {
			break
		}
		var n int
		n, rerr = data.Read(buf)
		got = append(got, buf[:n]...)
	}
	from := sock.AddrPortOf(data.RemoteAddr())
	data.Close()
	words := ftpCompleted
	switch {
	case rerr == nil || errors.Is(rerr, io.EOF):
	case sock.IsReset(rerr):
		words = fmt.Sprintf("the data connection was reset after %d bytes", len(got))
	default:
		words = fmt.Sprintf("the data connection stalled after %d bytes", len(got))
	}
	if c.q.isOurs() {
		if w := c.check(command, got, from); words == ftpCompleted {
			words = w
		}
	}
	c.within(ftpWait)
	r, err := c.in.reply()
	if err != nil {
		if words == ftpCompleted {
			words = "the file came, but not the reply that ends it"
		}
		return c.outOfStep(words, err)
	}
	if r.code/100 != 2 && words == ftpCompleted && len(got) < ftpMaxData {
		words = fmt.Sprintf("the server says \"%s\" after %d bytes", r, len(got))
	}
	return words, nil
}

// check holds the file that our own listener sent against what was to come, and
// its record against what was seen here.
func (c *ftpClient) check(command string, got []byte, from netip.AddrPort) string {
	rec, pattern := parseFTPRecord(got, c.q.Answer)
	if rec == nil {
		c.changed("What the data connection of %s brought (%d bytes) does not hold our own listener's proof.", command, len(got))
		return "the file is not our own listener's"
	}
	c.out.Keyed = true
	c.compare(rec)
	if at, err := netip.ParseAddrPort(strings.SplitN(rec[ftpData], " ", 2)[0]); err == nil && (command == "PORT" || command == "EPRT") && at.Port() != from.Port() {
		c.adapted("The data connection of %s left the listener from port %d and arrived from port %d: a rule for source port %[2]d does not match it behind that device.", command, at.Port(), from.Port())
	}
	want := ftpPattern(c.q.Token[:])
	n := min(len(pattern), len(want))
	i := 0
	for i < n && pattern[i] == want[i] {
		i++
	}
	head := len(got) - len(pattern)
	switch {
	case i < n:
		end := min(i+16, n)
		c.changed("The file that came by %s differs at byte %d: sent %x, arrived %x.", command, head+i, want[i:end], pattern[i:end])
		return "the file arrived changed"
	case len(pattern) < len(want):
		c.changed("The file that came by %s ended after %d of %d bytes.", command, len(got), head+len(want))
		return fmt.Sprintf("the file ended after %d of %d bytes", len(got), head+len(want))
	case len(pattern) > len(want):
		c.changed("The file that came by %s is longer than it was sent: %d bytes.", command, head+len(want))
		return "the file arrived changed"
	}
	return ftpCompleted
}

// compare names what our own listener sent or received otherwise than this side
// received or sent it.
func (c *ftpClient) compare(rec ftpRecord) {
	const helper = "a device between reads FTP and rewrites it (an FTP helper, ALG)"
	for _, k := range ftpRecordKeys {
		theirs, ok := rec[k]
		mine, seen := c.seen[k]
		if !seen || ok && theirs == mine {
			continue
		}
		if !ok {
			c.changed("%s did not arrive at the listener: a device between reads FTP and holds it back.", k)
			continue
		}
		switch k {
		case ftpGreeting:
			c.changed("The greeting was sent as \"%s\" and arrived as \"%s\": %s.", shown(theirs), shown(mine), helper)
		case "PASV", "EPSV":
			c.adapted("The reply to %s was sent as \"%s\" and arrived as \"%s\": %s.", k, shown(theirs), shown(mine), helper)
		case "PORT", "EPRT":
			c.adapted("%s was sent as \"%s\" and arrived as \"%s\": %s.", k, shown(mine), shown(theirs), helper)
		}
	}
}

// stat asks for the record on the control connection.
func (c *ftpClient) stat() error {
	c.within(ftpWait)
	r, err := c.command(fmt.Sprintf("STAT %s%x", ftpFolder, c.q.Token))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, l := range r.lines[1:] {
		if text, ok := strings.CutPrefix(l, " "); ok {
			b.WriteString(text + "\r\n")
		}
	}
	rec, _ := parseFTPRecord(b.Bytes(), c.q.Answer)
	if rec == nil {
		c.fact("control connection", "not proven to reach our own listener")
		if !c.out.Keyed {
			c.changed("The far end does not answer as our own listener does: \"%s\".", r)
		}
		return nil
	}
	c.fact("control connection", "reaches our own listener")
	c.compare(rec)
	return nil
}

// ---- the answering side ----

// A session lasts at most so many times the patience for one message; a person
// who thinks between two commands has more than a program (RFC 1123 section
// 4.1.3.2 wants five minutes).
const (
	ftpSession  = 20
	ftpThinking = 4
)

type ftpServer struct {
	ctx         context.Context
	conn        net.Conn
	in          ftpReader
	a           *Answerer
	local, peer netip.AddrPort
	said        ftpRecord
	user        bool // USER came
	loggedIn    bool
	onlyEPSV    bool           // EPSV ALL came (RFC 2428 section 4)
	passive     net.Listener   // where the next data connection is awaited
	target      netip.AddrPort // where it goes to
}

// errFTPDone ends a session that was taken leave of.
var errFTPDone = errors.New("done")

func answerFTP(ctx context.Context, conn net.Conn, a *Answerer) error {
	ctx, cancel := context.WithTimeout(ctx, ftpSession*a.patience())
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	s := &ftpServer{
		ctx: ctx, conn: conn, in: newFTPReader(conn), a: a, said: ftpRecord{},
		local: sock.AddrPortOf(conn.LocalAddr()), peer: sock.AddrPortOf(conn.RemoteAddr()),
	}
	defer s.dropData()
	s.said[ftpGreeting] = fmt.Sprintf("220 %s test listener for FTP: log in as anyone, nothing is kept.", a.Software)
	a.step(ctx, conn)
	if err := s.write(s.said[ftpGreeting] + "\r\n"); err != nil {
		return err
	}
	for range ftpMaxCommands {
		a.step(ctx, conn)
		if s.loggedIn && ctx.Err() == nil {
			_ = conn.SetReadDeadline(time.Now().Add(ftpThinking * a.patience()))
			if ctx.Err() != nil {
				_ = conn.SetDeadline(time.Unix(1, 0))
			}
		}
		if a.tlsInPlain(s.in.b, conn) {
			return errForeign
		}
		line, err := s.in.line()
		a.step(ctx, conn)
		switch {
		case errors.Is(err, errForeign):
			_ = s.reply(500, "That line is too long.")
			return err
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = s.reply(421, "Nothing came for too long.")
			return err
		case err != nil:
			return err
		}
		if err := s.do(line); errors.Is(err, errFTPDone) {
			return nil
		} else if err != nil {
			return err
		}
	}
	_ = s.reply(421, "Too many commands.")
	return errors.New("too many commands")
}

func (s *ftpServer) write(text string) error {
	_, err := io.WriteString(s.conn, text)
	return err
}

func (s *ftpServer) reply(code int, text string) error {
	return s.write(fmt.Sprintf("%d %s\r\n", code, text))
}

// replyLines sends a reply of several lines.
func (s *ftpServer) replyLines(code int, first string, between []string, last string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%s\r\n", code, first)
	for _, l := range between {
		fmt.Fprintf(&b, " %s\r\n", l)
	}
	fmt.Fprintf(&b, "%d %s\r\n", code, last)
	return s.write(b.String())
}

// ftpOpen are the commands that need no login.
var ftpOpen = []string{"USER", "PASS", "QUIT", "FEAT", "SYST", "NOOP", "HELP", "AUTH", "OPTS"}

// ftpKept are the commands that would change something.
var ftpKept = []string{"STOR", "STOU", "APPE", "DELE", "RMD", "XRMD", "MKD", "XMKD", "RNFR", "RNTO", "SITE", "MFMT", "MDTM", "ALLO"}

// do answers one command.
func (s *ftpServer) do(line string) error {
	verb, argument, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	s.note(verb)
	if isAlien(verb) { // what follows is no command either
		s.a.say(s.ctx, s.conn, "421 This port is for FTP, and another protocol came.\r\n")
		return errForeign
	}
	if !s.loggedIn && !slices.Contains(ftpOpen, verb) {
		return s.reply(530, "Log in first: any name and any password will do.")
	}
	if slices.Contains(ftpKept, verb) {
		return s.reply(550, "Nothing can be changed here.")
	}
	switch verb {
	case "USER":
		s.user, s.loggedIn = true, false
		return s.reply(331, "Any password will do; it is not kept.")
	case "PASS": // the argument is not looked at
		if !s.user {
			return s.reply(503, "USER comes first.")
		}
		s.loggedIn = true
		return s.reply(230, "Logged in. /proof.txt is a file to fetch.")
	case "ACCT":
		return s.reply(202, "Not needed.")
	case "QUIT":
		_ = s.reply(221, "Goodbye.")
		return errFTPDone
	case "SYST":
		return s.reply(215, "UNIX Type: L8")
	case "FEAT":
		return s.replyLines(211, "Beyond RFC 959:", []string{"EPRT", "EPSV", "SIZE", "UTF8"}, "That is all.")
	case "OPTS":
		if strings.EqualFold(argument, "UTF8 ON") {
			return s.reply(200, "Always.")
		}
		return s.reply(501, "There is nothing to choose.")
	case "NOOP":
		return s.reply(200, "Still here.")
	case "HELP":
		return s.replyLines(214, "What is known here:", []string{
			"USER PASS ACCT QUIT SYST FEAT OPTS NOOP HELP STAT ABOR", "PWD CWD CDUP TYPE MODE STRU SIZE LIST NLST RETR", "PASV EPSV PORT EPRT",
		}, "That is all.")
	case "AUTH":
		return s.reply(502, "There is no TLS here.")
	case "PWD", "XPWD":
		return s.reply(257, `"/" is the only folder.`)
	case "CWD", "XCWD", "CDUP", "XCUP":
		if path.Clean("/"+argument) != "/" {
			return s.reply(550, "There is no such folder.")
		}
		return s.reply(250, "Here you are.")
	case "TYPE":
		// Lines end as ASCII type wants them anyway, so all types are one.
		if !slices.Contains([]string{"A", "A N", "I", "L 8"}, strings.ToUpper(argument)) {
			return s.reply(504, "A and I are known.")
		}
		return s.reply(200, "Understood.")
	case "MODE", "STRU":
		if want := map[string]string{"MODE": "S", "STRU": "F"}[verb]; !strings.EqualFold(argument, want) {
			return s.reply(504, want+" is known.")
		}
		return s.reply(200, "Understood.")
	case "ABOR":
		s.dropData()
		return s.reply(226, "There was nothing to end.")
	case "PASV", "EPSV":
		return s.listen(verb, argument)
	case "PORT", "EPRT":
		return s.port(verb, argument)
	case "SIZE":
		f, ok := s.file(argument)
		if !ok || f.hidden {
			return s.reply(550, "The size of that is not known.")
		}
		return s.reply(213, strconv.Itoa(len(f.text(s))))
	case "RETR":
		f, ok := s.file(argument)
		if !ok {
			return s.reply(550, "There is no such file.")
		}
		return s.transfer(f.text)
	case "LIST", "NLST":
		lines, ok := s.list(argument, verb == "LIST")
		if !ok {
			return s.reply(550, "There is no such file.")
		}
		return s.transfer(func(*ftpServer) []byte { return []byte(strings.Join(append(lines, ""), "\r\n")) })
	case "STAT":
		return s.stat(argument)
	}
	return s.reply(500, "That is not known here.")
}

// ftpWords are what a log says of a command: its verb alone is looked at.
var ftpWords = map[string]word{
	"USER": "a name", "PASS": "a password", "AUTH": "a wish for TLS",
	"PASV": "passive mode", "EPSV": "passive mode", "PORT": "active mode", "EPRT": "active mode",
	"LIST": "a listing", "NLST": "a listing", "RETR": "a fetch", "STOR": "an upload (refused)", "APPE": "an upload (refused)",
}

// note tells of a command.
func (s *ftpServer) note(verb string) {
	s.a.ended("answered")
	switch w, known := ftpWords[verb]; {
	case known:
		s.a.came(w)
	case slices.Contains(httpMethods, verb):
		s.a.came(spokeHTTP)
		s.a.ended(asMeant)
	case strings.HasPrefix(verb, "SSH-"):
		s.a.came(spokeSSH)
		s.a.ended(asMeant)
	default:
		s.a.came("other commands")
	}
}

// An ftpFile is made when it is asked for: its text tells of the session.
type ftpFile struct {
	name   string
	hidden bool // not listed
	text   func(*ftpServer) []byte
}

var ftpFiles = []ftpFile{
	{name: "README.txt", text: func(s *ftpServer) []byte {
		return ftpText(append([]string{
			"This is the " + s.a.Software + " test listener, standing in for an FTP server.",
			"It keeps nothing, and there is nothing here but these two files.",
			"",
		}, s.a.Lines...))
	}},
	{name: "proof.txt", text: func(s *ftpServer) []byte {
		var own, other string
		if at := strings.Fields(s.said[ftpData]); len(at) == 2 {
			own, other = at[0], at[1]
		}
		// Always of the same size, since SIZE is asked for before it is sent.
		return ftpText(append([]string{
			"You have reached the " + s.a.Software + " test listener by FTP.",
			fmt.Sprintf("Control connection: from %-55s", s.peer),
			fmt.Sprintf("                    to   %-55s", s.local),
			fmt.Sprintf("Data connection:    %-55s at the listener", own),
			fmt.Sprintf("                    %-55s at your end, as the listener sees it", other),
			"",
		}, s.a.Lines...))
	}},
}

func ftpText(lines []string) []byte {
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

// file finds a file by its path.
func (s *ftpServer) file(name string) (ftpFile, bool) {
	p := path.Clean("/" + name)
	for _, f := range ftpFiles {
		if p == "/"+f.name {
			return f, true
		}
	}
	token, answer, ok := s.token(p)
	return ftpFile{hidden: true, text: func(s *ftpServer) []byte {
		return append(s.said.sealed(answer), ftpPattern(token)...)
	}}, ok
}

// token reads the token in a path and makes the answer to it; false: it has
// none, or it was not made with the key.
func (s *ftpServer) token(p string) (token, answer []byte, ok bool) {
	text, found := strings.CutPrefix(p, ftpFolder)
	if !found || len(text) != 2*TokenSize {
		return nil, nil, false
	}
	token, err := hex.DecodeString(text)
	if err != nil || s.a.Answer == nil {
		return nil, nil, false
	}
	answer, ok = s.a.Answer(token)
	return token, answer, ok
}

// list lists the folder or one file. Options, which many clients send, are not
// looked at.
func (s *ftpServer) list(argument string, long bool) ([]string, bool) {
	var name string
	for _, f := range strings.Fields(argument) {
		if !strings.HasPrefix(f, "-") {
			name = f
		}
	}
	p := path.Clean("/" + name)
	var lines []string
	for _, f := range ftpFiles {
		if p != "/" && p != "/"+f.name {
			continue
		}
		if long {
			lines = append(lines, fmt.Sprintf("-r--r--r--   1 ftp      ftp      %8d Jan  1  2006 %s", len(f.text(s)), f.name))
		} else {
			lines = append(lines, f.name)
		}
	}
	return lines, len(lines) > 0
}

// stat answers on the control connection what LIST, or RETR of the record, would
// on a data connection.
func (s *ftpServer) stat(argument string) error {
	if argument == "" {
		return s.replyLines(211, s.a.Software+" test listener for FTP", []string{
			fmt.Sprintf("Connected from %s to %s", s.peer, s.local),
		}, "That is all.")
	}
	if _, answer, ok := s.token(path.Clean("/" + argument)); ok {
		delete(s.said, ftpData)
		lines := strings.Split(strings.TrimSuffix(string(s.said.sealed(answer)), "\r\n"), "\r\n")
		return s.replyLines(213, "Record:", lines, "That is all.")
	}
	lines, ok := s.list(argument, true)
	if !ok {
		return s.reply(450, "There is no such file.")
	}
	return s.replyLines(213, "Status:", lines, "That is all.")
}

// dropData forgets where the next data connection comes from or goes to.
func (s *ftpServer) dropData() {
	if s.passive != nil {
		s.passive.Close()
	}
	s.passive, s.target = nil, netip.AddrPort{}
	delete(s.said, ftpData)
}

// listen opens a port for one data connection, a new one each time (RFC 1123
// section 4.1.2.6, RFC 2577 section 3).
func (s *ftpServer) listen(verb, argument string) error {
	if verb == "EPSV" && strings.EqualFold(argument, "ALL") {
		s.onlyEPSV = true
		return s.reply(200, "EPSV it is.")
	}
	reply := func(code int, format string, args ...any) error {
		s.said[verb] = fmt.Sprintf("%d "+format, append([]any{code}, args...)...)
		return s.write(s.said[verb] + "\r\n")
	}
	switch {
	case s.a.ListenData == nil || !s.local.IsValid():
		return reply(502, "There is no passive mode here.")
	case verb == "PASV" && s.onlyEPSV:
		return reply(503, "After EPSV ALL there is only EPSV.")
	case verb == "PASV" && !s.local.Addr().Is4():
		return reply(425, "PASV knows no IPv6: use EPSV.")
	case verb == "EPSV" && argument != "" && argument != ftpFamily(s.local.Addr()):
		return reply(522, "Network protocol not supported, use (%s)", ftpFamily(s.local.Addr()))
	}
	s.dropData()
	l, err := s.a.ListenData(s.ctx, s.local.Addr())
	if err != nil {
		return reply(425, "No port could be opened for it.")
	}
	s.passive = l
	at := netip.AddrPortFrom(s.local.Addr(), sock.AddrPortOf(l.Addr()).Port())
	if verb == "EPSV" {
		return reply(229, "Entering Extended Passive Mode (|||%d|)", at.Port())
	}
	return reply(227, "Entering Passive Mode (%s).", ftpHostPort(at))
}

// port takes the address of the next data connection. It is only ever the control
// connection's own peer and no port below 1024, so that no one makes this side
// connect elsewhere (RFC 2577 section 3).
func (s *ftpServer) port(verb, argument string) error {
	s.dropData()
	s.said[verb] = argument
	at, err := parseFTPHostPort(argument)
	if verb == "EPRT" {
		at, err = parseFTPExtended(argument)
	}
	switch {
	case s.onlyEPSV:
		return s.reply(503, "After EPSV ALL there is only EPSV.")
	case errors.Is(err, errFTPFamily):
		return s.reply(522, "Network protocol not supported, use (1,2)")
	case err != nil:
		return s.reply(501, "That is no address and port.")
	case s.a.DialData == nil || !s.peer.IsValid():
		return s.reply(502, "There is no active mode here.")
	case at.Addr() != s.peer.Addr().WithZone(""):
		return s.reply(504, fmt.Sprintf("A data connection goes to %s, where you are, and nowhere else.", s.peer.Addr()))
	case at.Port() < 1024:
		return s.reply(504, "A data connection goes to port 1024 or above.")
	}
	s.target = netip.AddrPortFrom(s.peer.Addr(), at.Port())
	return s.reply(200, "Understood.")
}

// transfer sends a text over one data connection.
func (s *ftpServer) transfer(text func(*ftpServer) []byte) error {
	if s.passive == nil && !s.target.IsValid() {
		return s.reply(425, "PASV, EPSV, PORT or EPRT comes first.")
	}
	defer s.dropData()
	ctx, cancel := context.WithTimeout(s.ctx, min(ftpOpening, s.a.patience()))
	defer cancel()
	var data net.Conn
	var err error
	if s.passive != nil {
		data, err = s.accept(ctx)
	} else {
		data, err = s.a.DialData(ctx, s.target)
	}
	s.a.step(s.ctx, s.conn)
	if err != nil {
		return s.reply(425, "The data connection did not open: "+ftpWhy(err))
	}
	defer data.Close()
	stop := context.AfterFunc(s.ctx, func() { _ = data.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	s.said[ftpData] = fmt.Sprintf("%s %s", sock.AddrPortOf(data.LocalAddr()), sock.AddrPortOf(data.RemoteAddr()))
	if err := s.reply(150, "Here it comes."); err != nil {
		return err
	}
	s.a.step(s.ctx, data)
	_, err = data.Write(text(s))
	if cerr := data.Close(); err == nil {
		err = cerr
	}
	s.a.step(s.ctx, s.conn)
	if err != nil {
		return s.reply(426, "The data connection ended early: "+ftpWhy(err))
	}
	return s.reply(226, "That was all.")
}

// ftpWhy says why a data connection failed, in words of our own: the system's
// name this machine's addresses.
func ftpWhy(err error) string {
	switch outcome := sock.Classify(err); {
	case outcome == result.ConnectTimeout:
		return "nothing came back."
	case outcome == result.ConnectRST:
		return "it was refused."
	case sock.IsReset(err):
		return "it was reset."
	case outcome == result.ConnectNoRoute:
		return "it was rejected on the way, or there is no route."
	}
	return "the system does not let it."
}

// accept takes the data connection from the control connection's own peer and
// closes everybody else's.
func (s *ftpServer) accept(ctx context.Context) (net.Conn, error) {
	l := s.passive
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		data, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, err
		}
		if sock.AddrPortOf(data.RemoteAddr()).Addr() == s.peer.Addr() {
			l.Close()
			return data, nil
		}
		data.Close()
	}
}
