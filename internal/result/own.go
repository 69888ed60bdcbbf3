package result

import "slices"

// OwnCodes are the codes of findings about what the people at the two ends have to mend
// themselves: how they started the two programs, what they gave them, that the
// test did not come to its end, what their machines lack or do by themselves, or
// that the service itself said no. No firewall has anything to do with it.
var OwnCodes = []string{
	"another-service",
	"client-certificate",
	"closed-or-off",
	"conntrack-full",
	"dial-paused",
	"interrupted",
	"listener-busy",
	"listener-crowded",
	"listener-late",
	"listener-paused",
	"name-not-found",
	"name-servers",
	"needs-tls",
	"no-backend",
	"no-descriptor",
	"no-evidence",
	"no-local-port",
	"no-tls",
	"not-allowed",
	"not-dialed",
	"not-understood",
	"only-sends",
	"other-key",
	"other-plan",
	"other-shift",
	"other-version",
	"own-address",
	"own-answer",
	"reverse-path",
	"security-mismatch",
	"sends-from-elsewhere",
	"service-unavailable",
	"tls-chain-incomplete",
	"tls-from-the-first-byte",
	"tls-name-unknown",
	"tls-no-common-cipher",
	"tls-refused",
	"tls-version",
	"turned-away",
	"unexpected-status",
	"untested",
	"wrong-key",
}

// IsOwn reports whether what a finding says is for the people at the two ends to
// mend, and nothing to ask a firewall's for.
func (f Finding) IsOwn() bool { return slices.Contains(OwnCodes, f.Code) }
