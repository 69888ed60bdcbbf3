package sock

import (
	"strconv"
	"strings"
)

// A PortRange is one that Windows keeps from programs.
type PortRange struct {
	First, Last uint16
	// IsAdministered says that an administrator reserved it (a * in netsh's table):
	// Windows then draws none of its ports for connections, and a program that asks for
	// one gets it all the same (Microsoft, article 812873). The others belong to who
	// reserved them: WinNAT for Hyper-V, WSL and containers, or HTTP.SYS, for one port.
	IsAdministered bool
}

// Has reports whether a port is in the range.
func (r PortRange) Has(port int) bool { return int(r.First) <= port && port <= int(r.Last) }

// parseExcluded reads what netsh int ipv4 show excludedportrange prints. Its words are
// in the language of Windows, its numbers are not.
func parseExcluded(text string) []PortRange {
	var out []PortRange
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || len(f) > 3 || len(f) == 3 && f[2] != "*" {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 16)
		last, err2 := strconv.ParseUint(f[1], 10, 16)
		if err1 != nil || err2 != nil || first > last {
			continue
		}
		out = append(out, PortRange{uint16(first), uint16(last), len(f) == 3})
	}
	return out
}
