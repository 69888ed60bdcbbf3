package main

import (
	"slices"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/report"
	"dialtone/internal/selfcheck"
)

func app() *ucli.App {
	return cli.WithGuide(&ucli.App{
		Name:  "dial",
		Usage: "test every path that ILLiad needs, each way, against a running listen",
		UsageText: "dial [flags] HOST          as a staff PC (or --role) against the machine that runs listen\n" +
			"dial odyssey [flags] PEER  server to server between two institutions, both directions\n" +
			"dial odyssey @FILE|LINE    the same by the invitation that the partner's listen --invite made, as a file, an e-mail, or its line; it has the key, plan and ports\n" +
			"dial odyssey --peers FILE  a list of many partners, side by side: a matrix\n" +
			"dial egress [flags]        from here to OCLC, Atlas and the site's LDAP, ILS, OPAC and mail: needs no listen\n" +
			"dial merge FILE FILE…      several reports into one: both ends of a pair, or many machines side by side\n" +
			"dial compare OLD NEW       what changed between two reports: what worked then, and does not now\n" +
			"dial move --to NEW OLD…    what each partner and PC has to change when the server gets another address\n" +
			"dial watch [flags] HOST    the same test again and again: what changes, a history, metrics for Prometheus\n" +
			"dial address [flags] [HOST]  the address that partners see, by --stun servers or by HOST's listen\n" +
			"dial version               what this program is, in one line for a bug report\n" +
			"dial selfcheck             what this system does of what the program takes for granted, in a file to send back",
		Description: "Flags may stand before or after HOST, and an invitation in place of it. Results go\n" +
			"to standard output, progress to standard error.\n\n" +
			"Exit: 0 every required path works, 1 at least one does not, 2 wrong use or a file\n" +
			"that cannot be read or written, 3 no attempt could be made.",
		Flags:  append(cli.CommonFlags(), dialFlags()...),
		Action: func(c *ucli.Context) error { return run(c, modeHost) },
		Commands: []*ucli.Command{{
			Name: "odyssey", Usage: "test Odyssey and ISO ILL between this server and a partner's, or those of many partners, both directions",
			ArgsUsage: "PEER|@FILE|LINE",
			Flags:     append(append(cli.CommonFlags(), dialFlags()...), odysseyFlags()...),
			Action:    func(c *ucli.Context) error { return run(c, modeOdyssey) },
		}, {
			Name: "egress", Usage: "test what this machine has to reach elsewhere (OCLC, Atlas; LDAP, ILS, OPAC, mail of the site file), in each service's own language",
			ArgsUsage: " ",
			Flags: append(append(cli.CommonFlags(), dialFlags()...),
				&ucli.StringSliceFlag{Name: "host", Usage: "visit another host for a row, service or role, `ID=HOST[:PORT]` (repeatable)"}),
			Action: egress,
		}, {
			Name: "merge", Usage: "make one report of several: join those of the two ends of a pair, or lay many side by side",
			ArgsUsage: "FILE FILE…",
			Flags:     mergeFlags(),
			Action:    mergeReports,
		}, {
			Name: "compare", Usage: "say what changed between two reports, the older first. Exit: 0 every required path that worked in OLD works in NEW, 1 one does not or is not known to, 3 they have no path in common",
			ArgsUsage: "OLD NEW",
			Flags:     compareFlags(),
			Action:    compareReports,
		}, {
			Name: "move", Usage: "say what others have to change when the server gets another address: from reports of the old one. Exit: 0 done, 2 wrong use, 3 nobody has to",
			ArgsUsage: "OLD.json…",
			Flags:     moveFlags(),
			Action:    moveSheet,
		}, {
			Name: "watch", Usage: "repeat the test of HOST, gently, and tell what changes. Exit: 0 it was stopped, 2 wrong use or a history that cannot be read",
			Description: "It ends by Ctrl-C or SIGTERM. On HOST listen has to run all the while (listen --for 720h).",
			ArgsUsage:   "HOST|@FILE",
			Flags:       append(cli.CommonFlags(), watchFlags()...),
			Action:      watchPaths,
		}, {
			Name: "address", Usage: "tell as which address others see this machine, and whether it leads back here: by STUN servers, or by a machine that runs listen",
			ArgsUsage: "[HOST]",
			Flags:     addressFlags(),
			Action:    addresses,
		}, selfcheck.Command()},
	}, guide)
}

func dialFlags() []ucli.Flag {
	return append([]ucli.Flag{
		&ucli.StringSliceFlag{Name: "role", Usage: "this machine plays these `ROLES` (client, server, web, peer, …), or all: every row of the plan, dialed to HOST", DefaultText: "client"},
		&ucli.StringSliceFlag{Name: "only", Usage: "test only these rows or services (`ID`,…)"},
		&ucli.BoolFlag{Name: "both-ways", Usage: "also test the opposite direction of every row; it never counts for the exit code"},
		&ucli.BoolFlag{Name: "installed", Usage: "the real software runs on HOST now: ask it in its own language, never send the proof; needs no key and no listen"},
		&ucli.BoolFlag{Name: "trace", Usage: "find out where every path stops, not only the required ones (Linux)"},
		&ucli.BoolFlag{Name: "gentle", Usage: "open connections one after the other, and no more than needed: for a network whose intrusion prevention counts them"},
		&ucli.BoolFlag{Name: "enter", Usage: "where live software holds a port and says nothing until it is spoken to (Odyssey, ISO ILL): send it one empty line, as a person does who tries the port by telnet"},
		&ucli.IntFlag{Name: "contact", Usage: "the TCP `PORT` that listen was given as --contact: ask there first which ports live software holds, since none of these may get the proof"},
		verboseFlag("also tell all evidence (hops, sources, times), how long the run may take, and how sure its samples are"),
		&ucli.DurationFlag{Name: "hold", Usage: "keep connections idle for up to this `DURATION`, such as 30m, to find out what idle time the required paths survive"},
		timeoutFlag("how long each step may take, `DURATION`: connecting and proving, then the payload each way"),
		compareFlag(),
	}, slices.Concat(outputFlags(report.Paths), requestFlags())...)
}

// timeoutFlag is --timeout, which means what usage says.
func timeoutFlag(usage string) ucli.Flag {
	return &ucli.DurationFlag{Name: "timeout", Value: 4 * time.Second, Usage: usage}
}

// verboseFlag is --verbose, which means what usage says.
func verboseFlag(usage string) ucli.Flag { return &ucli.BoolFlag{Name: "verbose", Usage: usage} }

// outputFlags say where a kind of document goes, the same for every command.
func outputFlags[T any](k report.Kind[T]) []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "format", Value: "text", Usage: "`FORMAT` on standard output: " + k.Formats()},
		&ucli.StringSliceFlag{Name: "out", Usage: "also write the " + k.What + " to `FILE`; its ending chooses the format: " + k.Endings() + " (repeatable)"},
	}
}

func odysseyFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.DurationFlag{Name: "wait", Usage: "the partner runs the same command: dial each other for up to this `DURATION`, such as 15m, until one gets through; both get the same report"},
		&ucli.StringFlag{Name: "peers", Usage: "test all partners of the list in `FILE`, CSV or YAML with name, host, invitation; --format and --out then know " + report.Matrix.Formats()},
		&ucli.IntFlag{Name: "at-once", Value: 16, Usage: "with --peers: test `N` partners side by side"},
		&ucli.StringFlag{Name: "progress", Usage: "with --peers: keep in `FILE` who was tested, until all are, for a run that is interrupted and started again", DefaultText: "the list's name and .progress"},
		&ucli.BoolFlag{Name: "again", Usage: "with --peers: test those again, too, that an interrupted run has tested"},
	}
}

func mergeFlags() []ucli.Flag {
	return slices.Concat(outputFlags(report.Matrix), requestFlags(), []ucli.Flag{
		verboseFlag("also tell all evidence, and every machine"),
		&ucli.StringFlag{Name: "site", Usage: "site `FILE` that says who asks (institution, contact), for requests"},
		&ucli.StringFlag{Name: "plan", Value: "illiad", Usage: "the plan that the site file is for, `NAME`"},
	})
}

// mode is which rows and hosts a command chooses.
type mode int

const (
	_ mode = iota
	modeHost
	modeOdyssey
)

// odysseyRows are the services between two institutions' servers.
var odysseyRows = []string{"odyssey", "iso"}
