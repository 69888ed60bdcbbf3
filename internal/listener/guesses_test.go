package listener

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
)

// Attempts with another key are counted by network, also those that are too many
// to be written down one by one.
func TestGuessesOfTheKeyAreCountedAndShown(t *testing.T) {
	w := newWritten(t)
	at := time.Unix(1_000_000, 0)
	guess := func(from string) {
		remote := netip.AddrPortFrom(netip.MustParseAddr(from), 50000)
		w.contact(Event{At: at, Kind: echo.KindWrongKey, Peer: echo.Peer{Remote: remote, Local: netip.MustParseAddrPort("198.51.100.9:1433"), Transport: plan.TCP}})
	}
	for range 500 {
		guess("2001:db8::1")
		guess("2001:db8::2")
	}
	guess("192.0.2.7")
	guess("192.0.2.7")
	all := w.all(t)
	want := "Under another key than this listener's came 1002 requests: 2001:db8::/48 ×1000, 192.0.2.7 ×2. "
	if !strings.Contains(all["summary"], want) {
		t.Errorf("summary: %s", all["summary"])
	}
	for _, name := range []string{"ledger", "JSON", "screen"} {
		if !strings.Contains(all[name], "the 1st under another key from 192.0.2.7, of 1001 in all") {
			t.Errorf("%s: %s", name, all[name])
		}
	}
	lines := bytes.Split(bytes.TrimSpace([]byte(all["ledger"])), []byte("\n"))
	var last struct{ Detail string }
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || !strings.Contains(last.Detail, "the 2nd under another key from 192.0.2.7, of 1002 in all") {
		t.Errorf("%s: %v", lines[len(lines)-1], err)
	}
	if n := len(lines); n > 100 {
		t.Errorf("%d lines in the ledger", n)
	}
}

func TestGuessesOfManyNetworksAreBounded(t *testing.T) {
	var g guesses
	for i := range 3 * maxGuessNetworks {
		g.add(netip.MustParseAddr("192.0.2.7"))
		g.add(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(g.networks) > maxGuessNetworks || g.all != 6*maxGuessNetworks || g.networks[netip.MustParsePrefix("192.0.2.7/32")] != 3*maxGuessNetworks {
		t.Errorf("%d networks, %d in all, %d from the one that guessed most", len(g.networks), g.all, g.networks[netip.MustParsePrefix("192.0.2.7/32")])
	}
}

// However many guess, over TCP, UDP and a service's own conversation, and from
// the holder's own address: the holder is let in at once, and the guesses are told.
func TestGuessingLocksNobodyOut(t *testing.T) {
	l := spoken(t, plan.HTTP, plan.TCP)
	guess := newAsk()
	guess.Key = wrongKey
	for range 200 {
		conn := dialFrom(t, loop, l.at)
		if _, err := echo.Prove(within(t, guardTime), conn, guess); err == nil {
			t.Fatal("another key is taken for the right one")
		}
		conn.Close()
	}
	token := wrongKey.Token(guess.Probe)
	said(t, dialFrom(t, loop, l.at), []byte("GET /dialtone/"+hex.EncodeToString(token[:])+" HTTP/1.1\r\nHost: a\r\n\r\n"))
	prove(t, loop, l.at, newAsk())
	n := 0
	for _, c := range l.told.list() {
		if c.Kind == echo.KindWrongKey {
			n++
		}
	}
	if n != 201 {
		t.Errorf("%d guesses were told of", n)
	}
}
