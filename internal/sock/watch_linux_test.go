package sock

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"dialtone/internal/result"
)

// Captured on Linux 6.18, x86-64: each table has one listening socket, one
// half-open connection to it, and its client.
const (
	procTCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:AF91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 912163 2 00000000c6380da4 100 0 0 10 0                    
   9: 0100007F:AF91 0100007F:D686 03 00000000:00000000 01:00000064 00000000     0        0 0 0 00000000b3dcbc94                                      
 140: 0100007F:D686 0100007F:AF91 01 00000000:00000000 00:00000000 00000000     0        0 912164 2 00000000b00ba411 20 0 0 10 -1                    
`
	procTCP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:BE65 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 912167 2 000000006a5d22c8 100 0 0 10 0
   1: 00000000000000000000000001000000:BE65 00000000000000000000000001000000:9CB0 03 00000000:00000000 01:00000064 00000000     0        0 0 0 000000006b35f9b8
   3: 00000000000000000000000001000000:9CB0 00000000000000000000000001000000:BE65 01 00000000:00000000 00:00000000 00000000     0        0 912168 2 000000007f2cc978 20 0 0 10 -1
`
	// Shortened in the middle; names and values still pair up.
	procNetstat = `TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled ListenOverflows ListenDrops
TcpExt: 7 0 0 4 0 99 100
IpExt: InNoRoutes InTruncatedPkts
IpExt: 3 0
`
)

func littleEndianOnly(t *testing.T) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the captured text is of a little-endian machine")
	}
}

func TestHalfOpenConnectionsOfTheKernelsTables(t *testing.T) {
	littleEndianOnly(t)
	for table, want := range map[string][2]string{
		procTCP:  {"127.0.0.1:54918", "127.0.0.1:44945"},
		procTCP6: {"[::1]:40112", "[::1]:48741"},
	} {
		var got [][2]string
		if err := eachHalfOpen(strings.NewReader(table), func(s, l netip.AddrPort) { got = append(got, [2]string{s.String(), l.String()}) }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, [][2]string{want}) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestBrokenTableIsAnErrorNotNothing(t *testing.T) {
	for _, line := range []string{
		"0: 0100007F 0100007F:D686 03 x", "0: 0100007F:AF91 0100007:D686 03 x",
		"0: 0100007F:AF91 01:D686 03 x", "0: 0100007F:AF91 0100007F:XXXX 03 x", "0: 0100007F:1AF91 0100007F:D686 03 x",
	} {
		if err := eachHalfOpen(strings.NewReader("heading\n"+line+"\n"), func(_, _ netip.AddrPort) {}); err == nil {
			t.Errorf("%q is no error", line)
		}
	}
	if err := eachHalfOpen(io.MultiReader(strings.NewReader("heading\n"), broken{}), func(_, _ netip.AddrPort) {}); err == nil {
		t.Error("a read that fails is no error")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestAddressesOfTheKernelsTables(t *testing.T) {
	littleEndianOnly(t)
	for s, want := range map[string]string{
		"0100007F:0050":                         "127.0.0.1:80",
		"0A0200C0:FFFF":                         "192.0.2.10:65535",
		"B80D0120000000000000000009000000:1F90": "[2001:db8::9]:8080",
		"0000000000000000FFFF0000070200C0:0019": "192.0.2.7:25", // IPv4 on a socket of both families
	} {
		if got, err := parseProcAddr(s); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", s, got, err, want)
		}
	}
}

func TestCountersOfTheKernel(t *testing.T) {
	m := parseNetstat(procNetstat)
	if m["SyncookiesSent"] != 7 || m["EmbryonicRsts"] != 4 || m["ListenDrops"] != 100 || len(m) != 7 {
		t.Errorf("%v", m)
	}
	for _, s := range []string{"", "TcpExt: A B\n", "TcpExt: A B\nTcpExt: x 1 2 3\n"} {
		if m := parseNetstat(s); m["A"] != 0 {
			t.Errorf("%q: %v", s, m)
		}
	}
	if _, err := readCounters(); err != nil {
		t.Skip(err)
	}
}

func TestCountersThatMovedBlind(t *testing.T) {
	for name, c := range map[string]struct {
		moved     counters
		capturing bool
		blind     bool
	}{
		"nothing":               {counters{}, false, false},
		"cookies":               {counters{cookies: 1}, true, true},
		"drops":                 {counters{drops: 1}, true, true},
		"resets":                {counters{resets: 1}, false, true},
		"resets, and a capture": {counters{resets: 1}, true, false},
	} {
		w := watching(time.Now().Add(-time.Minute))
		w.looks = looks{last: time.Now().Add(-time.Second), capturing: c.capturing}
		w.compareCounters(c.moved)
		if got := w.Blind(1433, time.Now().Add(-2*time.Second), time.Now()) != ""; got != c.blind {
			t.Errorf("%s: blind is %v", name, got)
		}
		if w.looks.counters != c.moved {
			t.Errorf("%s: not remembered", name)
		}
	}
}

// A listening socket with TCP_DEFER_ACCEPT keeps a connection half-open until
// data comes: a true half-open connection without privileges or firewalls.
// listenHalfOpen listens so that a connection stays half-open until it carries data.
func listenHalfOpen(t *testing.T, addr string) net.Listener {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10) })
	}}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Skip(err)
	}
	return l
}

// What inet_diag picks out is what the tables have.
func TestHalfOpenConnectionsAreToldEitherWay(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listenHalfOpen(t, addr)
		defer l.Close()
		at := AddrPortOf(l.Addr())
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		other, err := net.Dial("tcp", at.String()) // which opens
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		_, _ = other.Write([]byte("a"))
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		for _, noDiag := range []bool{false, true} {
			w := NewWatch(func(p int) bool { return p == int(at.Port()) })
			defer w.closeDiag()
			w.looks.noDiag = noDiag
			for range 2 { // the second time on the same socket
				if any, err := w.pollTables(time.Now()); !any || err != nil {
					t.Errorf("%s, %v: %v, %v", addr, noDiag, any, err)
				}
			}
			got := between(w, int(at.Port()), time.Now().Add(-time.Minute), time.Now())
			if len(got) != 1 || got[0].Source != AddrPortOf(conn.LocalAddr()) || got[0].Local != at || !got[0].Answered {
				t.Errorf("%s, %v: %+v", addr, noDiag, got)
			}
			if w.looks.noDiag != noDiag || (w.looks.diag == nil) != noDiag {
				t.Errorf("%s, %v: it was asked otherwise", addr, noDiag)
			}
		}
	}
}

func TestWatchSeesARealHalfOpenConnection(t *testing.T) {
	if _, err := readCounters(); err != nil {
		t.Skip(err)
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listenHalfOpen(t, addr)
		at := AddrPortOf(l.Addr())
		w := NewWatch(func(p int) bool { return p == int(at.Port()) })
		ctx, cancel := context.WithCancel(t.Context())
		ready, over := make(chan struct{}), make(chan struct{})
		go func() { defer close(over); w.Run(ctx, ready) }()
		<-ready
		if w.State() == result.WitnessNone {
			t.Fatal("it sees nothing")
		}
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		w.Look()
		// A look that was under way already may have dated it back a little.
		got := between(w, int(at.Port()), time.Now().Add(-time.Minute), time.Now())
		if len(got) != 1 || got[0].Source != AddrPortOf(c.LocalAddr()) || got[0].Local != at || !got[0].Answered {
			t.Errorf("%s: %+v", addr, got)
		}
		c.Close()
		l.Close()
		cancel()
		<-over
	}
}

// packet builds an IP packet without link layer, as SOCK_DGRAM gives it.
func packet(v6 bool, proto byte, options int, fragment uint16, flags byte) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp[0:], 50000)
	binary.BigEndian.PutUint16(tcp[2:], 1433)
	tcp[12], tcp[13] = 5<<4, flags
	if v6 {
		ip := make([]byte, 40)
		ip[0], ip[6] = 0x60, proto
		copy(ip[8:], netip.MustParseAddr("2001:db8::7").AsSlice())
		copy(ip[24:], netip.MustParseAddr("2001:db8::9").AsSlice())
		return append(ip, tcp...)
	}
	ip := make([]byte, 20+options)
	ip[0], ip[9] = byte(0x40|(20+options)/4), proto
	binary.BigEndian.PutUint16(ip[6:], fragment)
	copy(ip[12:], client.Addr().AsSlice())
	copy(ip[16:], server.Addr().AsSlice())
	return append(ip, tcp...)
}

// The VM of x/net does not know the extension that loads the protocol, so the
// filter is run behind that instruction, once for each protocol.
func TestCaptureFilterPassesHandshakesOnly(t *testing.T) {
	run := func(protocol uint32, b []byte) int {
		t.Helper()
		if _, ok := handshakeFilter[0].(bpf.LoadExtension); !ok {
			t.Fatal("the filter no longer begins with the protocol")
		}
		vm, err := bpf.NewVM(append([]bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegA, Val: protocol}}, handshakeFilter[1:]...))
		if err != nil {
			t.Fatal(err)
		}
		n, err := vm.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const tcp, udp = unix.IPPROTO_TCP, unix.IPPROTO_UDP
	for name, c := range map[string]struct {
		protocol uint32
		b        []byte
		want     bool
	}{
		"IPv4 SYN":               {unix.ETH_P_IP, packet(false, tcp, 0, 0, flagSYN), true},
		"IPv4 SYN-ACK":           {unix.ETH_P_IP, packet(false, tcp, 0, 0, flagSYN|flagACK), true},
		"IPv4 RST":               {unix.ETH_P_IP, packet(false, tcp, 0, 0, flagRST), true},
		"IPv4 RST-ACK":           {unix.ETH_P_IP, packet(false, tcp, 0, 0, flagRST|flagACK), true},
		"IPv4 with options":      {unix.ETH_P_IP, packet(false, tcp, 40, 0, flagSYN), true},
		"IPv4 don't fragment":    {unix.ETH_P_IP, packet(false, tcp, 0, 0x4000, flagSYN), true},
		"IPv4 first fragment":    {unix.ETH_P_IP, packet(false, tcp, 0, 0x2000, flagSYN), true},
		"IPv4 later fragment":    {unix.ETH_P_IP, packet(false, tcp, 0, 0x2001, flagSYN), false},
		"IPv4 ACK":               {unix.ETH_P_IP, packet(false, tcp, 0, 0, flagACK), false},
		"IPv4 ACK with options":  {unix.ETH_P_IP, packet(false, tcp, 40, 0, flagACK), false},
		"IPv4 FIN":               {unix.ETH_P_IP, packet(false, tcp, 0, 0, 0x11), false},
		"IPv4 UDP":               {unix.ETH_P_IP, packet(false, udp, 0, 0, flagSYN), false},
		"IPv6 SYN":               {unix.ETH_P_IPV6, packet(true, tcp, 0, 0, flagSYN), true},
		"IPv6 RST":               {unix.ETH_P_IPV6, packet(true, tcp, 0, 0, flagRST), true},
		"IPv6 ACK":               {unix.ETH_P_IPV6, packet(true, tcp, 0, 0, flagACK), false},
		"IPv6 UDP":               {unix.ETH_P_IPV6, packet(true, udp, 0, 0, flagSYN), false},
		"IPv6 extension header":  {unix.ETH_P_IPV6, packet(true, 60, 0, 0, flagSYN), false},
		"ARP":                    {unix.ETH_P_ARP, packet(false, tcp, 0, 0, flagSYN), false},
		"IPv4, cut short":        {unix.ETH_P_IP, packet(false, tcp, 0, 0, flagSYN)[:30], false},
		"IPv6, cut short":        {unix.ETH_P_IPV6, packet(true, tcp, 0, 0, flagSYN)[:45], false},
		"nothing but a protocol": {unix.ETH_P_IP, nil, false},
	} {
		if n := run(c.protocol, c.b); (n > 0) != c.want {
			t.Errorf("%s: passes %d bytes", name, n)
		}
	}
}

func TestPacketsAreReadAsTheyAre(t *testing.T) {
	six := [2]string{"[2001:db8::7]:50000", "[2001:db8::9]:1433"}
	four := [2]string{client.String(), server.String()}
	for name, c := range map[string]struct {
		b    []byte
		want [2]string
	}{
		"IPv4":         {packet(false, unix.IPPROTO_TCP, 0, 0, flagSYN), four},
		"IPv4 options": {packet(false, unix.IPPROTO_TCP, 40, 0, flagSYN), four},
		"IPv6":         {packet(true, unix.IPPROTO_TCP, 0, 0, flagSYN), six},
	} {
		h, ok := parseHandshake(c.b)
		if !ok || h.src.String() != c.want[0] || h.dst.String() != c.want[1] || h.flags != flagSYN {
			t.Errorf("%s: %+v, %v", name, h, ok)
		}
		for n := range len(c.b) - 6 { // every cut is refused, none a panic
			if _, ok := parseHandshake(c.b[:n]); ok {
				t.Errorf("%s cut to %d bytes is read", name, n)
			}
		}
	}
	bad := packet(false, unix.IPPROTO_TCP, 0, 0, flagSYN)
	bad[0] = 0x44 // a header shorter than a header
	if _, ok := parseHandshake(bad); ok {
		t.Error("a broken header is read")
	}
}

func FuzzParseHandshake(f *testing.F) {
	f.Add(packet(false, unix.IPPROTO_TCP, 40, 0, flagSYN))
	f.Add(packet(true, unix.IPPROTO_TCP, 0, 0, flagRST))
	f.Fuzz(func(_ *testing.T, b []byte) { parseHandshake(b) })
}

func FuzzEachHalfOpen(f *testing.F) {
	f.Add(procTCP)
	f.Add(procTCP6)
	f.Fuzz(func(t *testing.T, s string) {
		_ = eachHalfOpen(strings.NewReader(s), func(a, b netip.AddrPort) {
			if !a.IsValid() || !b.IsValid() {
				t.Errorf("%s, %s", a, b)
			}
		})
	})
}

func TestPacketsSayHowFarAnAttemptGot(t *testing.T) {
	in := func(flags byte) (handshake, bool) { return handshake{client, server, flags}, false }
	out := func(flags byte) (handshake, bool) { return handshake{server, client, flags}, true }
	for name, c := range map[string]struct {
		packets         []func() (handshake, bool)
		known           bool
		answered, reset bool
	}{
		"SYN":               {[]func() (handshake, bool){func() (handshake, bool) { return in(flagSYN) }}, true, false, false},
		"SYN and answer":    {[]func() (handshake, bool){func() (handshake, bool) { return in(flagSYN) }, func() (handshake, bool) { return out(flagSYN | flagACK) }}, true, true, false},
		"… and reset":       {[]func() (handshake, bool){func() (handshake, bool) { return in(flagSYN) }, func() (handshake, bool) { return out(flagSYN | flagACK) }, func() (handshake, bool) { return in(flagRST) }}, true, true, true},
		"a RST alone":       {[]func() (handshake, bool){func() (handshake, bool) { return in(flagRST) }}, false, false, false},
		"our own SYN":       {[]func() (handshake, bool){func() (handshake, bool) { return out(flagSYN) }}, false, false, false},
		"our own RST":       {[]func() (handshake, bool){func() (handshake, bool) { return out(flagRST | flagACK) }}, false, false, false},
		"an answer to ours": {[]func() (handshake, bool){func() (handshake, bool) { return in(flagSYN | flagACK) }}, false, false, false},
	} {
		w := watching(time.Unix(0, 0))
		for _, p := range c.packets {
			h, outgoing := p()
			w.sawPacket(h, outgoing, 2, time.Unix(10, 0))
		}
		h := w.seen[tuple{client, server}]
		if (h != nil) != c.known || len(w.seen) > 1 || h != nil && (h.Answered != c.answered || h.Reset != c.reset) {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestOffenderOfAnICMPError(t *testing.T) {
	four := make([]byte, 16)
	binary.NativeEndian.PutUint16(four, unix.AF_INET)
	copy(four[4:], []byte{192, 0, 2, 1})
	six := make([]byte, 28)
	binary.NativeEndian.PutUint16(six, unix.AF_INET6)
	copy(six[8:], netip.MustParseAddr("2001:db8::1").AsSlice())
	for want, b := range map[string][]byte{"192.0.2.1": four, "2001:db8::1": six} {
		if got := offender(b); got.String() != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, b := range [][]byte{nil, {1}, four[:7], six[:23], make([]byte, 16)} {
		if got := offender(b); got.IsValid() {
			t.Errorf("%x is %s", b, got)
		}
	}
}

// Hundreds of dials ask at once what arrived, and the tables of a busy machine take a
// tenth of a second to read: who waited for a look that began after it asked needs no
// other.
func TestALookServesAllWhoAskedBefore(t *testing.T) {
	w := NewWatch(func(int) bool { return true })
	asked := time.Now()
	for name, c := range map[string]struct {
		last time.Time
		more bool
	}{"began later": {asked.Add(time.Hour), false}, "began before": {asked.Add(-time.Hour), true}, "began with it": {asked, true}} {
		w.looks.last = c.last
		if w.look(asked, true); w.looks.last.Equal(c.last) == c.more {
			t.Errorf("a look that %s: another one is %t", name, !c.more)
		}
	}
}
