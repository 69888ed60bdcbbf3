package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/plan"
)

// serviceName is what Windows knows listen by, and part of the name of the account that
// it runs as.
const serviceName = "dialtone-listen"

func serviceCommand() *ucli.Command {
	return &ucli.Command{
		Name: "service", Usage: "have Windows keep listen running while nobody is logged on: install it with the flags given, remove it, or tell its status",
		ArgsUsage: "install|remove|status",
		Flags:     append(cli.CommonFlags(), listenFlags()...),
		Action:    manageService,
	}
}

// manageService runs listen service.
func manageService(c *ucli.Context) error {
	args, err := cli.Positional(c, 1)
	if err != nil {
		return err
	}
	const hint = "Write listen service install --key-file FILE --ledger FILE, listen service status, or listen service remove."
	if len(args) == 0 {
		return cli.Usagef(hint, "listen service: what is to be done with it?")
	}
	act := map[string]func(*ucli.Context, []string) error{"install": installService, "remove": removeService, "status": serviceStatus, "run": runService}[args[0]]
	if act == nil {
		return cli.Usagef(hint, "listen service %s", args[0])
	}
	if noServices != "" {
		return cli.Usage(errors.New("listen service is for Windows"), noServices)
	}
	flags, err := serviceFlags(c)
	if err != nil {
		return err
	}
	if args[0] != "install" && args[0] != "run" && len(flags) > 0 {
		return cli.Usagef("Flags go with install.", "listen service %s takes no flags", args[0])
	}
	return act(c, flags)
}

// notForServices are flags that make no sense of a service, and why.
var notForServices = map[string]string{
	"key":    "Every user of this machine may read a service's command line: write the key to a file, and give --key-file.",
	"user":   "A service has an account of its own.",
	"check":  "Run listen --check by itself.",
	"json":   "Nobody reads what a service prints: give --ledger FILE, which has the same lines.",
	"invite": "Run listen --invite by itself.",
}

// serviceFlags are the flags that a service is to be started with: those that were
// given, files by their whole names, since a service is started in another folder.
func serviceFlags(c *ucli.Context) ([]string, error) {
	var out []string
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !slices.ContainsFunc(c.Lineage(), func(l *ucli.Context) bool { return l.Command != nil && slices.Contains(l.LocalFlagNames(), name) }) {
			continue
		}
		if why := notForServices[name]; why != "" {
			return nil, cli.Usagef(why, "--%s is not for a service", name)
		}
		switch f.(type) {
		case *ucli.StringSliceFlag:
			for _, v := range cli.Strings(c, name) {
				if name == "out" {
					v = absolute(v) // a service runs in a directory of the system's
				}
				out = append(out, "--"+name+"="+v)
			}
			continue
		case *ucli.BoolFlag:
			if cli.Bool(c, name) {
				out = append(out, "--"+name)
			}
			continue
		case *ucli.DurationFlag:
			out = append(out, "--"+name+"="+cli.Duration(c, name).String())
			continue
		case *ucli.IntFlag:
			out = append(out, fmt.Sprintf("--%s=%d", name, cli.Int(c, name)))
			continue
		}
		v := cli.String(c, name)
		if slices.Contains([]string{"key-file", "site", "ledger", "ready-file"}, name) || name == "downloads" && v != "auto" || name == "plan" && !slices.Contains(plan.Names(), v) {
			whole, err := filepath.Abs(v)
			if err != nil {
				return nil, cli.Usage(fmt.Errorf("--%s: %w", name, err), "Give the whole name of the file.")
			}
			v = whole
		}
		out = append(out, "--"+name+"="+v)
	}
	return out, nil
}

// checkService reads what a service is to be started with, before Windows is told: it
// could not tell anybody what is wrong.
func checkService(c *ucli.Context) error {
	common, err := cli.ReadCommon(c)
	if err != nil {
		return err
	}
	if cli.String(c, "key-file") == "" {
		return cli.Usagef("Write six words of your own, or any text of 12 characters or more, to a file, and give --key-file FILE: nobody sees what a service prints, and so no key that it makes.", "--key-file is missing")
	}
	if cli.String(c, "ledger") == "" {
		return cli.Usagef("Nobody sees what a service prints. Give --ledger FILE, which gets every contact.", "--ledger is missing")
	}
	if _, err := common.Key(); err != nil {
		return err
	}
	if _, err := plan.ParseRoles(common.Plan, cli.Values(c, "role")); err != nil {
		return cli.Usage(err, "")
	}
	if _, err := parseAllowed(cli.Values(c, "allow")); err != nil {
		return err
	}
	if d := cli.Duration(c, "for"); d <= 0 {
		return cli.Usagef("Give a time such as 8h or 30m.", "--for %v", d)
	}
	return nil
}

// installedWords say how to go on with a service that was installed.
func installedWords(keyFile, ledger, account string) string {
	quoted := func(s string) string { return `"` + s + `"` }
	return strings.Join([]string{
		"Installed as " + serviceName + ", which is started by hand and ends by itself (--for). It runs as " + account + ", which has no rights",
		"of an administrator. Let it read the key and write the ledger, in cmd or PowerShell:",
		"  icacls " + quoted(keyFile) + " /grant " + quoted(account+":R"),
		"  icacls " + quoted(filepath.Dir(ledger)) + " /grant " + quoted(account+":(OI)(CI)M"),
		"Then:",
		"  net start " + serviceName,
		"  listen service status",
		"  net stop " + serviceName,
		"  listen service remove",
		"What troubles it is in the event log (eventvwr, Windows Logs, Application, source " + serviceName + "), every contact in the ledger.",
		"Windows' own firewall asks nobody about a service: it has to be told which ports to let in (docs/windows.md).",
		"",
	}, "\n")
}
