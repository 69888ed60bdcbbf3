package selfcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/plan"
)

// Command is selfcheck, the same in both programs.
func Command() *ucli.Command {
	return &ucli.Command{
		Name: "selfcheck", Usage: "try on this machine what the program takes for granted of a system, and write it to a file for whoever asked for it",
		ArgsUsage: " ",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "out", Usage: "write to `FILE`", DefaultText: "selfcheck-PROGRAM-SYSTEM.txt"},
			&ucli.StringFlag{Name: "plan", Value: "illiad", Usage: "the plan whose ports are tried, `NAME` or a YAML file"},
		},
		Action: command,
	}
}

func command(c *ucli.Context) error {
	if _, err := cli.Positional(c, 0); err != nil {
		return err
	}
	p, err := plan.Load(cli.String(c, "plan"))
	if err != nil {
		return cli.Usage(err, "")
	}
	out := cli.String(c, "out")
	if out == "" {
		out = fmt.Sprintf("selfcheck-%s-%s-%s.txt", c.App.Name, runtime.GOOS, runtime.GOARCH)
	}
	if err := cli.CheckFile(out); err != nil {
		return cli.Usage(fmt.Errorf("--out: %w", err), "Give a file in a directory that can be written.")
	}
	fmt.Fprintf(c.App.ErrWriter, "%s: trying %d points, at most %v. Nothing is sent to another machine.\n", c.App.Name, len(everywhere)+len(systems), allWithin)
	r := Run(c.Context, Config{
		Program: c.App.Name, Version: cli.VersionLine(c.App.Name), Plan: p, Dir: filepath.Dir(out),
		Color: func(f *os.File) bool { return cli.EnableColor(f) }, WritePrivate: cli.WritePrivate,
	})
	if err := cli.WriteFile(out, r.Text()); err != nil {
		return cli.Usage(fmt.Errorf("--out: %w", err), "Give a file in a directory that can be written.")
	}
	fmt.Fprintf(c.App.Writer, "%s\nWritten to %s. It holds no key, and neither this machine's name nor yours.\nLook through it, and send it to whoever asked for it.\n", r.Summary(), out)
	if c.Context.Err() != nil {
		return &cli.Failure{Code: cli.ExitBroken}
	}
	return nil
}
