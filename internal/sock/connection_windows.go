package sock

import (
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

var getExtendedTCPTable = windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")

// tcpTableOwnerPIDAll is TCP_TABLE_OWNER_PID_ALL (iprtrmib.h).
const tcpTableOwnerPIDAll = 5

// tcpTable reads all TCP connections of a family and who has them. Everybody may.
func tcpTable(v6 bool) ([]tableRow, error) {
	family := uintptr(windows.AF_INET)
	if v6 {
		family = windows.AF_INET6
	}
	size := uint32(64 << 10)
	for range 5 { // it may grow meanwhile
		b := make([]byte, size)
		no, _, _ := getExtendedTCPTable.Call(uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0, family, tcpTableOwnerPIDAll, 0)
		switch err := windows.Errno(no); err {
		case 0:
			return parseTCPTable(b, v6)
		case windows.ERROR_INSUFFICIENT_BUFFER:
			size += size / 4
		default:
			return nil, fmt.Errorf("%w (GetExtendedTcpTable: %v)", ErrNoTable, err)
		}
	}
	return nil, fmt.Errorf("%w (GetExtendedTcpTable: it grows faster than it can be read)", ErrNoTable)
}

func lookUp(port uint16, remote netip.AddrPort) (Seen, bool, error) {
	all, err := cameFrom(port, remote.Addr().WithZone(""))
	if err != nil {
		return Seen{}, false, err
	}
	for _, s := range all {
		if s.Remote.Port() == remote.Port() {
			return s, true, nil
		}
	}
	return Seen{}, false, nil
}

func cameFrom(port uint16, remote netip.Addr) ([]Seen, error) {
	const listens = 2 // MIB_TCP_STATE_LISTEN
	all, err := tcpTable(!remote.Is4())
	if err != nil {
		return nil, err
	}
	var out []Seen
	for _, r := range all {
		if r.state != listens && r.local.Port() == port && r.remote.Addr() == remote {
			out = append(out, r.seen())
		}
	}
	return out, nil
}

// MayBeLedElsewhere is true: whether Windows' own translation (WinNAT) takes a
// connection before any program gets it, its table of connections does not tell.
func MayBeLedElsewhere() bool { return true }

// LedTo is where this machine leads what comes to one of its TCP ports by a setting
// that everybody may read (netsh interface portproxy); "": nowhere, or it does not
// tell.
func LedTo(port uint16) string {
	for _, kind := range []string{"v4tov4", "v4tov6", "v6tov4", "v6tov6"} {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\PortProxy\`+kind+`\tcp`, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		names, _ := k.ReadValueNames(0)
		for _, n := range names { // an address or *, and the port
			if strings.HasSuffix(n, fmt.Sprintf("/%d", port)) {
				to, _, _ := k.GetStringValue(n)
				k.Close()
				return to
			}
		}
		k.Close()
	}
	return ""
}
