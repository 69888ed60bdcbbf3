package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestAWindowOfItsOwnAsksAndStaysOpen(t *testing.T) {
	for _, c := range []struct {
		name        string
		own         bool
		args        []string
		asks, waits bool
	}{
		{"double-clicked", true, []string{"prog"}, true, true},
		{"opened with arguments, as a shortcut has them", true, []string{"prog", "host"}, false, true},
		{"in a shell's window", false, []string{"prog"}, false, false},
	} {
		var got []string
		asked := false
		app := &cli.App{Name: "prog", Action: func(c *cli.Context) error { got = c.Args().Slice(); return nil }}
		in := strings.NewReader("answer\nrest\n")
		var out strings.Builder
		code := mainIn(c.own, app, c.args, in, &out, io.Discard, func(line func() (string, bool), _ io.Writer) []string {
			asked = true
			text, _ := line()
			return []string{text}
		})
		if code != ExitOK || asked != c.asks || strings.Contains(out.String(), "Press Enter") != c.waits {
			t.Errorf("%s: exit %d, asked %v, said %q", c.name, code, asked, &out)
		}
		if want := strings.Join(c.args[1:], " "); c.asks && got[0] != "answer" || !c.asks && strings.Join(got, " ") != want {
			t.Errorf("%s: ran with %q", c.name, got)
		}
	}
}
