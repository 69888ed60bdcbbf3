package sock

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dialtone/internal/result"
)

// run polls the kernel's tables and, with the privilege, captures SYN and RST
// packets: a half-open connection that a RST ends at once is in no table for
// long enough to be polled.
func (w *Watch) run(ctx context.Context, ready func(result.WitnessState)) {
	before, err := readCounters()
	if err != nil {
		return // WitnessNone
	}
	state := result.WitnessTable
	if w.capture == nil {
		w.Open()
	}
	if w.capture != nil {
		state = result.WitnessCapture
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.captureLoop(w.capture) }()
		defer func() { w.capture.Close(); <-stopped }()
	}
	w.looks = looks{last: Now(), counters: before, capturing: state == result.WitnessCapture}
	ready(state)
	defer func() {
		w.looking.Lock()
		defer w.looking.Unlock()
		w.closeDiag()
		w.looks.noDiag = true // nobody would close another
	}()
	every := pollEvery
	if w.looks.capturing {
		every = withCapture
	}
	w.keepLooking(ctx, every)
}

// looks is what one look leaves for the next.
type looks struct {
	last      time.Time // when it began
	counters  counters
	capturing bool
	pending   bool  // a connection was half-open
	diag      *diag // nil: not asked yet, or it failed
	noDiag    bool  // this kernel has none, or not for this program: its tables are read
}

// look polls the tables, and compares the counters with those of the last look,
// unless one began since it was asked for. To go through the tables takes time
// wherever the kernel's are large, however little is in them: unless the look has to
// be whole, they are left alone where packets are captured and show that nothing can
// be in them.
func (w *Watch) look(asked time.Time, whole bool) {
	w.looking.Lock()
	defer w.looking.Unlock()
	if w.looks.last.After(asked) {
		return // somebody else's look, which serves as well: to read the tables takes long where they are
	}
	began := Now()
	if knocked := w.knocked.Swap(false); knocked || whole || w.looks.pending || !w.looks.capturing {
		var err error
		if w.looks.pending, err = w.pollTables(began); err != nil {
			w.notSeeing(w.looks.last, Now(), "the kernel's table could not be read: "+err.Error())
		}
	}
	if now, err := readCounters(); err == nil {
		w.compareCounters(now)
	}
	w.looks.last = began
}

// compareCounters notices what makes seeing nothing prove nothing.
func (w *Watch) compareCounters(b counters) {
	a, since, now := w.looks.counters, w.looks.last, Now()
	if b.cookies != a.cookies {
		w.notSeeing(since, now, "the kernel answered with SYN cookies, which leave no half-open connection")
	}
	if b.drops != a.drops {
		w.notSeeing(since, now, "the kernel dropped connection attempts because a queue was full")
	}
	if !w.looks.capturing && b.resets != a.resets {
		w.notSeeing(since, now, "a half-open connection was reset too quickly to tell which (run listen as root to see it)")
	}
	if b.reversePath > a.reversePath {
		w.rose(byReversePath, since, now, b.reversePath-a.reversePath)
	}
	if b.conntrack > a.conntrack && b.conntrackFull {
		w.rose(byConntrack, since, now, b.conntrack-a.conntrack)
	}
	if b.overflows > a.overflows {
		w.rose(byQueue, since, now, b.overflows-a.overflows)
	}
	w.looks.counters = b
}

// counters are those of the network namespace that say what tables do not.
type counters struct {
	resets  uint64 // RST received in state SYN-RECEIVED
	cookies uint64 // SYN cookies sent
	drops   uint64 // SYNs dropped by a listening socket
	// Those below say what became of packets that arrived.
	overflows     uint64 // connections that found the queue of a listening socket full
	reversePath   uint64 // packets dropped by the reverse path filter
	conntrack     uint64 // packets dropped by connection tracking
	conntrackFull bool   // its table is full now
}

func readCounters() (counters, error) {
	b, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return counters{}, err
	}
	m := parseNetstat(string(b))
	if _, ok := m["EmbryonicRsts"]; !ok {
		return counters{}, errors.New("/proc/net/netstat has no EmbryonicRsts")
	}
	c := counters{
		resets: m["EmbryonicRsts"], cookies: m["SyncookiesSent"], drops: m["ListenDrops"],
		overflows: m["ListenOverflows"], reversePath: m["IPReversePathFilter"],
	}
	c.conntrack, c.conntrackFull = conntrackDrops()
	return c, nil
}

// parseNetstat reads the TcpExt pair of lines: names, then values.
func parseNetstat(s string) map[string]uint64 {
	m := map[string]uint64{}
	var names []string
	for line := range strings.Lines(s) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "TcpExt:")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if names == nil {
			names = f
			continue
		}
		for i, n := range names[:min(len(names), len(f))] {
			if v, err := strconv.ParseUint(f[i], 10, 64); err == nil {
				m[n] = v
			}
		}
	}
	return m
}

// pollTables looks for half-open connections, and reports whether there are any.
// inet_diag picks them out of the kernel's tables; as text these have a line for
// every connection, also of those that ended a minute ago.
func (w *Watch) pollTables(now time.Time) (any bool, err error) {
	saw := func(source, local netip.AddrPort) {
		any = any || w.isOurs(local)
		w.saw(source, local, now, true, false)
	}
	if !w.looks.noDiag {
		all, err := w.askDiag()
		if err == nil {
			for _, h := range all {
				saw(h.Remote, h.Local)
			}
			return any, nil
		}
		w.closeDiag()
		w.looks.noDiag = !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS)
	}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(name, "6") {
			continue // no IPv6 here
		}
		if err != nil {
			return any, err
		}
		err = eachHalfOpen(f, saw)
		f.Close()
		if err != nil {
			return any, fmt.Errorf("%s: %w", name, err)
		}
	}
	return any, nil
}

func (w *Watch) askDiag() (all []diagSeen, err error) {
	if w.looks.diag == nil {
		if w.looks.diag, err = openDiag(); err != nil {
			return nil, err
		}
	}
	return w.looks.diag.halfOpen()
}

func (w *Watch) closeDiag() {
	if w.looks.diag != nil {
		w.looks.diag.close()
		w.looks.diag = nil
	}
}

// stateSynRecv is TCP_SYN_RECV in the kernel's tables (include/net/tcp_states.h).
const stateSynRecv = "03"

// eachHalfOpen calls f for every connection in state SYN-RECEIVED of a table
// in the form of /proc/net/tcp (proc(5)).
func eachHalfOpen(r io.Reader, f func(source, local netip.AddrPort)) error {
	s := bufio.NewScanner(r)
	s.Scan() // the heading
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) < 4 || fields[3] != stateSynRecv {
			continue
		}
		local, err := parseProcAddr(fields[1])
		if err != nil {
			return err
		}
		source, err := parseProcAddr(fields[2])
		if err != nil {
			return err
		}
		f(source, local)
	}
	return s.Err()
}

// parseProcAddr reads "0100007F:0050": 32-bit words of the address in the
// machine's byte order, and the port.
func parseProcAddr(s string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if !ok || err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port of %q: %w", s, err)
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), nil
}
