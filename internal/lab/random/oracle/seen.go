package oracle

import "time"

// A Seen is one connection, or one pair of UDP ports, as its packets passed at
// an interface. "Ours" are the packets of the machine that has the interface.
type Seen struct {
	Transport string
	From      string // who opened it: address and port
	To        string
	Out       bool // the machine with the interface opened it
	SYNs      int
	TTL       int // of the first packet as it passed here
	SYNACKs   int
	There     int // bytes of payload, towards To
	Back      int
	Packets   int // of UDP, towards To
	Answers   int // of UDP, back
	FarRST    bool
	NearRST   bool // by From
	FarFIN    bool
	First     time.Duration // since the capture began
	LastThere time.Duration
	LastBack  time.Duration
	seq       uint32   // of the SYN
	ICMP      []string // "3/13 from 198.51.100.1", errors about it
}

// Seens are what passed, and when the capture ended.
type Seens struct {
	Conns []Seen
	Began time.Time
	Ended time.Duration
}
