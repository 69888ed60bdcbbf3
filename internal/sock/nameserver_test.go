package sock

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"dialtone/internal/result"
)

// A zone answers a question, or does not (nil).
type zone func(q dnsmessage.Question, stream bool) *dnsmessage.Message

// serveNames runs a name server, over UDP and, if stream is set, TCP.
func serveNames(t *testing.T, z zone, stream bool) (udp, tcp string) {
	t.Helper()
	answer := func(b []byte, stream bool) []byte {
		var m dnsmessage.Message
		if m.Unpack(b) != nil || len(m.Questions) != 1 {
			return nil
		}
		a := z(m.Questions[0], stream)
		if a == nil {
			return nil
		}
		a.ID, a.Response, a.Questions = m.ID, true, m.Questions
		out, err := a.Pack()
		if err != nil {
			t.Error(err)
		}
		return out
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if out := answer(b[:n], false); out != nil {
				_, _ = c.WriteTo(out, from)
			}
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !stream {
		l.Close()
		return c.LocalAddr().String(), l.Addr().String()
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var long [2]byte
				if _, err := io.ReadFull(conn, long[:]); err != nil {
					return
				}
				b := make([]byte, binary.BigEndian.Uint16(long[:]))
				if _, err := io.ReadFull(conn, b); err != nil {
					return
				}
				if out := answer(b, true); out != nil {
					_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
				}
			}()
		}
	}()
	return c.LocalAddr().String(), l.Addr().String()
}

const asking = "illiad.lib.example."

func says(c dnsmessage.RCode, answers ...dnsmessage.Resource) *dnsmessage.Message {
	return &dnsmessage.Message{Header: dnsmessage.Header{RCode: c, RecursionAvailable: true}, Answers: answers}
}

func record(name string, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 1}, Body: body}
}

var (
	a4    = record(asking, &dnsmessage.AResource{A: [4]byte{192, 0, 2, 20}})
	a6    = record(asking, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::20").As16()})
	alias = record(asking, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("old.lib.example.")})
)

func isA(q dnsmessage.Question) bool { return q.Type == dnsmessage.TypeA }

// TestWhatNameServersSay asks one name server, however many this machine has, by
// Go's own resolver.
func TestWhatNameServersSay(t *testing.T) {
	for _, tt := range []struct {
		name    string
		zone    zone
		stream  bool
		addrs   []string
		lacking []result.Family
		fault   result.NameFault
		says    []string // of the error, or else the trouble
	}{
		{name: "both families", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return says(0, a4)
			}
			return says(0, a6)
		}, addrs: []string{"192.0.2.20", "2001:db8::20"}},
		{name: "AAAA unanswered", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return says(0, a4)
			}
			return nil
		}, addrs: []string{"192.0.2.20"}, lacking: []result.Family{result.IP6}, says: []string{"does not answer when it is asked for IPv6 addresses (AAAA)"}},
		{name: "A unanswered", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return nil
			}
			return says(0, a6)
		}, addrs: []string{"2001:db8::20"}, lacking: []result.Family{result.IP4}, says: []string{"IPv4 addresses (A)"}},
		{name: "AAAA fails", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return says(0, a4)
			}
			return says(dnsmessage.RCodeServerFailure)
		}, addrs: []string{"192.0.2.20"}, lacking: []result.Family{result.IP6}, says: []string{"SERVFAIL", "AAAA"}},
		{name: "no such name for A, and an address for AAAA", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return says(dnsmessage.RCodeNameError)
			}
			return says(0, a6)
		}, addrs: []string{"2001:db8::20"}},
		{name: "one family, and none of the other", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return says(0, alias, record("old.lib.example.", a4.Body))
			}
			return says(0, alias)
		}, addrs: []string{"192.0.2.20"}},
		{name: "no such name", zone: func(dnsmessage.Question, bool) *dnsmessage.Message { return says(dnsmessage.RCodeNameError) },
			fault: result.NameAbsent, says: []string{"no such name"}},
		{name: "no such name for A, and nothing for AAAA", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return says(dnsmessage.RCodeNameError)
			}
			return nil
		}, fault: result.NameAbsent, says: []string{"no such name"}},
		{name: "no address", zone: func(dnsmessage.Question, bool) *dnsmessage.Message { return says(0) },
			fault: result.NameEmpty, says: []string{"the name has no address"}},
		{name: "no A, and nothing for AAAA", zone: func(q dnsmessage.Question, _ bool) *dnsmessage.Message {
			if isA(q) {
				return says(0)
			}
			return nil
		}, fault: result.NameUnanswered, says: []string{"127.0.0.1 does not answer when it is asked for IPv6 addresses"}},
		{name: "an alias of what is not there", zone: func(dnsmessage.Question, bool) *dnsmessage.Message {
			return says(dnsmessage.RCodeNameError, alias)
		}, fault: result.NameEmpty, says: []string{"alias of old.lib.example, and there is no such name"}},
		{name: "an alias of what has no address", zone: func(dnsmessage.Question, bool) *dnsmessage.Message { return says(0, alias) },
			fault: result.NameEmpty, says: []string{"alias of old.lib.example, which has no address"}},
		{name: "silent", zone: func(dnsmessage.Question, bool) *dnsmessage.Message { return nil },
			fault: result.NameUnanswered, says: []string{"127.0.0.1 does not answer"}},
		{name: "refused", zone: func(dnsmessage.Question, bool) *dnsmessage.Message { return says(dnsmessage.RCodeRefused) },
			fault: result.NameUnanswered, says: []string{"127.0.0.1 refuses to answer this machine (REFUSED)"}},
		{name: "failing", zone: func(dnsmessage.Question, bool) *dnsmessage.Message { return says(dnsmessage.RCodeServerFailure) },
			fault: result.NameUnanswered, says: []string{"127.0.0.1 fails to find out (SERVFAIL)"}},
		{name: "a lame referral", zone: func(dnsmessage.Question, bool) *dnsmessage.Message { return &dnsmessage.Message{} },
			fault: result.NameUnanswered, says: []string{"127.0.0.1 only names other servers to ask"}},
		{name: "cut off, and nothing over TCP", zone: func(dnsmessage.Question, bool) *dnsmessage.Message {
			m := says(0)
			m.Truncated = true
			return m
		}, fault: result.NameUnanswered, says: []string{"cuts its answer off", "TCP port 53"}},
		{name: "cut off, and whole over TCP", stream: true, zone: func(q dnsmessage.Question, stream bool) *dnsmessage.Message {
			m := says(0)
			if m.Truncated = !stream; stream && isA(q) {
				m.Answers = []dnsmessage.Resource{a4}
			}
			return m
		}, addrs: []string{"192.0.2.20"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			udp, tcp := serveNames(t, tt.zone, tt.stream)
			w := newNameWatch(time.Now().Add(time.Second))
			w.connect = func(ctx context.Context, network, _ string) (net.Conn, error) {
				to := udp
				if network == "tcp" {
					to = tcp
				}
				return new(net.Dialer).DialContext(ctx, network, to)
			}
			dial := w.dial
			ctx := t.Context()
			r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dial(ctx, network, "127.0.0.1:53") // one name server, whatever this machine has
			}}
			found, err := r.LookupNetIP(ctx, "ip", asking)
			n, err := w.found(ctx, asking, found, err)
			var addrs []string
			for _, a := range n.Addrs {
				addrs = append(addrs, a.String())
			}
			slices.Sort(addrs)
			heard := strings.Join(n.Trouble, "; ")
			if err != nil {
				heard = err.Error()
			}
			if !slices.Equal(addrs, tt.addrs) || !reflect.DeepEqual(n.Lacking, tt.lacking) || FaultOf(err) != tt.fault || (err == nil) != (tt.addrs != nil) {
				t.Errorf("%v, lacking %v, fault %q, %v", addrs, n.Lacking, FaultOf(err), err)
			}
			for _, s := range tt.says {
				if !strings.Contains(heard, s) {
					t.Errorf("%q does not say %q", heard, s)
				}
			}
			if len(tt.says) == 0 && heard != "" {
				t.Errorf("trouble where there is none: %s", heard)
			}
		})
	}
}

// TestASilentNameServerCostsNoMoreThanItMust has two name servers and a search
// list.
func TestASilentNameServerCostsNoMoreThanItMust(t *testing.T) {
	const dead, live = "192.0.2.1", "192.0.2.2"
	first, second := question{"illiad.a.example.", dnsmessage.TypeA}, question{"illiad.b.example.", dnsmessage.TypeA}
	ask := func(w *nameWatch, server string, q question, s saying) bool {
		a, err := w.ask(server, q)
		if err == nil && s != saidNothing {
			w.note(a, s, "", "")
		}
		return err == nil
	}
	w := newNameWatch(time.Now().Add(time.Minute))
	if !ask(w, dead, first, saidNothing) || !ask(w, live, first, saidNoName) {
		t.Fatal("a question was not asked")
	}
	if ask(w, dead, second, saidNothing) || !ask(w, live, second, saidAddress) {
		t.Error("the silent one was asked again, or the one that answers was not")
	}
	v6 := question{second.name, dnsmessage.TypeAAAA}
	if !ask(w, live, v6, saidNothing) || ask(w, live, v6, saidNothing) {
		t.Error("once one family's addresses are known the other's are asked for once of each server")
	}

	w = newNameWatch(time.Now().Add(time.Minute))
	for range 2 {
		if !ask(w, dead, first, saidNothing) {
			t.Error("a packet that was lost is not sent again")
		}
	}
	if ask(w, dead, second, saidNothing) {
		t.Error("who was silent twice is asked for each name of the search list")
	}
	if ask(newNameWatch(time.Now().Add(-time.Second)), live, first, saidAddress) {
		t.Error("asked after the time was up")
	}
}

// TestWhichNamesHaveToBeMissing has what a search list makes of a host's name.
func TestWhichNamesHaveToBeMissing(t *testing.T) {
	type said map[string]saying
	for _, tt := range []struct {
		name, host string
		said       said
		want       result.NameFault
	}{
		{"a short name that is nowhere", "illiad", said{"illiad.a.example.": saidNoName, "illiad.": saidNoName}, result.NameAbsent},
		{"a short name of which nobody tells where it is meant", "illiad", said{"illiad.a.example.": saidFailure, "illiad.": saidNoName}, result.NameUnanswered},
		{"a whole name that is not there", "iliad.lib.example", said{"iliad.lib.example.": saidNoName, "iliad.lib.example.a.example.": saidNothing}, result.NameAbsent},
		{"a whole name of which nobody tells", "iliad.lib.example", said{"iliad.lib.example.": saidNothing, "iliad.lib.example.a.example.": saidNoName}, result.NameUnanswered},
		{"a whole name that was not asked for", "iliad.lib.example", said{"iliad.lib.example.a.example.": saidNoName}, result.NameUnanswered},
		{"a short name that has no address", "illiad", said{"illiad.a.example.": saidNone, "illiad.": saidNoName}, result.NameEmpty},
	} {
		w := newNameWatch(time.Now().Add(time.Minute))
		for name, s := range tt.said {
			for _, k := range kinds {
				a, err := w.ask("192.0.2.1", question{name, k.kind})
				if err != nil {
					a = &asked{server: "192.0.2.1", question: question{name, k.kind}}
					w.asked = append(w.asked, a)
				}
				w.note(a, s, "fails", "")
			}
		}
		got := FaultOf(w.fault(tt.host, errors.New("not found")))
		if got != tt.want && !(got == result.NameNoServer && tt.want == result.NameUnanswered) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
