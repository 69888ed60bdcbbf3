//go:build !linux && !windows

package sock

import "net/netip"

func lookUp(uint16, netip.AddrPort) (Seen, bool, error) { return Seen{}, false, ErrNoTable }

func cameFrom(uint16, netip.Addr) ([]Seen, error) { return nil, ErrNoTable }

// MayBeLedElsewhere is true: this system is not asked.
func MayBeLedElsewhere() bool { return true }

// LedTo is "": this system is not asked.
func LedTo(uint16) string { return "" }
