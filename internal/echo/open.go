package echo

import (
	"context"
	"net"
	"net/netip"

	"dialtone/internal/sock"
)

// A Link is a conversation with the connection that carries it. Whoever opened it
// closes it.
type Link struct {
	*Conn
	Stream net.Conn
}

// Close ends the conversation and its connection.
func (l *Link) Close() error { return l.Stream.Close() }

// Open connects from an address (zero: from any; port 0: from any port) to another
// and has it proved, within ctx. It is for those who want the conversation alone: where
// it is evidence how the connection opened, that is to be kept, and Prove comes after
// it. The error is the network's or one of Prove's.
func Open(ctx context.Context, from, to netip.AddrPort, ask Ask) (*Link, error) {
	d := sock.Dial(ctx, "tcp", from, to)
	if d.Err != nil {
		return nil, d.Err
	}
	c, err := Prove(ctx, d.Conn, ask)
	if err != nil {
		d.Conn.Close()
		return nil, err
	}
	return &Link{c, d.Conn}, nil
}
