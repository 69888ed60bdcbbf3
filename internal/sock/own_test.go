package sock

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestKindOfAnInterface(t *testing.T) {
	const up = net.FlagUp | net.FlagRunning
	for _, c := range []struct {
		l    aLink
		want OwnKind
	}{
		{aLink{name: "eth0", flags: up}, OwnNetwork},
		{aLink{name: "Ethernet 2", flags: up}, OwnNetwork},
		{aLink{name: "docker0", flags: up}, OwnInside},
		{aLink{name: "br-0123456789ab", flags: up}, OwnInside},
		{aLink{name: "virbr0", flags: up}, OwnInside},
		{aLink{name: "vEthernet (Default Switch)", flags: up}, OwnInside},
		{aLink{name: "vEthernet (WSL (Hyper-V firewall))", flags: up}, OwnInside},
		{aLink{name: "VMware Network Adapter VMnet8", flags: up}, OwnInside},
		{aLink{name: "vEthernet (Campus)", flags: up, hasDefault: true}, OwnNetwork},
		{aLink{name: "br0", flags: up, hint: OwnInside}, OwnInside},
		{aLink{name: "br0", flags: up, hint: OwnInside, hasDefault: true}, OwnNetwork}, // a container's host that bridges its own cable
		{aLink{name: "br0", flags: net.FlagUp, hint: OwnInside}, OwnDown},
		{aLink{name: "eth1", flags: net.FlagUp}, OwnDown},
		{aLink{name: "wg0", flags: up}, OwnVPN},
		{aLink{name: "tun0", flags: up | net.FlagPointToPoint, hasDefault: true}, OwnVPN}, // one that takes all traffic
		{aLink{name: "x0", flags: up | net.FlagPointToPoint}, OwnVPN},
		{aLink{name: "venet0", flags: up | net.FlagPointToPoint, hasDefault: true}, OwnNetwork},
		{aLink{name: "Ethernet 3", flags: up, hint: OwnVPN, hasDefault: true}, OwnVPN},
		{aLink{name: "Cisco AnyConnect Secure Mobility Client", flags: up}, OwnVPN},
	} {
		if got := kindOf(c.l); got != c.want {
			t.Errorf("%+v: %d, want %d", c.l, got, c.want)
		}
	}
}

func TestWhatMostOthersCanDialIsFirst(t *testing.T) {
	a := netip.MustParseAddr
	list := []Own{
		{Addr: a("127.0.0.1"), Kind: OwnLoopback}, {Addr: a("172.17.0.1"), Kind: OwnInside}, {Addr: a("10.8.0.2"), Kind: OwnVPN, HasDefault: true, IsSource: true},
		{Addr: a("2001:db8::5"), Kind: OwnNetwork}, {Addr: a("192.168.7.1"), Kind: OwnNetwork}, {Addr: a("2001:db8::10"), Kind: OwnNetwork, HasDefault: true},
		{Addr: a("192.0.2.11"), Kind: OwnNetwork, HasDefault: true}, {Addr: a("192.0.2.10"), Kind: OwnNetwork, HasDefault: true, IsSource: true}, {Addr: a("10.9.9.9"), Kind: OwnDown},
	}
	SortOwn(list)
	var got []string
	for _, o := range list {
		got = append(got, o.Addr.String())
	}
	want := []string{"192.0.2.10", "192.0.2.11", "2001:db8::10", "192.168.7.1", "2001:db8::5", "10.8.0.2", "172.17.0.1", "10.9.9.9", "127.0.0.1"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Of this machine, whatever it has: the loopback address last, and none missing.
func TestOwnAddressesAreThoseOfTheInterfaces(t *testing.T) {
	own, err := OwnAddrs()
	if err != nil {
		t.Fatal(err)
	}
	all, err := LocalAddrs()
	if err != nil || len(own) != len(all) {
		t.Fatalf("%d of %d, %v", len(own), len(all), err)
	}
	for _, o := range own {
		if !slices.Contains(all, o.Addr) || o.Interface == "" || (o.Kind == OwnLoopback) != o.Addr.IsLoopback() {
			t.Errorf("%+v", o)
		}
	}
}
