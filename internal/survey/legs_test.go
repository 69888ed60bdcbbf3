package survey

import (
	"fmt"
	"net/netip"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// What is to be tested is known before anything is sent: each flow over each family, a
// forward one to each address.
func TestThePathsOfARunFollowFromWhatIsAskedAndWhereItLeads(t *testing.T) {
	p := planOf(row("out", 24801, "client", "server"), row("in", 24802, "server", "client"))
	c := Config{Plan: p, Local: []plan.Role{"client"}}
	other, six := netip.MustParseAddr("127.78.0.9"), netip.MustParseAddr("::1")
	for name, to := range map[string]struct {
		use  map[result.Family][]netip.Addr
		want string
	}{
		"no address yet":      {nil, "[out ip4 invalid IP false] [in ip4 invalid IP false] "},
		"one":                 {map[result.Family][]netip.Addr{result.IP4: {far}}, "[out ip4 127.78.0.1 false] [in ip4 invalid IP false] "},
		"two of one family":   {map[result.Family][]netip.Addr{result.IP4: {far, other}}, "[out ip4 127.78.0.1 true] [out ip4 127.78.0.9 true] [in ip4 invalid IP false] "},
		"one of each of them": {map[result.Family][]netip.Addr{result.IP6: {six}, result.IP4: {far}}, "[out ip4 127.78.0.1 false] [out ip6 ::1 false] [in ip4 invalid IP false] [in ip6 invalid IP false] "},
	} {
		legs, _, err := c.Legs(sock.Target{Use: to.use}, []plan.Role{"server"})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, l := range legs {
			got += fmt.Sprintf("[%s %s %s %t] ", l.Row.ID, l.Family, l.To, l.OneOfSeveral)
		}
		if got != to.want {
			t.Errorf("%s: %s, want %s", name, got, to.want)
		}
		taken, _, _ := c.Legs(sock.Target{Use: to.use}, nil) // as whoever says nothing of its roles
		if len(taken) != len(legs) {
			t.Errorf("%s: %d legs with a far end that is taken for a server, want %d", name, len(taken), len(legs))
		}
		if ports := Bindings(legs); len(ports) != 1 || ports[0].Port != 24802 {
			t.Errorf("%s: accepts on %+v", name, ports)
		}
	}
	c.Only = []string{"no such row"}
	if _, _, err := c.Legs(sock.Target{}, nil); err == nil {
		t.Error("a row that the plan does not have was taken")
	}
}

// Where several addresses are dialed, a path is another's than that of the same flow to
// the next one.
func TestAPathIsOfTheLegWhoseAddressItWentTo(t *testing.T) {
	row := row("out", 24803, "client", "server")
	l := Leg{Flow: plan.Flow{Row: row, Direction: plan.Forward, From: "client", To: "server"}, Family: result.IP4, To: far}
	at := func(a netip.Addr) result.Path {
		p := result.NewPath(l.Flow, result.IP4)
		p.Target = result.EndpointFrom(netip.AddrPortFrom(a, 24803))
		return p
	}
	back := at(far)
	back.Direction = plan.Reverse
	if !l.Is(at(far)) || !l.Is(at(device)) || l.Is(back) {
		t.Error("the only address: whatever it was, the path is its")
	}
	l.OneOfSeveral = true
	if !l.Is(at(far)) || l.Is(at(device)) {
		t.Error("one of several: the path to another is not its")
	}
}
