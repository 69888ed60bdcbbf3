package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"dialtone/internal/plan"
)

// program is an app with the common flags and a subcommand that has them too,
// as both programs have. do sees the context of either.
func program(do func(*cli.Context) error) *cli.App {
	return &cli.App{
		Name: "prog", Flags: CommonFlags(), Action: do,
		Commands: []*cli.Command{{Name: "sub", Flags: CommonFlags(), Action: do}},
	}
}

// use runs a program and returns what the common flags say.
func use(t *testing.T, args ...string) (Common, error) {
	t.Helper()
	var common Common
	var err error
	var stdout, stderr bytes.Buffer
	code := Run(program(func(c *cli.Context) error {
		common, err = ReadCommon(c)
		return err
	}), append([]string{"prog"}, args...), &stdout, &stderr)
	if stdout.Len() > 0 {
		t.Errorf("%v wrote to standard output: %s", args, &stdout)
	}
	if err != nil && (code != ExitUsage || !strings.HasPrefix(stderr.String(), "prog: ")) {
		t.Errorf("%v: exit %d, said %q", args, code, &stderr)
	}
	return common, err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCommonFlagsByDefault(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	c, err := use(t)
	if err != nil || c.Plan.Name != "illiad" || c.Site != nil || c.Shift != 0 || len(c.Bind) != 0 || c.KeyText != "" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestFlagsCountBeforeAndAfterASubcommand(t *testing.T) {
	for _, args := range [][]string{
		{"--port-shift", "100", "--key", "twelve-characters", "--bind", "127.0.0.1", "sub"},
		{"sub", "--port-shift", "100", "--key", "twelve-characters", "--bind", "127.0.0.1"},
		{"--key", "twelve-characters", "sub", "--port-shift", "100", "--bind", "127.0.0.1"},
	} {
		c, err := use(t, args...)
		if err != nil || c.Shift != 100 || c.KeyText != "twelve-characters" || len(c.Bind) != 1 {
			t.Errorf("%v: got %+v, %v", args, c, err)
		}
	}
}

func TestWhereTheKeyComesFrom(t *testing.T) {
	file := write(t, "key", "from-the-file-here\n")
	t.Setenv("DIALTONE_KEY", "from-the-environment")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "from-the-environment"},
		{[]string{"--key", "from-the-flag-here"}, "from-the-flag-here"},
		{[]string{"--key-file", file}, "from-the-file-here\n"},
	} {
		got, err := use(t, c.args...)
		if err != nil || got.KeyText != c.want {
			t.Errorf("%v: got %q, %v", c.args, got.KeyText, err)
		}
		if _, err := got.Key(); err != nil {
			t.Errorf("%v: %v", c.args, err)
		}
	}
	// A line break at the end of a file is no part of the key.
	fromFile, _ := use(t, "--key-file", file)
	typed, _ := use(t, "--key", "from-the-file-here")
	a, _ := fromFile.Key()
	b, _ := typed.Key()
	if a != b {
		t.Error("the same key from a file and from a flag differ")
	}
	if s := fmt.Sprintf("%v %+v %#v %s", a, a, a, a); strings.Contains(s, "from") || strings.Count(s, "(key)") != 4 {
		t.Errorf("a key prints as %q", s)
	}
}

func TestWhatTheUserCanMendIsSaidWithTheValueAndTheNextStep(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	empty := write(t, "empty", " \n")
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--port", "z3950"}, []string{`"z3950"`, "--port z3950=2200"}},
		{[]string{"--port", "z3950=0"}, []string{`"z3950=0"`}},
		{[]string{"--port", "z3950=65536"}, []string{`"z3950=65536"`}},
		{[]string{"--port", "z3950=http"}, []string{`"z3950=http"`}},
		{[]string{"--port", "nosuch=80"}, []string{`"nosuch"`}},
		{[]string{"--port-shift", "70000"}, []string{"70000"}},
		{[]string{"--bind", "localhost"}, []string{`"localhost" is no address`, "such as 192.0.2.10"}},
		{[]string{"--bind", "192.0.2.77"}, []string{"192.0.2.77 is no address of this machine", "leave --bind out"}},
		{[]string{"--plan", "nosuch"}, []string{`"nosuch"`, "illiad"}},
		{[]string{"--site", "nosuch.yaml"}, []string{"nosuch.yaml"}},
		{[]string{"--key", "twelve-characters", "--key-file", empty}, []string{"both given", "Give one of them"}},
		{[]string{"--key-file", empty}, []string{"holds no key", "only line"}},
		{[]string{"--key-file", "nosuch.key"}, []string{"nosuch.key", "only line"}},
	} {
		_, err := use(t, c.args...)
		var f *Failure
		if !errors.As(err, &f) || f.Code != ExitUsage {
			t.Errorf("%v: got %v, want a usage failure", c.args, err)
			continue
		}
		for _, w := range c.says {
			if !strings.Contains(f.Error(), w) {
				t.Errorf("%v: %q does not say %q", c.args, f, w)
			}
		}
	}
}

func TestPortsAndAddressesInSeveralSpellings(t *testing.T) {
	c, err := use(t, "--port", "z3950=2200,rdp=3390", "--port", "ldap = 1389", "--bind", "[::ffff:127.0.0.1]")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"z3950": 2200, "rdp": 3390, "ldap": 1389}
	for _, r := range c.Plan.Rows {
		if n, ok := want[r.ID]; ok && r.Port != n {
			t.Errorf("%s is %d, want %d", r.ID, r.Port, n)
		}
	}
	if len(c.Bind) != 1 || c.Bind[0] != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("bind is %v", c.Bind)
	}
}

func TestSiteFileIsReadAgainstThePlan(t *testing.T) {
	file := write(t, "site.yaml", "roles:\n  server: illiad.example.edu\nuses: [ldaps]\n")
	c, err := use(t, "--site", file)
	if err != nil || c.Site == nil || len(c.Excluded) == 0 {
		t.Fatalf("got %+v, %v", c.Site, err)
	}
	if got := c.Site.RolesOf("ILLIAD.example.edu"); len(got) != 3 {
		t.Errorf("that host plays %v", got)
	}
	for _, r := range c.Plan.Rows {
		if r.ID == "ldaps" && r.Need != plan.Required {
			t.Errorf("ldaps is %s", r.Need)
		}
	}
}

func TestRunTellsErrorsAndReturnsTheirCode(t *testing.T) {
	for _, c := range []struct {
		name           string
		err            error
		args           []string
		code           int
		stderr, absent string
	}{
		{name: "no error", code: ExitOK},
		{name: "a failure with a hint", err: Usagef("Do that.", "this %s", "failed"), code: ExitUsage, stderr: "prog: this failed\n  Do that.\n"},
		{name: "a failure without a hint", err: Usagef("", "this failed"), code: ExitUsage, stderr: "prog: this failed\n"},
		{name: "a failure that was told already", err: &Failure{Code: ExitBroken}, code: ExitBroken},
		{name: "a wrapped failure", err: fmt.Errorf("wrapped: %w", &Failure{Code: ExitNothing, Err: errors.New("nothing")}), code: ExitNothing, stderr: "prog: nothing\n"},
		{name: "any other error", err: errors.New("broken"), code: ExitUsage, stderr: "prog: broken\n"},
		{name: "an unknown flag", args: []string{"--nosuch"}, code: ExitUsage, stderr: "prog: flag provided but not defined: -nosuch\n  See prog --help.\n"},
		{name: "an unknown flag of a subcommand", args: []string{"sub", "--nosuch"}, code: ExitUsage, stderr: "-nosuch\n  See prog --help.\n"},
		{name: "a bad value", args: []string{"--port-shift", "x"}, code: ExitUsage, stderr: `invalid value "x" for flag -port-shift`},
	} {
		var stdout, stderr bytes.Buffer
		code := Run(program(func(*cli.Context) error { return c.err }), append([]string{"prog"}, c.args...), &stdout, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.stderr) || (c.stderr == "" && stderr.Len() > 0) {
			t.Errorf("%s: exit %d, said %q", c.name, code, &stderr)
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: wrote to standard output: %s", c.name, &stdout)
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := Run(program(func(*cli.Context) error { return nil }), []string{"prog", "--help"}, &stdout, &stderr); code != ExitOK {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(stdout.String(), "--port-shift") || stderr.Len() > 0 {
		t.Errorf("stdout %q, stderr %q", &stdout, &stderr)
	}
}

// given is what a program of many kinds of flags was told.
type given struct {
	command     string
	key, only   string
	shift       int
	both        bool
	positionals []string
}

// tell runs such a program.
func tell(args ...string) (got given, said string, code int) {
	do := func(c *cli.Context) error {
		rest, err := Positional(c, 2)
		got = given{c.Command.Name, String(c, "key"), strings.Join(Strings(c, "only"), ","), Int(c, "port-shift"), Bool(c, "both-ways"), rest}
		return err
	}
	flags := func() []cli.Flag {
		return append(CommonFlags(), &cli.BoolFlag{Name: "both-ways", Aliases: []string{"b"}}, &cli.StringSliceFlag{Name: "only"})
	}
	app := &cli.App{
		Name: "prog", Flags: flags(), Action: do,
		Commands: []*cli.Command{{Name: "sub", Flags: append(flags(), &cli.StringFlag{Name: "host"}), Action: do}},
	}
	var stdout, stderr bytes.Buffer
	code = Run(app, append([]string{"prog"}, args...), &stdout, &stderr)
	return got, stdout.String() + stderr.String(), code
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	t.Setenv("DIALTONE_KEY", "")
	for line, want := range map[string]given{
		"HOST":                                  {command: "prog", positionals: []string{"HOST"}},
		"-":                                     {command: "prog", positionals: []string{"-"}},
		"HOST --key k":                          {command: "prog", key: "k", positionals: []string{"HOST"}},
		"HOST --key=k -port-shift 5":            {command: "prog", key: "k", shift: 5, positionals: []string{"HOST"}},
		"--only a,b HOST --both-ways":           {command: "prog", only: "a,b", both: true, positionals: []string{"HOST"}},
		"HOST -b OTHER --only a --only b":       {command: "prog", only: "a,b", both: true, positionals: []string{"HOST", "OTHER"}},
		"HOST --both-ways=false OTHER":          {command: "prog", positionals: []string{"HOST", "OTHER"}},
		"HOST --port-shift -5":                  {command: "prog", shift: -5, positionals: []string{"HOST"}},
		"HOST --key -begins-with-a-hyphen":      {command: "prog", key: "-begins-with-a-hyphen", positionals: []string{"HOST"}},
		"HOST --key - --port-shift 1":           {command: "prog", key: "-", shift: 1, positionals: []string{"HOST"}},
		"HOST --key=--only":                     {command: "prog", key: "--only", positionals: []string{"HOST"}},
		"HOST --key sub":                        {command: "prog", key: "sub", positionals: []string{"HOST"}},
		"HOST sub":                              {command: "prog", positionals: []string{"HOST", "sub"}},
		"HOST --key k -- OTHER":                 {command: "prog", key: "k", positionals: []string{"HOST", "OTHER"}},
		"sub HOST --key k":                      {command: "sub", key: "k", positionals: []string{"HOST"}},
		"--port-shift 7 sub HOST --key k":       {command: "sub", key: "k", shift: 7, positionals: []string{"HOST"}},
		"--both-ways sub HOST --host h OTHER":   {command: "sub", both: true, positionals: []string{"HOST", "OTHER"}},
		"--key sub sub PEER --port-shift 7 -b":  {command: "sub", key: "sub", shift: 7, both: true, positionals: []string{"PEER"}},
		"sub --only a HOST -- OTHER":            {command: "sub", only: "a", positionals: []string{"HOST", "OTHER"}},
		"sub sub":                               {command: "sub", positionals: []string{"sub"}},
		"sub PEER --key k --only=a --only b -b": {command: "sub", key: "k", only: "a,b", both: true, positionals: []string{"PEER"}},
	} {
		got, said, code := tell(strings.Fields(line)...)
		if code != ExitOK || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n  got  %+v, exit %d, said %q\n  want %+v", line, got, code, said, want)
		}
	}
}

func TestMisplacedFlagsAreToldWithTheNextStep(t *testing.T) {
	for line, want := range map[string]string{
		"HOST --key":              "prog: --key has no value\n  See prog --help.\n",
		"--key":                   "prog: --key has no value\n",
		"sub HOST --host":         "prog: --host has no value\n",
		"HOST --key --port-shift": "prog: --key has no value: --port-shift follows it\n  If --port-shift is meant as the value, write --key=--port-shift.\n",
		"--key --only=a HOST":     "--key has no value: --only=a follows it",
		"HOST --key -- OTHER":     "--key has no value: -- follows it",
		"HOST --frob x":           "prog: flag provided but not defined: -frob\n  See prog --help.\n",
		"sub PEER --frob":         "prog: flag provided but not defined: -frob\n  See prog --help.\n",
		"HOST --host h":           "flag provided but not defined: -host", // the subcommand's, which was not named
		"HOST --port-shift x":     `invalid value "x" for flag -port-shift`,
		"-- --both-ways":          "prog: \"--both-ways\" is no argument\n  A flag may stand anywhere, but not behind --.\n",
		"HOST -- --key k":         `"--key" is no argument`,
		"A B C":                   `unexpected argument "C"`,
	} {
		_, said, code := tell(strings.Fields(line)...)
		if code != ExitUsage || !strings.Contains(said, want) {
			t.Errorf("%s\n  exit %d, said %q\n  want %q", line, code, said, want)
		}
	}
}

func TestHelpAndVersionMayStandAnywhere(t *testing.T) {
	for line, want := range map[string]string{
		"HOST --help": "USAGE", "HOST -h": "USAGE", "sub HOST --help": "prog sub", "HOST --version": Version, "HOST -v": Version,
	} {
		_, said, code := tell(strings.Fields(line)...)
		if code != ExitOK || !strings.Contains(said, want) {
			t.Errorf("%s: exit %d, said %q", line, code, said)
		}
	}
}

func TestWriteFileIsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.json")
	for _, text := range []string{"first", "second, longer"} {
		if err := WriteFile(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != text {
			t.Errorf("got %q, %v", b, err)
		}
	}
	taken := filepath.Join(dir, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{taken, filepath.Join(dir, "missing", "report.json")} {
		if err := WriteFile(bad, []byte("x")); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
