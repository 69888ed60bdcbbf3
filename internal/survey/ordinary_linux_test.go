package survey

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// live is software that holds a port of the far end's, and keeps all that it is sent.
type live struct {
	net.Listener
	mu   sync.Mutex
	got  bytes.Buffer
	came int
}

// hold holds a port at an address; answer is what it does with each connection.
func hold(t *testing.T, at netip.AddrPort, answer func(*live, net.Conn)) *live {
	t.Helper()
	l, err := net.Listen("tcp4", at.String())
	if err != nil {
		cannotBind(t, at.Addr(), &listener.BindError{Err: err})
	}
	h := &live{Listener: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.came++
			h.mu.Unlock()
			all.Go(func() { defer c.Close(); answer(h, c) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return h
}

func (h *live) read(c net.Conn) (string, error) {
	b := make([]byte, 1024)
	n, err := c.Read(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got.Write(b[:n])
	return string(b[:n]), err
}

func (h *live) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got.String()
}

// mute reads and says nothing.
func mute(h *live, c net.Conn) {
	for {
		if _, err := h.read(c); err != nil {
			return
		}
	}
}

// web answers a request and keeps the connection.
func web(h *live, c net.Conn) {
	said := ""
	for {
		s, err := h.read(c)
		if said += s; err != nil {
			return
		}
		if strings.HasSuffix(said, "\r\n\r\n") {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nServer: live/1.0\r\nContent-Length: 3\r\n\r\nhi\n")
			said = ""
		}
	}
}

// besides is a far end where live software holds the first ports of a plan.
func besides(t *testing.T, p *plan.Plan) {
	t.Helper()
	l := listener.New(listener.Config{Key: prooftest.RightKey, Software: "test", Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{far}})
	l.Bind(t.Context())
	t.Cleanup(serve(t, l))
}

// Beside live software each path to it is what its kernel saw: accepted and counted,
// or accepted only, and software that nobody knows gets not one byte.
func TestLiveSoftwareIsReachedWithoutAProof(t *testing.T) {
	odyssey, http := row("odyssey", 24701, "client", "server"), row("web", 24702, "client", "server")
	odyssey.Speaks, http.Speaks = plan.Odyssey, plan.HTTP
	free := row("free", 24703, "client", "server")
	free.Need = plan.Optional
	p := planOf(odyssey, http, free)
	silent := hold(t, netip.AddrPortFrom(far, 24701), mute)
	served := hold(t, netip.AddrPortFrom(far, 24702), web)
	besides(t, p)
	before := len(served.all())

	r := run(t, t.Context(), config(p, far))
	got := pathTo(t, r, "odyssey", plan.Forward)
	expect(t, got, result.Arrived)
	if got.OK || got.Proof != result.ProofSeen || got.Finding == nil || got.Finding.Code != result.CodeReached {
		t.Errorf("ok %t, proof %s, %+v", got.OK, got.Proof, got.Finding)
	}
	if s := silent.all(); s != "" {
		t.Errorf("live software of Odyssey's got %q", s)
	}
	if silent.came != 6 {
		t.Errorf("%d connections to it, want 6", silent.came)
	}

	got = pathTo(t, r, "web", plan.Forward)
	expect(t, got, result.Open)
	if !got.OK || got.Proof != result.ProofSeen || got.Finding != nil {
		t.Errorf("ok %t, proof %s, %+v", got.OK, got.Proof, got.Finding)
	}
	if o, n := got.Initiator.Ordinary, got.Acceptor.Counted; o == nil || n == nil || o.Sent == 0 || o.Sent != n.In || o.Received == 0 || o.Received > n.Out {
		t.Errorf("here %+v, there %+v", o, n)
	}
	if got.Acceptor.Source != got.Source {
		t.Errorf("seen as %s, and it came from %s", got.Acceptor.Source, got.Source)
	}
	if s := served.all()[before:]; strings.Contains(s, "\x21\x12\xa4\x42") || !strings.HasPrefix(s, "GET /") {
		t.Errorf("it got %q", s)
	}
	expect(t, pathTo(t, r, "free", plan.Forward), result.Open)
}

// Where only such a row is tested, the far end is asked first on one that is not: nobody
// finds out by a proof which software is live.
func TestLiveSoftwareThatAloneIsTestedGetsNoProof(t *testing.T) {
	odyssey, free := row("odyssey", 24704, "client", "server"), row("free", 24705, "client", "server")
	odyssey.Speaks = plan.Odyssey
	p := planOf(odyssey, free)
	silent := hold(t, netip.AddrPortFrom(far, 24704), mute)
	besides(t, p)
	c := config(p, far)
	c.Only = []string{"odyssey"}
	r := run(t, t.Context(), c)
	expect(t, pathTo(t, r, "odyssey", plan.Forward), result.Arrived)
	if s := silent.all(); s != "" {
		t.Errorf("live software of Odyssey's got %q", s)
	}
	if len(r.Paths) != 1 {
		t.Errorf("%d paths, and one was asked for", len(r.Paths))
	}
}

// On a slow way the far end says late which ports are live: until then none whose software
// is best left alone gets a proof.
func TestLiveSoftwareGetsNoProofOnASlowWay(t *testing.T) {
	odyssey, free := row("odyssey", 24706, "client", "server"), row("free", 24707, "client", "server")
	odyssey.Speaks = plan.Odyssey
	p := planOf(odyssey, free)
	silent := hold(t, netip.AddrPortFrom(far, 24706), mute)
	besides(t, p)
	relay := func(port uint16, late time.Duration) {
		hold(t, netip.AddrPortFrom(device, port), func(_ *live, c net.Conn) {
			to, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: near.AsSlice()}}).Dial("tcp4", netip.AddrPortFrom(far, port).String())
			if err != nil {
				return
			}
			defer to.Close()
			time.Sleep(late)
			go func() { _, _ = io.Copy(to, c); _ = to.(*net.TCPConn).CloseWrite() }()
			_, _ = io.Copy(c, to)
		})
	}
	relay(24706, 0)
	relay(24707, 1200*time.Millisecond)
	r := run(t, t.Context(), config(p, device))
	expect(t, pathTo(t, r, "free", plan.Forward), result.Open)
	if s := silent.all(); s != "" {
		t.Errorf("live software of Odyssey's got %q", s)
	}
}

// With --enter it is one empty line, and that is counted.
func TestOneEmptyLineIsCountedByLiveSoftware(t *testing.T) {
	odyssey, free := row("odyssey", 24711, "client", "server"), row("free", 24712, "client", "server")
	odyssey.Speaks, free.Need = plan.Odyssey, plan.Optional
	p := planOf(odyssey, free)
	silent := hold(t, netip.AddrPortFrom(far, 24711), mute)
	besides(t, p)
	c := config(p, far)
	c.Enter = true
	got := pathTo(t, run(t, t.Context(), c), "odyssey", plan.Forward)
	expect(t, got, result.Open)
	if !got.OK || got.Proof != result.ProofSeen || len(got.Notes) != 2 || got.Notes[1].Code != result.NoteOneLine {
		t.Errorf("ok %t, proof %s, %+v", got.OK, got.Proof, got.Notes)
	}
	want := strings.Repeat("\r\n", 6) // one on each connection
	for end := time.Now().Add(10 * time.Second); silent.all() != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) { // the program may read later than its kernel counts
			t.Fatalf("it got %q", silent.all())
		}
	}
}

// A device between the ends is no live software, whatever it answers: relays are, as
// far as what they pass on is counted.
func TestWhatNeverCameToLiveSoftwareIsIntercepted(t *testing.T) {
	if sock.MayBeLedElsewhere() {
		t.Skip("this machine tracks connections, so that what is not in its table is unknown")
	}
	odyssey, http, free := row("odyssey", 24721, "client", "server"), row("web", 24722, "client", "server"), row("free", 24723, "client", "server")
	odyssey.Speaks, http.Speaks, free.Need = plan.Odyssey, plan.HTTP, plan.Optional
	p := planOf(odyssey, http, free)
	hold(t, netip.AddrPortFrom(far, 24721), mute)
	hold(t, netip.AddrPortFrom(far, 24722), web)
	besides(t, p)
	// At the device's address the free port leads to the far end, and the others to the
	// device itself.
	hold(t, netip.AddrPortFrom(device, 24721), mute)
	hold(t, netip.AddrPortFrom(device, 24722), web)
	hold(t, netip.AddrPortFrom(device, 24723), func(_ *live, c net.Conn) {
		to, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: near.AsSlice()}}).Dial("tcp4", netip.AddrPortFrom(far, 24723).String())
		if err != nil {
			return
		}
		defer to.Close()
		go func() { _, _ = io.Copy(to, c); _ = to.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(c, to)
	})
	r := run(t, t.Context(), config(p, device))
	for _, flow := range []string{"odyssey", "web"} {
		got := pathTo(t, r, flow, plan.Forward)
		if got.Verdict == result.Open || got.Verdict == result.Arrived || got.OK && flow == "odyssey" {
			t.Errorf("%s is %s (ok %t): %+v", flow, got.Verdict, got.OK, got.Acceptor)
		}
	}
}

// A connection that is over before anybody can be asked about it is not there any more:
// that is no word of a device on the way.
func TestLiveSoftwareThatHangsUpIsNotOpen(t *testing.T) {
	http, free := row("web", 24731, "client", "server"), row("free", 24732, "client", "server")
	http.Speaks, free.Need = plan.HTTP, plan.Optional
	p := planOf(http, free)
	hold(t, netip.AddrPortFrom(far, 24731), func(h *live, c net.Conn) {
		_, _ = h.read(c)
		_ = c.(*net.TCPConn).SetLinger(0) // RST
	})
	besides(t, p)
	got := pathTo(t, run(t, t.Context(), config(p, far)), "web", plan.Forward)
	expect(t, got, result.Reset)
	if got.OK {
		t.Error("it is ok")
	}
}

// The same the other way: the far end makes ordinary connections to live software
// here, and this end sees by itself whether they came.
func TestLiveSoftwareHereIsReachedFromTheFarEnd(t *testing.T) {
	back, web2 := row("back", 24741, "server", "client"), row("web-back", 24742, "server", "client")
	back.Speaks, web2.Speaks = plan.Odyssey, plan.HTTP
	free := row("free", 24743, "client", "server")
	p := planOf(back, web2, free)
	silent := hold(t, netip.AddrPortFrom(near, 24741), mute)
	served := hold(t, netip.AddrPortFrom(near, 24742), web)
	listen(t, p, far)
	for _, enter := range []bool{false, true} {
		c := config(p, far)
		c.Enter = enter
		r := run(t, t.Context(), c)
		got, want := pathTo(t, r, "back", plan.Reverse), result.Arrived
		sent := ""
		if enter {
			want, sent = result.Open, "\r\n\r\n"
		}
		expect(t, got, want)
		if got.Proof != result.ProofSeen || got.Acceptor == nil || got.Acceptor.Source != got.Source || got.Acceptor.Match != result.MatchAddress {
			t.Errorf("proof %s, %+v", got.Proof, got.Acceptor)
		}
		// It is asked once whether it is a listener of this machine's own, since it is this
		// very program. No path's proof goes there.
		if s := silent.all(); strings.Contains(s, "back") || !strings.HasSuffix(s, sent) {
			t.Errorf("with enter %t live software of Odyssey's got %q", enter, s)
		}
		got = pathTo(t, r, "web-back", plan.Reverse)
		expect(t, got, result.Open)
		if !got.OK || got.Proof != result.ProofSeen {
			t.Errorf("ok %t, proof %s, %+v", got.OK, got.Proof, got.Finding)
		}
	}
	if s := served.all(); strings.Contains(s, "web-back") {
		t.Errorf("it got %q", s)
	}
}

// What two connections to live software did says little of the next: a path of which
// every fourth connection is ended is not open, in either direction.
func TestLiveSoftwareThatIsReachedNowAndThenIsUnsteady(t *testing.T) {
	there, back := row("web", 24751, "client", "server"), row("back", 24752, "server", "client")
	there.Speaks, back.Speaks = plan.HTTP, plan.Odyssey
	p := planOf(there, back, row("free", 24753, "client", "server"))
	hold(t, netip.AddrPortFrom(far, 24751), everyFourthEnded(web))
	hold(t, netip.AddrPortFrom(near, 24752), everyFourthEnded(mute))
	besides(t, p)
	c := config(p, far)
	c.Enter = true
	r := run(t, t.Context(), c)
	for id, d := range map[string]plan.Direction{"web": plan.Forward, "back": plan.Reverse} {
		got := pathTo(t, r, id, d)
		expect(t, got, result.Unsteady)
		if passed, failed := result.Compare(got.Initiator.Connections); len(failed) == 0 || len(passed) == 0 {
			t.Errorf("%s: %d passed and %d failed", id, len(passed), len(failed))
		}
	}
}

// everyFourthEnded ends every fourth connection by a RST, and answers the others.
func everyFourthEnded(answer func(*live, net.Conn)) func(*live, net.Conn) {
	return func(h *live, c net.Conn) {
		h.mu.Lock()
		n := h.came
		h.mu.Unlock()
		if n%4 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0)
			return
		}
		answer(h, c)
	}
}
