//go:build !windows

package logon

// Find finds nothing: the client runs on Windows alone.
func Find() (Connection, bool) { return Connection{}, false }
