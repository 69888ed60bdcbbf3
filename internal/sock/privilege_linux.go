package sock

import (
	"os"
	"strconv"
	"strings"
)

// DeniedMayBeInUse says that a port which may not be bound may be another
// program's.
const DeniedMayBeInUse = false

// capNetBindService is CAP_NET_BIND_SERVICE (capabilities(7), linux/capability.h).
const capNetBindService = 10

// BindPrivilege returns what this program may bind.
func BindPrivilege() Privilege {
	p := Privilege{IsRoot: os.Geteuid() == 0, From: 1024}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			p.From = n
		}
	}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		p.LacksCapability = lacksCapability(string(b))
	}
	if b, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		f := strings.Fields(string(b))
		p.InUserNamespace = len(f) != 3 || f[0] != "0" || f[1] != "0" || f[2] != "4294967295"
	}
	return p
}

// lacksCapability reads /proc/self/status (proc(5)).
func lacksCapability(status string) bool {
	for line := range strings.Lines(status) {
		if mask, ok := strings.CutPrefix(line, "CapEff:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			return err == nil && n&(1<<capNetBindService) == 0
		}
	}
	return false
}
