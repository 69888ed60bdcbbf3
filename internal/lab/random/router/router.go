// Package router is a link that treats packets badly: it loses, delays,
// reorders, doubles or trims them, in user space over a tun device, since not
// every kernel has netem.
//
// It stands inside a router of the lab and hides itself: it gives back the TTL
// that the detour costs.
package router

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Config says how packets are treated, each way.
type Config struct {
	Device string
	Near   []netip.Prefix // whose packets go there; all others come back
	Seed   uint64
	There  Treatment
	Back   Treatment
}

// A Treatment is what happens to packets of one direction. Shares are between 0
// and 1.
type Treatment struct {
	Ports     []int // only packets from or to these; nil is all of them. Delay holds for all.
	Loss      float64
	Delay     time.Duration
	Jitter    time.Duration // at most, in order
	Reorder   float64       // held back by ReorderBy
	ReorderBy time.Duration
	Duplicate float64
	Change    float64       // of TCP segments with payload: one byte becomes another
	Late      time.Duration // SYN-ACKs are held back by so much
	Strip     int           // number of a TCP option to take out of SYN and SYN-ACK; 0 is none
}

// Counts are what was done, by port of the far end's service, and direction.
type Counts struct {
	Passed, Lost, Held, Doubled, Stripped, Changed int
}

// A Router treats packets that it reads and writes them back.
type Router struct {
	cfg    Config
	rng    *rand.Rand
	mu     sync.Mutex
	counts Counts
	write  func([]byte)
	queues [2]chan held
}

type held struct {
	packet []byte
	due    time.Time
}

// Run treats what comes from device until ctx ends.
func Run(ctx context.Context, cfg Config, device io.ReadWriter) Counts {
	r := &Router{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 77))}
	var writing sync.Mutex
	r.write = func(p []byte) {
		writing.Lock()
		defer writing.Unlock()
		_, _ = device.Write(p)
	}
	for i := range r.queues {
		r.queues[i] = make(chan held, 4096)
		go r.drain(ctx, r.queues[i])
	}
	go func() {
		b := make([]byte, 1<<16)
		for ctx.Err() == nil {
			n, err := device.Read(b)
			if err != nil {
				return
			}
			r.treat(slices.Clone(b[:n]))
		}
	}()
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// drain writes packets when they are due, in the order in which they came.
func (r *Router) drain(ctx context.Context, queue chan held) {
	for {
		select {
		case h := <-queue:
			time.Sleep(time.Until(h.due))
			r.write(h.packet)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Router) treat(p []byte) {
	ip, ok := header(p)
	if !ok {
		return
	}
	giveBackTTL(p)
	way, t := 0, r.cfg.There
	if !slices.ContainsFunc(r.cfg.Near, func(n netip.Prefix) bool { return n.Contains(ip.src) }) {
		way, t = 1, r.cfg.Back
	}
	concerns := len(t.Ports) == 0 || slices.Contains(t.Ports, ip.sport) || slices.Contains(t.Ports, ip.dport)

	r.mu.Lock()
	lose := concerns && r.rng.Float64() < t.Loss
	hold := concerns && r.rng.Float64() < t.Reorder
	double := concerns && r.rng.Float64() < t.Duplicate
	late := concerns && t.Late > 0 && isSYNACK(p, ip)
	delay := t.Delay
	if t.Jitter > 0 {
		delay += time.Duration(r.rng.Int64N(int64(t.Jitter)))
	}
	switch {
	case lose:
		r.counts.Lost++
	default:
		r.counts.Passed++
		if hold {
			r.counts.Held++
		}
		if double {
			r.counts.Doubled++
		}
	}
	if !lose && concerns && t.Strip != 0 && strip(p, ip, byte(t.Strip)) {
		r.counts.Stripped++
	}
	if !lose && concerns && r.rng.Float64() < t.Change && change(p, ip) {
		r.counts.Changed++
	}
	r.mu.Unlock()

	switch {
	case lose:
		return
	case late:
		time.AfterFunc(delay+t.Late, func() { r.write(p) })
	case hold:
		time.AfterFunc(delay+t.ReorderBy, func() { r.write(p) })
	case delay == 0:
		r.write(p)
	default:
		select {
		case r.queues[way] <- held{p, time.Now().Add(delay)}:
		default: // as a full queue does
		}
	}
	if double && !hold {
		time.AfterFunc(delay+2*time.Millisecond, func() { r.write(p) })
	}
}

func isSYNACK(p []byte, h ipHeader) bool {
	const synAck = 0x12
	return h.proto == protoTCP && len(p) >= h.at+20 && p[h.at+13]&synAck == synAck
}

// An ipHeader is what matters of a packet.
type ipHeader struct {
	src, dst     netip.Addr
	proto        byte
	at           int // where the transport header begins
	sport, dport int
}

const protoTCP, protoUDP = 6, 17

func header(p []byte) (h ipHeader, ok bool) {
	if len(p) < 20 {
		return h, false
	}
	switch p[0] >> 4 {
	case 4:
		h = ipHeader{src: netip.AddrFrom4([4]byte(p[12:16])), dst: netip.AddrFrom4([4]byte(p[16:20])), proto: p[9], at: int(p[0]&15) * 4}
	case 6:
		if len(p) < 40 {
			return h, false
		}
		h = ipHeader{src: netip.AddrFrom16([16]byte(p[8:24])), dst: netip.AddrFrom16([16]byte(p[24:40])), proto: p[6], at: 40}
	default:
		return h, false
	}
	if (h.proto == protoTCP || h.proto == protoUDP) && len(p) >= h.at+4 {
		h.sport, h.dport = int(binary.BigEndian.Uint16(p[h.at:])), int(binary.BigEndian.Uint16(p[h.at+2:]))
	}
	return h, true
}

// giveBackTTL undoes one hop: this router forwards each packet twice. Between
// the two, a rule may have set it to the most there is.
func giveBackTTL(p []byte) {
	if p[0]>>4 == 6 {
		p[7] = min(p[7], 254) + 1
		return
	}
	p[8] = min(p[8], 254) + 1
	head := int(p[0]&15) * 4
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p[:head])))
}

// strip replaces a TCP option of a SYN or SYN-ACK by no-operations (RFC 9293
// section 3.1) and reports whether it was there.
func strip(p []byte, h ipHeader, kind byte) bool {
	if h.proto != protoTCP || len(p) < h.at+20 || p[h.at+13]&2 == 0 {
		return false
	}
	segment := p[h.at:]
	end := int(segment[12]>>4) * 4
	if end > len(segment) {
		return false
	}
	found := false
	for i := 20; i < end; {
		k := segment[i]
		if k == 0 {
			break
		}
		if k == 1 {
			i++
			continue
		}
		if i+1 >= end || segment[i+1] < 2 || i+int(segment[i+1]) > end {
			break
		}
		n := int(segment[i+1])
		if k == kind {
			for j := range n {
				segment[i+j] = 1
			}
			found = true
		}
		i += n
	}
	if found {
		seal(segment, h)
	}
	return found
}

// change makes a byte in the middle of a segment's payload another one, and
// reports whether there is any payload worth it.
func change(p []byte, h ipHeader) bool {
	if h.proto != protoTCP || len(p) < h.at+20 {
		return false
	}
	segment := p[h.at:]
	begins := int(segment[12]>>4) * 4
	if len(segment) < begins+100 {
		return false
	}
	segment[(begins+len(segment))/2] ^= 0x20 // as a change of case does
	seal(segment, h)
	return true
}

// seal makes a segment's checksum right again.
func seal(segment []byte, h ipHeader) {
	segment[16], segment[17] = 0, 0
	s := sum(h.src.AsSlice()) + sum(h.dst.AsSlice()) + uint32(protoTCP) + uint32(len(segment)) + sum(segment)
	binary.BigEndian.PutUint16(segment[16:], ^fold(s))
}

func sum(b []byte) uint32 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// Main runs a router for a process that is nothing else: its Config comes on
// stdin, and it ends when stdin does.
func Main(stdin io.Reader, stdout io.Writer) error {
	var cfg Config
	d := json.NewDecoder(stdin)
	if err := d.Decode(&cfg); err != nil {
		return err
	}
	device, err := open(cfg.Device)
	if err != nil {
		return err
	}
	defer device.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, io.MultiReader(d.Buffered(), stdin))
		cancel()
	}()
	if _, err := io.WriteString(stdout, "ready\n"); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(Run(ctx, cfg, device))
}

// Add adds another treatment to this one. Where both want the same, the other
// wins; delays and shares add up.
func (t *Treatment) Add(o Treatment) {
	t.Loss = 1 - (1-t.Loss)*(1-o.Loss)
	t.Delay += o.Delay
	t.Jitter += o.Jitter
	t.Reorder = max(t.Reorder, o.Reorder)
	t.ReorderBy = max(t.ReorderBy, o.ReorderBy)
	t.Duplicate = max(t.Duplicate, o.Duplicate)
	t.Change = max(t.Change, o.Change)
	t.Late = max(t.Late, o.Late)
	if o.Strip != 0 {
		t.Strip = o.Strip
	}
	if o.Ports != nil {
		t.Ports = o.Ports
	}
}
