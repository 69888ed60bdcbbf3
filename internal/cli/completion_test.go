package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
)

// shellApp is a program whose words try what shells do with them.
func shellApp() *cli.App {
	return WithGuide(&cli.App{
		Name: "prog", Usage: "do it",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` on standard output: it's [this] $HOME `x`"},
			&cli.StringFlag{Name: "key", Usage: "the `WORDS`"}, &cli.StringFlag{Name: "out", Usage: "write to `FILE`"}, &cli.BoolFlag{Name: "verbose", Usage: "tell more"},
		},
		Commands: []*cli.Command{
			{Name: "merge", Usage: "make one: of 'several'", Flags: []cli.Flag{&cli.StringFlag{Name: "format", Usage: "`FORMAT`"}, &cli.BoolFlag{Name: "again"}}},
			{Name: "service", Usage: "have it kept", ArgsUsage: "install|remove"},
		},
	}, Guide{Choices: func(command, flag string) []string {
		switch command + " " + flag {
		case " format":
			return []string{"text", "html"}
		case "merge format":
			return []string{"csv"}
		}
		return nil
	}})
}

// completions are what a real shell offers at the end of a line, in a directory with one
// file; last is what they are to have, if they are right.
func completions(t *testing.T, shell, line, last string) []string {
	t.Helper()
	program, err := exec.LookPath(shell)
	if err != nil {
		t.Skip("no ", shell)
	}
	text, err := Completion(shellApp(), shell)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	for name, text := range map[string]string{"_prog": text, "a-report.json": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var cmd *exec.Cmd
	switch shell {
	case "bash":
		words := strings.Split(line, " ")
		cmd = exec.CommandContext(ctx, program, "--norc", "-c", `set -eu; source ./_prog; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); set +e; _prog; printf '%s\n' "${COMPREPLY[@]}"`, "bash")
		cmd.Args = append(cmd.Args, words...)
	case "fish":
		cmd = exec.CommandContext(ctx, program, "--no-config", "-c", `source ./_prog; complete -C "$argv[1]"`, line)
	case "zsh": // which completes on a terminal only: it is given one of its own
		cmd = exec.CommandContext(ctx, program, "-f", "-c", `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1= ; autoload -Uz compinit; compinit -u -d ./dump; source ./_prog; zstyle ':completion:*' list-prompt ''; LISTMAX=10000; bindkey '^I' list-choices; print READY"
while zpty -r z out; do [[ $out == *READY* && $out != *print* ]] && break; done
zpty -w -n z "$1"$'\t'
zpty -r -m z out "*$2*" && print -r -- $out
zpty -w -n z $'\003'
zpty -w z 'print D''ONE'
while zpty -r z out; do print -r -- $out; [[ $out == *DONE* ]] && break; done
`, "zsh", line, last)
	}
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "TERM=dumb")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if shell == "zsh" {
		return []string{string(out)}
	}
	var found []string
	for l := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
		found = append(found, word)
	}
	return found
}

func TestShellsCompleteWhatTheProgramHas(t *testing.T) {
	for _, shell := range []string{"bash", "fish", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			for line, c := range map[string]struct{ has, lacks []string }{
				"prog ":                {[]string{"merge", "service", "completion"}, []string{"--format"}},
				"prog --":              {[]string{"--format", "--key", "--out", "--verbose", "--help"}, []string{"--again"}},
				"prog --format ":       {[]string{"text", "html"}, []string{"csv"}},
				"prog merge --":        {[]string{"--format", "--again"}, []string{"--key"}},
				"prog merge --format ": {[]string{"csv"}, []string{"html"}},
				"prog service ":        {[]string{"install", "remove"}, nil},
				"prog --out a":         {[]string{"a-report.json"}, []string{"merge"}},
			} {
				got := completions(t, shell, line, c.has[len(c.has)-1])
				all := strings.Join(got, " ")
				for _, w := range c.has {
					if !slices.Contains(got, w) && !(shell == "zsh" && strings.Contains(all, w)) {
						t.Errorf("%q: no %s in %q", line, w, all)
					}
				}
				for _, w := range c.lacks {
					if slices.Contains(got, w) || shell == "zsh" && strings.Contains(strings.ReplaceAll(all, line, ""), w) {
						t.Errorf("%q: %s in %q", line, w, all)
					}
				}
			}
		})
	}
}

// No PowerShell is there to try it: that its quotes and brackets are even, and that it
// has all names, is what can be seen.
func TestThePowerShellCompletionIsEven(t *testing.T) {
	text, err := Completion(shellApp(), "powershell")
	if err != nil {
		t.Fatal(err)
	}
	isEven(t, text)
	for _, want := range []string{"'merge' = 'make one", "''several''", "'--format' = @('FORMAT on standard output", "'text', 'html')", "'service' = @('install', 'remove')"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// isEven checks that what opens is closed.
func isEven(t *testing.T, text string) {
	t.Helper()
	inside, depth := false, []rune{}
	closes := map[rune]rune{'}': '{', ')': '(', ']': '['}
	for _, r := range text[strings.Index(text, "\n"):] {
		switch {
		case r == '\'':
			inside = !inside // '' within one is two, and no other
		case inside:
		case strings.ContainsRune("{([", r):
			depth = append(depth, r)
		case closes[r] != 0:
			if len(depth) == 0 || depth[len(depth)-1] != closes[r] {
				t.Fatalf("a %c that closes nothing in\n%s", r, text)
			}
			depth = depth[:len(depth)-1]
		}
	}
	if inside || len(depth) > 0 {
		t.Errorf("%v is open at the end of\n%s", depth, text)
	}
}

// PowerShell refuses a whole script for one key that stands twice in a table ("Duplicate
// keys are not allowed in hash literals"), whatever the case of its letters, and Windows
// PowerShell reads what a program prints by the console's code page. The program is run
// as it is: what it is built of gets its built-in flags only then.
func TestPowerShellTakesWhatARunningProgramPrints(t *testing.T) {
	app := shellApp()
	app.Flags[0].(*cli.StringFlag).Usage = "ROLE=ADDR,… or ‘so’"
	var b strings.Builder
	app.Writer = &b
	if err := app.Run([]string{"prog", "completion", "powershell"}); err != nil {
		t.Fatal(err)
	}
	isEven(t, b.String())
	tables := []map[string]bool{}
	for line := range strings.Lines(b.String()) {
		if strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.Errorf("not ASCII: %s", line)
		}
		line = strings.TrimSpace(line)
		if line == "}" && len(tables) > 0 {
			tables = tables[:len(tables)-1]
		}
		if m := aKey.FindStringSubmatch(line); m != nil && len(tables) > 0 {
			if k := strings.ToLower(m[1]); tables[len(tables)-1][k] {
				t.Errorf("%s stands twice", k)
			} else {
				tables[len(tables)-1][k] = true
			}
		}
		if strings.HasSuffix(line, "@{") {
			tables = append(tables, map[string]bool{})
		}
	}
	for _, want := range []string{"'--help' = @(", "ROLE=ADDR,... or ?so?"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}

var aKey = regexp.MustCompile(`^'([^']*)' = `)

func TestHelpFitsAndHasEveryFlagOnce(t *testing.T) {
	app := shellApp()
	app.Description = "One.\n\nTwo " + strings.Repeat("words ", 40)
	var b strings.Builder
	g := guideOf(app)
	g.Groups = []Group{{"What", []string{"format", "key"}}, {"Empty", []string{"nosuch"}}}
	g.Examples = map[string][]Example{"": {{"prog --key W", "as it is"}}}
	app.Metadata[guideKey] = g
	writeHelp(&b, app, nil)
	for line := range strings.Lines(b.String()) {
		if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
			t.Errorf("%q has more than 80 columns", line)
		}
	}
	for _, want := range []string{"\n  What\n   --format FORMAT", "\n  Other\n   --out FILE", "EXAMPLES:\n   prog --key W\n       as it is\n", "COMMANDS:\n   merge"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "--key WORDS"); n != 1 || strings.Contains(b.String(), "Empty") {
		t.Errorf("--key is there %d times:\n%s", n, b.String())
	}
}
