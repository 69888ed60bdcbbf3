package verdict

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// ECN is named where what was marked for it never arrived; that a device drops it is said
// only where everything else did arrive.
func TestLostSegmentsThatWereMarkedForECN(t *testing.T) {
	const negotiated, drops = "ECN was negotiated", "drops what is marked"
	all := result.TCP{MSS: 1448, Segments: 368, Retransmits: 184, ECN: true}
	some := all
	some.Retransmits = 30
	plain := all
	plain.ECN = false
	clean := result.TCP{MSS: 1448, Segments: 184, ECN: true}
	seen := clean
	seen.ECNSeen = true
	for name, c := range map[string]struct {
		there, back *result.TCP
		connectMS   float64
		say, not    []string
	}{
		"both ways":               {&all, &all, 20, []string{negotiated, drops, "arrived from client nor from database", "tcp_ecn=0"}, nil},
		"one way":                 {&all, &clean, 20, []string{drops, "arrived from client,"}, []string{"nor from"}},
		"some are lost":           {&some, &clean, 20, []string{negotiated}, []string{drops}},
		"the SYN was lost too":    {&all, &clean, 1100, []string{negotiated}, []string{drops}},
		"marked ones arrived":     {&all, &seen, 20, nil, []string{"ECN"}},
		"not negotiated":          {&plain, &clean, 20, nil, []string{"ECN"}},
		"the other end is silent": {&all, nil, 20, nil, []string{"ECN"}},
	} {
		i := proved()
		i.TCP, i.ConnectMS, i.RTTMS = c.there, c.connectMS, new(15.0)
		a := acceptor(result.PortBound, result.SawAccepted)
		a.TCP = c.back
		text := lossy(pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: a, Instance: here}))
		if text == "" {
			t.Errorf("%s: is not lossy", name)
		}
		for _, w := range c.say {
			if !strings.Contains(text, w) {
				t.Errorf("%s: not %q: %s", name, w, text)
			}
		}
		for _, w := range c.not {
			if strings.Contains(text, w) {
				t.Errorf("%s: %q: %s", name, w, text)
			}
		}
	}
}
