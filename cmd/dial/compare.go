package main

import (
	"errors"
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/compare"
	"dialtone/internal/merge"
	"dialtone/internal/report"
	"dialtone/internal/result"
)

func compareFlags() []ucli.Flag { return outputFlags(report.Comparison) }

// compareFlag is --compare of a run.
func compareFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "compare", Usage: "tell what changed since the report in `OLD`, which dial --out OLD.json wrote"}
}

// compareReports runs dial compare.
func compareReports(c *ucli.Context) error {
	names, err := cli.Positional(c, 2)
	if err != nil {
		return err
	}
	if len(names) < 2 {
		return cli.Usagef("Name the two files that dial --out FILE.json wrote, the older first: dial compare monday.json today.json", "dial compare needs two reports")
	}
	out, err := readOutputs(c, report.Comparison)
	if err != nil {
		return err
	}
	in, err := readReports(names)
	if err != nil {
		return err
	}
	d, err := compared(in[0].Report, in[1].Report)
	if err != nil {
		code := cli.ExitUsage
		if errors.Is(err, compare.ErrNothing) {
			code = cli.ExitNothing
		}
		return &cli.Failure{Code: code, Err: fmt.Errorf("%s and %s: %w", names[0], names[1], err), Hint: compareHint(err)}
	}
	return endWith(compare.ExitCode(d), write(out, c.App.Writer, report.Comparison, d))
}

// errOtherEnd is a report that the other end made.
var errOtherEnd = errors.New("they are those of the two ends of one pair")

// compared says what changed between two reports, each as its evidence bears it.
func compared(old, now *result.Report) (*result.Comparison, error) {
	if _, ok := merge.Pair(old, now, false); ok {
		return nil, errOtherEnd
	}
	return compare.Reports(cli.Software, merge.Sound(old), merge.Sound(now))
}

// compareHint is what to do where two reports cannot be compared.
func compareHint(err error) string {
	switch {
	case errors.Is(err, errOtherEnd):
		return "dial merge joins these. To compare, give two reports of the same end."
	case errors.Is(err, compare.ErrSameRun):
		return "Give the report of an earlier run, and that of a later one."
	case errors.Is(err, compare.ErrOrder):
		return "Give the older report first."
	}
	return "Compare two reports of the same command: the same roles, the same direction."
}

// An earlier is the report that a run is to be compared with; its zero value is none.
type earlier struct {
	name   string
	report *result.Report
}

// readEarlier reads the file of --compare: better to know before a test than after
// it that it is none.
func readEarlier(c *ucli.Context) (earlier, error) {
	name := cli.String(c, "compare")
	if name == "" {
		return earlier{}, nil
	}
	in, err := readReports([]string{name})
	if err != nil {
		return earlier{}, cli.Of("--compare", err)
	}
	return earlier{name, in[0].Report}, nil
}

// since adds to a report what changed since the earlier one. A run that cannot be
// compared is told all the same.
func (e earlier) since(c *ucli.Context, r *result.Report) {
	if e.report == nil {
		return
	}
	d, err := compared(e.report, r)
	if err != nil {
		sayTo(c, "")("it was not compared with %s: %v. %s", e.name, err, compareHint(err))
		return
	}
	r.Compared = d
}
