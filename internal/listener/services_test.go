package listener

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// spoken starts a listener on a port that speaks a protocol.
func spoken(t *testing.T, p plan.Protocol, transport plan.Transport) *running {
	t.Helper()
	row := plan.Row{ID: "row", Transport: transport, Speaks: p}
	return start(t, Config{Plan: planOf(row), Ports: []plan.Binding{{Transport: transport, Rows: []plan.Row{row}}}})
}

func TestServiceIsAnsweredAndItsTokenIsWitnessed(t *testing.T) {
	t.Parallel()
	for _, p := range []plan.Protocol{plan.HTTP, plan.HTTPS, plan.FTP, plan.SMTP, plan.TDS, plan.LDAP, plan.LDAPS, plan.RDP, plan.Z3950, plan.ISOILL, plan.Odyssey} {
		t.Run(string(p), func(t *testing.T) {
			l := spoken(t, p, plan.TCP)
			token := echo.NewID()
			path := dialer.Path{Flow: "row", Transport: plan.TCP, Target: l.at}
			o := dialer.Options{Key: rightKey, Timeout: guardTime}
			asks := dialer.Conversation{Speaks: p, Host: "localhost", Token: token, Fingerprint: l.fingerprint}
			c := dialer.Converse(t.Context(), path, o, asks)
			if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) > 0 {
				t.Fatalf("%+v", c)
			}
			q := echo.WitnessQuery{Probe: token, Transport: plan.TCP, Port: int(l.at.Port()), SourceChanged: true}
			if a := l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())[0]; a.Match != result.MatchProbe || !a.Proved {
				t.Errorf("witnessed %+v", a)
			}
			// Another key's token is answered as a stranger's.
			o.Key, asks.Token = wrongKey, echo.NewID()
			if c := dialer.Converse(t.Context(), path, o, asks); c.Keyed {
				t.Errorf("another key: %+v", c)
			}
			q.Probe = asks.Token
			if a := l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())[0]; a.Match == result.MatchProbe {
				t.Errorf("another key's token is witnessed: %+v", a)
			}
			// And the proof still passes there.
			prove(t, loop, l.at, newAsk())
		})
	}
}

func TestProofThatComesAfterAGreetingIsAnswered(t *testing.T) {
	t.Parallel()
	for _, p := range []plan.Protocol{plan.FTP, plan.SMTP} {
		l := spoken(t, p, plan.TCP)
		conn, err := net.Dial("tcp", l.at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(guardTime))
		greeting, err := bufio.NewReaderSize(conn, 16).Peek(4)
		if err != nil || string(greeting) != "220 " && string(greeting) != "220-" {
			t.Fatalf("%s: %q, %v", p, greeting, err)
		}
		late, err := net.Dial("tcp", l.at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		time.Sleep(2 * greetAfter) // its greeting is there by now, unread
		ask := newAsk()
		ask.Greeted = true
		if _, err := echo.Prove(within(t, guardTime), late, ask); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// TestAttemptOverARelayThatHandsOnLateIsProved: what holds up the first bytes of
// a connection lets the service greet meanwhile.
func TestAttemptOverARelayThatHandsOnLateIsProved(t *testing.T) {
	t.Parallel()
	for _, p := range []plan.Protocol{plan.FTP, plan.SMTP} {
		l := spoken(t, p, plan.TCP)
		path := dialer.Path{Flow: "row", Transport: plan.TCP, Target: lateRelay(t, l.at, 2*greetAfter+1200*time.Millisecond), Probe: echo.NewID(), Speaks: p}
		i := dialer.Attempt(t.Context(), path, dialer.Options{Key: rightKey, Timeout: guardTime, ProofOnly: true})
		if i.Answer != result.AnswerKeyed {
			t.Errorf("%s: %s %s", p, i.Answer, i.Error)
		}
		path.Speaks, path.Probe = plan.Odyssey, echo.NewID() // whose server never greets: a stranger did
		if i := dialer.Attempt(t.Context(), path, dialer.Options{Key: rightKey, Timeout: guardTime, ProofOnly: true}); i.Answer != result.AnswerForeign {
			t.Errorf("a greeting where none is due, before %s's: %s", p, i.Answer)
		}
	}
}

// lateRelay relays connections and hands on the first bytes of the dialing side
// so much later.
func lateRelay(t *testing.T, to netip.AddrPort, late time.Duration) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		cancel()
		all.Wait()
	})
	all.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to.String())
			if err != nil {
				near.Close()
				continue
			}
			stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
			all.Go(func() {
				defer stop()
				defer far.Close()
				if sock.Wait(ctx, late) {
					_, _ = io.Copy(far, near)
				}
			})
			all.Go(func() {
				defer near.Close()
				_, _ = io.Copy(near, far)
			})
		}
	})
	return netip.MustParseAddrPort(ln.Addr().String())
}

func TestSQLBrowserAnswersOnlyWhoProvedItselfOfLate(t *testing.T) {
	sql := plan.Row{ID: "sql", Transport: plan.TCP, Speaks: plan.TDS}
	browser := plan.Row{ID: "browser", Transport: plan.UDP, Speaks: plan.SQLBrowser}
	l := start(t, Config{Plan: planOf(sql, browser), Ports: []plan.Binding{
		{Transport: plan.TCP, Rows: []plan.Row{sql}}, {Transport: plan.UDP, Rows: []plan.Row{browser}},
	}})
	var udp netip.AddrPort
	for _, b := range l.Bound() {
		if b.Transport == plan.UDP {
			udp = b.Addr
		}
	}
	// The listener asked its own ports from the usual one.
	ask := func(d time.Duration) string {
		c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(elsewhere, 0)), net.UDPAddrFromAddrPort(udp))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte{3})
		_ = c.SetReadDeadline(time.Now().Add(d))
		b := make([]byte, 2048)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	if got := ask(300 * time.Millisecond); got != "" {
		t.Errorf("a stranger got %q", got)
	}
	c, _ := prove(t, elsewhere, l.at, newAsk())
	if got := ask(300 * time.Millisecond); got != "" {
		t.Errorf("who sent a Binding, which may be a recording, got %q", got)
	}
	if _, err := c.Hello(within(t, guardTime)); err != nil {
		t.Fatal(err)
	}
	if got := ask(guardTime); !strings.Contains(got, "MSSQLSERVER") {
		t.Errorf("after a proof: %q", got)
	}
}

func TestAProofCountsForSQLBrowserForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p provedAddrs
		if p.has(loop) {
			t.Error("nothing was proved")
		}
		p.add(loop)
		time.Sleep(10*time.Minute - time.Second)
		if !p.has(loop) || p.has(elsewhere) {
			t.Error("just before the end")
		}
		time.Sleep(time.Second)
		if p.has(loop) {
			t.Error("it counts for longer")
		}
	})
}
