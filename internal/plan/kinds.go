package plan

import (
	"slices"
	"strings"
)

// A Kind is what a partner in a list runs.
type Kind struct {
	Name  string
	Title string
	// Takes are the services of a plan that it accepts from this site's server,
	// Sends those that it opens to it.
	Takes, Sends []string
	// Hosted: it is somebody's service, where nobody can run listen. What it takes
	// is asked for in its own language, and no proof is sent to it; only its own
	// delivery shows that what it sends arrives.
	Hosted bool
	Source Page // who says so
}

// Kinds are those known, the usual one first.
var Kinds = []Kind{
	{Name: "illiad", Title: "an ILLiad server", Takes: []string{"odyssey", "iso"}, Sends: []string{"odyssey", "iso"},
		Source: Page{"Network Ports", "https://docs.atlas-sys.com/docs/illiad/installing-and-updating/network-ports"}},
	{Name: "odyssey", Title: "a PC with Odyssey Standalone", Takes: []string{"odyssey"}, Sends: []string{"odyssey"},
		Source: Page{"Odyssey Standalone FAQ", "https://osu.illiad.oclc.org/illiad/osu/lending/odysseyfaq.html"}},
	{Name: "rapidx", Title: "RapidX, which delivers for libraries of RapidILL", Sends: []string{"odyssey"}, Hosted: true,
		Source: Page{"Rapid Manager with Odyssey", "https://support.atlas-sys.com/hc/en-us/articles/360011806914-Initial-Configuration-Using-Rapid-Manager-with-Odyssey"}},
	{Name: "alma", Title: "Alma or Rapido of a library, by ISO ILL", Takes: []string{"iso"}, Sends: []string{"iso"}, Hosted: true,
		Source: Page{"ILLiad and Rapido ISO Connection", "https://ulmsguide.calstate.edu/ulms-guide/resource-sharing/configuration/outside-partner-configurations/illiad-and-rapido-iso-connection"}},
	{Name: "reprints-desk", Title: "Reprints Desk, which delivers what was bought", Sends: []string{"odyssey"}, Hosted: true,
		Source: Page{"Reprints Desk addon", "https://atlas-sys.atlassian.net/wiki/pages/viewpage.action?pageId=81690646"}},
}

// kindNames lists the names of Kinds.
func kindNames() []string {
	var out []string
	for _, k := range Kinds {
		out = append(out, k.Name)
	}
	return out
}

// kind returns the kind that s names, the usual one if it was not given.
func (d *document) kind(s scalar) Kind {
	if !s.given() {
		return Kinds[0]
	}
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return strings.EqualFold(k.Name, s.text) })
	if i < 0 {
		d.problemf(s.line, "unknown kind %s: use %s", quote(s.text), oneOf(s.text, kindNames()))
		return Kinds[0]
	}
	return Kinds[i]
}

// KindOf is what a partner runs.
func (p Partner) KindOf() Kind {
	if i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == p.Kind }); i >= 0 {
		return Kinds[i]
	}
	return Kinds[0]
}

// RowsOf are the ids of those of flows that there are with a partner of this
// kind: forward those that it takes, reverse those that it sends.
func (k Kind) RowsOf(flows []Flow) []string {
	var out []string
	for _, f := range flows {
		of := k.Takes
		if f.Direction == Reverse {
			of = k.Sends
		}
		if slices.Contains(of, f.Row.Service) && !slices.Contains(out, f.Row.ID) {
			out = append(out, f.Row.ID)
		}
	}
	return out
}
