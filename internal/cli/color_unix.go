//go:build unix

package cli

import "os"

// EnableColor makes a terminal understand colour escapes and reports whether
// it does.
func EnableColor(*os.File) bool { return true }

// movesCursor reports whether a terminal's cursor can be moved by escapes.
func movesCursor(*os.File) bool {
	t := os.Getenv("TERM")
	return t != "" && t != "dumb"
}
