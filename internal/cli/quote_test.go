package cli

import (
	"os/exec"
	"runtime"
	"testing"
)

func TestArgumentsAreQuotedForEveryShell(t *testing.T) {
	for arg, want := range map[string]struct{ text, otherwise string }{
		"tiling-walnut-quilt":  {"tiling-walnut-quilt", ""},
		"six words of one key": {`"six words of one key"`, ""},
		"server,web":           {"server,web", ""},
		"@mail.eml":            {`"@mail.eml"`, ""}, // a splat in PowerShell
		`C:\plans\our own.yml`: {`"C:\plans\our own.yml"`, ""},
		"2001:db8::10":         {"2001:db8::10", ""},
		"fe80::1%eth0":         {`'fe80::1%eth0'`, `in PowerShell 'fe80::1%eth0', in cmd.exe "fe80::1%eth0"`},
		"":                     {`""`, ""},
		"a;b&c|d<e>f(g)":       {`"a;b&c|d<e>f(g)"`, ""},
		"it's":                 {`"it's"`, ""},
		"5$ & 'more'":          {`'5$ & '\''more'\'''`, `in PowerShell '5$ & ''more''', in cmd.exe "5$ & 'more'"`},
		`\\host\share\p.yaml`:  {`'\\host\share\p.yaml'`, `in PowerShell '\\host\share\p.yaml', in cmd.exe "\\host\share\p.yaml"`},
		"`id`":                 {"'`id`'", "in PowerShell '`id`', in cmd.exe \"`id`\""},
	} {
		text, otherwise := Quote(arg)
		if text != want.text || otherwise != want.otherwise {
			t.Errorf("%s: %s and %s, want %s and %s", arg, text, otherwise, want.text, want.otherwise)
		}
		if runtime.GOOS == "windows" {
			continue // wine has no sh
		}
		if out, err := exec.Command("sh", "-c", "printf %s "+text).Output(); err != nil || string(out) != arg {
			t.Errorf("%s: sh makes %q of %s (%v)", arg, out, text, err)
		}
	}
}
