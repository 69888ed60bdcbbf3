package service

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"dialtone/internal/result"
)

// Z39.50 (ANSI/NISO Z39.50-2003, ISO 23950), as a client speaks it to a
// catalogue: Init and Close (sections 3.2.1 and 3.2.11). Nothing is searched
// for, and no name or password travels.
//
// The token is Init's reference id, which a server must return as it is
// (section 3.4): so even of a server that is not ours the conversation proves
// that the answer is to this very request, not that it is the right server's.
// Our own listener's keyed answer is in the otherInfo of its answer, and the
// answer to Close has a receipt under a seal: all bytes that it received and
// sent. That proves that this listener answered, and shows every changed, added
// or missing byte either way, such as those of a Z39.50 proxy.
//
// What stays unnoticed: a device that only reads along, how messages were cut
// into segments, what it would do to searches and records, none of which are
// sent, and a change of the receipt's own message that leaves the receipt.

const (
	maxZMessages = 32
	maxZTold     = 8 << 10         // bytes of a receipt, before base64
	zPatience    = 2 * time.Second // for the answer to Close, of which nothing hangs on a real server

	zMessageSize = 1 << 20 // that we say we take

	zInitRequest  = 20
	zInitResponse = 21
	zClose        = 48
)

// Reasons to close (section 3.2.11.1.1).
const (
	zFinished      = 0
	zShutdown      = 1
	zSystemProblem = 2
	zCostLimit     = 3
	zResources     = 4
	zProtocolError = 6
	zInactivity    = 7
	zUnspecified   = 9
)

func isZ3950(first byte) bool { // [20] to [48], constructed
	return first >= 0xa0+zInitRequest && first <= 0xbf
}

// zOptions are those of Init (section 3.2.1.1.4), by their bits.
var zOptions = []string{"search", "present", "delete", "resource report", "trigger resource control", "resource control",
	"access control", "scan", "sort", "", "extended services"}

// zBits encodes a BIT STRING of up to 8 bits.
func zBits(tag ber.Tag, n int, bits byte) *ber.Packet {
	return berString(ber.ClassContext, tag, string([]byte{byte(8 - n), bits}))
}

// zHas reports whether a bit of a BIT STRING is set.
func zHas(p *ber.Packet, bit int) bool {
	s := berText(p)
	return 1+bit/8 < len(s) && s[1+bit/8]&(0x80>>(bit%8)) != 0
}

func askZ3950(ctx context.Context, conn net.Conn, q Question) (out result.Conversation, err error) {
	note := func(name, value string) {
		out.Facts = append(out.Facts, result.Fact{Name: name, Value: shown(value)})
	}
	unanswered := func(instead string) {
		if q.isOurs() {
			out.Changed = append(out.Changed, "the answer does not contain the listener's reply: "+shown(instead))
		}
	}
	reference := string(q.Token[:])
	if !q.isOurs() { // old servers have little room for it
		reference = hex.EncodeToString(q.Token[:4])
	}
	var fill *ber.Packet
	if q.isOurs() { // the receipt brings it back
		fill = berGroup(ber.ClassContext, 201, berGroup(ber.ClassUniversal, ber.TagSequence, berString(ber.ClassContext, 2, filling)))
	}
	init := berGroup(ber.ClassContext, zInitRequest,
		berString(ber.ClassContext, 2, reference),
		zBits(3, 3, 0xe0), // versions 1 to 3
		zBits(4, 8, 0xc0), // search, present
		berInteger(ber.ClassContext, 5, zMessageSize),
		berInteger(ber.ClassContext, 6, zMessageSize),
		berString(ber.ClassContext, 111, "Dialtone connection test"),
		fill,
	).Bytes()
	if _, err := conn.Write(init); err != nil {
		return out, err
	}
	r := bufio.NewReader(conn)
	raw, err := readBER(r, isZ3950)
	if err != nil {
		return out, err
	}
	p, err := decodeBER(raw)
	if err != nil {
		return out, err
	}
	if p.Tag == zClose {
		words := zCloseWords(p)
		note("init", "refused: "+words)
		out.Reach(result.StageGreeted)
		unanswered("it is " + words)
		return out, zCloseRefusal(p)
	}
	accepted := berPart(p, ber.ClassContext, 12)
	if p.Tag != zInitResponse || accepted == nil || berPart(p, ber.ClassContext, 3) == nil {
		return out, foreignError{fmt.Sprintf("the answer to Init is not Z39.50's: it is [%d] with %d parts", p.Tag, len(p.Children))}
	}
	out.Software = shown(strings.TrimSpace(berText(berPart(p, ber.ClassContext, 111)) + " " + berText(berPart(p, ber.ClassContext, 112))))
	out.Reach(result.StageGreeted)
	isAccepted := false
	if n, _ := berNumber(accepted); n != 0 {
		note("init", "accepted")
		out.Reach(result.StageAccepted)
		isAccepted = true
	} else {
		note("init", "rejected")
	}
	version := 0
	for v := range 3 {
		if zHas(berPart(p, ber.ClassContext, 3), v) {
			version = v + 1
		}
	}
	note("Z39.50 version", fmt.Sprint(version))
	var options []string
	for bit, name := range zOptions {
		if name != "" && zHas(berPart(p, ber.ClassContext, 4), bit) {
			options = append(options, name)
		}
	}
	note("options", strings.Join(options, ", "))
	switch got := berPart(p, ber.ClassContext, 2); {
	case got == nil:
		note("reference id", "not returned")
	case berText(got) == reference:
		note("reference id", "returned")
	default:
		out.Changed = append(out.Changed, fmt.Sprintf("the answer's reference id is not the request's: %s became %s", shownBytes([]byte(reference)), shownBytes([]byte(berText(got)))))
	}
	out.Keyed = q.isOurs() && isBERProof(q.Answer, "z3950", zOtherInfo(p))
	if !out.Keyed {
		if out.Software == "" {
			unanswered("it is another server's")
		} else {
			unanswered("it is from " + out.Software)
		}
	}
	if !isAccepted && !out.Keyed { // section 3.2.1.1.5: no more follows
		return out, refused(result.ReasonTurnedAway, "Init rejected", zReason(p))
	}
	if version < 3 && !out.Keyed { // Close is of version 3
		return out, nil
	}
	bye := zCloseMessage(reference, zFinished, "")
	if _, err := conn.Write(bye); err != nil {
		if out.Keyed {
			return out, err // what changed on the way is in the answer to it
		}
		return out, nil // all of a real server's is known
	}
	if !out.Keyed {
		until := time.Now().Add(zPatience)
		if d, ok := ctx.Deadline(); ok && d.Before(until) {
			until = d
		}
		if _ = conn.SetReadDeadline(until); ctx.Err() == nil {
			_, _ = readBER(r, isZ3950)
		}
		return out, nil
	}
	end, err := readBER(r, isZ3950)
	if err != nil {
		return out, err
	}
	receipt, ok := berReceipt{}, false
	if p, err := decodeBER(end); err == nil {
		receipt, ok = openBERReceipt(q.Answer, "z3950", berText(berPart(p, ber.ClassContext, 3)))
	}
	if !ok {
		out.Changed = append(out.Changed, "the answer to Close is not as the listener sent it: "+shownBytes(end))
		return out, nil
	}
	if s := berChange("the request", append(init, bye...), receipt.Got); s != "" {
		out.Changed = append(out.Changed, s)
	}
	if s := berChange("the answer", receipt.Sent, raw); s != "" {
		out.Changed = append(out.Changed, s)
	}
	return out, nil
}

// zOtherInfo is the first text in a message's OtherInformation.
func zOtherInfo(p *ber.Packet) string {
	if info := berPart(p, ber.ClassContext, 201); info != nil {
		for _, c := range info.Children {
			if text := berPart(c, ber.ClassContext, 2); text != nil {
				return berText(text)
			}
		}
	}
	return ""
}

// zReason is the first text in the user information of an Init that was rejected
// (Implementor Agreement "Returning diagnostics in an InitResponse"), "" if there
// is none.
func zReason(p *ber.Packet) string {
	var text func(p *ber.Packet) string
	text = func(p *ber.Packet) string {
		if p == nil {
			return ""
		}
		if s := strings.TrimSpace(berText(p)); len(p.Children) == 0 && p.ClassType == ber.ClassUniversal &&
			(p.Tag == ber.TagVisibleString || p.Tag == ber.TagGeneralString || p.Tag == ber.TagUTF8String) && s != "" {
			return s
		}
		for _, c := range p.Children {
			if s := text(c); s != "" {
				return s
			}
		}
		return ""
	}
	return text(berPart(p, ber.ClassContext, 11))
}

// zCloseMessage makes a Close; an empty reference or text is left out.
func zCloseMessage(reference string, reason int64, text string) []byte {
	p := berGroup(ber.ClassContext, zClose)
	if reference != "" {
		p.AppendChild(berString(ber.ClassContext, 2, reference))
	}
	p.AppendChild(berInteger(ber.ClassContext, 211, reason))
	if text != "" {
		p.AppendChild(berString(ber.ClassContext, 3, text))
	}
	return p.Bytes()
}

// zReasons are the reasons to close by their names, in their order.
var zReasons = []string{"finished", "shutdown", "system problem", "cost limit", "resources", "security violation", "protocol error",
	"lack of activity", "peer abort", "unspecified"}

// zCloseRefusal is what a Close in place of an Init's answer says no with.
func zCloseRefusal(p *ber.Packet) error {
	why := result.ReasonTurnedAway
	switch n, _ := berNumber(berPart(p, ber.ClassContext, 211)); n {
	case zShutdown, zSystemProblem, zCostLimit, zResources, zInactivity:
		why = result.ReasonUnavailable
	}
	return refused(why, "", zCloseWords(p))
}

func zCloseWords(p *ber.Packet) string {
	part := berPart(p, ber.ClassContext, 211)
	words := "Close, no reason given"
	if n, _ := berNumber(part); part != nil && n >= 0 && int(n) < len(zReasons) {
		words = fmt.Sprintf("Close, reason %d (%s)", n, zReasons[n])
	} else if part != nil {
		words = fmt.Sprintf("Close, reason %d", n)
	}
	return shown(strings.TrimSpace(words + " " + berText(berPart(p, ber.ClassContext, 3))))
}

var errZNoInit = errors.New("no Init came")

func answerZ3950(ctx context.Context, conn net.Conn, a *Answerer) error {
	s := &zServer{a: a}
	err := serveBER(ctx, conn, a, maxZMessages, isZ3950, s.obey, func() []byte {
		return zCloseMessage("", zProtocolError, s.words("what came is not a Z39.50 message"))
	})
	if err == nil && !s.ready {
		return errZNoInit
	}
	return err
}

// A zServer is the answering side of one connection. It keeps no name and no
// password.
type zServer struct {
	a         *Answerer
	ready     bool // Init was answered
	old       bool // without version 3, which has Close
	answer    []byte
	got, sent []byte // for a receipt, where there is an answer
}

func (s *zServer) words(why string) string {
	return fmt.Sprintf("This is a %s test listener, not a catalogue: %s", s.a.Software, why)
}

// obey answers one message.
func (s *zServer) obey(raw []byte) (reply []byte, more bool) {
	p, err := decodeBER(raw)
	if err != nil {
		return zCloseMessage("", zProtocolError, s.words("what came is not a Z39.50 message")), false
	}
	reference := berText(berPart(p, ber.ClassContext, 2))
	switch {
	case p.Tag == zInitRequest && !s.ready:
		s.a.came("Init")
		s.a.ended("answered")
		return s.init(raw, p, reference)
	case p.Tag == zClose:
		s.a.came("Close")
		text := s.words("goodbye")
		if s.answer != nil && len(s.got)+len(raw)+len(s.sent) <= maxZTold {
			text = berReceipt{Got: append(s.got, raw...), Sent: s.sent}.seal(s.answer, "z3950")
		}
		return zCloseMessage(reference, zFinished, text), false
	case p.Tag == zInitRequest, !s.ready:
		return zCloseMessage(reference, zProtocolError, s.words("this message does not come at this point")), false
	case s.old:
		s.a.came("a search or another request")
		s.a.ended(asMeant)
		return nil, false // there are no words to refuse with
	}
	s.a.came("a search or another request")
	s.a.ended(asMeant)
	return zCloseMessage(reference, zUnspecified, s.words("there is nothing to search or fetch")), false
}

// init answers an InitializeRequest (section 3.2.1.1).
func (s *zServer) init(raw []byte, p *ber.Packet, reference string) (reply []byte, more bool) {
	var versions, options byte
	for bit := range 3 {
		if zHas(berPart(p, ber.ClassContext, 3), bit) {
			versions |= 0x80 >> bit
		}
	}
	for bit := range 2 { // a client that may not search would not even try
		if zHas(berPart(p, ber.ClassContext, 4), bit) {
			options |= 0x80 >> bit
		}
	}
	s.ready, s.old = true, versions&0x20 == 0
	size := func(tag ber.Tag) *ber.Packet {
		n, ok := berNumber(berPart(p, ber.ClassContext, tag))
		if !ok || n < 1 || n > zMessageSize {
			n = zMessageSize
		}
		return berInteger(ber.ClassContext, tag, n)
	}
	var same, info *ber.Packet
	if berPart(p, ber.ClassContext, 2) != nil {
		same = berString(ber.ClassContext, 2, reference)
	}
	if len(reference) == TokenSize {
		if answer, ok := s.a.Answer([]byte(reference)); ok {
			s.answer = answer
			info = berGroup(ber.ClassContext, 201, berGroup(ber.ClassUniversal, ber.TagSequence,
				berString(ber.ClassContext, 2, berProof(answer, "z3950"))))
		}
	}
	// Nothing in common is a rejection (ProtocolVersion).
	reply = berGroup(ber.ClassContext, zInitResponse,
		same,
		zBits(3, 3, versions),
		zBits(4, 2, options),
		size(5),
		size(6),
		ber.NewLDAPBoolean(ber.ClassContext, ber.TypePrimitive, 12, versions != 0, ""), // DER's, as LDAP's
		berString(ber.ClassContext, 111, s.a.Software+" test listener"),
		info,
	).Bytes()
	if s.answer != nil && berPart(p, ber.ClassContext, 7) == nil { // else it may hold a password
		s.got, s.sent = append(s.got, raw...), append(s.sent, reply...)
	} else {
		s.answer = nil
	}
	return reply, versions != 0
}
