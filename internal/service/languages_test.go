package service

import (
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
)

// What others know of a language and how it is spoken are two tables, and the
// page that says what each service proves is a third: one is not without the others.
func TestEveryLanguageIsSpokenAndDescribed(t *testing.T) {
	spoken, known := slices.Sorted(maps.Keys(conversations)), slices.Sorted(slices.Values(plan.Protocols))
	if !slices.Equal(spoken, known) {
		t.Fatalf("plan.Languages has %q, and %q are spoken", known, spoken)
	}
	for _, l := range plan.Languages {
		c := conversations[l.Protocol]
		streams, packets := c.ask != nil && c.answer != nil, c.packet != nil && c.packet.request != nil && c.packet.read != nil && c.packet.answer != nil
		if streams != (l.Transport == plan.TCP) || packets != (l.Transport == plan.UDP) || streams == packets {
			t.Errorf("%s goes over %q: ask and answer %v, packet %v", l.Protocol, l.Transport, streams, packets)
		}
		if Knows(l.Protocol, plan.TCP) != streams || Knows(l.Protocol, plan.UDP) != packets {
			t.Errorf("%s is known otherwise than it is spoken", l.Protocol)
		}
		if first := streams && !l.Greets && !c.tells; first != (len(c.begins) > 0) {
			t.Errorf("%s: its clients begin with %q", l.Protocol, c.begins)
		}
	}
	described := describedServices(t)
	for _, l := range plan.Languages {
		if n := len(slices.DeleteFunc(slices.Clone(described), func(name string) bool { return !isCalled(l, name) })); n != 1 {
			t.Errorf("docs/services.md has %d rows for %s (%s) in %q", n, l.Protocol, l.Title, described)
		}
	}
	if len(described) != len(plan.Languages) {
		t.Errorf("docs/services.md describes %q", described)
	}
}

// isCalled reports whether a page may call a language that: by its title, or by
// what is spoken, with or without whose it is.
func isCalled(l plan.Language, name string) bool {
	return name == l.Title || name == l.Spoken || strings.HasSuffix(l.Spoken, "'s "+name)
}

// describedServices are those with a row in docs/services.md.
func describedServices(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "\n## Each service\n")
	table, _, _ = strings.Cut(table, "\n\nA device")
	ports := regexp.MustCompile(` \([^)]*\)`)
	var out []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); len(cells) > 1 && strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| service") && !strings.HasPrefix(line, "| ---") {
			out = append(out, strings.Split(ports.ReplaceAllString(strings.TrimPrefix(cells[0], "| "), ""), ", ")...)
		}
	}
	return out
}

// Where a device does not let the proof pass, the conversation is all that crosses: no
// path is to look open to which large packets get lost.
func TestConversationsFillPacketsBothWays(t *testing.T) {
	for _, l := range plan.Languages {
		if l.Transport != plan.TCP || l.DataBeside || l.Bulk {
			continue // of single packets; or with data, which fills them, of its own
		}
		t.Run(string(l.Protocol), func(t *testing.T) {
			speaks := l.Protocol
			a, _ := newWebAnswerer(t)
			c, err := net.Dial("tcp", serve(t, a, speaks).String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			counted := &bytesCounted{Conn: c}
			wantIntact(t, Ask(t.Context(), counted, speaks, newWebQuestion(t, "127.0.0.1")))
			const fullPackets = 2 * 1460
			if counted.sent < fullPackets || counted.received < fullPackets {
				t.Errorf("%d bytes out and %d in, want %d at least", counted.sent, counted.received, fullPackets)
			}
		})
	}
}

type bytesCounted struct {
	net.Conn
	sent, received int
}

func (c *bytesCounted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent += n
	return n, err
}

func (c *bytesCounted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received += n
	return n, err
}
