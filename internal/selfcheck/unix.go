//go:build !windows

package selfcheck

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// systems are the points of this system alone, and byEye what a person looks at.
var systems = []try{
	{"system", "which system this is", system},
	{"windows", "excluded port ranges, access lists, the firewall's rules, services", func(context.Context, Config) (State, []string) { return NotHere, nil }},
}

var byEye []string

func system(context.Context, Config) (State, []string) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Unknown, []string{errorWords(err)}
	}
	return Told, []string{
		fmt.Sprintf("%s %s %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])),
		fmt.Sprintf("%d processors, root: %v, %s", runtime.NumCPU(), os.Geteuid() == 0, runtime.Version()),
	}
}

// isPrivate looks whether a file is its owner's alone.
func isPrivate(name string) (State, []string) {
	info, err := os.Stat(name)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	return expect(info.Mode().Perm() == 0o600), []string{"mode " + info.Mode().String()}
}

// consoleWords are what this system alone tells of a terminal.
func consoleWords() []string { return nil }
