package sock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// A Seen is what this machine's system knows of one TCP connection that came in.
type Seen struct {
	Local, Remote netip.AddrPort
	State         ConnState
	// Taken: a program has it. Until it is accepted the kernel alone does. nil: the
	// system does not tell.
	Taken *bool
	// In and Out are bytes of payload that arrived, and that were acknowledged, as
	// the kernel counted them; nil: the system does not tell.
	In, Out *int64
	PID     int32  // of the program that has it, or that listens for it; 0: not told
	UID     uint32 // whom its socket belongs to, where a program has it and the system tells
}

// ConnState is the state of a TCP connection (RFC 9293 section 3.3.2), as far as it
// matters who has it.
type ConnState int

// The states. What a system has no name for is ConnGone.
const (
	ConnGone     ConnState = iota // CLOSED, TIME-WAIT or none
	ConnHalfOpen                  // SYN-RECEIVED: its SYN was answered, and that was not acknowledged
	ConnOpen                      // ESTABLISHED
	ConnLeft                      // CLOSE-WAIT: the other end will send no more
	ConnClosing                   // FIN-WAIT, CLOSING or LAST-ACK: this end will send no more
)

// String names it as a person reads it.
func (s ConnState) String() string {
	return [...]string{"gone", "half-open", "established", "closed by the other end", "closed here"}[s]
}

// ErrNoTable says that this system does not show connections to this program.
var ErrNoTable = errors.New("this system does not show its connections to this program")

// LookUp finds the connection that came to a local port from a remote address and
// port, at one of this machine's own addresses; false: there is none. On Linux it costs
// no more where there are many.
func LookUp(port uint16, remote netip.AddrPort) (Seen, bool, error) {
	if port == 0 || !remote.IsValid() || remote.Port() == 0 {
		return Seen{}, false, fmt.Errorf("look up %s to port %d: not a connection's", remote, port)
	}
	return lookUp(port, netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()))
}

// LookThrough does the same by looking through all connections, so that it finds one
// that came to an address which is not known as this machine's own, too. It is for who
// is about to say that there is none.
func LookThrough(port uint16, remote netip.AddrPort) (Seen, bool, error) {
	all, err := CameFrom(port, remote.Addr())
	for _, s := range all {
		if s.Remote.Port() == remote.Port() {
			return s, true, nil
		}
	}
	return Seen{}, false, err
}

// CameFrom lists the connections that came to a local port from an address, in no
// order. It looks through all of the system's: not for polling.
func CameFrom(port uint16, remote netip.Addr) ([]Seen, error) {
	return cameFrom(port, remote.Unmap().WithZone(""))
}

// A tableRow is one of the table that Windows' GetExtendedTcpTable gives.
type tableRow struct {
	local, remote netip.AddrPort
	state         uint32 // MIB_TCP_STATE
	pid           uint32
}

// errShortTable is why a table of Windows' cannot be read.
var errShortTable = errors.New("the table of connections is shorter than it says")

// parseTCPTable reads MIB_TCPTABLE_OWNER_PID, or of IPv6 MIB_TCP6TABLE_OWNER_PID
// (tcpmib.h): the number of rows, then rows of 32-bit words. Addresses and the low
// half of a port are in network order, all else in the machine's.
func parseTCPTable(b []byte, v6 bool) ([]tableRow, error) {
	const head, row4, row6 = 4, 24, 56
	size := row4
	if v6 {
		size = row6
	}
	if len(b) < head {
		return nil, errShortTable
	}
	n := int64(binary.NativeEndian.Uint32(b))
	if n*int64(size) > int64(len(b)-head) {
		return nil, errShortTable
	}
	word := func(r []byte, i int) uint32 { return binary.NativeEndian.Uint32(r[4*i:]) }
	port := func(r []byte, i int) uint16 { return binary.BigEndian.Uint16(r[4*i:]) }
	out := make([]tableRow, 0, n)
	for i := range int(n) {
		r := b[head+i*size:][:size]
		if !v6 {
			out = append(out, tableRow{
				local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte(r[4:8])), port(r, 2)),
				remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte(r[12:16])), port(r, 4)),
				state:  word(r, 0), pid: word(r, 5),
			})
			continue
		}
		out = append(out, tableRow{
			local:  netip.AddrPortFrom(netip.AddrFrom16([16]byte(r[0:16])).Unmap(), port(r, 5)),
			remote: netip.AddrPortFrom(netip.AddrFrom16([16]byte(r[24:40])).Unmap(), port(r, 11)),
			state:  word(r, 12), pid: word(r, 13),
		})
	}
	return out, nil
}

// seen is a row as this package tells of it. Windows counts no bytes for whoever may
// ask, and names the listening program before it has accepted as after it.
func (r tableRow) seen() Seen {
	s := Seen{Local: r.local, Remote: r.remote, PID: int32(r.pid)}
	switch r.state { // MIB_TCP_STATE_…
	case 4: // SYN_RCVD
		s.State = ConnHalfOpen
	case 5: // ESTAB
		s.State = ConnOpen
	case 6, 7, 9, 10: // FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK
		s.State = ConnClosing
	case 8: // CLOSE_WAIT
		s.State = ConnLeft
	}
	return s
}
