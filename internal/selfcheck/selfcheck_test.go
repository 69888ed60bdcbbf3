package selfcheck

import (
	"context"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/cli"
	"dialtone/internal/plan"
)

func config(t *testing.T) Config {
	t.Helper()
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	return Config{Program: "dial", Version: "dial 9.9", Plan: p, Dir: t.TempDir(),
		Color: func(*os.File) bool { return false }, WritePrivate: cli.WritePrivate}
}

// What this system is known to do comes out so; a point that stopped working would be
// sent back by every tester as his system's fault.
func TestThisSystemIsAsExpected(t *testing.T) {
	r := Run(t.Context(), config(t))
	at := map[string]Point{}
	for _, p := range r.Points {
		if p.State == 0 || p.Asks == "" {
			t.Errorf("%s: %v %q", p.ID, p.State, p.Asks)
		}
		if _, twice := at[p.ID]; twice {
			t.Errorf("%s is there twice", p.ID)
		}
		at[p.ID] = p
	}
	for _, id := range []string{"connect-refused", "bind-taken", "bind-elsewhere", "reset", "udp", "udp-closed", "udp-too-large", "holder", "clock", "private-file"} {
		if at[id].State != Expected {
			t.Errorf("%s: %s\n%s", id, at[id].State, strings.Join(at[id].Seen, "\n"))
		}
	}
	if s := at["system"]; s.State != Told || len(s.Seen) == 0 {
		t.Errorf("system: %+v", s)
	}
	if n := at["half-open"]; n.State == Told && !strings.Contains(strings.Join(n.Seen, ""), "LISTEN") {
		t.Errorf("the table has no listener: %q", n.Seen)
	}
	t.Logf("%s", r.Text())
}

// A file that is not its owner's alone is told.
func TestAFileThatOthersReadIsTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("TestAFileWithAKeyIsItsOwnersAlone is about that")
	}
	c := config(t)
	c.WritePrivate = func(name string, b []byte) error { return os.WriteFile(name, b, 0o644) }
	if state, seen := privateFile(t.Context(), c); state != Differs {
		t.Errorf("%s %q", state, seen)
	}
	if left, err := os.ReadDir(c.Dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestWhatHangsOrFailsEndsNothingElse(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	r := runAll(t.Context(), config(t), []try{
		{"hangs", "?", func(context.Context, Config) (State, []string) { <-never; return Expected, nil }},
		{"fails", "?", func(context.Context, Config) (State, []string) { panic("a bug") }},
		{"last", "?", func(context.Context, Config) (State, []string) { return Expected, nil }},
	}, 50*time.Millisecond)
	var got []State
	for _, p := range r.Points {
		got = append(got, p.State)
	}
	if !slices.Equal(got, []State{Unknown, Differs, Expected}) || !r.Differs() {
		t.Errorf("%v", got)
	}
	if s := r.Summary(); !strings.HasPrefix(s, "3 points: 1 as expected, 1 different, 1 not known,") || !strings.Contains(s, "the program failed: a bug") {
		t.Error(s)
	}
}

// The file goes to somebody else: who this is, and what would change a terminal, stay
// out of it, and it has an end.
func TestTheFileTellsNeitherWhoNorMore(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	u, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	lines := []string{`App=` + home + `\listen.exe`, "it is " + strings.ToUpper(host) + ".", "by " + u.Username, "\x1b[31mred\r\n\x00", strings.Repeat("é", 1000)}
	for range 1000 {
		lines = append(lines, "one of many")
	}
	r := runAll(t.Context(), config(t), []try{{"says", "?", func(context.Context, Config) (State, []string) { return Told, lines }}}, time.Minute)
	text := string(r.Text())
	for _, word := range []string{home, "\x1b", "\x00"} {
		if strings.Contains(text, word) {
			t.Errorf("%q is in %s", word, text)
		}
	}
	if len(host) >= 3 && strings.Contains(strings.ToLower(text), "it is "+strings.ToLower(host)) {
		t.Errorf("%q is in it", host)
	}
	if n := strings.Count(text, "one of many"); n != maxSeen-5 || !strings.Contains(text, "… and 805 lines more") {
		t.Errorf("%d lines", n)
	}
	if len(text) > 20_000 {
		t.Errorf("%d bytes", len(text))
	}
}
