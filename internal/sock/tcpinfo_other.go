//go:build !linux

package sock

import (
	"net"

	"dialtone/internal/result"
)

// TCPInfoOf returns nil: it is not asked of this system yet.
func TCPInfoOf(net.Conn) *result.TCP { return nil }

// CountersOf returns false: it is not asked of this system yet.
func CountersOf(net.Conn) (Counters, bool) { return Counters{}, false }
