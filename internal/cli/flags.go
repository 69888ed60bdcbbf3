package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"dialtone/internal/echo"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
)

// CommonFlags are the flags that say what is tested, the same for both
// programs so that both mean the same ports.
func CommonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "plan", Value: "illiad", Usage: "what must be reachable: `NAME` (" + strings.Join(plan.Names(), ", ") + ") or a YAML file"},
		&cli.StringFlag{Name: "site", Usage: "YAML `FILE` that says which hosts play the roles, which ports differ, which features are used"},
		&cli.StringSliceFlag{Name: "port", Usage: "another port for a row or service, `ID=N` (repeatable)"},
		&cli.IntFlag{Name: "port-shift", Usage: "add `N` to every port of the plan, on both sides (10000 needs no privileges)"},
		&cli.StringSliceFlag{Name: "bind", Usage: "use this local `ADDR` only (repeatable, one of each family)"},
		&cli.StringFlag{Name: "key", Usage: "the `WORDS` that listen printed (or DIALTONE_KEY, or --key-file)"},
		&cli.StringFlag{Name: "key-file", Usage: "read the key from `FILE`, which keeps it out of the process list"},
	}
}

// Common is what the common flags say.
type Common struct {
	Plan     *plan.Plan // as applied to the site
	Excluded []plan.Excluded
	Site     *plan.Site // nil: no site file
	Shift    int
	Bind     []netip.Addr
	KeyText  string // "" if none was given
}

// ReadCommon reads the common flags and the files that they name.
func ReadCommon(c *cli.Context) (Common, error) {
	base, err := plan.Load(String(c, "plan"))
	if err != nil {
		return Common{}, Usage(err, "")
	}
	ports, err := parsePorts(Strings(c, "port"))
	if err != nil {
		return Common{}, err
	}
	out, err := readLocal(c, base, plan.Change{Ports: ports, Shift: Int(c, "port-shift")})
	if err != nil {
		return out, err
	}
	if out.KeyText, err = readKey(c); err == nil && out.KeyText == "" {
		out.KeyText = os.Getenv("DIALTONE_KEY")
	}
	return out, err
}

// readLocal reads the flags that say something of this end alone, and applies
// change, which both ends must agree on.
func readLocal(c *cli.Context, base *plan.Plan, change plan.Change) (out Common, err error) {
	if file := String(c, "site"); file != "" {
		if out.Site, err = plan.LoadSite(file, base); err != nil {
			return out, Usage(err, "")
		}
		for _, hosts := range out.Site.Hosts {
			for _, h := range hosts {
				if err := checkZone(h); err != nil {
					return out, err
				}
			}
		}
	}
	change.Site, out.Shift = out.Site, change.Shift
	if out.Plan, out.Excluded, err = base.Apply(change); err != nil {
		return out, Usage(err, "")
	}
	out.Bind, err = parseAddrs(Strings(c, "bind"))
	return out, err
}

func parsePorts(list []string) (map[string]int, error) {
	out := map[string]int{}
	for _, s := range list {
		id, n, ok := cutPort(paste.Value(s))
		port, err := paste.Number(n)
		if !ok || err != nil || port < 1 || port > 65535 {
			return nil, Usagef("Write it as a row or service of the plan and a port, such as --port z3950=2200; listen plan shows the ids.", "--port %q", s)
		}
		out[paste.Value(id)] = port
	}
	return out, nil
}

// cutPort cuts a port from the row that has it: no id has a colon or a space.
func cutPort(s string) (id, port string, ok bool) {
	for _, by := range []string{"=", ":", " "} {
		if id, port, ok = strings.Cut(s, by); ok {
			return id, port, true
		}
	}
	return s, "", false
}

func parseAddrs(list []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range list {
		a, err := paste.Addr(s)
		if err != nil {
			return nil, Usagef("Give an address of this machine, such as 192.0.2.10.", "--bind %q is no address", s)
		}
		if err := checkOwn(a); err != nil {
			return nil, Usage(err, "Give an address that this machine has, or leave --bind out.")
		}
		out = append(out, a)
	}
	return out, nil
}

// checkOwn reports an address that this machine cannot use, before every port
// and path fails by it.
func checkOwn(a netip.Addr) error {
	c, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return fmt.Errorf("--bind %s is no address of this machine: %w", a, err)
	}
	return c.Close()
}

// maxKeyFile bounds a file with a key, in bytes: more is none (echo.ParseKey).
const maxKeyFile = 8192

// readKey finds the key's text in --key or --key-file; "" if neither is given.
func readKey(c *cli.Context) (string, error) {
	text, file := String(c, "key"), String(c, "key-file")
	switch {
	case text != "" && file != "":
		return "", Usage(errors.New("--key and --key-file are both given"), "Give one of them.")
	case file == "":
		return text, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", Usage(fmt.Errorf("--key-file: %w", err), "Give a file whose only line is the key.")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", Usage(fmt.Errorf("--key-file: %w", err), "Give a file whose only line is the key.")
	}
	if text, err = paste.Text(b); err != nil {
		return "", Pasted(fmt.Errorf("--key-file %s: %w", file, err))
	}
	if strings.TrimSpace(text) == "" {
		return "", Usagef("Give a file whose only line is the key.", "--key-file %s holds no key", file)
	}
	return text, nil
}

// Key stretches the key's text.
func (c Common) Key() (echo.Key, error) {
	k, err := echo.ParseKey(c.KeyText)
	if err != nil {
		return k, Pasted(err)
	}
	return k, nil
}

// lineage returns the command's context in which a flag was given, so that
// flags work before and after a subcommand's name.
func lineage(c *cli.Context, name string) *cli.Context {
	for _, l := range c.Lineage() {
		if l.Command != nil && l.IsSet(name) {
			for _, set := range l.LocalFlagNames() {
				if set == name {
					return l
				}
			}
		}
	}
	return c
}

// Values returns a repeatable flag's values without what pasting put around them.
// Not for files: a file's name may have any character.
func Values(c *cli.Context, name string) []string {
	var out []string
	for _, v := range Strings(c, name) {
		out = append(out, paste.Value(v))
	}
	return out
}

// OutFiles returns the names of files that a document is to be written to, each once.
func OutFiles(c *cli.Context) ([]string, error) {
	var out []string
	for _, name := range Strings(c, "out") {
		name = filepath.Clean(name)
		if slices.Contains(out, name) {
			continue
		}
		for _, other := range out {
			if IsSameFile(name, other) {
				return nil, Usagef("Give each a file of its own, or leave one of them out.", "--out %s and --out %s are one file", other, name)
			}
		}
		out = append(out, name)
	}
	return out, nil
}

// String returns a flag's value, given before or after a subcommand.
func String(c *cli.Context, name string) string { return lineage(c, name).String(name) }

// Strings returns a repeatable flag's values.
func Strings(c *cli.Context, name string) []string { return lineage(c, name).StringSlice(name) }

// Int returns a flag's value.
func Int(c *cli.Context, name string) int { return lineage(c, name).Int(name) }

// Bool returns a flag's value.
func Bool(c *cli.Context, name string) bool { return lineage(c, name).Bool(name) }

// Duration returns a flag's value.
func Duration(c *cli.Context, name string) time.Duration { return lineage(c, name).Duration(name) }
