package sock

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
)

// insidePort knows the ends of a cable into a container or virtual machine.
var insidePort = regexp.MustCompile(`^(?:veth|vnet|tap|lxc|cali|vif|fwpr|fwln|macvtap)`)

// linkHints returns what sysfs tells of an interface: a bridge whose ports all
// lead into this machine, or that has none, and a tunnel of a program.
func linkHints() func(net.Interface) OwnKind {
	return func(i net.Interface) OwnKind {
		dir := filepath.Join("/sys/class/net", i.Name)
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			ports, err := os.ReadDir(filepath.Join(dir, "brif"))
			if err != nil {
				return 0
			}
			for _, p := range ports {
				if !insidePort.MatchString(p.Name()) {
					return OwnNetwork
				}
			}
			return OwnInside
		}
		if _, err := os.Stat(filepath.Join(dir, "tun_flags")); err == nil {
			return OwnVPN
		}
		return 0
	}
}
