package verdict

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/result"
)

func TestSeveralListenersAtOneAddressAreSaid(t *testing.T) {
	by := func(flow, address, instance, origin string) result.Path {
		p := at(flow, address, result.Open, true)
		p.Address = result.Addr{}
		p.Initiator.Instance, p.Initiator.Origin = instance, result.EndpointFrom(netip.MustParseAddrPort(origin))
		return p
	}
	inTurn := by("web", "10.0.0.1", "aaaaaaaaaa", "10.0.0.1:443")
	inTurn.Initiator.Connections = []result.Connection{{Ended: result.EndedWell}, {Ended: result.EndedElsewhere, Instance: "bbbbbbbbbb", Origin: result.EndpointFrom(netip.MustParseAddrPort("10.0.0.3:443"))}}
	for _, tt := range []struct {
		name  string
		paths []result.Path
		says  string
	}{
		{"one", []result.Path{by("sql", "10.0.0.1", "aaaaaaaaaa", "10.0.0.1:1433"), by("web", "10.0.0.1", "aaaaaaaaaa", "10.0.0.1:443")}, ""},
		{"one for each address", []result.Path{by("sql", "10.0.0.1", "aaaaaaaaaa", "10.0.0.1:1433"), by("sql", "10.0.0.2", "bbbbbbbbbb", "10.0.0.2:1433")}, ""},
		{"by port", []result.Path{by("sql", "10.0.0.1", "aaaaaaaaaa", "10.0.0.1:1433"), by("web", "10.0.0.1", "bbbbbbbbbb", "10.0.0.3:443")},
			"At 10.0.0.1 not one listener answers but 2, which have the same key: instance aaaaaaaa at 10.0.0.1 (sql), instance bbbbbbbb at 10.0.0.3 (web)."},
		{"in turn", []result.Path{inTurn}, "instance aaaaaaaa at 10.0.0.1 (web), instance bbbbbbbb at 10.0.0.3 (web)"},
	} {
		r := concluded(Facts{}, tt.paths...)
		n := slices.Index(codesOf(r), "several-listeners")
		if (n >= 0) != (tt.says != "") || n >= 0 && !strings.Contains(r.Findings[n].Text, tt.says) {
			t.Errorf("%s: %+v", tt.name, r.Findings)
		}
	}
}
