//go:build !linux

package sock

import "net"

// growQueue lets a socket hold more datagrams that wait to be read: a flood, or a
// moment in which this program does not run, must not cost those of the key's
// holder.
func growQueue(c *net.UDPConn) { _ = c.SetReadBuffer(udpQueue) }
