package listener

import (
	"net/netip"
	"slices"
	"sort"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// An Event is what one peer did on one port, for the log and the summary. Of
// who has not proved the key it holds no byte but the addresses.
type Event struct {
	At         time.Time
	Kind       echo.Kind
	Peer       echo.Peer
	Visit      service.Visit    // the service that was reached, and what a stranger did there
	Submission *echo.Submission // if Kind is KindSubmitted
	Detail     string
}

// event passes an event on, before it is answered.
func (l *Listener) event(c Event) {
	if c.Peer.Run == l.Instance && l.isSelf(c.Peer.Remote.Addr()) {
		return // our own proof of our own port
	}
	c.At = time.Now().UTC()
	if c.Visit.Service == "" {
		c.Visit.Service = l.serviceAt(c.Peer.Transport, c.Peer.Local.Port())
	}
	if l.OnEvent != nil {
		l.OnEvent(c)
	}
}

// serviceAt names the service that belongs on a port, for people; "": none that
// is known.
func (l *Listener) serviceAt(t plan.Transport, port uint16) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.bound {
		if b.Transport == t && b.addr.Port() == port {
			return b.Speaks().Language().Title
		}
	}
	return ""
}

// An entry is one accepted connection, or one datagram.
type entry struct {
	Transport     plan.Transport
	Remote, Local netip.AddrPort
	At            time.Time
	Kind          echo.Kind           // "" while the connection lasts
	Run, Probe    echo.ID             // that a keyed Binding named; zero until one did
	Proved        bool                // a keyed message with its nonce came: no recording
	Foreign       int                 // bytes that were no STUN
	TLS           bool                // those began a TLS handshake
	TCP           *result.TCP         // what the system knew of it at its end
	shown         func(tier, echo.ID) // called when it shows more of itself, with its run; nil: nobody wants to know
	before        *entry              // from the same source to the same port; nil: none
	gone          bool                // forgotten
}

// maxEntries bounds the entries of arrivals.
const maxEntries = 32768

// arrivals remember what reached the ports, so that a witness can tell. What is
// asked of it is found by port and time, by source, by run and by probe: no
// question looks at all that it remembers. When it is full it forgets the
// older half of what strangers left on the ports that they crowd most, and of
// the network that left most of it if that is more than half; what came with the
// key it keeps as long as strangers leave it room. Of a port whose memory has a
// hole it knows nothing rather than that nothing came.
type arrivals struct {
	mu      sync.Mutex
	n       int // entries in all
	keyed   int // that carried a probe
	began   time.Time
	ports   map[portKey]*shelf
	sources map[sourceKey]*entry    // the newest
	probes  map[echo.ID][]*entry    // in the order in which they were told
	runs    map[echo.ID]*runEntries // not of the zero run
	// provedAt counts a run's connections over TCP that are no recording, by their very
	// address. Nearly all runs have but one.
	provedAt map[runAddr]int
	from     map[netip.Addr]*fromAddr // by address without a zone
}

type runAddr struct {
	run  echo.ID
	addr netip.Addr
}

type portKey struct {
	transport plan.Transport
	port      uint16
}

// sourceKey is a source, and the port that it came to.
type sourceKey struct {
	portKey
	remote netip.AddrPort
}

// A shelf is what came to one port, the oldest first.
type shelf struct {
	entries   []*entry
	strangers int       // without a probe
	lost      time.Time // nothing older than it is known to be all there was; zero: nothing was forgotten
}

// runEntries is what came of one run.
type runEntries struct {
	entries []*entry
	ip4     int // connections over TCP
	ip6     int
}

// family is how many connections over TCP it has of an address's family.
func (r *runEntries) family(a netip.Addr) *int {
	if a.Is4() {
		return &r.ip4
	}
	return &r.ip6
}

// fromAddr is what came from one address.
type fromAddr struct {
	all   []*entry // the oldest first
	keyed []*entry // of them, those that carried a probe
	runs  map[echo.ID]int
}

// ends are the two addresses of a connection or datagram.
type ends struct {
	transport     plan.Transport
	remote, local netip.AddrPort
}

func newArrivals() *arrivals {
	return &arrivals{
		began: sock.Now(), ports: map[portKey]*shelf{}, sources: map[sourceKey]*entry{},
		probes: map[echo.ID][]*entry{}, runs: map[echo.ID]*runEntries{}, provedAt: map[runAddr]int{}, from: map[netip.Addr]*fromAddr{},
	}
}

// plainAddr is an address as it is looked up: the kernel's tables show no zone.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func keyOfSource(t plan.Transport, remote netip.AddrPort, port uint16) sourceKey {
	return sourceKey{portKey{t, port}, netip.AddrPortFrom(plainAddr(remote.Addr()), remote.Port())}
}

func (e *entry) port() portKey     { return portKey{e.Transport, e.Local.Port()} }
func (e *entry) source() sourceKey { return keyOfSource(e.Transport, e.Remote, e.Local.Port()) }
func (e *entry) isKeyed() bool     { return e.Probe != echo.ID{} }

func (l *arrivals) accepted(t plan.Transport, remote, local netip.AddrPort) *entry {
	e := &entry{Transport: t, Remote: remote, Local: local, At: sock.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n >= maxEntries {
		l.forget()
	}
	l.n++
	s := l.ports[e.port()]
	if s == nil {
		s = &shelf{}
		l.ports[e.port()] = s
	}
	s.entries = append(s.entries, e)
	s.strangers++
	k := e.source()
	if e.before = l.sources[k]; e.before != nil && e.before.gone {
		e.before = nil
	}
	l.sources[k] = e
	a := plainAddr(remote.Addr())
	f := l.from[a]
	if f == nil {
		f = &fromAddr{runs: map[echo.ID]int{}}
		l.from[a] = f
	}
	f.all = append(f.all, e)
	return e
}

// forget makes room.
func (l *arrivals) forget() {
	crowded := 0
	for _, s := range l.ports {
		crowded = max(crowded, s.strangers)
	}
	if l.n-l.keyed < maxEntries/4 {
		l.forgetKeyed()
		return
	}
	for _, s := range l.ports {
		if s.strangers > crowded/8 {
			l.drop(olderHalf(crowdOf(s.entries)))
		}
	}
}

// crowdOf is what strangers left, of one network alone if that left more than
// half of it.
func crowdOf(all []*entry) (out []*entry) {
	count := map[netip.Prefix]int{}
	most := netip.Prefix{}
	for _, e := range all {
		if !e.isKeyed() {
			out = append(out, e)
			n := networkOf(e.Remote.Addr())
			if count[n]++; count[n] > count[most] {
				most = n
			}
		}
	}
	if count[most] > len(out)/2 {
		out = slices.DeleteFunc(out, func(e *entry) bool { return networkOf(e.Remote.Addr()) != most })
	}
	return out
}

func olderHalf(all []*entry) []*entry { return all[:(len(all)+1)/2] }

// forgetKeyed drops the older half of what came with the key: of one run, if
// that made more than half of it.
func (l *arrivals) forgetKeyed() {
	var all []*entry
	for _, s := range l.ports {
		for _, e := range s.entries {
			if e.isKeyed() {
				all = append(all, e)
			}
		}
	}
	for _, r := range l.runs {
		if len(r.entries) > len(all)/2 {
			all = slices.Clone(r.entries)
			break
		}
	}
	slices.SortFunc(all, func(a, b *entry) int { return a.At.Compare(b.At) })
	l.drop(olderHalf(all))
}

// drop forgets entries, the oldest first.
func (l *arrivals) drop(all []*entry) {
	shelves, addrs, runs, probes := map[portKey]bool{}, map[netip.Addr]bool{}, map[echo.ID]bool{}, map[echo.ID]bool{}
	for _, e := range all {
		e.gone, e.before = true, nil
		l.n--
		s := l.ports[e.port()]
		if e.At.After(s.lost) {
			s.lost = e.At
		}
		if l.sources[e.source()] == e {
			delete(l.sources, e.source())
		}
		shelves[e.port()], addrs[plainAddr(e.Remote.Addr())] = true, true
		if !e.isKeyed() {
			s.strangers--
			continue
		}
		l.keyed--
		probes[e.Probe] = true
		if l.runs[e.Run] != nil {
			runs[e.Run] = true
			l.count(e, -1)
			if e.Proved && e.Transport == plan.TCP {
				l.countProved(e, -1)
			}
		}
	}
	isGone := func(e *entry) bool { return e.gone }
	for k := range shelves {
		l.ports[k].entries = slices.DeleteFunc(l.ports[k].entries, isGone)
	}
	for a := range addrs {
		f := l.from[a]
		f.all, f.keyed = slices.DeleteFunc(f.all, isGone), slices.DeleteFunc(f.keyed, isGone)
		if len(f.all) == 0 {
			delete(l.from, a)
		}
	}
	for id := range runs {
		r := l.runs[id]
		if r.entries = slices.DeleteFunc(r.entries, isGone); len(r.entries) == 0 {
			delete(l.runs, id)
		}
	}
	for id := range probes {
		if left := slices.DeleteFunc(l.probes[id], isGone); len(left) == 0 {
			delete(l.probes, id)
		} else {
			l.probes[id] = left
		}
	}
}

// count counts an entry of a run's, or takes it back.
func (l *arrivals) count(e *entry, n int) {
	if e.Transport != plan.TCP {
		return
	}
	*l.runs[e.Run].family(e.Remote.Addr()) += n
	f := l.from[plainAddr(e.Remote.Addr())]
	if f.runs[e.Run] += n; f.runs[e.Run] == 0 {
		delete(f.runs, e.Run)
	}
}

// countProved counts a connection of a run's that is no recording, or takes it back.
func (l *arrivals) countProved(e *entry, n int) {
	k := runAddr{e.Run, e.Remote.Addr()}
	if l.provedAt[k] += n; l.provedAt[k] == 0 {
		delete(l.provedAt, k)
	}
}

// newest returns the newest entry of two addresses, nil if there is none.
func (l *arrivals) newest(k ends) *entry {
	for e := l.sources[keyOfSource(k.transport, k.remote, k.local.Port())]; e != nil && !e.gone; e = e.before {
		if e.Local == k.local {
			return e
		}
	}
	return nil
}

// asked ties a probe to the newest entry of its addresses.
func (l *arrivals) asked(p echo.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.newest(ends{p.Transport, p.Remote, p.Local}); e != nil {
		l.tie(e, p.Run, p.Probe)
	}
}

// tie gives an entry its run and probe. A connection keeps those that it named
// first.
func (l *arrivals) tie(e *entry, run, probe echo.ID) {
	if e.shown != nil {
		e.shown(tierAsked, run)
	}
	if e.gone || e.isKeyed() || probe == (echo.ID{}) {
		return
	}
	e.Run, e.Probe = run, probe
	l.ports[e.port()].strangers--
	l.keyed++
	l.probes[probe] = append(l.probes[probe], e)
	f := l.from[plainAddr(e.Remote.Addr())]
	at := len(f.keyed)
	for at > 0 && f.keyed[at-1].At.After(e.At) {
		at--
	}
	f.keyed = slices.Insert(f.keyed, at, e)
	if run == (echo.ID{}) {
		return
	}
	r := l.runs[run]
	if r == nil {
		r = &runEntries{}
		l.runs[run] = r
	}
	r.entries = append(r.entries, e)
	l.count(e, 1)
}

// whenShown has shown called when an entry's connection shows more of itself.
func (l *arrivals) whenShown(e *entry, shown func(tier, echo.ID)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.shown = shown
}

// proved records that the newest entry of its addresses is no recording.
func (l *arrivals) proved(p echo.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.newest(ends{p.Transport, p.Remote, p.Local})
	if e == nil || e.Probe != p.Probe || e.Proved {
		return
	}
	e.Proved = true
	if l.runs[e.Run] != nil && e.Transport == plan.TCP {
		l.countProved(e, 1)
	}
	if e.shown != nil {
		e.shown(tierProved, e.Run)
	}
}

// conversed ties the probe of a service's own conversation to its connection.
func (l *arrivals) conversed(e *entry, probe echo.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tie(e, echo.ID{}, probe)
}

func (l *arrivals) end(e *entry, k echo.Kind, foreign int, tcp *result.TCP) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Kind, e.Foreign, e.TCP, e.shown = k, foreign, tcp, nil
}

// opened records how a stranger's connection began.
func (l *arrivals) opened(e *entry, first []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.TLS = service.IsTLS(first)
}

// beganTLS reports whether the newest connection of two addresses began with TLS.
func (l *arrivals) beganTLS(remote, local netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.newest(ends{plan.TCP, remote, local})
	return e != nil && e.TLS
}

// inWindow is the part of entries that came in a window; they are ordered by time.
func inWindow(all []*entry, from, to time.Time) []*entry {
	first := sort.Search(len(all), func(i int) bool { return !all[i].At.Before(from) })
	last := sort.Search(len(all), func(i int) bool { return all[i].At.After(to) })
	return all[first:max(first, last)]
}

// between returns copies of the entries of a window on a local port.
func (l *arrivals) between(t plan.Transport, port int, from, to time.Time) (out []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.ports[portKey{t, uint16(port)}]; s != nil {
		for _, e := range inWindow(s.entries, from, to) {
			out = append(out, *e)
		}
	}
	return out
}

// strangersBetween returns copies of those that came without the key; false:
// there are more than most.
func (l *arrivals) strangersBetween(t plan.Transport, port int, from, to time.Time, most int) (out []entry, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.ports[portKey{t, uint16(port)}]
	if s == nil {
		return nil, true
	}
	for _, e := range inWindow(s.entries, from, to) {
		switch {
		case e.isKeyed():
		case len(out) == most:
			return nil, false
		default:
			out = append(out, *e)
		}
	}
	return out, true
}

// strangerFrom returns the entry of a window that came without the key from a
// source to a port, the oldest of several.
func (l *arrivals) strangerFrom(t plan.Transport, port int, source netip.AddrPort, from, to time.Time) (found entry, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.sources[keyOfSource(t, source, uint16(port))]; e != nil && !e.gone && !e.At.Before(from); e = e.before {
		if !e.isKeyed() && !e.At.After(to) {
			found, ok = *e, true
		}
	}
	return found, ok
}

// isStrangerKnown reports whether anything came without the key from an address
// to a port in a window, that no run from there explains: none proved itself
// within a time around it. Where it would have to look at too much, it did.
func (l *arrivals) isStrangerKnown(t plan.Transport, port int, addr netip.Addr, from, to time.Time, around time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.from[plainAddr(addr)]
	if f == nil {
		return false
	}
	all := inWindow(f.all, from, to)
	for i, e := range all {
		switch {
		case i >= maxLooked:
			return true
		case e.Transport != t || int(e.Local.Port()) != port || e.isKeyed():
		case !hasRun(f.keyed, e.At.Add(-around), e.At.Add(around)):
			return true
		}
	}
	return false
}

// hasRun reports whether a run other than these is among what came with the key
// in a window.
func hasRun(keyed []*entry, from, to time.Time, but ...echo.ID) bool {
	return slices.ContainsFunc(inWindow(keyed, from, to), func(e *entry) bool { return e.Run != (echo.ID{}) && !slices.Contains(but, e.Run) })
}

// byProbe returns the entry that carried the probe from that very source, or
// else the first that carried it: an attempt that is made again keeps its probe.
// Only keyed messages set it.
func (l *arrivals) byProbe(probe echo.ID, t plan.Transport, source netip.AddrPort) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.probes[probe]
	if i := slices.IndexFunc(all, func(e *entry) bool { return e.Transport == t && e.Remote == source }); i >= 0 {
		return *all[i], true
	}
	if len(all) > 0 && all[0].Transport == t {
		return *all[0], true
	}
	return entry{}, false
}

// provedFrom reports whether a run proved itself over TCP from addr. A datagram
// does not count, which anybody can send in another's name, and a Binding does
// not, which anybody can have recorded.
func (l *arrivals) provedFrom(run echo.ID, addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.provedAt[runAddr{run, addr}] > 0
}

// runsFrom reports whether a run other than these proved itself from addr in
// the window.
func (l *arrivals) runsFrom(addr netip.Addr, from, to time.Time, but ...echo.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.from[plainAddr(addr)]
	return f != nil && hasRun(f.keyed, from, to, but...)
}

// otherRuns counts the runs other than these that proved themselves from addr
// since a time.
func (l *arrivals) otherRuns(addr netip.Addr, since time.Time, but ...echo.ID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.from[plainAddr(addr)]
	if f == nil {
		return 0
	}
	runs := map[echo.ID]bool{}
	for _, e := range inWindow(f.keyed, since, farFuture) {
		if e.Run != (echo.ID{}) && !slices.Contains(but, e.Run) {
			runs[e.Run] = true
		}
	}
	return len(runs)
}

// farFuture is later than anything that came.
var farFuture = time.Unix(1<<40, 0)

// isAnothers reports whether an address is known to be another run's: that run
// proved itself from it, and this one only from other addresses of its family.
// With many partners at once, something always comes from another. own is the
// listener's proof of itself.
func (l *arrivals) isAnothers(addr netip.Addr, run, own echo.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, mine := l.from[plainAddr(addr)], l.runs[run]
	if run == own || f == nil || mine == nil || f.runs[run] > 0 || *mine.family(addr) == 0 {
		return false
	}
	for other := range f.runs { // of which own is one at most
		if other != own {
			return true
		}
	}
	return false
}

// has reports whether a TCP connection between the two addresses was accepted.
func (l *arrivals) has(remote, local netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest(ends{plan.TCP, remote, local}) != nil
}

// start is when its memory begins: of all ports, nothing since was forgotten.
func (l *arrivals) start() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := l.began
	for _, s := range l.ports {
		if s.lost.After(since) {
			since = s.lost.Add(1)
		}
	}
	return since
}

// startOf is when its memory of one port begins.
func (l *arrivals) startOf(t plan.Transport, port int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.ports[portKey{t, uint16(port)}]; s != nil && s.lost.After(l.began) {
		return s.lost.Add(1)
	}
	return l.began
}
