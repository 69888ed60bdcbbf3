package cli

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Width is how many columns there are on w: those of its terminal, else what the
// environment variable COLUMNS says, as a program behind a pipe is told; 0: nobody
// says.
func Width(w io.Writer) int {
	if f := Terminal(w); f != nil {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		return columns
	}
	return 0
}
