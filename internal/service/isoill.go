package service

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"dialtone/internal/result"
)

// ISO ILL (ISO 10161-1 with its Amendment 1, ASN.1 module ISO-10161-ILL-1),
// BER straight on TCP, as servers speak it to each other and to OCLC's Direct
// Request: one Status-Query about a transaction that does not exist, and the
// Status-Or-Error-Report on it, on the same connection. Nothing is requested,
// and no transaction comes to be or changes.
//
// The token is the transaction's qualifier, in hexadecimal digits. Our own
// listener's report has the keyed answer in its note, with a receipt under a
// seal: all bytes of the query as they arrived, and what the report said. So
// the conversation proves that this listener answered this very query, and shows
// every changed, added or missing byte of the query and every changed, added or
// missing element of the report. A server that is not ours should return the
// transaction's name in its report: then that is about this very query, and
// proves that a server which speaks ISO ILL answered, not that it is the right
// one.
//
// What stays unnoticed: a device that only reads along, how messages were cut
// into segments, a report encoded anew with the same content, what a device
// would do to the other kinds of message, and messages that real servers send
// back on a connection of their own.

const (
	maxILLMessages = 16
	maxILLTold     = 8 << 10 // bytes of a receipt, before base64

	illStatusQuery = 18
	illReport      = 19

	illNote  = 46
	illGroup = "DIALTONE-TEST" // transaction-group-qualifier: nobody's
)

// illKinds are the kinds of ILL-APDU by their tags.
var illKinds = [...]string{1: "ILL-Request", "Forward-Notification", "Shipped", "ILL-Answer", "Conditional-Reply", "Cancel", "Cancel-Reply",
	"Received", "Recall", "Returned", "Checked-In", "Overdue", "Renew", "Renew-Answer", "Lost", "Damaged", "Message",
	illStatusQuery: "Status-Query", illReport: "Status-Or-Error-Report", "Expired"}

func isISOILL(first byte) bool { // [APPLICATION 1] to [APPLICATION 20], constructed
	return first > 0x60 && int(first-0x60) < len(illKinds)
}

// illMessage makes an ILL-APDU: the module's tags are explicit, so that there
// is a SEQUENCE inside the [APPLICATION] tag.
func illMessage(tag ber.Tag, parts ...*ber.Packet) *ber.Packet {
	return berGroup(ber.ClassApplication, tag, berGroup(ber.ClassUniversal, ber.TagSequence, parts...))
}

// illBody is what holds an ILL-APDU's parts. Some leave the SEQUENCE out.
func illBody(p *ber.Packet) *ber.Packet {
	if len(p.Children) == 1 && p.Children[0].ClassType == ber.ClassUniversal && p.Children[0].Tag == ber.TagSequence {
		return p.Children[0]
	}
	return p
}

// illString makes an ILL-String under a tag of its own.
func illString(tag ber.Tag, s string) *ber.Packet {
	return berGroup(ber.ClassContext, tag, berString(ber.ClassUniversal, ber.TagGeneralString, s))
}

// illText reads the ILL-String under that tag; "" if it is not there.
func illText(p *ber.Packet, tag ber.Tag) string {
	if p = berPart(p, ber.ClassContext, tag); p == nil || len(p.Children) == 0 {
		return ""
	}
	return berText(p.Children[0])
}

// illInstitution makes a System-Id that has a name only.
func illInstitution(tag ber.Tag, name string) *ber.Packet {
	return berGroup(ber.ClassContext, tag, berGroup(ber.ClassContext, 1, illString(1, name)))
}

// illName reads a System-Id: its names, then its symbols.
func illName(p *ber.Packet) string {
	var all []string
	for _, of := range []ber.Tag{1, 0} {
		for _, kind := range []ber.Tag{1, 0} {
			if s := illText(berPart(p, ber.ClassContext, of), kind); s != "" {
				all = append(all, s)
			}
		}
	}
	return strings.Join(all, ", ")
}

// illNow is the Service-Date-Time of a message: local, as ISO-Time wants it.
func illNow() *ber.Packet {
	now := time.Now()
	return berGroup(ber.ClassContext, 2, berGroup(ber.ClassContext, 0,
		berString(ber.ClassContext, 0, now.Format("20060102")), berString(ber.ClassContext, 1, now.Format("150405"))))
}

func illTransaction(group, qualifier string) *ber.Packet {
	return berGroup(ber.ClassContext, 1, illString(1, group), illString(2, qualifier))
}

func askISOILL(_ context.Context, conn net.Conn, q Question) (out result.Conversation, err error) {
	note := func(name, value string) {
		out.Facts = append(out.Facts, result.Fact{Name: name, Value: shown(value)})
	}
	qualifier := hex.EncodeToString(q.Token[:])
	if !q.isOurs() { // there may be little room for it
		qualifier = qualifier[:16]
	}
	words := "This tests the network only. There is no such transaction, and nothing is wanted."
	if q.isOurs() { // the receipt brings it back
		words += " " + filling
	}
	query := illMessage(illStatusQuery,
		berInteger(ber.ClassContext, 0, 2),
		illTransaction(illGroup, qualifier),
		illNow(),
		illInstitution(3, "Dialtone connection test"),
		illString(illNote, words),
	).Bytes()
	if _, err := conn.Write(query); err != nil {
		return out, err
	}
	raw, err := readBER(bufio.NewReader(conn), isISOILL)
	if err != nil {
		return out, err
	}
	if bytes.Equal(raw, query) {
		return out, foreignError{"the answer is the query itself"}
	}
	p, err := decodeBER(raw)
	if err != nil {
		return out, err
	}
	body := illBody(p)
	transaction := berPart(body, ber.ClassContext, 1)
	if berPart(body, ber.ClassContext, 0) == nil || transaction == nil { // all messages have both
		return out, foreignError{fmt.Sprintf("the answer is not ISO ILL's: [APPLICATION %d] with %d parts", p.Tag, len(body.Children))}
	}
	text, proof := illText(body, illNote), ""
	if before, after, ok := strings.Cut(text, " "+berMark); ok && q.isOurs() {
		text, proof = before, berMark+after
	}
	note("answer", illKinds[p.Tag])
	out.Reach(result.StageGreeted)
	problem := berPart(body, ber.ClassContext, 45)
	if s := illProblem(problem); s != "" {
		note("report", s)
	}
	responder := illName(berPart(body, ber.ClassContext, 4))
	for _, f := range []result.Fact{{Name: "responder", Value: responder}, {Name: "note", Value: text}} {
		if f.Value != "" {
			note(f.Name, f.Value)
		}
	}
	same := illText(transaction, 1) == illGroup && illText(transaction, 2) == qualifier
	if same {
		note("transaction", "returned")
	} else {
		note("transaction", "not returned")
	}
	if !q.isOurs() {
		out.Software = shown(responder)
		return out, illRefusal(problem, text)
	}
	answer, sealed, _ := strings.Cut(proof, " ")
	if out.Keyed = isBERProof(q.Answer, "iso-ill", answer); !out.Keyed {
		out.Changed = append(out.Changed, "the answer does not contain the listener's reply: it is "+illKinds[p.Tag]+shown(" "+text))
		return out, nil
	}
	out.Software = shown(responder)
	receipt, ok := openBERReceipt(q.Answer, "iso-ill", sealed)
	if !ok {
		out.Changed = append(out.Changed, "the end of the answer's note is not as the listener sent it")
		return out, nil
	}
	if s := berChange("the request", query, receipt.Got); s != "" {
		out.Changed = append(out.Changed, s)
	}
	if s := berChange("the answer", receipt.Sent, illWithNote(p, text)); s != "" {
		out.Changed = append(out.Changed, s)
	}
	return out, nil
}

// illWithNote encodes a message, its note replaced.
func illWithNote(p *ber.Packet, text string) []byte {
	body := illBody(p)
	out := berGroup(body.ClassType, body.Tag)
	for _, c := range body.Children {
		if c.ClassType == ber.ClassContext && c.Tag == illNote {
			c = illString(illNote, text)
		}
		out.AppendChild(c)
	}
	if body != p {
		out = berGroup(p.ClassType, p.Tag, out)
	}
	return out.Bytes()
}

// illProblem is what an Error-Report says, in words; "" if there is none.
func illProblem(p *ber.Packet) string {
	words := func(p *ber.Packet, tag ber.Tag, kinds ...[]string) string {
		if p = berPart(p, ber.ClassContext, tag); p == nil || len(p.Children) == 0 {
			return ""
		}
		c := p.Children[0]
		n, _ := berNumber(c)
		if c.Tag < ber.Tag(len(kinds)) && n > 0 && n < int64(len(kinds[c.Tag])) {
			return kinds[c.Tag][n]
		}
		return "a problem of another kind"
	}
	if s := words(p, 3, // Provider-Error-Report: General-Problem, Transaction-Id-Problem
		[]string{1: "unrecognized APDU", "mistyped APDU", "badly structured APDU", "protocol version not supported", "other"},
		[]string{1: "duplicate transaction id", "invalid transaction id", "unknown transaction id"},
	); s != "" {
		return s
	}
	return words(p, 2, nil, nil, nil, []string{1: "not available", "resource limitation", "unable to perform"}) // User-Error-Report
}

// illRefusal is what a user's Error-Report says no with; nil if it does not: that
// there is no such transaction is what ought to be said. text is the report's note.
func illRefusal(p *ber.Packet, text string) error {
	p = berPart(p, ber.ClassContext, 2)
	if p == nil || len(p.Children) == 0 {
		return nil
	}
	switch c := p.Children[0]; c.Tag {
	case 1:
		return refused(result.ReasonUnavailable, "intermediary problem", text)
	case 2: // security-problem, a text
		return refused(result.ReasonTurnedAway, "security problem", strings.TrimSpace(berInnermost(c)+" "+text))
	case 3: // unable-to-perform
		n, _ := berNumber(c)
		if name := map[int64]string{1: "not available", 2: "resource limitation"}[n]; name != "" {
			return refused(result.ReasonUnavailable, name, text)
		}
	}
	return nil
}

// berInnermost is the text in the first of the first of an element's parts.
func berInnermost(p *ber.Packet) string {
	for len(p.Children) > 0 {
		p = p.Children[0]
	}
	return berText(p)
}

func answerISOILL(ctx context.Context, conn net.Conn, a *Answerer) error {
	return serveBER(ctx, conn, a, maxILLMessages, isISOILL, func(raw []byte) ([]byte, bool) { return illObey(a, raw), true }, func() []byte { return nil })
}

// illObey makes the report on a message; nil if there is none on it. What the
// message asks for is neither done nor kept.
func illObey(a *Answerer, raw []byte) []byte {
	p, err := decodeBER(raw)
	if err != nil {
		return illReportOn(a, nil, illProvider(0, 3)).Bytes() // badly structured
	}
	if int(p.Tag) < len(illKinds) {
		a.came(word(illKinds[p.Tag])) // one of the table's, not of the client's
		a.ended("answered that nothing was done")
	}
	body := illBody(p)
	qualifier := berPart(berPart(body, ber.ClassContext, 1), ber.ClassContext, 2)
	switch {
	case p.Tag == illReport: // two listeners would report to each other for ever
		return nil
	case qualifier == nil || len(qualifier.Children) == 0:
		return illReportOn(a, body, illProvider(0, 3)).Bytes()
	case p.Tag == 1: // an ILL-Request's user may be told: unable to perform, other
		return illReportOn(a, body, illErrorReport(1, berGroup(ber.ClassContext, 2, berInteger(ber.ClassContext, 3, 3)))).Bytes()
	}
	report := illReportOn(a, body, illProvider(1, 3)) // unknown transaction
	token, err := hex.DecodeString(berText(qualifier.Children[0]))
	if p.Tag != illStatusQuery || err != nil || len(token) != TokenSize {
		return report.Bytes()
	}
	answer, ok := a.Answer(token)
	if !ok {
		return report.Bytes()
	}
	text := illText(illBody(report), illNote) + " " + berProof(answer, "iso-ill")
	if sent := report.Bytes(); len(raw)+len(sent) <= maxILLTold {
		text += " " + berReceipt{Got: raw, Sent: sent}.seal(answer, "iso-ill")
	}
	return illWithNote(report, text)
}

// illReportOn makes a Status-Or-Error-Report on the message with that body; nil:
// on what cannot be read.
// It has more than 127 bytes, so that its length takes more than one: if the
// first four bytes are printable YAZ takes it for HTTP.
func illReportOn(a *Answerer, body, report *ber.Packet) *ber.Packet {
	version, _ := berNumber(berPart(body, ber.ClassContext, 0))
	if version != 1 {
		version = 2
	}
	transaction := berPart(body, ber.ClassContext, 1)
	if transaction == nil || transaction.Data.Len() > maxILLTold/8 {
		transaction = illTransaction(illGroup, "unknown")
	}
	return illMessage(illReport,
		berInteger(ber.ClassContext, 0, version),
		transaction,
		illNow(),
		illInstitution(4, a.Software+" test listener"),
		report,
		illString(illNote, fmt.Sprintf("This is a %s test listener. ISO ILL is not running here yet: nothing was done, kept or passed on.", a.Software)),
	)
}

// illErrorReport makes an Error-Report by a user (1) or a provider (2).
func illErrorReport(source int64, report *ber.Packet) *ber.Packet {
	return berGroup(ber.ClassContext, 45, illString(0, "network test"), berInteger(ber.ClassContext, 1, source), report)
}

// illProvider makes a provider's Error-Report of a general (0) or a
// transaction's (1) problem.
func illProvider(kind ber.Tag, n int64) *ber.Packet {
	return illErrorReport(2, berGroup(ber.ClassContext, 3, berInteger(ber.ClassContext, kind, n)))
}
