package verdict

import (
	"net/netip"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A path that is ruled on once more keeps what its evidence does not show, each once,
// and nothing that went with the verdict before.
func TestRulingAgainKeepsWhatTheEvidenceDoesNotShow(t *testing.T) {
	p := pathOf(question{Port: 1433, Initiator: &result.Initiator{Connect: result.ConnectRST, Attempts: 2}})
	for _, c := range []result.NoteCode{result.NoteAssumedPort, result.NoteOneFamily, result.NoteInstancePort, result.NoteRetried} {
		p.Notes = append(p.Notes, result.Note{Code: c, Text: "as it was"})
	}
	for range 2 {
		Rule(&p, Context{Mode: result.ModePaths})
		var got []result.NoteCode
		for _, n := range p.Notes {
			got = append(got, n.Code)
		}
		if len(got) != 3 || got[0] != result.NoteAssumedPort || got[1] != result.NoteOneFamily || got[2] != result.NoteInstancePort {
			t.Errorf("%v", got)
		}
	}
}

// Where some connections get no answer and others do, one trace of a path that gets none
// shows no place: each of its hops is a connection of its own. What answered it does.
func TestNoPlaceIsNamedWhereSomeConnectionsGetThrough(t *testing.T) {
	none := netip.Addr{}
	for name, c := range map[string]struct {
		how    result.ConnectOutcome
		trace  *result.Trace
		some   bool
		places bool
	}{
		"silence":                       {result.ConnectTimeout, ending(died(gate, core), result.HopSilent, none), false, true},
		"silence where some are lost":   {result.ConnectTimeout, ending(died(gate, core), result.HopSilent, none), true, false},
		"an answer where some are":      {result.ConnectICMP, ending(died(gate), result.HopICMP, core), true, true},
		"a reset where some are":        {result.ConnectRST, ending(died(gate), result.HopRST, none), true, true},
		"silence from the first hop on": {result.ConnectTimeout, ending(nil, result.HopSilent, none), true, false},
	} {
		i := failed(c.how)
		i.Trace = c.trace
		p := result.Path{Transport: plan.TCP, Port: 1433, Initiator: &i, Target: target}
		Rule(&p, Context{Mode: result.ModePaths, LosesSome: c.some})
		if (p.Stop != nil) != c.places {
			t.Errorf("%s: %+v", name, p.Stop)
		}
	}
}
