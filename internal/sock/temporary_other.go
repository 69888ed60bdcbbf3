//go:build !linux

package sock

import "net/netip"

// TemporaryAddrs lists none: of this system it is not known which are.
func TemporaryAddrs() []netip.Addr { return nil }
