package sock

import (
	"slices"
	"strings"
)

// A Firewall is what is known of Windows' own on this machine.
type Firewall struct {
	// Profiles are those of the networks that the machine is on now.
	Profiles []FirewallProfile
	// Rules are those for what comes in that name a program, and are switched on.
	Rules []ProgramRule
}

// A FirewallProfile is one of Windows' three, under the name that its commands give it.
type FirewallProfile struct {
	Name string // Domain, Private or Public
	IsOn bool
}

// A ProgramRule admits a program, or keeps what comes for it out, on whatever port.
type ProgramRule struct {
	Name     string
	Blocks   bool
	Profiles []string // Domain, Private, Public; none: all of them
	// OnePort says that it is for some ports only.
	OnePort bool
}

// parseProgramRule reads a rule as the registry has it (MS-FASP section 2.2.19), false
// if it is not one for what comes in for this program over TCP or UDP, or is off. same
// compares the names of two files.
func parseProgramRule(value, program string, same func(a, b string) bool) (ProgramRule, bool) {
	var r ProgramRule
	ours, in, active, acts := false, false, false, false
	for f := range strings.SplitSeq(value, "|") {
		key, v, ok := strings.Cut(f, "=")
		if !ok {
			continue
		}
		switch key {
		case "Action":
			acts = v == "Allow" || v == "Block"
			r.Blocks = v == "Block"
		case "Active":
			active = v == "TRUE"
		case "Dir":
			in = v == "In"
		case "App":
			ours = same(v, program)
		case "Name":
			r.Name = v
		case "Profile":
			r.Profiles = append(r.Profiles, v)
		case "LPort", "LPort2_10", "LPort2_20", "LPort2_24":
			r.OnePort = true
		case "Protocol":
			if v != "6" && v != "17" { // TCP, UDP; a rule for every protocol has no such field
				return r, false
			}
		}
	}
	return r, ours && in && active && acts
}

// currentProfiles are the names of the profiles whose part is in what netsh prints of
// those in effect. Its words are in the language of Windows: of is what it prints of each
// profile by itself, whose first line names it.
func currentProfiles(current string, of map[string]string) []string {
	var out []string
	for _, name := range []string{"Domain", "Private", "Public"} {
		title, _, _ := strings.Cut(strings.TrimSpace(of[name]), "\n")
		if title = strings.TrimSpace(title); title == "" {
			continue
		}
		for line := range strings.Lines(current) {
			if strings.TrimSpace(line) == title && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}
