package sock

import (
	"net"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ifTypePropVirtual is IF_TYPE_PROP_VIRTUAL (ipifcons.h), which the drivers of
// VPN programs use.
const ifTypePropVirtual = 53

// linkHints returns what the system tells of an interface: its type, and the
// description of its driver, which names VPN programs and virtual machines where
// the interface itself is only "Ethernet 3".
func linkHints() func(net.Interface) OwnKind {
	kinds := map[int]OwnKind{}
	size := uint32(15000) // as Microsoft's documentation recommends
	for range 3 {
		b := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&b[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, windows.GAA_FLAG_SKIP_ANYCAST|windows.GAA_FLAG_SKIP_MULTICAST, 0, first, &size)
		if err == windows.ERROR_BUFFER_OVERFLOW {
			continue
		}
		for a := first; err == nil && a != nil; a = a.Next {
			index := int(a.IfIndex)
			if index == 0 {
				index = int(a.Ipv6IfIndex)
			}
			switch what := windows.UTF16PtrToString(a.Description); {
			case a.IfType == windows.IF_TYPE_PPP, a.IfType == windows.IF_TYPE_TUNNEL, a.IfType == ifTypePropVirtual, vpnNames.MatchString(what):
				kinds[index] = OwnVPN
			case insideNames.MatchString(what):
				kinds[index] = OwnInside
			}
		}
		break
	}
	return func(i net.Interface) OwnKind { return kinds[i.Index] }
}
