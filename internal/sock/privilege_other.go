//go:build !linux && !windows

package sock

import "os"

// DeniedMayBeInUse says that a port which may not be bound may be another
// program's.
const DeniedMayBeInUse = false

// BindPrivilege returns what this program may bind.
func BindPrivilege() Privilege {
	return Privilege{IsRoot: os.Geteuid() == 0, From: 1024}
}
