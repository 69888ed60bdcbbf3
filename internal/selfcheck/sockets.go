package selfcheck

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	psnet "github.com/shirou/gopsutil/v4/net"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

var (
	loopback4 = netip.MustParseAddrPort("127.0.0.1:0")
	loopback6 = netip.MustParseAddrPort("[::1]:0")
	nowhere   = netip.MustParseAddrPort("192.0.2.1:0") // RFC 5737: nobody's
)

// everywhere are the points that every system has.
var everywhere = []try{
	{"connect-refused", "a connection to a port of 127.0.0.1 that nothing listens on is told as refused, with its source port", connectRefused},
	{"bind-taken", "a port that is bound already is told as taken", bindTaken},
	{"bind-elsewhere", "an address that this machine does not have cannot be bound", bindElsewhere},
	{"reset", "a connection that the other end resets is told as reset", reset},
	{"tcp6", "TCP works over ::1", func(ctx context.Context, _ Config) (State, []string) { return exchange(ctx, loopback6) }},
	{"udp", "a datagram and its answer pass over 127.0.0.1", udp},
	{"udp-closed", "a datagram to a closed port brings an error on Linux and macOS; on Windows nothing is told", udpClosed},
	{"udp-too-large", "a datagram of 65,508 bytes is told as too large", udpTooLarge},
	{"connections", "the system shows a connection that came in, and that this very program has it", connections},
	{"holder", "the system tells which program listens on a port: here this one, by its name", holder},
	{"half-open", "whether a half-open connection shows in the system's table while many come in on 127.0.0.1", halfOpen},
	{"own-addresses", "this machine's addresses are known, and the one it would send from (their kinds are told, not they)", ownAddresses},
	{"ports", "each port of the plan can be bound, or who has it is told", ports},
	{"raw-socket", "whether this user may open a raw socket for ICMP, and whether a trace can be made", rawSocket},
	{"clock", "the clock's steps are shorter than 20 ms", clock},
	{"private-file", "a file for its owner alone is that", privateFile},
	{"console", "what the program is shown on", console},
}

func connectRefused(ctx context.Context, _ Config) (State, []string) {
	l, err := sock.ListenTCP(ctx, loopback4, false)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	closed := sock.AddrPortOf(l.Addr())
	_ = l.Close()
	start := time.Now()
	d := sock.Dial(ctx, "tcp", loopback4, closed)
	if d.Conn != nil {
		_ = d.Conn.Close()
	}
	// Where the source port of a failed attempt is not to be had, that is known.
	hasPort := d.Source.Port() != 0 || runtime.GOOS == "darwin"
	return expect(sock.Classify(d.Err) == result.ConnectRST && hasPort), []string{
		errorWords(d.Err), fmt.Sprintf("told as %s after %d ms, source port known: %v", sock.Classify(d.Err), time.Since(start).Milliseconds(), d.Source.Port() != 0),
	}
}

func bindTaken(ctx context.Context, _ Config) (State, []string) {
	l, err := sock.ListenTCP(ctx, loopback4, false)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	defer l.Close()
	second, err := sock.ListenTCP(ctx, sock.AddrPortOf(l.Addr()), false)
	if err == nil {
		_ = second.Close()
	}
	return expect(sock.IsInUse(err)), []string{"the same address: " + errorWords(err)}
}

func bindElsewhere(ctx context.Context, _ Config) (State, []string) {
	l, err := sock.ListenTCP(ctx, nowhere, false)
	if err == nil {
		_ = l.Close()
	}
	return expect(err != nil && !sock.IsInUse(err) && !sock.IsNoPermission(err)), []string{errorWords(err)}
}

// pair is a connection of this program with itself, which ends with ctx.
func pair(ctx context.Context, at netip.AddrPort) (dialed, accepted net.Conn, err error) {
	l, err := sock.ListenTCP(ctx, at, false)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = l.(*net.TCPListener).SetDeadline(end)
	}
	d := sock.Dial(ctx, "tcp", at, sock.AddrPortOf(l.Addr()))
	if d.Err != nil {
		return nil, nil, d.Err
	}
	if accepted, err = l.Accept(); err != nil {
		_ = d.Conn.Close()
		return nil, nil, err
	}
	for _, c := range []net.Conn{d.Conn, accepted} {
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	}
	return d.Conn, accepted, nil
}

func reset(ctx context.Context, _ Config) (State, []string) {
	dialed, accepted, err := pair(ctx, loopback4)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	defer dialed.Close()
	if c, ok := accepted.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // a reset in place of a FIN
	}
	_ = accepted.Close()
	_, err = dialed.Read(make([]byte, 1))
	return expect(sock.IsReset(err)), []string{errorWords(err)}
}

func exchange(ctx context.Context, at netip.AddrPort) (State, []string) {
	dialed, accepted, err := pair(ctx, at)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	defer dialed.Close()
	defer accepted.Close()
	got := make([]byte, 2)
	_, err1 := dialed.Write([]byte("hi"))
	_, err2 := io.ReadFull(accepted, got)
	return expect(err1 == nil && err2 == nil && string(got) == "hi"), []string{"written: " + errorWords(err1), "read: " + errorWords(err2)}
}

func udp(ctx context.Context, _ Config) (State, []string) {
	l, err := sock.ListenUDP(ctx, loopback4)
	if err != nil {
		return Differs, []string{"listen: " + errorWords(err)}
	}
	defer l.Close()
	d := sock.Dial(ctx, "udp", loopback4, sock.AddrPortOf(l.LocalAddr()))
	if d.Err != nil {
		return Differs, []string{"dial: " + errorWords(d.Err)}
	}
	defer d.Conn.Close()
	for _, c := range []net.Conn{l, d.Conn} {
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	}
	b := make([]byte, 8)
	_, err1 := d.Conn.Write([]byte("hi"))
	n, from, err2 := l.ReadFromUDPAddrPort(b)
	_, err3 := l.WriteToUDPAddrPort(b[:n], from)
	n, err4 := d.Conn.Read(b)
	return expect(err1 == nil && err2 == nil && err3 == nil && err4 == nil && string(b[:n]) == "hi"),
		[]string{fmt.Sprintf("sent: %s; arrived: %s; answered: %s; back: %s", errorWords(err1), errorWords(err2), errorWords(err3), errorWords(err4))}
}

func udpClosed(ctx context.Context, _ Config) (State, []string) {
	l, err := sock.ListenUDP(ctx, loopback4)
	if err != nil {
		return Unknown, []string{"listen: " + errorWords(err)}
	}
	closed := sock.AddrPortOf(l.LocalAddr())
	_ = l.Close()
	d := sock.Dial(ctx, "udp", loopback4, closed)
	if d.Err != nil {
		return Unknown, []string{"dial: " + errorWords(d.Err)}
	}
	defer d.Conn.Close()
	_ = d.Conn.SetDeadline(time.Now().Add(time.Second))
	_, err = d.Conn.Write([]byte("hi"))
	if err == nil {
		_, err = d.Conn.Read(make([]byte, 8))
	}
	told := sock.Classify(err) == result.ConnectRST
	return expect(told == (runtime.GOOS != "windows")), []string{errorWords(err), fmt.Sprintf("told as %s", sock.Classify(err))}
}

func udpTooLarge(ctx context.Context, _ Config) (State, []string) {
	l, err := sock.ListenUDP(ctx, loopback4)
	if err != nil {
		return Unknown, []string{"listen: " + errorWords(err)}
	}
	defer l.Close()
	_, err = l.WriteToUDPAddrPort(make([]byte, 65508), sock.AddrPortOf(l.LocalAddr()))
	return expect(sock.IsTooLarge(err)), []string{errorWords(err)}
}

func connections(ctx context.Context, _ Config) (State, []string) {
	dialed, accepted, err := pair(ctx, loopback4)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	defer dialed.Close()
	defer accepted.Close()
	s, ok, err := sock.LookUp(sock.AddrPortOf(accepted.LocalAddr()).Port(), sock.AddrPortOf(accepted.RemoteAddr()))
	seen := []string{fmt.Sprintf("found: %v, %s, state %s, bytes counted: %v, of process %d (this one is %d)", ok, errorWords(err), s.State, s.In != nil, s.PID, os.Getpid())}
	if s.Taken != nil {
		seen = append(seen, fmt.Sprintf("a program has it: %v", *s.Taken))
	}
	if err != nil {
		return Unknown, seen
	}
	// Linux tells whose it is by other ways.
	return expect(ok && s.State == sock.ConnOpen && (s.PID == int32(os.Getpid()) || runtime.GOOS != "windows")), seen
}

func holder(ctx context.Context, _ Config) (State, []string) {
	l, err := sock.ListenTCP(ctx, loopback4, false)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	defer l.Close()
	h := sock.PortOwner(ctx, plan.TCP, sock.AddrPortOf(l.Addr()))
	if h == nil {
		return Differs, []string{"nobody is told"}
	}
	own, err := os.Executable()
	if err != nil {
		return Unknown, []string{err.Error()}
	}
	// Linux cuts a name after 15 bytes (proc(5), comm).
	name := filepath.Base(own)
	return expect(h.PID == int32(os.Getpid()) && h.Name != "" && strings.HasPrefix(strings.ToLower(name), strings.ToLower(h.Name))),
		[]string{fmt.Sprintf("process %d (this one is %d), %q", h.PID, os.Getpid(), h.Name)}
}

// halfOpen looks into the table while connections come in: what it shows for a moment
// only, it may show of one that is never completed.
func halfOpen(ctx context.Context, _ Config) (State, []string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	l, err := sock.ListenTCP(ctx, loopback4, false)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	go func() {
		for ctx.Err() == nil {
			if d := sock.Dial(ctx, "tcp", loopback4, sock.AddrPortOf(l.Addr())); d.Conn != nil {
				_ = d.Conn.(*net.TCPConn).SetLinger(0) // no port stays behind in TIME-WAIT
				_ = d.Conn.Close()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	states, looks := map[string]int{}, 0
	var failed error
	for ctx.Err() == nil {
		conns, err := psnet.ConnectionsWithoutUidsWithContext(ctx, "tcp")
		if err != nil {
			if ctx.Err() == nil {
				failed = err
			}
			break
		}
		looks++
		for _, c := range conns {
			states[c.Status]++
		}
	}
	if failed != nil {
		return Unknown, []string{"the table: " + errorWords(failed)}
	}
	var all []string
	for s, n := range states {
		all = append(all, fmt.Sprintf("%s %d", s, n))
	}
	slices.Sort(all)
	return Told, []string{fmt.Sprintf("%d looks; rows by state, in all: %s", looks, strings.Join(all, ", "))}
}

func ownAddresses(context.Context, Config) (State, []string) {
	all, err := sock.OwnAddrs()
	if err != nil {
		return Differs, []string{errorWords(err)}
	}
	names := map[sock.OwnKind]string{sock.OwnNetwork: "network", sock.OwnVPN: "VPN", sock.OwnInside: "inside", sock.OwnDown: "down", sock.OwnLoopback: "loopback"}
	var seen []string
	source := false
	for _, o := range all {
		family := "IPv6"
		if o.Addr.Is4() {
			family = "IPv4"
		}
		source = source || o.IsSource
		seen = append(seen, fmt.Sprintf("%s, %s, it is what is sent from: %v, over the interface of the default route: %v", family, names[o.Kind], o.IsSource, o.HasDefault))
	}
	if !source {
		return Unknown, append(seen, "none is sent from: there is no route to elsewhere, or it is not told")
	}
	return Expected, seen
}

// ports binds every port of the plan for a moment.
func ports(ctx context.Context, c Config) (State, []string) {
	var free, seen []string
	state := Expected
	uses := map[plan.Transport]func(context.Context, netip.AddrPort) sock.PortUse{}
	for _, p := range c.Plan.Ports(nil) {
		if p.Port == 0 {
			continue
		}
		at := netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(p.Port))
		var bound io.Closer
		var err error
		if p.Transport == plan.UDP {
			bound, err = sock.ListenUDP(ctx, at)
		} else {
			bound, err = sock.ListenTCP(ctx, at, false)
		}
		name := fmt.Sprintf("%s/%d", p.Transport, p.Port)
		if err == nil {
			_ = bound.Close()
			free = append(free, name)
			continue
		}
		if uses[p.Transport] == nil {
			uses[p.Transport] = sock.PortUses(ctx, p.Transport)
		}
		who := "nobody is told"
		if h := uses[p.Transport](ctx, at).Holder; h != nil {
			who = fmt.Sprintf("%q (pid %d)", h.Name, h.PID)
		} else if state == Expected && (sock.IsNoPermission(err) || sock.IsInUse(err)) {
			state = Unknown
		} else if !sock.IsNoPermission(err) && !sock.IsInUse(err) {
			state = Differs
		}
		seen = append(seen, fmt.Sprintf("%s: %s; who has it: %s", name, errorWords(err), who))
	}
	return state, append([]string{"can be bound: " + strings.Join(free, " ")}, seen...)
}

func rawSocket(ctx context.Context, _ Config) (State, []string) {
	var lc net.ListenConfig
	p, err := lc.ListenPacket(ctx, "ip4:icmp", "127.0.0.1")
	if err == nil {
		_ = p.Close()
	}
	return Told, []string{"raw socket for ICMP: " + errorWords(err), fmt.Sprintf("a trace can be made: %v", sock.CanTrace())}
}

func clock(context.Context, Config) (State, []string) {
	step := time.Hour
	for range 20 {
		start := time.Now()
		for now := time.Now(); ; now = time.Now() {
			if d := now.Sub(start); d > 0 {
				step = min(step, d)
				break
			}
		}
	}
	return expect(step < 20*time.Millisecond), []string{"its shortest step of 20: " + step.String()}
}

func privateFile(_ context.Context, c Config) (State, []string) {
	dir, err := os.MkdirTemp(c.Dir, "dialtone-selfcheck-")
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	name := filepath.Join(dir, "private")
	defer func() { _ = os.Remove(name); _ = os.Remove(dir) }()
	if err := c.WritePrivate(name, []byte("for its owner alone")); err != nil {
		return Differs, []string{errorWords(err)}
	}
	return isPrivate(name)
}

func console(_ context.Context, c Config) (State, []string) {
	var seen []string
	for _, of := range []struct {
		name string
		f    *os.File
	}{{"standard output", os.Stdout}, {"standard error", os.Stderr}} {
		seen = append(seen, fmt.Sprintf("%s takes colours: %v", of.name, c.Color(of.f)))
	}
	for _, name := range []string{"TERM", "WT_SESSION", "ConEmuANSI", "NO_COLOR", "PROMPT", "PSModulePath", "LANG"} {
		value, ok := os.LookupEnv(name)
		if name == "WT_SESSION" || name == "PSModulePath" || name == "PROMPT" {
			value = fmt.Sprintf("%d bytes", len(value)) // which says enough of what started it
		}
		if ok {
			seen = append(seen, name+": "+value)
		}
	}
	return Told, append(seen, consoleWords()...)
}
