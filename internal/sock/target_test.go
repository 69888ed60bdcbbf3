package sock

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"dialtone/internal/result"
)

func addrsOf(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestEveryAddressOfANameIsToBeDialed(t *testing.T) {
	var many []string
	for i := range MaxAddresses + 2 {
		many = append(many, fmt.Sprintf("192.0.2.%d", i))
	}
	noName := errors.New("no such name")
	for _, tt := range []struct {
		name     string
		names    [][]string // addresses; nil: it does not resolve
		bind     []string
		lacks    result.Family
		host     string
		ip4, ip6 []string
		leftOut  []LeftOut
		fails    bool
	}{
		{name: "an address", names: [][]string{{"192.0.2.1"}}, host: "n0", ip4: []string{"192.0.2.1"}},
		{name: "three of one family, one of them twice", names: [][]string{{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"}}, host: "n0", ip4: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
		{name: "both families", names: [][]string{{"2001:db8::1", "192.0.2.1", "2001:db8::2"}}, host: "n0", ip4: []string{"192.0.2.1"}, ip6: []string{"2001:db8::1", "2001:db8::2"}},
		{name: "other names of it fill in a family that the first lacks", names: [][]string{{"192.0.2.1"}, {"192.0.2.9", "2001:db8::9"}}, host: "n0", ip4: []string{"192.0.2.1"}, ip6: []string{"2001:db8::9"}},
		{name: "the first does not resolve", names: [][]string{nil, {"192.0.2.9"}}, host: "n1", ip4: []string{"192.0.2.9"}},
		{name: "none resolves", names: [][]string{nil, nil}, fails: true},
		{name: "a family that this machine lacks", names: [][]string{{"2001:db8::1", "192.0.2.1", "2001:db8::2"}}, lacks: result.IP6, host: "n0", ip4: []string{"192.0.2.1"},
			leftOut: []LeftOut{{netip.MustParseAddr("2001:db8::1"), NoSuchFamily}, {netip.MustParseAddr("2001:db8::2"), NoSuchFamily}}},
		{name: "nothing but a family that it lacks", names: [][]string{{"2001:db8::1", "2001:db8::2"}}, lacks: result.IP6, host: "n0", ip6: []string{"2001:db8::1", "2001:db8::2"}},
		{name: "too many", names: [][]string{many}, host: "n0", ip4: many[:MaxAddresses],
			leftOut: []LeftOut{{netip.MustParseAddr(many[MaxAddresses]), TooMany}, {netip.MustParseAddr(many[MaxAddresses+1]), TooMany}}},
		{name: "bound to a family", names: [][]string{{"2001:db8::1", "192.0.2.1"}}, bind: []string{"2001:db8::7"}, host: "n0", ip6: []string{"2001:db8::1"}},
		{name: "bound to a family that it has not", names: [][]string{{"192.0.2.1"}}, bind: []string{"2001:db8::7"}, fails: true},
	} {
		var names []string
		var addrs [][]netip.Addr
		var errs []error
		for n, texts := range tt.names {
			names, addrs, errs = append(names, fmt.Sprintf("n%d", n)), append(addrs, addrsOf(texts...)), append(errs, nil)
			if texts == nil {
				errs[n] = noName
			}
		}
		got, err := choose(names, addrs, errs, addrsOf(tt.bind...), func(f result.Family) bool { return f != tt.lacks })
		if tt.fails {
			if err == nil {
				t.Errorf("%s: %+v", tt.name, got)
			}
			continue
		}
		if err != nil || got.Host != tt.host || !reflect.DeepEqual(got.Use[result.IP4], addrsOf(tt.ip4...)) || !reflect.DeepEqual(got.Use[result.IP6], addrsOf(tt.ip6...)) || !reflect.DeepEqual(got.LeftOut, tt.leftOut) {
			t.Errorf("%s: %v, %+v", tt.name, err, got)
		}
	}
}
