//go:build unix

package cli

import "os"

// EnableColor makes a terminal understand colour escapes and reports whether
// it does.
func EnableColor(*os.File) bool { return true }
