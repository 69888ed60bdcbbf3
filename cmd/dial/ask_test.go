package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/cli"
)

// What somebody answers whose first window is that of a double-click.
func TestWhoDoubleClicksIsAskedForHostAndKey(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"host and key", []string{"10.2.0.10", "tarantula-lyrically"}, []string{"--key=tarantula-lyrically", "--", "10.2.0.10"}},
		{"the whole line", []string{"  dial --key tarantula-lyrically 10.2.0.10 "}, []string{"--key", "tarantula-lyrically", "10.2.0.10"}},
		{"with its path", []string{`C:\dialtone\dial.exe --key "six words here" 10.2.0.10`}, []string{"--key", "six words here", "10.2.0.10"}},
		{"a partner's line", []string{"dial odyssey --key w h"}, []string{"odyssey", "--key", "w", "h"}},
		{"an invitation", []string{"dialtone-invitation-1:abc.end"}, []string{"odyssey", "dialtone-invitation-1:abc.end"}},
		{"a saved mail", []string{"@mail.eml"}, []string{"@mail.eml"}},
		{"a host called dial", []string{"dial", "k"}, []string{"--key=k", "--", "dial"}},
		{"nothing", []string{""}, nil},
		{"the end", nil, nil},
	} {
		var asked strings.Builder
		got := ask(func() (string, bool) {
			if len(c.lines) == 0 {
				return "", false
			}
			l := c.lines[0]
			c.lines = c.lines[1:]
			return l, true
		}, &asked)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if len(c.lines) > 0 {
			t.Errorf("%s: not asked for %q", c.name, c.lines)
		}
	}
}

// What ask makes of it is a command line that dial takes.
func TestWhatIsAskedForIsACommandLine(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	for answer, want := range map[string]string{"": "no HOST", "report.json": "is the name of a file"} {
		var said strings.Builder
		lines := []string{answer, "tiling-walnut-quilt-mango-unlit-twelve"}
		args := ask(func() (string, bool) { l := lines[0]; lines = lines[1:]; return l, true }, io.Discard)
		if code := cli.Run(app(), append([]string{"dial"}, args...), io.Discard, &said); code != cli.ExitUsage || !strings.Contains(said.String(), want) {
			t.Errorf("%q: exit %d, %s", answer, code, &said)
		}
	}
}
