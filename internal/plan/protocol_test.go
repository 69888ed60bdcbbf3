package plan

import (
	"slices"
	"testing"
)

func TestLanguagesAreWhole(t *testing.T) {
	seen := map[string]Protocol{}
	for i, l := range Languages {
		for _, name := range []string{string(l.Protocol), l.Title} {
			if other, taken := seen[name]; name == "" || taken && other != l.Protocol {
				t.Errorf("%q is no name for %s", name, l.Protocol)
			}
			seen[name] = l.Protocol
		}
		if !slices.Contains(transports, l.Transport) {
			t.Errorf("%s goes over %q", l.Protocol, l.Transport)
		}
		if l.Protocol.Language() != Languages[i] {
			t.Errorf("%s: %+v", l.Protocol, l.Protocol.Language())
		}
		// Inside TLS nothing changes but who speaks first.
		inside := l
		if l.Within != "" {
			inside = l.Within.Language()
		}
		if l.Greets != (l.Greeting > 0 && l.Within == "") || l.Greeting != inside.Greeting || l.Accepted != inside.Accepted || l.Web != inside.Web || inside.Within != "" {
			t.Errorf("%s: %+v, and inside TLS %+v", l.Protocol, l, inside)
		}
	}
	if unknown := Protocol("gopher").Language(); unknown != (Language{}) {
		t.Errorf("%+v", unknown)
	}
}
