package sock

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"sort"

	"dialtone/internal/result"
)

// An Own is one of this machine's addresses, and what is known of who can reach
// it there.
type Own struct {
	Addr      netip.Addr
	Interface string // its name here
	Kind      OwnKind
	// IsSource says that what this machine sends to the internet comes from it,
	// HasDefault that it does so over the same interface.
	IsSource, HasDefault bool
}

// OwnKind is what kind of network an address is on, the widest first.
type OwnKind int

const (
	_           OwnKind = iota
	OwnNetwork          // one that other machines are on, as far as the system tells
	OwnVPN              // the inside of a VPN: who is in it reaches it
	OwnInside           // a network of containers or virtual machines in this machine
	OwnDown             // an interface with nothing plugged in
	OwnLoopback         // this machine alone
)

// aLink is what the system tells of an interface.
type aLink struct {
	name       string
	flags      net.Flags
	hasDefault bool
	hint       OwnKind // what the system knows better than its name tells; 0: nothing
}

var (
	// insideNames are those that programs give to the networks of containers and
	// virtual machines.
	insideNames = regexp.MustCompile(`^(?:docker|podman|cni|flannel|cali|virbr|lxcbr|lxdbr|incusbr|vmnet|vboxnet|veth|vnet|bridge1\d\d)\w*$|^br-[0-9a-f]{12}$|^vEthernet \((?:Default Switch|WSL.*|nat|Docker.*)\)|VirtualBox Host-Only|VMware (?:Virtual|Network) `)
	// vpnNames are those of VPN programs.
	vpnNames = regexp.MustCompile(`(?i)^(?:tun|tap|wg|ppp|utun|ipsec|xfrm|vti|tailscale|zt|nordlynx|proton|gpd|cscotun|vpn)[\w-]*$|\bVPN\b|OpenVPN|WireGuard|Wintun|Tailscale|ZeroTier|AnyConnect|GlobalProtect|PANGP|Fortinet|Juniper|Pulse Secure|Check Point Virtual`)
)

// kindOf says what kind of network a link is one of. What carries the default
// route leads out, whatever it is called.
func kindOf(l aLink) OwnKind {
	switch {
	case l.flags&net.FlagUp == 0 || l.flags&net.FlagRunning == 0:
		return OwnDown
	case l.hint == OwnVPN || vpnNames.MatchString(l.name):
		return OwnVPN
	case l.hasDefault:
		return OwnNetwork
	case l.hint != 0:
		return l.hint
	case insideNames.MatchString(l.name):
		return OwnInside
	case l.flags&net.FlagPointToPoint != 0:
		return OwnVPN
	}
	return OwnNetwork
}

// OwnAddrs returns this machine's addresses without link-local ones, those that
// most others can dial first: on a network before inside of a VPN, before what
// only this machine sees; what the default route is over before others, IPv4
// before IPv6.
func OwnAddrs() ([]Own, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	// No packet is sent, and the addresses are nobody's (RFC 5737, RFC 3849).
	source4, _ := SourceFor(netip.MustParseAddrPort("198.51.100.1:9"))
	source6, _ := SourceFor(netip.MustParseAddrPort("[2001:db8::1]:9"))
	hints := linkHints()
	var out []Own
	for _, i := range links {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		l := aLink{name: i.Name, flags: i.Flags, hint: hints(i)}
		var own []Own
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			ip := p.Addr().Unmap()
			if ip.IsLinkLocalUnicast() || ip.IsMulticast() {
				continue
			}
			isSource := ip == source4 || ip == source6
			l.hasDefault = l.hasDefault || isSource && !ip.IsLoopback()
			own = append(own, Own{Addr: ip, Interface: i.Name, IsSource: isSource})
		}
		for n := range own {
			own[n].HasDefault = l.hasDefault
			if own[n].Kind = kindOf(l); own[n].Addr.IsLoopback() {
				own[n].Kind = OwnLoopback
			}
		}
		out = append(out, own...)
	}
	SortOwn(out)
	return out, nil
}

// SortOwn puts those first that most others can dial.
func SortOwn(list []Own) {
	rank := func(o Own) []int {
		not := func(b bool) int {
			if b {
				return 0
			}
			return 1
		}
		family := 0
		if result.FamilyOf(o.Addr) == result.IP6 {
			family = 1
		}
		return []int{int(o.Kind), not(o.HasDefault), family, not(o.IsSource)}
	}
	sort.SliceStable(list, func(i, j int) bool { return slices.Compare(rank(list[i]), rank(list[j])) < 0 })
}
