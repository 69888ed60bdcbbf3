package main

import (
	"encoding/json"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/report"
	"dialtone/internal/selfcheck"
)

func app() *ucli.App {
	return cli.WithGuide(&ucli.App{
		Name:  "listen",
		Usage: "stand in for an ILLiad server: bind its ports and prove every path to them",
		UsageText: "listen [flags]        bind the ports and answer until stopped\n" +
			"listen --invite FILE  the same, with an invitation for a partner institution\n" +
			"listen --check        say what could be bound, and end\n" +
			"listen plan [--json]  print the plan: who dials what, why, and who says so\n" +
			"listen rules          print the firewall rules that the plan needs, in the words of a product (--dialect)\n" +
			"listen service        install|remove|status: have Windows keep it running while nobody is logged on\n" +
			"listen version        what this program is, in one line for a bug report\n" +
			"listen selfcheck      what this system does of what the program takes for granted, in a file to send back",
		Description: "listen prints the dial command to run on the other machines. It stops by itself\n" +
			"after --for. It executes, serves and stores nothing that a peer sends.\n\n" +
			"Exit: 0 stopped as asked, 1 --check found a port that cannot be bound,\n" +
			"2 wrong use or a file that cannot be read or written, 3 no port could be bound.",
		Flags:  append(cli.CommonFlags(), listenFlags()...),
		Action: serve,
		Commands: []*ucli.Command{{
			Name: "plan", Usage: "print the plan: who dials what, why, and who says so",
			Flags:  append(cli.CommonFlags(), &ucli.BoolFlag{Name: "json", Usage: "as JSON"}),
			Action: printPlan,
		}, {
			Name: "rules", Usage: "print the firewall rules that the plan needs: for the server's own firewall, and for those on the way",
			Flags:  rulesFlags(),
			Action: printRules,
		}, serviceCommand(), selfcheck.Command()},
	}, guide)
}

func listenFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringSliceFlag{Name: "role", Usage: "bind only what these `ROLES` accept: server, web, database, … (default: every port of the plan)"},
		&ucli.StringSliceFlag{Name: "allow", Usage: "answer the key only from these `CIDR`s (default: from anywhere)"},
		&ucli.DurationFlag{Name: "for", Value: 8 * time.Hour, Usage: "stop after this `DURATION`"},
		&ucli.BoolFlag{Name: "beside", Usage: "bind none of the plan's ports: only bear witness of what comes to those that other software holds; with --contact, which dial then is given too"},
		&ucli.IntFlag{Name: "contact", Usage: "also bind this TCP `PORT`, over which dial asks, where no port of the plan is free and passes"},
		&ucli.StringFlag{Name: "downloads", Usage: "offer the files in `DIR` to browsers on the plan's HTTP port, without the key: exactly these, as they are now; auto: Dialtone's own files beside listen"},
		&ucli.StringSliceFlag{Name: "out", Usage: "keep a report of who reached which port, and whom the plan still expects, in `FILE`, written anew each minute and at the end; its ending chooses the format: " + report.Listened.Endings() + " (repeatable)"},
		&ucli.StringFlag{Name: "dashboard", Usage: "show who has tested what, live, to browsers of this machine at `ADDR`, such as 127.0.0.1:7900: browsers' tests, and the report that each dial then hands in"},
		&ucli.StringFlag{Name: "ledger", Usage: "append every contact to `FILE` as JSON lines, flushed before it is answered"},
		&ucli.StringFlag{Name: "ready-file", Usage: "write `FILE` once everything is bound"},
		&ucli.StringFlag{Name: "invite", Usage: "write to `FILE` and print the one line that a partner gives to dial odyssey; it holds the key"},
		&ucli.StringSliceFlag{Name: "public", Usage: "a `NAME` or address that partners dial, the preferred first (repeatable; default: this machine's addresses)"},
		&ucli.StringFlag{Name: "name", Usage: "this institution's name, `TEXT` for the invitation"},
		&ucli.StringFlag{Name: "user", Usage: "once the ports are bound, go on as this user, `NAME`, in root's place (Linux)"},
		&ucli.BoolFlag{Name: "check", Usage: "say what could be bound, and end"},
		&ucli.BoolFlag{Name: "json", Usage: "print contacts as JSON lines on standard output; words for people go to standard error"},
	}
}

func printPlan(c *ucli.Context) error {
	if _, err := cli.Positional(c, 0); err != nil {
		return err
	}
	common, err := cli.ReadCommon(c)
	if err != nil {
		return err
	}
	if cli.Bool(c, "json") {
		e := json.NewEncoder(c.App.Writer)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(common.Plan)
	}
	return report.WritePlan(c.App.Writer, common.Plan, common.Excluded, report.Options{Width: cli.Width(c.App.Writer)})
}
