package verdict

import (
	"testing"

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
