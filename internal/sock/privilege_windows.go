package sock

import "golang.org/x/sys/windows"

// DeniedMayBeInUse says that a port which may not be bound may be another
// program's: one that has it exclusively (SO_EXCLUSIVEADDRUSE, WSAEACCES).
const DeniedMayBeInUse = true

// BindPrivilege returns what this program may bind: on Windows no port needs a
// privilege for its number.
func BindPrivilege() Privilege {
	return Privilege{IsRoot: windows.GetCurrentProcessToken().IsElevated()}
}
