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
	code = Run(app, HangupEnds, append([]string{"prog"}, args...), &stdout, &stderr)
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
		{[]string{"--port-shift", "ten", "h"}, "such as --port-shift 10000"},
		{[]string{"--key", "brisk", "walnut", "harbor", "h"}, "needs quotes around it"},
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

func TestHelpAndVersionAsPeopleAskForThem(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	for line, want := range map[string]string{
		"help": "USAGE", "version": Version, "help merge": "prog merge", "/?": "USAGE", "-?": "USAGE", "merge /?": "USAGE", "merge help": "prog merge",
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
