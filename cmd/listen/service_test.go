package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
)

// A service is started in another folder and by nobody who reads: it gets what was
// given, files by their whole names, and what cannot work is refused before.
func TestWhatAServiceIsStartedWith(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("DIALTONE_KEY", "")
	for name, text := range map[string]string{"key.txt": "tiling walnut quilt mango unlit twelve\n", "short.txt": "short\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, ledger := "--key-file="+filepath.Join(dir, "key.txt"), "--ledger="+filepath.Join(dir, "ledger.jsonl")
	for _, c := range []struct {
		args  string
		flags []string
		fails string
	}{
		{"--key-file key.txt --ledger ledger.jsonl", []string{key, ledger}, ""},
		{"--ledger ledger.jsonl --for 30m --key-file key.txt --allow 10.0.0.0/8,192.0.2.1 --port sql-client=2000 --beside --contact 8999 --port-shift 7",
			[]string{"--port=sql-client=2000", "--port-shift=7", key, "--allow=10.0.0.0/8", "--allow=192.0.2.1", "--for=30m0s", "--beside", "--contact=8999", ledger}, ""},
		{"--plan illiad-2006 --key-file key.txt --ledger ledger.jsonl", []string{"--plan=illiad-2006", key, ledger}, ""},
		{"--ledger ledger.jsonl", nil, "--key-file is missing"},
		{"--key-file key.txt", nil, "--ledger is missing"},
		{"--key-file short.txt --ledger ledger.jsonl", nil, "12"},
		{"--key tiling-walnut-quilt-mango-unlit-twelve --ledger ledger.jsonl", nil, "--key is not for a service"},
		{"--key-file key.txt --ledger l --invite i", nil, "--invite is not for a service"},
		{"--key-file key.txt --ledger l --for -1s", nil, "--for -1s"},
		{"--key-file key.txt --ledger l --allow all", nil, `--allow "all"`},
		{"--key-file key.txt --ledger l --role nobody", nil, "nobody"},
		{"--key-file key.txt --ledger l --plan none.yaml", nil, "none.yaml"},
	} {
		var flags []string
		command := serviceCommand()
		command.Action = func(c *ucli.Context) (err error) {
			if flags, err = serviceFlags(c); err == nil {
				err = checkService(c)
			}
			return err
		}
		var said strings.Builder
		code := cli.Run(&ucli.App{Name: "listen", Commands: []*ucli.Command{command}}, append([]string{"listen", "service", "install"}, strings.Fields(c.args)...), io.Discard, &said)
		switch {
		case c.fails == "" && (code != 0 || !slices.Equal(flags, c.flags)):
			t.Errorf("%s: exit %d, %q %s\nwant %q", c.args, code, flags, &said, c.flags)
		case c.fails != "" && (code != cli.ExitUsage || !strings.Contains(said.String(), c.fails)):
			t.Errorf("%s: exit %d, %s", c.args, code, &said)
		}
	}
}

func TestHowToGoOnWithAService(t *testing.T) {
	words := installedWords("/etc/a key.txt", "/var/log/ledger.jsonl", `NT SERVICE\`+serviceName)
	for _, has := range []string{`icacls "/etc/a key.txt" /grant "NT SERVICE\dialtone-listen:R"`, `icacls "/var/log" /grant "NT SERVICE\dialtone-listen:(OI)(CI)M"`, "net start dialtone-listen"} {
		if !strings.Contains(words, has) {
			t.Errorf("no %s in\n%s", has, words)
		}
	}
}
