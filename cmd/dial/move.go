package main

import (
	"errors"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/merge"
	"dialtone/internal/move"
	"dialtone/internal/report"
	"dialtone/internal/result"
)

func moveFlags() []ucli.Flag {
	return append(outputFlags(report.Move), &ucli.StringFlag{Name: "to", Usage: "the `NAME` or address that the server will have, as others dial it"})
}

// moveSheet runs dial move.
func moveSheet(c *ucli.Context) error {
	names, err := cli.Positional(c, maxFiles)
	if err != nil {
		return err
	}
	if names, err = expand(names); err != nil {
		return err
	}
	const how = "Write dial move --to NEW OLD.json, with the files that listen --out and dial --out FILE.json wrote on the old server, or about it."
	if len(names) == 0 {
		return cli.Usagef(how, "dial move needs a report of the old server")
	}
	if cli.String(c, "to") == "" {
		return cli.Usagef(how, "--to is missing")
	}
	to, err := cli.Host(cli.String(c, "to"))
	if err != nil {
		return cli.Of("--to", err)
	}
	out, err := readOutputs(c, report.Move)
	if err != nil {
		return err
	}
	in, err := readReports(names)
	if err != nil {
		return err
	}
	var reports []*result.Report
	for _, i := range in {
		reports = append(reports, merge.Sound(i.Report))
	}
	sheet, err := move.Of(reports, to)
	if errors.Is(err, move.ErrNobody) {
		return &cli.Failure{Code: cli.ExitNothing, Err: err, Hint: how}
	}
	if err != nil {
		return cli.Usage(err, how)
	}
	return write(out, c.App.Writer, report.Move, sheet)
}
