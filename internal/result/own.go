package result

import "slices"

// OwnCodes are the codes of findings about what the people at the two ends have to mend
// themselves: how they started the two programs, what they gave them, that the
// test did not come to its end, or what their machines lack or do by themselves.
// No firewall has anything to do with it.
var OwnCodes = []string{
	"closed-or-off",
	"conntrack-full",
	"interrupted",
	"listener-busy",
	"listener-paused",
	"name-not-found",
	"no-descriptor",
	"no-evidence",
	"no-local-port",
	"not-allowed",
	"not-dialed",
	"only-sends",
	"other-key",
	"other-plan",
	"other-shift",
	"other-version",
	"own-answer",
	"reverse-path",
	"sends-from-elsewhere",
	"untested",
	"wrong-key",
}

// IsOwn reports whether what a finding says is for the people at the two ends to
// mend, and nothing to ask a firewall's for.
func (f Finding) IsOwn() bool { return slices.Contains(OwnCodes, f.Code) }
