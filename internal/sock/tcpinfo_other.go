//go:build !linux

package sock

import (
	"net"
	"time"

	"dialtone/internal/result"
)

// TCPInfoOf returns nil: it is not asked of this system yet.
func TCPInfoOf(net.Conn) *result.TCP { return nil }

// FlightOf returns false: it is not asked of this system yet.
func FlightOf(net.Conn) (Flight, bool) { return Flight{}, false }

// CountersOf returns false: it is not asked of this system yet.
func CountersOf(net.Conn) (Counters, bool) { return Counters{}, false }

// SinceData returns 0: it is not asked of this system yet.
func SinceData(net.Conn) time.Duration { return 0 }
