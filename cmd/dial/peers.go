package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/consortium"
	"dialtone/internal/merge"
	"dialtone/internal/plan"
	"dialtone/internal/report"
)

// maxPeersAtOnce bounds --at-once: each takes connections and memory here.
const maxPeersAtOnce = 256

// peers runs dial odyssey --peers FILE.
func peers(c *ucli.Context) error {
	if err := checkPeersFlags(c); err != nil {
		return err
	}
	out, err := readOutputs(c, report.Matrix)
	if err != nil {
		return err
	}
	file := cli.String(c, "peers")
	list, doubts, err := plan.LoadPartners(file)
	if err != nil {
		return cli.Usage(err, "docs/consortium.md shows a list.")
	}
	for _, doubt := range doubts {
		sayTo(c, "")("%s", doubt)
	}
	l, err := prepare(c, filepath.Dir(file), list)
	if err != nil {
		return err
	}
	out.askedBy(l.Base.Site)
	if err := out.check(); err != nil {
		return err
	}
	name := cli.String(c, "progress")
	if name == "" {
		name = file + ".progress"
	}
	kept, err := cli.OpenFile(name, os.O_RDWR)
	if err != nil {
		return cli.Usage(fmt.Errorf("progress: %w", err), "Give a file that can be written with --progress.")
	}
	progress, err := consortium.Open(kept, cli.Bool(c, "again"))
	if errors.Is(err, consortium.ErrForeign) {
		return cli.Usage(err, "Give another file with --progress; this one was left as it is.")
	} else if err != nil {
		return cli.Usage(err, "Give a file that can be written with --progress.")
	}
	defer progress.Close()
	if known := l.Resume(progress); known > 0 {
		sayTo(c, "")("%d of %d partners were tested by a run that was interrupted, and are not tested again (%s; --again does).", known, len(l.Partners), name)
	}
	testAll(c, l, progress)
	m, err := l.Matrix()
	if err != nil {
		return cli.Usage(err, "listen plan shows the ids.")
	}
	code := endWith(merge.ExitCode(m), write(out, c.App.Writer, report.Matrix, m))
	left := l.Left()
	var f *cli.Failure
	switch {
	case errors.As(code, &f) && f.Err != nil: // the result is not all written: nothing is to be lost
	case left > 0:
		sayTo(c, "")("interrupted: %d of %d partners are left. The same command goes on with them; %s has the others.", left, len(l.Partners), name)
	default:
		if err := progress.Remove(); err != nil {
			sayTo(c, "")("%v: remove it, or the next run takes its reports for its own", err)
		}
	}
	return code
}

// testAll tests those of a list that are left, and shows how far it is.
func testAll(c *ucli.Context, l *consortium.List, progress *consortium.Progress) {
	line := newTallyLine(c.App.ErrWriter, len(l.Partners))
	defer line.end()
	l.OnDone = func() { line.show(l.Tally()) }
	l.OnNotKept = func(err error) {
		line.end()
		sayTo(c, "")("%v: if this run is interrupted, those tested from now on will be tested again", err)
	}
	l.OnDone()
	l.Test(c.Context, progress)
}

// checkPeersFlags refuses what does not go with a list.
func checkPeersFlags(c *ucli.Context) error {
	wait, err := readWait(c)
	if err != nil {
		return err
	}
	if args := c.Args().Slice(); len(args) > 0 {
		return cli.Usagef("Leave one of the two out; a partner's invitation belongs into the list.", "--peers and %.60q: the list has the partners", args[0])
	}
	if wait > 0 {
		return cli.Usagef("Use --wait with one PEER. With --peers each partner has to run listen when you test.", "--wait does not go with --peers")
	}
	if cli.Bool(c, "installed") {
		return cli.Usagef("Use --installed with one PEER.", "--installed does not go with --peers")
	}
	if cli.String(c, "compare") != "" {
		return cli.Usagef("Compare the reports of two runs with one PEER: dial compare OLD NEW.", "--compare does not go with --peers")
	}
	if n := cli.Int(c, "at-once"); n < 1 || n > maxPeersAtOnce {
		return cli.Usagef(fmt.Sprintf("Give a number from 1 to %d.", maxPeersAtOnce), "--at-once %d", n)
	}
	return nil
}

// refusePeersFlags refuses flags that only a list gives a meaning.
func refusePeersFlags(c *ucli.Context) error {
	for _, name := range []string{"at-once", "progress", "again"} {
		if cli.IsGiven(c, name) {
			return cli.Usagef("Leave it out, or give --peers FILE with the list.", "--%s is for a list of partners", name)
		}
	}
	return nil
}
