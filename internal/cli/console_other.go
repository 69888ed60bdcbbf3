//go:build !windows

package cli

// ownsConsole reports false: a window that closes with its program is a matter of the
// desktop's settings here.
func ownsConsole() bool { return false }
