package dialer

import (
	"net/netip"
	"slices"
	"testing"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

func hops(outcomes ...result.HopOutcome) []result.Hop {
	var out []result.Hop
	for i, o := range outcomes {
		h := result.Hop{TTL: i + 1, What: o}
		if o == result.HopExceeded {
			h.From = netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		}
		out = append(out, h)
	}
	return out
}

func TestTraceEndsAtTheFirstAnswerOrTheFirstLastingSilence(t *testing.T) {
	const x, s, r, o = result.HopExceeded, result.HopSilent, result.HopRST, result.HopOpen
	for name, c := range map[string]struct {
		hops     []result.Hop
		ends     bool
		length   int // of the trimmed trace
		distance int
	}{
		"routers only: look further":        {hops(x, x, x, x, x, x), false, 6, 0},
		"a short silence: look further":     {hops(x, x, x, x, s, s), false, 5, 0},
		"a lasting silence":                 {hops(x, x, x, s, s, s), true, 4, 0},
		"a silent router in between":        {hops(x, s, x, s, s, s), true, 4, 0},
		"nobody answers":                    {hops(s, s, s, s, s, s), true, 1, 0},
		"open behind two routers":           {hops(x, x, o, o, o, o), true, 3, 3},
		"RST behind two routers":            {hops(x, x, r, r, r, r), true, 3, 3},
		"RST behind a router that is quiet": {hops(x, s, r, r, r, r), true, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ends(c.hops); got != c.ends {
				t.Errorf("ends: got %v, want %v", got, c.ends)
			}
			got := trimmed(slices.Clone(c.hops))
			if len(got.Hops) != c.length || got.Distance != c.distance {
				t.Errorf("trimmed: got %d hops at distance %d, want %d at %d", len(got.Hops), got.Distance, c.length, c.distance)
			}
		})
	}
}

// A trace's reset shows a place only if it comes every time.
func TestTraceSeesWhetherItsResetComesAgain(t *testing.T) {
	const x, s, r, o = result.HopExceeded, result.HopSilent, result.HopRST, result.HopOpen
	for name, c := range map[string]struct {
		hops []result.Hop
		then []result.HopOutcome // what comes at the last hop's TTL after that
		want bool
	}{
		"every time":              {hops(x, x, r), []result.HopOutcome{r, r, r, r, r}, false},
		"not the second time":     {hops(x, x, r), []result.HopOutcome{o}, true},
		"not the last time":       {hops(x, x, r), []result.HopOutcome{r, r, r, r, x}, true},
		"or nothing comes":        {hops(x, x, r), []result.HopOutcome{r, s}, true},
		"no reset, no more tries": {hops(x, x, o), nil, false},
		"silence, no more tries":  {hops(x, x, s), nil, false},
		"nothing at all":          {nil, nil, false},
	} {
		trace := trimmed(c.hops)
		n := 0
		got := varies(trace, func(ttl int) (result.Hop, error) {
			if ttl != 3 || n == len(c.then) {
				t.Fatalf("%s: try %d at TTL %d", name, n+1, ttl)
			}
			n++
			return result.Hop{TTL: ttl, What: c.then[n-1]}, nil
		})
		if got != c.want || n != len(c.then) {
			t.Errorf("%s: %v after %d more", name, got, n)
		}
	}
}

func TestTraceThatCannotBeMadeTellsNoSilence(t *testing.T) {
	if !sock.CanTrace() {
		t.Skip("this system does not trace")
	}
	elsewhere := netip.MustParseAddr("192.0.2.1") // not an address of this machine
	got := Trace(t.Context(), elsewhere, netip.MustParseAddrPort("127.0.0.1:9"))
	if got.Unknown == "" || len(got.Hops) > 0 {
		t.Errorf("got %d hops and %q, want none and why", len(got.Hops), got.Unknown)
	}
}
