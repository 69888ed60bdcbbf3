package report

import (
	"bytes"
	"strings"
	"testing"

	"dialtone/internal/move"
)

func TestAMoveSheetSaysTheSameInEveryForm(t *testing.T) {
	evil := "=x | <b>\x1b[2J\u202e"
	s := &move.Sheet{
		Old: []string{"10.2.0.10"}, New: "192.0.2.20", Plan: "illiad", Home: []string{"In ILLiad's Customization Manager, change the entries " + evil},
		Parties: []move.Party{{Name: evil, Role: "peer", Addresses: []string{"203.0.113.7"}, Test: "dial odyssey --key KEY 192.0.2.20", Changes: []move.Change{
			{Where: move.Outgoing, What: "Allow from 203.0.113.7 to 192.0.2.20, as now to 10.2.0.10", Old: "10.2.0.10", New: "192.0.2.20", Ports: []string{"7968/tcp Odyssey", "1611/tcp ISO ILL"}},
		}}},
	}
	for _, f := range Move.Forms {
		var b bytes.Buffer
		if err := Move.Write(&b, f.Format, s, Options{}); err != nil {
			t.Fatal(err)
		}
		out := flat(b.String())
		for _, want := range []string{"Allow from 203.0.113.7 to 192.0.2.20, as now to 10.2.0.10", "7968/tcp Odyssey", "dial odyssey --key KEY 192.0.2.20"} {
			if !strings.Contains(strings.ReplaceAll(out, "\\", ""), want) {
				t.Errorf("%s lacks %q:\n%s", f.Format, want, out)
			}
		}
		if strings.ContainsAny(out, "\x1b\u202e") || f.Format == CSV && strings.Contains(out, ",=x") || f.Format == Markdown && strings.Contains(out, " <b>") {
			t.Errorf("%s lets it through:\n%s", f.Format, out)
		}
		if f.Format == Text {
			fitsColumns(t, "a move sheet", b.String(), 80)
		}
	}
}
