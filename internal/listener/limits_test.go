package listener

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// gate is a limits whose connections have names.
type gate struct {
	*limits
	t     *testing.T
	ended []string // in order
}

func newGate(t *testing.T, most int) *gate {
	g := &gate{limits: newLimits(), t: t}
	g.bound(most)
	return g
}

func (g *gate) comes(name, from string) *place {
	g.t.Helper()
	p, _ := g.take(netip.MustParseAddr(from), func() { g.ended = append(g.ended, name) })
	if p == nil {
		g.t.Fatalf("no place for %s", name)
	}
	return p
}

func TestWhoProvedLessIsShedFirstTheOldestOfThemBeforeTheOthers(t *testing.T) {
	g := newGate(t, 6)
	// All from one address: everybody is behind one NAT.
	const nat = "192.0.2.7"
	g.comes("proved", nat).raise(tierProved, echo.NewID())
	asked := g.comes("asked first", nat)
	asked.raise(tierAsked, echo.ID{})
	g.comes("asked later", nat).raise(tierAsked, echo.ID{})
	for i := range 3 {
		g.comes(fmt.Sprint("strange ", i), nat)
	}
	for i := range 3 {
		g.comes(fmt.Sprint("newcomer ", i), nat).raise(tierProved, echo.NewID())
	}
	if want := []string{"strange 0", "strange 1", "strange 2"}; !slices.Equal(g.ended, want) {
		t.Fatalf("%q were ended", g.ended)
	}
	g.comes("with the key", nat).raise(tierProved, echo.NewID()) // for one that asked and said no more
	if want := "asked first"; g.ended[3] != want || !asked.isShed() {
		t.Fatalf("%q were ended", g.ended)
	}
	asked.raise(tierProved, echo.NewID()) // too late
	asked.release()
	g.comes("last", "192.0.2.8").raise(tierProved, echo.NewID())
	if g.all != 6 || g.ended[4] != "asked later" {
		t.Fatalf("%d connections, %q were ended", g.all, g.ended)
	}
	g.comes("a stranger", nat) // for the last, which is beyond the share of all
	g.comes("another", nat)
	if want := []string{"last", "a stranger"}; !slices.Equal(g.ended[5:], want) {
		t.Errorf("%q were ended", g.ended)
	}
}

// No run and no network takes all there may be, whatever it has proved: the oldest of
// what it has beyond its share makes room.
func TestNoHolderOfTheKeyTakesAllConnections(t *testing.T) {
	g := newGate(t, 400)
	run := echo.NewID()
	for i := range 1000 {
		g.comes(fmt.Sprint("one run ", i), netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()).raise(tierProved, run)
	}
	for i := range 1000 {
		g.comes(fmt.Sprint("one network ", i), "192.0.2.1").raise(tierProved, echo.NewID())
	}
	if g.ofRun[run] != 100 || g.proved != 350 {
		t.Errorf("%d of one run proved themselves, of %d", g.ofRun[run], g.proved)
	}
	g.ended = nil
	for i := range 50 {
		g.comes(fmt.Sprint("dial ", i), "192.0.2.2").raise(tierProved, echo.NewID())
	}
	if len(g.ended) != 50 || slices.ContainsFunc(g.ended, func(s string) bool { return !strings.HasPrefix(s, "one network") }) {
		t.Errorf("%q were ended", g.ended)
	}
}

// The same over real connections: one run proves itself on as many as it can get and
// keeps them, from the very address of another, which is let in all the same.
func TestARunThatKeepsItsConnectionsLeavesRoomForOthers(t *testing.T) {
	var mu sync.Mutex
	var said []string
	l := start(t, Config{OnTrouble: func(what string) { mu.Lock(); defer mu.Unlock(); said = append(said, what) }})
	l.limits.bound(16)
	greedy := newAsk()
	var kept []*echo.Conn
	for range 40 {
		greedy.Probe = echo.NewID()
		c, _ := prove(t, loop, l.at, greedy)
		if _, err := c.Hello(within(t, guardTime)); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, c)
	}
	other := newAsk()
	var others []*echo.Conn
	for range 3 {
		other.Probe = echo.NewID()
		c, _ := prove(t, loop, l.at, other)
		if _, err := c.Hello(within(t, guardTime)); err != nil {
			t.Fatalf("another run is shut out: %v", err)
		}
		others = append(others, c)
	}
	left := 0
	for i, c := range kept {
		if _, err := c.Hello(within(t, guardTime)); err == nil {
			left++
		} else if i < 4 {
			t.Errorf("the %d. of its share was ended: %v", i, err)
		}
	}
	if left < 4 || left > 13 {
		t.Errorf("the run keeps %d of 16", left)
	}
	for _, c := range others {
		if _, err := c.Hello(within(t, guardTime)); err != nil {
			t.Errorf("another run's was ended: %v", err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 1 || !strings.Contains(said[0], "had proved itself, beyond the share") {
		t.Errorf("said %q", said)
	}
}

// A flood from one network costs that flood; what others hold stays.
func TestNetworkThatHoldsTheMostShedsFirst(t *testing.T) {
	g := newGate(t, 400)
	g.comes("alone", "192.0.2.1")
	for i := range 60 { // all that it makes at once, before it has proved anything
		g.comes(fmt.Sprint("dial ", i), "192.0.2.2")
	}
	for i := range 1000 {
		// A /64 is one network.
		g.comes(fmt.Sprint("flood ", i), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}).String())
	}
	for i := range 200 {
		g.comes(fmt.Sprint("second flood ", i), "192.0.2.3")
	}
	for i, name := range g.ended {
		if name == "alone" || strings.HasPrefix(name, "dial") {
			t.Fatalf("%s was ended, the %d. of %d", name, i, len(g.ended))
		}
	}
	// Two floods share what is left evenly: neither drives the other out.
	_, _, _, most := g.crowded()
	if most < 165 || most > 175 {
		t.Errorf("the larger of two floods holds %d", most)
	}
}

// Recordings of proofs that are held open leave room for who has yet to prove itself,
// and for conversations that begin without the proof.
func TestRecordingsThatAreHeldOpenLeaveRoomForOthers(t *testing.T) {
	g := newGate(t, 400)
	for i := range 1000 {
		g.comes(fmt.Sprint("recording ", i), netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()).raise(tierAsked, echo.ID{})
	}
	for i := range 100 {
		g.comes(fmt.Sprint("conversation ", i), "192.0.2.2")
	}
	for i := range 1000 {
		g.comes(fmt.Sprint("recording again ", i), netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()).raise(tierAsked, echo.ID{})
	}
	if i := slices.IndexFunc(g.ended, func(s string) bool { return !strings.HasPrefix(s, "recording") }); i >= 0 {
		t.Errorf("%q was ended for them", g.ended[i])
	}
	if a, s := g.crowds[tierAsked].all, g.crowds[tierStrange].all; a+s != 400 || s != 100 {
		t.Errorf("%d recordings, %d strangers", a, s)
	}
}

// No network of a swarm holds more than its share: the oldest goes first, and
// a dial that makes many connections at once is not taken for the flood.
func TestSwarmOfManyNetworksShedsItsOldest(t *testing.T) {
	g := newGate(t, 400)
	for i := range 400 {
		g.comes(fmt.Sprint("old ", i), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
	}
	for i := range 50 {
		g.comes(fmt.Sprint("dial ", i), "192.0.2.2")
	}
	for i := range 340 {
		g.comes(fmt.Sprint("new ", i), netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String())
	}
	if len(g.ended) != 390 || slices.ContainsFunc(g.ended, func(s string) bool { return !strings.HasPrefix(s, "old") }) {
		t.Errorf("%d were ended: %q", len(g.ended), g.ended)
	}
}

// A site's /48 is one network, however many it makes of it: the flood of one costs
// nobody else, and mail, places and guesses are counted by it, too.
func TestASiteOfIPv6IsOneNetwork(t *testing.T) {
	g := newGate(t, 400)
	at := func(site, subnet uint16) string {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(site >> 8), byte(site), byte(subnet >> 8), byte(subnet), 15: 1}).String()
	}
	for i := range 50 {
		g.comes(fmt.Sprint("other ", i), at(uint16(2+i), 1))
	}
	for i := range 2000 {
		g.comes(fmt.Sprint("flood ", i), at(1, uint16(i)))
	}
	g.comes("dial", at(2, 2))
	for i := range 2000 {
		g.comes(fmt.Sprint("flood again ", i), at(1, uint16(5000+i)))
	}
	if i := slices.IndexFunc(g.ended, func(s string) bool { return !strings.HasPrefix(s, "flood") }); i >= 0 {
		t.Errorf("%q was ended for the flood", g.ended[i])
	}
	if _, _, widest, n := g.crowded(); widest.String() != "2001:db8:1::/48" || n != 349 {
		t.Errorf("%s has %d", widest, n)
	}
	var m mailbox
	for i := range 100 {
		m.put(echo.Peer{Remote: netip.AddrPortFrom(netip.MustParseAddr(at(1, uint16(i))), 1), Run: echo.ID{byte(i)}}, echo.Delivery{})
	}
	if len(m.kept) != maxMailFrom {
		t.Errorf("it has %d deliveries", len(m.kept))
	}
	for a, want := range map[string]string{"fe80::1%eth0": "fe80::1", "fe80::2": "fe80::2", "::1": "::1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::/48"} {
		if got := networkText(networkOf(netip.MustParseAddr(a))); got != want {
			t.Errorf("%s is of %s, want %s", a, got, want)
		}
	}
}

func TestNothingIsLeftOfConnectionsThatEnded(t *testing.T) {
	g := newGate(t, 100)
	var all []*place
	for i := range 1000 {
		p := g.comes("", netip.AddrFrom4([4]byte{10, 0, byte(i % 7), byte(i % 41)}).String())
		p.raise(tier(i%3), echo.NewID())
		if all = append(all, p); i%3 == int(tierProved) {
			p.release()
		}
	}
	if g.all > 100 {
		t.Errorf("%d connections", g.all)
	}
	for _, p := range all {
		p.release()
		p.release()
	}
	if g.all != 0 {
		t.Errorf("%d connections are left", g.all)
	}
	for i, c := range g.crowds {
		if len(c.networks)+len(c.order) != 0 {
			t.Errorf("tier %d: %d networks are left", i, len(c.networks))
		}
	}
}

func TestDescriptorsBoundConnections(t *testing.T) {
	l := newLimits()
	n := sock.MaxDescriptors()
	l.allow(n - reserveOf(n) - 20)
	if l.most != 20 {
		t.Errorf("%d", l.most)
	}
	l.allow(n)
	if l.most != fewestConns {
		t.Errorf("%d", l.most)
	}
	l.allow(0)
	if l.most > maxConns {
		t.Errorf("%d", l.most)
	}
	for descriptors, want := range map[int]int{40: 16, 64: 16, 256: 64, 1024: 256, 1 << 20: 512} {
		if got := reserveOf(descriptors); got != want {
			t.Errorf("of %d descriptors %d are kept", descriptors, got)
		}
	}
}

// stunHeader is how a Binding begins, and nobody's: what looks like the proof.
var stunHeader = []byte("\x00\x01\x00\x40\x21\x12\xa4\x42abcdefghijkl")

func TestHolderOfTheKeyGetsThroughACrowd(t *testing.T) {
	var mu sync.Mutex
	var said []string
	l := start(t, Config{OnTrouble: func(what string) { mu.Lock(); defer mu.Unlock(); said = append(said, what) }})
	l.limits.bound(16)
	crowd := func() {
		for i := range 64 { // four times as many, from the holder's own address
			if c := dialFrom(t, loop, l.at); i%2 == 0 {
				_, _ = c.Write(stunHeader)
			}
		}
	}
	crowd()
	ask := newAsk()
	c, kept := prove(t, loop, l.at, ask)
	h, err := c.Hello(within(t, guardTime))
	if err != nil || h.Shed < 32 || h.Shed > 64 {
		t.Errorf("%v, and it tells of %d that it ended", err, h.Shed)
	}
	crowd()
	asked := newAsk()
	prove(t, loop, l.at, asked) // and says no more
	crowd()
	w, err := c.Witness(within(t, guardTime), []echo.WitnessQuery{
		{Probe: ask.Probe, Transport: plan.TCP, Port: int(l.at.Port()), Source: result.EndpointFrom(sock.AddrPortOf(kept.LocalAddr())), BeganMS: 5000},
		{Probe: asked.Probe, Transport: plan.TCP, Port: int(l.at.Port()), BeganMS: 5000},
	})
	if err != nil {
		t.Fatalf("the proved connection was ended: %v", err)
	}
	for _, a := range w.Answers {
		if !a.Lasts {
			t.Errorf("one with the key was ended while there were strangers: %+v", a)
		}
	}
	if w.Shed < h.Shed || len(w.Paused) != 1 || !w.Paused[0].Shed {
		t.Errorf("it tells of %d that it ended, in %+v", w.Shed, w.Paused)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 1 || !strings.Contains(said[0], "16 connections, and may have 16") || !strings.Contains(said[0], "whoever has the key gets through") || !strings.Contains(said[0], "come from 127.0.0.1") {
		t.Errorf("said %q", said)
	}
}

func TestShedConnectionsAreCountedForAMinute(t *testing.T) {
	var s sheds
	a, now := netip.MustParseAddr("192.0.2.7"), time.Unix(1_000_000, 0)
	for i := range 100 {
		s.add(a, now.Add(time.Duration(i)*time.Second))
	}
	for after, want := range map[int]int{99: 60, 100: 59, 158: 1, 159: 0, 100000: 0} {
		if n := s.lately(now.Add(time.Duration(after) * time.Second)); n != want {
			t.Errorf("after %d s: %d", after, n)
		}
	}
	if got := s.of(a, now); len(got) != 1 {
		t.Errorf("%d spans, of one that goes on", len(got))
	}
	for i := range 3 * maxShedNetworks {
		s.add(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
	}
	for i := range 3 * echo.MaxPaused {
		s.add(a, now.Add(time.Duration(i)*time.Hour))
	}
	if len(s.networks.spans) > maxShedNetworks || len(s.of(a, now)) > echo.MaxPaused+1 {
		t.Errorf("%d networks, %d spans", len(s.networks.spans), len(s.of(a, now)))
	}
	// What was forgotten of it, for all those networks, may have been anybody's.
	later := now.Add(10 * time.Minute)
	if got := s.of(netip.MustParseAddr("192.0.2.99"), later); len(got) != 1 || !got[0].Shed || got[0].BeganMS < 600_000 || got[0].EndedMS > 600_000 {
		t.Errorf("another is told of %+v", got)
	}
}

// Sessions of FTP that each have a data port opened take no more descriptors for
// it than are kept for that: the oldest port makes room.
func TestDataPortsOfFTPAreBounded(t *testing.T) {
	l := spoken(t, plan.FTP, plan.TCP)
	l.data.bound(4)
	var conns []net.Conn
	for range 20 {
		conns = append(conns, dialFrom(t, loop, l.at)) // all wait to be greeted at once
	}
	var ports []netip.AddrPort
	for _, conn := range conns {
		answer := bufio.NewReader(conn)
		for _, command := range []string{"", "USER anonymous\r\n", "PASS a\r\n", "EPSV\r\n"} {
			if _, err := io.WriteString(conn, command); err != nil {
				t.Fatal(err)
			}
			line, err := answer.ReadString('\n')
			for err == nil && (len(line) < 4 || line[3] != ' ') {
				line, err = answer.ReadString('\n')
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, text, ok := strings.Cut(line, "(|||"); ok {
				number, _, _ := strings.Cut(text, "|")
				port, err := strconv.Atoi(number)
				if err != nil {
					t.Fatal(err)
				}
				ports = append(ports, netip.AddrPortFrom(loop, uint16(port)))
			}
		}
	}
	if len(ports) != 20 {
		t.Fatalf("%d of 20 sessions got a port", len(ports))
	}
	open := 0
	for i, at := range ports {
		c, err := net.Dial("tcp", at.String())
		if err == nil {
			open++
			c.Close()
		}
		if (err == nil) != (i >= 16) {
			t.Errorf("port %d of 20: %v", i, err)
		}
	}
	if open != 4 {
		t.Errorf("%d ports are open", open)
	}
}
