package sock

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// TemporaryAddrs lists this machine's temporary IPv6 addresses (RFC 8981): the system
// makes others from day to day. nil: there are none, or the system does not tell.
func TemporaryAddrs() []netip.Addr {
	table, err := os.ReadFile("/proc/net/if_inet6")
	if err != nil {
		return nil
	}
	return temporaryIn(string(table))
}

// ifaTemporary is IFA_F_TEMPORARY (linux/if_addr.h).
const ifaTemporary = 0x01

// temporaryIn reads a table of /proc/net/if_inet6: address, index, length of the prefix,
// scope, flags (all in hex) and interface.
func temporaryIn(table string) (out []netip.Addr) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 6 || len(f[0]) != 32 {
			continue
		}
		flags, err := strconv.ParseUint(f[4], 16, 32)
		if err != nil || flags&ifaTemporary == 0 {
			continue
		}
		var groups []string
		for i := 0; i < len(f[0]); i += 4 {
			groups = append(groups, f[0][i:i+4])
		}
		if a, err := netip.ParseAddr(strings.Join(groups, ":")); err == nil {
			out = append(out, a)
		}
	}
	return out
}
