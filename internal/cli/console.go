package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// Main runs a program as Run does, in the streams of this process. Where it has a
// console to itself, it was opened by a double-click (on Windows): then ask, if it is
// not nil, makes a command line of what it asks for, and the window, which closes with
// the program, waits for a key.
func Main(app *cli.App, ask Asking) int {
	return mainIn(ownsConsole(), app, os.Args, os.Stdin, os.Stdout, os.Stderr, ask)
}

// Asking makes the arguments of a program of what somebody answers. It reads line by
// line, and asks on w.
type Asking func(line func() (string, bool), w io.Writer) []string

func mainIn(own bool, app *cli.App, args []string, stdin io.Reader, stdout, stderr io.Writer, ask Asking) int {
	if !own {
		return Run(app, args, stdout, stderr)
	}
	in := bufio.NewScanner(stdin)
	line := func() (string, bool) {
		ok := in.Scan()
		return in.Text(), ok
	}
	if ask != nil && len(args) == 1 {
		args = append(args, ask(line, stdout)...)
	}
	code := Run(app, args, stdout, stderr)
	fmt.Fprint(stdout, "\nPress Enter to close this window. ")
	line()
	return code
}
