package oracle

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A Capture takes down what passes at an interface.
type Capture struct {
	fd    int
	began time.Time
	mu    sync.Mutex
	conns map[string]*Seen // the newest of each pair of ends
	all   []*Seen
	done  chan struct{}
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// Listen begins a capture at the interface of that name.
func Listen(name string) (*Capture, error) {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	const all = 3 // ETH_P_ALL: what leaves as well
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, int(htons(all)))
	if err != nil {
		return nil, fmt.Errorf("capture at %s: %w", name, err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 64<<20)
	tv := syscall.Timeval{Usec: 50_000}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tv); err != nil {
		return nil, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: htons(all), Ifindex: dev.Index}); err != nil {
		return nil, fmt.Errorf("capture at %s: %w", name, err)
	}
	c := &Capture{fd: fd, began: time.Now(), conns: map[string]*Seen{}, done: make(chan struct{})}
	go c.read()
	return c, nil
}

// Close ends the capture.
func (c *Capture) Close() Seens {
	close(c.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	out := Seens{Began: c.began, Ended: time.Since(c.began)}
	for _, s := range c.all {
		out.Conns = append(out.Conns, *s)
	}
	return out
}

func (c *Capture) read() {
	defer syscall.Close(c.fd)
	b := make([]byte, 1<<17)
	for {
		n, from, err := syscall.Recvfrom(c.fd, b, 0)
		select {
		case <-c.done:
			return
		default:
		}
		ll, ok := from.(*syscall.SockaddrLinklayer)
		if err != nil || !ok {
			continue
		}
		c.mu.Lock()
		c.take(b[:n], ll.Pkttype == syscall.PACKET_OUTGOING)
		c.mu.Unlock()
	}
}

// A packet is an IP packet, as far as this package needs it.
type packet struct {
	src, dst     netip.Addr
	ttl          int
	proto        byte
	body         []byte
	sport, dport uint16
}

// parse reads an IP header and the ports behind it. Extension headers and
// fragments are nobody's here.
func parse(b []byte) (p packet, ok bool) {
	if len(b) < 20 {
		return p, false
	}
	switch b[0] >> 4 {
	case 4:
		head := int(b[0]&15) * 4
		total := int(binary.BigEndian.Uint16(b[2:]))
		if head < 20 || len(b) < head || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return p, false
		}
		if total > head && total <= len(b) { // 0 for large offloaded ones
			b = b[:total]
		}
		p = packet{src: netip.AddrFrom4([4]byte(b[12:16])), dst: netip.AddrFrom4([4]byte(b[16:20])), ttl: int(b[8]), proto: b[9], body: b[head:]}
	case 6:
		if len(b) < 40 {
			return p, false
		}
		p = packet{src: netip.AddrFrom16([16]byte(b[8:24])), dst: netip.AddrFrom16([16]byte(b[24:40])), ttl: int(b[7]), proto: b[6], body: b[40:]}
	default:
		return p, false
	}
	if len(p.body) >= 8 {
		p.sport, p.dport = binary.BigEndian.Uint16(p.body), binary.BigEndian.Uint16(p.body[2:])
	}
	return p, len(p.body) >= 8
}

const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

func (c *Capture) take(b []byte, out bool) {
	p, ok := parse(b)
	if !ok {
		return
	}
	now := time.Since(c.began)
	from, to := netip.AddrPortFrom(p.src, p.sport).String(), netip.AddrPortFrom(p.dst, p.dport).String()
	switch p.proto {
	case syscall.IPPROTO_TCP:
		if len(p.body) < 20 {
			return
		}
		flags, data := p.body[13], len(p.body)-int(p.body[12]>>4)*4
		there, back := c.conns["tcp "+from+" "+to], c.conns["tcp "+to+" "+from]
		switch {
		case flags&flagSYN != 0 && flags&flagACK == 0:
			// Ports may be used again: a SYN sent again has the same number.
			if seq := binary.BigEndian.Uint32(p.body[4:]); there == nil || there.seq != seq {
				there = c.add("tcp", from, to, Seen{TTL: p.ttl, Out: out, First: now, seq: seq})
			}
			there.SYNs++
			there.LastThere = now
		case there != nil:
			there.LastThere = now
			there.There += max(data, 0)
			there.NearRST = there.NearRST || flags&flagRST != 0
		case back != nil:
			back.LastBack = now
			back.Back += max(data, 0)
			back.FarRST = back.FarRST || flags&flagRST != 0
			back.FarFIN = back.FarFIN || flags&flagFIN != 0
			if flags&flagSYN != 0 {
				back.SYNACKs++
			}
		}
	case syscall.IPPROTO_UDP:
		there, back := c.conns["udp "+from+" "+to], c.conns["udp "+to+" "+from]
		if back != nil {
			back.Answers++
			back.Back += len(p.body) - 8
			back.LastBack = now
			return
		}
		if there == nil {
			there = c.add("udp", from, to, Seen{TTL: p.ttl, Out: out, First: now})
		}
		there.Packets++
		there.There += len(p.body) - 8
		there.LastThere = now
	case syscall.IPPROTO_ICMP, syscall.IPPROTO_ICMPV6:
		c.icmp(p)
	}
}

func (c *Capture) add(transport, from, to string, s Seen) *Seen {
	s.Transport, s.From, s.To = transport, from, to
	c.conns[transport+" "+from+" "+to] = &s
	c.all = append(c.all, &s)
	return &s
}

// icmp notes an error with the connection that it is about.
func (c *Capture) icmp(p packet) {
	inner, ok := parse(p.body[8:])
	if !ok {
		return
	}
	transport := map[byte]string{syscall.IPPROTO_TCP: "tcp", syscall.IPPROTO_UDP: "udp"}[inner.proto]
	from, to := netip.AddrPortFrom(inner.src, inner.sport).String(), netip.AddrPortFrom(inner.dst, inner.dport).String()
	word := fmt.Sprintf("%d/%d from %s", p.body[0], p.body[1], p.src)
	for _, key := range []string{transport + " " + from + " " + to, transport + " " + to + " " + from} {
		if s := c.conns[key]; s != nil && !slices.Contains(s.ICMP, word) {
			s.ICMP = append(s.ICMP, word)
		}
	}
}
