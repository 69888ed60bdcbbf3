package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// BER (ITU-T X.690) under LDAP, Z39.50 and ISO ILL. The library decodes; what
// it may cost is decided here, before it sees a byte: it recurses once per
// level, copies every level's content, and keeps some 300 bytes per element.
const (
	maxBERSize     = 64 << 10 // bytes of one message; Active Directory's root entry has about 5 KiB
	maxBERDepth    = 32
	maxBERElements = 4096
)

// A berScan checks one element while it reads it.
type berScan struct {
	r        *bufio.Reader
	raw      []byte
	elements int
}

// readBER reads one element, of definite or indefinite length, and gives it as
// it came. opens says which first bytes the protocol has; nil: any.
func readBER(r *bufio.Reader, opens func(byte) bool) ([]byte, error) {
	first, err := r.Peek(1)
	if err != nil {
		return nil, err
	}
	if opens != nil && !opens(first[0]) {
		b, _ := r.Peek(min(r.Buffered(), 64))
		if s := Software(b); s != "" {
			return nil, foreignError{"other bytes came, from " + shown(s)}
		}
		return nil, foreignError{fmt.Sprintf("other bytes came: they begin with %q", b)}
	}
	s := berScan{r: r}
	end, err := s.element(maxBERSize, 1)
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case end:
		return nil, unreadError{"an end of contents came where a message begins"}
	}
	return s.raw, nil
}

// element reads one element that must end before the offset limit. end says
// that it was the end of contents (section 8.1.5).
func (s *berScan) element(limit, depth int) (end bool, err error) {
	if s.elements++; s.elements > maxBERElements {
		return false, unreadError{fmt.Sprintf("a message has more than %d elements", maxBERElements)}
	}
	if depth > maxBERDepth {
		return false, unreadError{fmt.Sprintf("a message is nested more than %d deep", maxBERDepth)}
	}
	id, err := s.next(limit)
	if err != nil {
		return false, err
	}
	if id&0x1f == 0x1f { // section 8.1.2.4
		for n := 0; ; n++ {
			b, err := s.next(limit)
			switch {
			case err != nil:
				return false, err
			case n == 0 && b == 0x80, n == 4:
				return false, unreadError{"a tag is not valid"}
			}
			if b&0x80 == 0 {
				break
			}
		}
	}
	l, err := s.next(limit)
	if err != nil {
		return false, err
	}
	constructed := id&0x20 != 0
	length := int(l)
	switch {
	case l == 0x80: // section 8.1.3.6
		if !constructed {
			return false, unreadError{"a value without parts has no length"}
		}
		for {
			if end, err := s.element(limit, depth+1); end || err != nil {
				return false, err
			}
		}
	case l > 0x88:
		return false, unreadError{"a length is not valid"}
	case l > 0x80: // section 8.1.3.5
		length = 0
		for range l & 0x7f {
			b, err := s.next(limit)
			if err != nil {
				return false, err
			}
			if length = length<<8 | int(b); length > maxBERSize {
				break
			}
		}
	}
	stop := len(s.raw) + length
	switch {
	case stop > maxBERSize:
		return false, unreadError{fmt.Sprintf("a message has more than %d bytes", maxBERSize)}
	case stop > limit:
		return false, unreadError{"an element does not fit into what holds it"}
	}
	if !constructed {
		from := len(s.raw)
		s.raw = slices.Grow(s.raw, length)[:stop]
		if _, err := io.ReadFull(s.r, s.raw[from:]); err != nil {
			return false, err
		}
		return id == 0 && length == 0, nil
	}
	for len(s.raw) < stop {
		if end, err := s.element(stop, depth+1); err != nil {
			return false, err
		} else if end {
			return false, unreadError{"an end of contents came inside a known length"}
		}
	}
	return false, nil
}

func (s *berScan) next(limit int) (byte, error) {
	if len(s.raw) >= limit {
		return 0, unreadError{"an element does not fit into what holds it"}
	}
	b, err := s.r.ReadByte()
	if err == nil {
		s.raw = append(s.raw, b)
	}
	return b, err
}

// decodeBER decodes what readBER gave.
func decodeBER(raw []byte) (*ber.Packet, error) {
	p, err := ber.DecodePacketErr(raw)
	if err != nil {
		return nil, unreadError{"BER: " + shown(err.Error())}
	}
	return p, nil
}

// berAll decodes elements that follow each other.
func berAll(b []byte) ([]*ber.Packet, error) {
	var out []*ber.Packet
	for r := bufio.NewReader(bytes.NewReader(b)); ; {
		raw, err := readBER(r, nil)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		p, err := decodeBER(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
}

// berPart finds the first part of p with that tag; nil if there is none, or no p.
func berPart(p *ber.Packet, class ber.Class, tag ber.Tag) *ber.Packet {
	if p == nil {
		return nil
	}
	for _, c := range p.Children {
		if c.ClassType == class && c.Tag == tag {
			return c
		}
	}
	return nil
}

// berText is a string's content, which may come in pieces (X.690 section 8.7.3);
// "" for no p.
func berText(p *ber.Packet) string {
	if p == nil {
		return ""
	}
	if p.TagType == ber.TypePrimitive {
		return p.Data.String()
	}
	var b strings.Builder
	for _, c := range p.Children {
		b.WriteString(berText(c))
	}
	return b.String()
}

// berNumber is the value of an INTEGER or ENUMERATED under whatever tag.
func berNumber(p *ber.Packet) (int64, bool) {
	if p == nil || p.TagType != ber.TypePrimitive || p.Data.Len() == 0 {
		return 0, false
	}
	n, err := ber.ParseInt64(p.Data.Bytes())
	return n, err == nil
}

// berGroup makes a constructed element; a nil part is left out.
func berGroup(class ber.Class, tag ber.Tag, parts ...*ber.Packet) *ber.Packet {
	p := ber.Encode(class, ber.TypeConstructed, tag, nil, "")
	for _, c := range parts {
		if c != nil {
			p.AppendChild(c)
		}
	}
	return p
}

func berString(class ber.Class, tag ber.Tag, s string) *ber.Packet {
	return ber.NewString(class, ber.TypePrimitive, tag, s, "")
}

func berInteger(class ber.Class, tag ber.Tag, n int64) *ber.Packet {
	return ber.NewInteger(class, ber.TypePrimitive, tag, n, "")
}

// sameBER reports whether elements have the same content, however encoded.
func sameBER(a, b []*ber.Packet) bool {
	return slices.EqualFunc(a, b, func(x, y *ber.Packet) bool {
		return x.Identifier == y.Identifier && (x.TagType == ber.TypePrimitive && bytes.Equal(x.Data.Bytes(), y.Data.Bytes()) ||
			x.TagType == ber.TypeConstructed && sameBER(x.Children, y.Children))
	})
}

// berChange says what became of BER on its way; "" if nothing did.
func berChange(what string, sent, arrived []byte) string {
	if bytes.Equal(sent, arrived) {
		return ""
	}
	s, serr := berAll(sent)
	a, aerr := berAll(arrived)
	if serr == nil && aerr == nil && sameBER(s, a) {
		return what + " was encoded anew on the way; the content is the same"
	}
	at := 0
	for at < len(sent) && at < len(arrived) && sent[at] == arrived[at] {
		at++
	}
	return fmt.Sprintf("%s was changed on the way: %d bytes were sent and %d arrived, and they differ from byte %d on (%s became %s)",
		what, len(sent), len(arrived), at+1, shownBytes(sent[at:]), shownBytes(arrived[at:]))
}

func shownBytes(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	return shown(fmt.Sprintf("%q", b[:min(len(b), 16)]))
}

// A berReceipt is what the answering side says that it received and sent.
type berReceipt struct {
	Got, Sent   []byte
	Certificate []byte // SHA-256 of its DER form; none: no TLS
}

// berMark comes before what only our own ends read in a text.
const berMark = "dialtone:"

// berProof is the keyed answer as text. what tells the protocols apart.
func berProof(answer []byte, what string) string {
	return berMark + hex.EncodeToString(sealOf(answer, what+" answer"))
}

func isBERProof(answer []byte, what, text string) bool {
	return hmac.Equal([]byte(text), []byte(berProof(answer, what)))
}

// seal writes a receipt as text.
func (r berReceipt) seal(answer []byte, what string) string {
	e := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%s%x.%s.%s.%s", berMark, sealOf(answer, what+" receipt", r.Got, r.Sent, r.Certificate), e(r.Got), e(r.Sent), e(r.Certificate))
}

// openBERReceipt undoes seal; false: the text is not what the listener wrote.
func openBERReceipt(answer []byte, what, text string) (r berReceipt, ok bool) {
	f := strings.Split(strings.TrimPrefix(text, berMark), ".")
	if len(f) != 4 {
		return r, false
	}
	for i, to := range []*[]byte{&r.Got, &r.Sent, &r.Certificate} {
		var err error
		if *to, err = base64.RawStdEncoding.DecodeString(f[1+i]); err != nil {
			return berReceipt{}, false
		}
	}
	return r, hmac.Equal([]byte(text), []byte(r.seal(answer, what)))
}

// errBERMessages ends a connection that does not end by itself.
var errBERMessages = errors.New("too many messages came")

// serveBER answers up to most messages of one connection. obey gives the reply,
// nil for none, and whether the conversation goes on after it. refuse makes a
// last reply to what cannot be read; it may give none. It is nil that comes
// back once a message was answered and the far end left.
func serveBER(ctx context.Context, conn net.Conn, a *Answerer, most int, opens func(byte) bool, obey func(raw []byte) (reply []byte, more bool), refuse func() []byte) error {
	r := bufio.NewReader(conn)
	answered := false
	for range most {
		a.step(ctx, conn)
		raw, err := readBER(r, opens)
		var reply []byte
		more := true
		switch {
		case errors.Is(err, errForeign):
			if reply = refuse(); reply != nil {
				a.say(ctx, conn, string(reply))
			}
			return err
		case err != nil && answered && errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		default:
			reply, more = obey(raw)
		}
		if reply != nil {
			if _, werr := conn.Write(reply); werr != nil {
				return werr
			}
		}
		if answered = answered || reply != nil; !more {
			return nil
		}
	}
	return errBERMessages
}
