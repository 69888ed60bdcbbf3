// Package cli is what the command lines of both programs share: their common
// flags, and how an error becomes words and an exit code.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"dialtone/internal/echo"
)

// Exit codes of both programs.
const (
	ExitOK      = 0
	ExitBroken  = 1 // a required path is not ok; listen --check: a port could not be bound
	ExitUsage   = 2 // command line, plan, site file, key, or a file that cannot be written
	ExitNothing = 3 // no attempt could be made; listen: no port could be bound
)

// A Failure is an error that ends a program, with what to do about it.
type Failure struct {
	Code int
	Err  error  // nil: everything was said already
	Hint string // the next step; "" if the error has it
}

func (f *Failure) Error() string {
	switch {
	case f.Err == nil:
		return fmt.Sprintf("exit %d", f.Code)
	case f.Hint == "":
		return f.Err.Error()
	}
	return f.Err.Error() + "\n  " + f.Hint
}

func (f *Failure) Unwrap() error { return f.Err }

// Usage makes a Failure of something the user can mend on the command line.
func Usage(err error, hint string) error { return &Failure{Code: ExitUsage, Err: err, Hint: hint} }

// Usagef makes a Failure of something the user can mend on the command line.
func Usagef(hint, format string, args ...any) error { return Usage(fmt.Errorf(format, args...), hint) }

// lastWords is how long a reader of standard error is waited for at the end.
const lastWords = 700 * time.Millisecond

// Run runs an app until it ends or is interrupted, says what went wrong, and
// returns the exit code.
func Run(app *cli.App, args []string, stdout, stderr io.Writer) int {
	return RunUntil(nil, app, args, stdout, stderr)
}

// RunUntil is Run for a program that is told to stop by told being closed, too, as a
// service is.
func RunUntil(told <-chan struct{}, app *cli.App, args []string, stdout, stderr io.Writer) int {
	ctx, stop := untilStopped(told)
	defer stop()
	errs := NewSpool(stderr)
	errs.OnGap = func(dropped int, over bool) string {
		if !over {
			return ""
		}
		return fmt.Sprintf("%s: %d messages were not shown before this, since nobody read them.\n", app.Name, dropped)
	}
	defer errs.Close(lastWords)
	app.Writer, app.ErrWriter = stdout, errs
	app.Version = Version
	app.HideHelpCommand = true
	app.ExitErrHandler = func(*cli.Context, error) {} // this function handles errors
	onUsage := func(c *cli.Context, err error, _ bool) error {
		return Usage(err, fmt.Sprintf("See %s --help.", app.Name))
	}
	app.OnUsageError = onUsage
	for _, c := range app.Commands {
		c.OnUsageError = onUsage
		c.HideHelpCommand = true
	}
	if len(args) == 2 && args[1] == "version" {
		fmt.Fprintln(stdout, VersionLine(app.Name))
		return ExitOK
	}
	args, err := flagsFirst(app, args)
	if err == nil {
		if of, ok := asksForHelp(app, args); ok {
			writeHelp(stdout, app, of)
			return ExitOK
		}
		err = app.RunContext(ctx, args)
	}
	if err == nil {
		return ExitOK
	}
	var f *Failure
	if !errors.As(err, &f) {
		f = &Failure{Code: ExitUsage, Err: err}
	}
	if f.Err != nil {
		fmt.Fprintf(errs, "%s: %v\n", app.Name, f)
	}
	return f.Code
}

// Positional returns the arguments that are no flags, n of them at most. What
// looks like a flag and stands behind "--" is refused: none of them begins so.
func Positional(c *cli.Context, n int) ([]string, error) {
	args := c.Args().Slice()
	for _, a := range args {
		if isFlag(a) {
			return nil, Usagef("A flag may stand anywhere, but not behind --.", "%q is no argument", a)
		}
	}
	if len(args) > n {
		hint := fmt.Sprintf("See %s --help.", c.App.Name)
		if key := String(c, "key"); key != "" && len(key) < echo.MinKeyLength {
			hint = "A key with spaces between its words needs quotes around it, or hyphens in place of the spaces."
		}
		if meant := Slip(c.App, args[0]); meant != "" && c.Command.Name == c.App.Name {
			hint = fmt.Sprintf("If the subcommand is meant, write %s.", strings.Join(append([]string{c.App.Name, meant}, args[1:]...), " "))
		}
		if len(args) == 2 && builtinWords[args[0]] != "" {
			if meant := Slip(c.App, args[1]); meant != "" {
				hint = fmt.Sprintf("Write %s %s %s.", c.App.Name, args[0], meant)
			}
		}
		return nil, Usagef(hint, "unexpected argument %q", args[n])
	}
	return args, nil
}
