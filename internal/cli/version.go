package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is this release of Dialtone.
const Version = "0.1.0"

// Software is how both programs name themselves to each other.
const Software = "dialtone " + Version

// commit is what the programs were built from, as scripts/release has the linker say
// it: it builds the same bytes from a checkout and from a copy without its history.
// "": Go's own record tells, if it was built in a checkout.
var commit string

// VersionLine is all that a bug report needs of a program, in one line.
func VersionLine(program string) string {
	info, _ := debug.ReadBuildInfo()
	return fmt.Sprintf("%s %s, %s, %s, %s/%s", program, Version, commitWords(commit, info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// commitWords say what a program was built from. info is nil if Go recorded nothing.
func commitWords(linked string, info *debug.BuildInfo) string {
	if linked != "" {
		return "commit " + linked
	}
	var revision, at, changed string
	if info != nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value[:min(len(s.Value), 12)]
			case "vcs.time":
				at = " of " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					changed = ", with changes"
				}
			}
		}
	}
	if revision == "" {
		return "commit unknown"
	}
	return "commit " + revision + at + changed
}
