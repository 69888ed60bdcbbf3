package main

import (
	"slices"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
)

// A flag that is added finds its place in the help, and an example says what there is.
func TestTheHelpHasAPlaceForEveryFlagAndExamplesOfWhatIsThere(t *testing.T) {
	a := app()
	if left := cli.Ungrouped(a); len(left) > 0 {
		t.Errorf("no group of guide has %v", left)
	}
	for name, all := range guide.Examples {
		c := a.Command(name)
		if name != "" && c == nil {
			t.Errorf("examples of %s, which is no command", name)
			continue
		}
		flags := a.Flags
		if c != nil {
			flags = c.Flags
		}
		for _, e := range all {
			if want := strings.TrimSpace(a.Name + " " + name); !strings.HasPrefix(strings.TrimPrefix(e.Command, "sudo "), want) {
				t.Errorf("%q is no example of %s", e.Command, want)
			}
			for word := range strings.FieldsSeq(e.Command) {
				if f, ok := strings.CutPrefix(word, "--"); ok && !slices.ContainsFunc(flags, func(x ucli.Flag) bool { return slices.Contains(x.Names(), f) }) {
					t.Errorf("%q: there is no --%s", e.Command, f)
				}
			}
		}
	}
}
