package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"dialtone/internal/result"
)

// renderJSON writes exactly the struct, with lists that are never null and
// with times in UTC to the millisecond.
func renderJSON(r *result.Report, _ Options) ([]byte, error) { return encode(normal(r)) }

// encode writes v as indented JSON that is safe to show.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escapeUnprintable(stampMillis(b.Bytes())), nil
}

// normal returns a copy of r in the form that the JSON contract wants. What it
// does not change it shares with r.
func normal(r *result.Report) *result.Report {
	c := *r
	c.Started = millis(r.Started)
	c.From.Addresses = filled(r.From.Addresses)
	c.To.Addresses = filled(r.To.Addresses)
	if r.Contact != nil {
		contact := *r.Contact
		contact.Roles = filled(contact.Roles)
		contact.Busy = filled(contact.Busy)
		contact.Partners = filled(contact.Partners)
		c.Contact = &contact
	}
	c.Paths = filled(slices.Clone(r.Paths))
	for i := range c.Paths {
		p := &c.Paths[i]
		p.At = millis(p.At)
		p.Notes = filled(p.Notes)
		if p.Initiator != nil {
			half := *p.Initiator
			half.At = millis(half.At)
			half.Failed = slices.Clone(half.Failed)
			for k := range half.Failed {
				half.Failed[k].At = millis(half.Failed[k].At)
			}
			p.Initiator = &half
		}
		if p.Acceptor != nil && p.Acceptor.Joined != nil {
			half, joined := *p.Acceptor, *p.Acceptor.Joined
			joined.Attempt, joined.Arrived = millis(joined.Attempt), millis(joined.Arrived)
			joined.Since, joined.Until = millis(joined.Since), millis(joined.Until)
			half.Joined = &joined
			p.Acceptor = &half
		}
	}
	if r.Listened != nil {
		c.Listened = normalListened(*r.Listened)
	}
	if r.Joined != nil {
		joined := *r.Joined
		joined.Started = millis(joined.Started)
		c.Joined = &joined
	}
	c.OutOfScope = filled(r.OutOfScope)
	c.Findings = filled(r.Findings)
	if r.Summary.Verdicts == nil {
		c.Summary.Verdicts = map[result.Verdict]int{}
	}
	return &c
}

func normalListened(l result.Listened) *result.Listened {
	l.Since, l.Until = millis(l.Since), millis(l.Until)
	l.Ports = filled(l.Ports)
	l.Arrivals = filled(slices.Clone(l.Arrivals))
	for i := range l.Arrivals {
		a := &l.Arrivals[i]
		a.First, a.Last = millis(a.First), millis(a.Last)
	}
	return &l
}

func millis(t time.Time) time.Time { return t.UTC().Round(time.Millisecond) }

// filled returns s, or an empty slice for nil: [] in JSON, not null.
func filled[E any](s []E) []E {
	if s == nil {
		return []E{}
	}
	return s
}

// stampKeys are the keys whose values are times.
const stampKeys = "started|at|since|until|first|last|attempt|arrived"

// stamp matches a line of indented JSON that holds a time. No string can
// imitate it: a line break inside a string is written as an escape.
var stamp = regexp.MustCompile(`(?m)^( *"(?:` + stampKeys + `)": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z(",?)$`)

// stampMillis writes the times in indented JSON with exactly three decimals,
// so that they also sort as text. encoding/json leaves out trailing zeros. The
// zero time, of a path that was never attempted, becomes null.
func stampMillis(b []byte) []byte {
	b = stamp.ReplaceAllFunc(b, func(line []byte) []byte {
		m := stamp.FindSubmatch(line)
		fraction := string(m[2])
		if fraction == "" {
			fraction = "."
		}
		return fmt.Appendf(nil, "%s%sZ%s", m[1], (fraction + "000")[:len(".000")], m[3])
	})
	return zeroStamp.ReplaceAll(b, []byte("${1}null${2}"))
}

var zeroStamp = regexp.MustCompile(`(?m)^( *"(?:` + stampKeys + `)": )"0001-01-01T00:00:00\.000Z"(,?)$`)

// escapeUnprintable writes as \u escapes what encoding/json leaves as it is
// and a terminal may act on: C1 control characters, bidirectional overrides
// and the like. They occur in strings only, so the value stays the same.
func escapeUnprintable(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out = append(out, b[:size]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[size:]
	}
	return out
}
