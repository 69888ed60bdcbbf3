package cli

import (
	"os"

	"golang.org/x/sys/windows"
)

// EnableColor makes a terminal understand colour escapes and reports whether
// it does: a Windows console does only when asked to.
func EnableColor(f *os.File) bool {
	var mode uint32
	h := windows.Handle(f.Fd())
	if windows.GetConsoleMode(h, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

// movesCursor reports whether a terminal's cursor can be moved by escapes.
func movesCursor(f *os.File) bool { return os.Getenv("TERM") != "dumb" && EnableColor(f) }
