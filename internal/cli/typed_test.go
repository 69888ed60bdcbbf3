package cli

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// typed is a program like dial: flags of every kind, subcommands with flags of
// their own.
func typed(args ...string) (said string, code int) {
	flags := func() []cli.Flag {
		return append(CommonFlags(), &cli.StringSliceFlag{Name: "only"}, &cli.DurationFlag{Name: "timeout"}, &cli.DurationFlag{Name: "hold"}, &cli.BoolFlag{Name: "installed"})
	}
	do := func(c *cli.Context) error {
		rest, err := Positional(c, 1)
		if err == nil && len(rest) > 0 {
			_, err = Host(rest[0])
		}
		return err
	}
	app := &cli.App{Name: "prog", Flags: flags(), Action: do, Commands: []*cli.Command{
		{Name: "merge", Action: func(c *cli.Context) error { _, err := Positional(c, 9); return err }},
		{Name: "odyssey", Flags: append(flags(), &cli.DurationFlag{Name: "wait"}, &cli.StringFlag{Name: "peers"}), Action: do},
	}}
	var stdout, stderr strings.Builder
	code = Run(app, append([]string{"prog"}, args...), &stdout, &stderr)
	return stdout.String() + stderr.String(), code
}

func TestWhatIsTypedWrongIsAnsweredWithTheRightLine(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"\u2013key", "k", "h"}, "Write --key."},
		{[]string{"--key", "k", "\u2014timeout", "2s", "h"}, "Write --timeout."},
		{[]string{"\u2212\u2013hold=2s"}, "Write --hold=2s."},
		{[]string{"-\u2013key", "k"}, "Write --key."},
		{[]string{"--key\u2011file", "f"}, "Did you mean --key-file?"},
		{[]string{"--key_file", "f"}, "Did you mean --key-file?"},
		{[]string{"--key\u00a0brisk", "h"}, "write --key brisk."},
		{[]string{"--onyl", "sql-client", "h"}, "Did you mean --only?"},
		{[]string{"--Timeout", "3s", "h"}, "Did you mean --timeout"},
		{[]string{"--peers", "f"}, "--peers is a flag of prog odyssey."},
		{[]string{"--xyzzyx"}, "See prog --help."},
		{[]string{"mrege", "a.json", "b.json"}, "If the subcommand is meant, write prog merge a.json b.json."},
		{[]string{"odysey", "--key", "k", "192.0.2.1"}, "write prog odyssey 192.0.2.1."},
		{[]string{"--timeout", "4", "h"}, "write --timeout 4s for seconds"},
		{[]string{"--hold=30", "h"}, "30m for minutes"},
		{[]string{"--hold", "30min", "h"}, "Write --hold 30m."},
		{[]string{"--hold", "1,5 hours", "h"}, "Write --hold 1.5h."},
		{[]string{"--hold", "1h 30min", "h"}, "Write --hold 1h30m."},
		{[]string{"--hold", "2 days", "h"}, "Write --hold 48h."},
		{[]string{"odyssey", "--wait", "15", "h"}, "15m for minutes"},
		{[]string{"--timeout", "soon", "h"}, "such as --timeout 30s"},
		{[]string{"--port-shift", "ten", "h"}, "such as 10000"},
		{[]string{"--key", "brisk", "walnut", "harbor", "h"}, "needs quotes around it"},
		{[]string{"--port-shift", "0x10", "h"}, "Give a whole number in digits"},
		{[]string{"--port-shift", "10.000", "h"}, "Write 10000, with nothing between its digits."},
		{[]string{"--port-shift", "1_000", "h"}, "Write 1000,"},
		{[]string{"--port-shift", "1e4", "h"}, `"1e4" is no number`},
		{[]string{"--port-shift", "99999999999999999999", "h"}, "too large"},
		{[]string{"--timeout", "inf", "h"}, "such as --timeout 30s"},
		{[]string{"--timeout", "0x10", "h"}, "such as --timeout 30s"},
		{[]string{"--installed=maybe", "h"}, "Write --installed, or leave it out."},
		{[]string{"/key", "W", "h"}, "Write --key."},
		{[]string{"h", "/Key:W"}, "Write --key W."},
		{[]string{"odyssey", "h", "/wait=15m"}, "Write --wait 15m."},
		{[]string{"help", "mrege"}, "Write prog help merge."},
		{[]string{"odyssey", "a", "b"}, "See prog --help.\n"},
		{[]string{"h,1433"}, "Give the name or address alone, h;"},
		{[]string{"fe80::1"}, "interface is missing"},
		{[]string{"fe80::1%nosuch0"}, `no interface "nosuch0"`},
	} {
		said, code := typed(c.args...)
		if code != ExitUsage || !strings.Contains(said, c.says) {
			t.Errorf("%q: exit %d, said %q, want %q", c.args, code, said, c.says)
		}
	}
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skip("no interface 1 here")
	}
	if said, code := typed("fe80::1%" + lo.Name); code != ExitOK {
		t.Errorf("an interface that is there: exit %d, %q", code, said)
	}
}

func TestASlipOfTheSubcommandAloneIsAnsweredWithTheLine(t *testing.T) {
	none := func(c *cli.Context) error { _, err := Positional(c, 0); return err }
	var stdout, stderr strings.Builder
	app := &cli.App{Name: "prog", Action: none, Commands: []*cli.Command{{Name: "plan", Action: none}}}
	if code := Run(app, []string{"prog", "paln"}, &stdout, &stderr); code != ExitUsage || !strings.Contains(stderr.String(), "write prog plan.\n") {
		t.Errorf("exit %d, %s", code, &stderr)
	}
}

func TestHelpAndVersionAsPeopleAskForThem(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	for line, want := range map[string]string{
		"help": "USAGE", "version": Version, "help merge": "prog merge", "/?": "USAGE", "-?": "USAGE", "merge /?": "USAGE", "merge help": "prog merge",
		"-h merge": "prog merge", "--help merge": "prog merge", "--key k -h odyssey": "prog odyssey",
	} {
		if said, code := typed(strings.Fields(line)...); code != ExitOK || !strings.Contains(said, want) {
			t.Errorf("%s: exit %d, said %q", line, code, said)
		}
	}
	// A machine may be called so.
	for _, line := range []string{"help --only a", "version --installed", "mrege"} {
		if said, code := typed(strings.Fields(line)...); code != ExitOK || said != "" {
			t.Errorf("%s: exit %d, said %q", line, code, said)
		}
	}
}

// Every number is decimal, whoever reads it: the library's own parser takes 010 for
// eight and 1_000 for a thousand.
func TestNumbersAreDecimal(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	for text, want := range map[string]int{"010": 10, "+5": 5, " 5\u00a0": 5, "\u201c5\u201d": 5, "\u22125": -5, "0": 0, "08": 8, "\uff11\uff10": 10} {
		for _, args := range [][]string{{"--port-shift", text}, {"--port-shift=" + text}} {
			if got, err := use(t, args...); err != nil || got.Shift != want {
				t.Errorf("%q: %d, %v", args, got.Shift, err)
			}
		}
		got, err := use(t, "--port", "sql-client="+text)
		if want > 0 && (err != nil || got.Plan.Rows[0].Port != want) || want <= 0 && err == nil {
			t.Errorf("--port sql-client=%q: %d, %v", text, got.Plan.Rows[0].Port, err)
		}
	}
	for _, text := range []string{"sql-client:14330", "sql-client 14330", "sql-client : 14330"} {
		if got, err := use(t, "--port", text); err != nil || got.Plan.Rows[0].Port != 14330 {
			t.Errorf("--port %q: %v", text, err)
		}
	}
	if said, code := typed("--timeout", " 5s\u00a0", "--installed=Yes", "h"); code != ExitOK {
		t.Errorf("exit %d, %s", code, said)
	}
}

// A key file is read whatever wrote it, and what is none is refused with advice.
func TestAKeyFileAsProgramsSaveIt(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	want, err := use(t, "--key", "brisk-walnut-harbor")
	if err != nil {
		t.Fatal(err)
	}
	key, _ := want.Key()
	for _, text := range []string{
		"\ufeffbrisk-walnut-harbor\r\n", "\xff\xfeb\x00r\x00i\x00s\x00k\x00 \x00w\x00a\x00l\x00n\x00u\x00t\x00-\x00h\x00a\x00r\x00b\x00o\x00r\x00",
		"\u201cBrisk\u2013walnut\u2011harbor\u201d\n", "\u00a0brisk\u00a0walnut\u00a0harbor\u200b",
	} {
		got, err := use(t, "--key-file", write(t, "key", text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if k, err := got.Key(); err != nil || k != key {
			t.Errorf("%q is another key, %v", text, err)
		}
	}
	file := write(t, "key", "PK\x03\x04")
	if _, err := use(t, "--key-file", file); err == nil || !strings.Contains(err.Error(), "no text") {
		t.Errorf("an archive: %v", err)
	}
	if err := os.WriteFile(file, []byte("\ufeff \u00a0\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := use(t, "--key-file", file); err == nil || !strings.Contains(err.Error(), "holds no key") {
		t.Errorf("an empty one: %v", err)
	}
}
