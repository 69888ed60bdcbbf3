package survey

import (
	"testing"

	"dialtone/internal/result"
)

// A path is tried more often where its trace shows that not every connection fares as
// its attempts did, and only there.
func TestSomeConnectionsGetThroughAsATraceShows(t *testing.T) {
	ending := func(h result.HopOutcome, varies bool) *result.Trace {
		return &result.Trace{Hops: []result.Hop{{TTL: 1, What: h}}, Distance: 1, Varies: varies}
	}
	for name, c := range map[string]struct {
		i    result.Initiator
		want bool
	}{
		"reset each time":              {result.Initiator{Connect: result.ConnectRST, Trace: ending(result.HopRST, false)}, false},
		"reset, and not each time":     {result.Initiator{Connect: result.ConnectRST, Trace: ending(result.HopRST, true)}, true},
		"reset, and the trace opened":  {result.Initiator{Connect: result.ConnectRST, Trace: ending(result.HopOpen, false)}, true},
		"silent, and the trace opened": {result.Initiator{Connect: result.ConnectTimeout, Trace: ending(result.HopOpen, false)}, true},
		"silent to the end":            {result.Initiator{Connect: result.ConnectTimeout, Trace: ending(result.HopSilent, false)}, false},
		"opened, and led nowhere":      {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerSilent, Trace: ending(result.HopOpen, false)}, false},
		"proved by now":                {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Trace: ending(result.HopRST, true)}, false},
		"not traced":                   {result.Initiator{Connect: result.ConnectRST}, false},
	} {
		if got := letsSomeThrough(&job{initiator: &c.i}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
