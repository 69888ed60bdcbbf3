// Package visit asks real software in its own language, at each of its hosts, and
// never sends the proof.
package visit

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// A Config is what a run visits, and how.
type Config struct {
	Software string // name and version of this program
	Hostname string // of this machine
	Plan     *plan.Plan
	Excluded []plan.Excluded // rows that the site leaves out, to be listed
	// Egress takes the rows from Local to the roles that other people's hosts
	// play, each at its own host; else all rows go to Host, whose software is
	// installed.
	Egress bool
	// Hosts overrides the host of rows, by row, service or role: a name or
	// address, with a port if that differs too.
	Hosts map[string]string
	Host  string // name or address of the far end
	// Also are further names and addresses of it, in order of preference.
	Also []string
	// OnUnresolved is told of each of them that gives no address while another
	// does; nil: nobody is.
	OnUnresolved func(host string, err error)
	Local        []plan.Role // roles of this machine
	Remote       []plan.Role // the far end's; none means plan.DefaultRemote
	All          bool        // every row, whoever plays which role
	Only         []string
	// Site says which hosts are the institution's own, and of which one address is
	// enough; nil: it says nothing.
	Site    *plan.Site
	Shift   int           // of ports, for words alone
	Timeout time.Duration // of each step of a visit
	Trace   bool          // find out where every path stops, not only the counted ones
	Bind    sock.Bind     // to dial from
	// OnAttempt is told when a visit begins, and when it is over, by many at once; it
	// must not wait. nil: nobody is told.
	OnAttempt func(dialer.Progress)
}

// atOnceVisiting bounds the visits under way.
const atOnceVisiting = 64

// Run makes one such run. It returns an error only for a selection of rows that the
// plan cannot have.
func Run(ctx context.Context, c Config) (*result.Report, error) {
	started := sock.Now()
	if len(c.Also) > 0 {
		if t, err := c.lookUp(ctx, c.Host); err == nil {
			c.Host = t.Host // the report and the conversations name the one that has an address
		}
	}
	v := &visit{Config: c, run: echo.NewID(), started: started, temporary: sock.TemporaryAddrs()}
	remote := c.Remote
	switch {
	case c.Egress:
		remote = c.Plan.External
	case len(remote) == 0:
		remote = plan.DefaultRemote
	}
	flows, excluded, err := c.Plan.Select(plan.Query{Local: c.Local, Remote: remote, All: c.All && !c.Egress, Only: c.Only, Site: c.Site})
	if err != nil {
		return nil, err
	}
	r := &result.Report{
		Schema: result.Schema, Tool: c.Software, Run: v.run.String(), Started: result.TimeOf(v.started), Plan: c.Plan.Name,
		Mode:  v.mode(),
		From:  result.End{Role: c.localWords(), Host: c.Hostname, Addresses: result.Addrs{}},
		To:    result.End{Role: plan.RoleWords(remote), Host: c.Host, Addresses: result.Addrs{}},
		Paths: []result.Path{}, OutOfScope: []result.OutOfScope{}, Findings: proxies(),
	}
	if c.Egress {
		r.To.Host = "the hosts of other people's services"
		excluded = slices.DeleteFunc(excluded, func(e plan.Excluded) bool { return !c.Plan.IsExternal(e.Row.To) })
	}
	var wave sync.WaitGroup
	slots := make(chan struct{}, atOnceVisiting)
	paths := make([][]result.Path, len(flows))
	for i, f := range flows {
		if f.Direction == plan.Reverse {
			excluded = append(excluded, plan.Excluded{Row: f.Row, Why: "it runs towards this machine: the software that is installed there cannot be asked to dial"})
			continue
		}
		host, port := v.hostOf(f.Row)
		if host == "" {
			excluded = append(excluded, plan.Excluded{Row: f.Row, Why: "nobody said which host that is: give --host " + string(f.Row.To) + "=NAME, or a site file"})
			continue
		}
		wave.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			paths[i] = v.flow(ctx, f, host, port)
		})
	}
	wave.Wait()
	for _, p := range paths {
		r.Paths = append(r.Paths, p...)
	}
	v.visitInstances(ctx, flows, r.Paths)
	verdict.Enliven(r.Paths, false)
	for _, e := range append(slices.Clone(c.Excluded), excluded...) {
		r.OutOfScope = append(r.OutOfScope, result.NewOutOfScope(e))
	}
	facts := verdict.Facts{Shift: c.Shift, AnswersAll: v.tryDecoys(ctx, r.Paths)}
	r.From.Addresses, r.To.Addresses = ends(r.Paths)
	r.Interrupted = ctx.Err() != nil
	facts.Names = v.inDoubt
	facts.AnyAddress = func(p result.Path) bool { return c.Site.AnyAddress(cmp.Or(p.Host, c.Host), plan.Role(p.To)) }
	verdict.Conclude(r, facts)
	r.ElapsedMS = sock.Since(v.started).Milliseconds()
	return r, nil
}

// lookUp finds the addresses of a host, which has further names where it is the run's
// one.
func (c Config) lookUp(ctx context.Context, host string) (sock.Target, error) {
	t, err := sock.Resolve(ctx, append([]string{host}, c.Also...), c.Bind)
	t.TellUnresolved(c.OnUnresolved)
	return t, err
}

// localWords names the roles of this end; with All they do not matter.
func (c Config) localWords() string {
	if c.All {
		return "all"
	}
	return plan.RoleWords(c.Local)
}

// tryDecoys finds out, where installed software was silent on a connection that
// opened, whether ports which nobody uses open as well, and completes the paths.
// It returns the addresses for which they do. Other people's hosts are left alone.
func (v *visit) tryDecoys(ctx context.Context, paths []result.Path) []netip.Addr {
	var all []netip.Addr
	opened := map[netip.Addr]bool{}
	for i := range paths {
		p := &paths[i]
		if v.Egress || p.Transport != plan.TCP || p.Initiator == nil || p.Initiator.Connect != result.ConnectOpen ||
			p.Initiator.Answer != result.AnswerSilent || !p.Target.IsValid() || ctx.Err() != nil {
			continue
		}
		addr := p.Target.Addr()
		if _, known := opened[addr]; !known {
			opened[addr] = dialer.OpensDecoys(ctx, addr, v.Bind.For(p.Family), v.Timeout, v.Plan, func(int) bool { return false })
			if opened[addr] {
				all = append(all, addr)
			}
		}
		does := opened[addr]
		p.Initiator.DecoysOpen = &does
		v.retell(p)
	}
	return all
}

type visit struct {
	Config
	run     echo.ID
	started time.Time
	// temporary are this machine's addresses that the system makes anew from day to day.
	temporary []netip.Addr

	mu      sync.Mutex
	inDoubt []verdict.Name // each host's once
}

// doubt keeps what is not known of a host's name.
func (v *visit) doubt(doubts []sock.Doubt) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, d := range doubts {
		n := verdict.Name(d)
		if !slices.ContainsFunc(v.inDoubt, func(o verdict.Name) bool { return o.Host == n.Host }) {
			v.inDoubt = append(v.inDoubt, n)
		}
	}
}

// ends lists the addresses that paths left from and went to.
func ends(paths []result.Path) (from, to result.Addrs) {
	for _, p := range paths {
		if p.Source.IsValid() {
			from = append(from, p.Source.Addr())
		}
		if p.Target.IsValid() {
			to = append(to, p.Target.Addr())
		}
	}
	return result.AddrsOf(from...), result.AddrsOf(to...)
}

// hostOf returns the host to visit for a row, "" if none is known, and its port.
func (v *visit) hostOf(r plan.Row) (string, int) {
	for _, name := range []string{r.ID, r.Service, string(r.To)} {
		given, ok := v.Hosts[name]
		if !ok {
			continue
		}
		host, text, err := net.SplitHostPort(given)
		if err != nil {
			return strings.Trim(given, "[]"), r.Port
		}
		port, _ := strconv.Atoi(text) // checked where it was given
		return host, port
	}
	if v.Egress {
		return r.Host, r.Port
	}
	return v.Host, r.Port
}

// nameOf is the name under which a host is asked: where only the address of a
// row's host was given otherwise, still its own.
func (v *visit) nameOf(r plan.Row, host string) string {
	if _, err := netip.ParseAddr(host); err == nil && v.Egress && r.Host != "" {
		return r.Host
	}
	return host
}

// flow visits one row at each address of its host.
func (v *visit) flow(ctx context.Context, f plan.Flow, host string, port int) []result.Path {
	why := ""
	switch {
	case f.Row.Port == 0:
		why = "it has no port of its own: its data is part of the control conversation"
	case !service.Knows(f.Row.Speaks, f.Row.Transport):
		why = "dial does not speak this service's language"
	}
	if why != "" {
		return []result.Path{v.path(f, result.IP4, host, port, result.Initiator{Probe: echo.NewID().String(), NotTried: why}, nil)}
	}
	t, err := v.lookUp(ctx, host)
	if err != nil {
		i := result.Initiator{Probe: echo.NewID().String(), At: result.TimeOf(sock.Now()), ResolveError: err.Error(), ResolveFault: sock.FaultOf(err)}
		return []result.Path{v.path(f, result.IP4, host, port, i, nil)}
	}
	v.doubt(t.Doubts)
	var out []result.Path
	for _, family := range t.Families() {
		for _, to := range t.Use[family] {
			p := v.visitAt(ctx, f, family, to, host, port, t.Without(sock.NoSuchFamily))
			if t.IsOneOfSeveral(to) {
				p.Address.Addr = to
			}
			out = append(out, p)
		}
	}
	return out
}

// visitAt visits one row at one address and port of its host.
func (v *visit) visitAt(ctx context.Context, f plan.Flow, family result.Family, to netip.Addr, host string, port int, leftOut []netip.Addr) result.Path {
	at := netip.AddrPortFrom(to, uint16(port))
	v.tell(f, host, at, nil)
	i := dialer.Visit(ctx, dialer.Path{
		Flow: f.Row.ID, Transport: f.Row.Transport, Probe: echo.NewID(),
		Target: at, Source: netip.AddrPortFrom(v.Bind.For(family), 0),
	}, dialer.Options{Run: v.run, Timeout: v.Timeout, Trace: v.Trace || f.Counted}, dialer.Conversation{
		Speaks: f.Row.Speaks, Host: v.nameOf(f.Row, host), Public: v.isVendor(f.Row), Path: f.Row.Path, Status: f.Row.Status,
	})
	v.tell(f, host, at, &i)
	return v.path(f, family, host, port, i, leftOut)
}

// tell tells whoever watches how far a visit is.
func (v *visit) tell(f plan.Flow, host string, to netip.AddrPort, half *result.Initiator) {
	if v.OnAttempt == nil {
		return
	}
	a := dialer.Progress{Flows: []string{f.Row.ID}, Direction: f.Direction, Transport: f.Row.Transport, Port: int(to.Port()), To: to.Addr(), Real: true, Half: half}
	if v.Egress {
		a.Host = host
	}
	v.OnAttempt(a)
}

// isVendor reports whether the plan itself names a row's host: then its
// certificate is one that anybody's system trusts. A site's own hosts may well
// have one of the institution's.
func (v *visit) isVendor(r plan.Row) bool {
	return v.Egress && r.Host != "" && (v.Site == nil || len(v.Site.Hosts[r.To]) == 0)
}

// hostFor is a path's host where each has its own.
func (v *visit) hostFor(r plan.Row, host string) string {
	if v.Egress {
		return v.nameOf(r, host)
	}
	return ""
}

// mode is whose real software is meant to answer.
func (v *visit) mode() result.Mode {
	if v.Egress {
		return result.ModeEgress
	}
	return result.ModeInstalled
}

// retell explains a path again, of which more is known by now.
func (v *visit) retell(p *result.Path) {
	if f, ok := verdict.Retell(*p, verdict.Context{Mode: v.mode()}); ok {
		p.Finding = f
	}
}

func (v *visit) path(f plan.Flow, family result.Family, host string, port int, i result.Initiator, leftOut []netip.Addr) result.Path {
	p := result.NewPath(f, family)
	p.Port, p.Host, p.At = port, v.hostFor(f.Row, host), result.TimeOf(v.started)
	p.Initiator, p.Source, p.Target, p.Attempts = &i, i.Source, i.Target, i.Attempts
	p.SourceTemporary = slices.Contains(v.temporary, p.Source.Addr())
	if !i.At.IsZero() {
		p.At = i.At
	}
	verdict.Rule(&p, verdict.Context{Mode: v.mode(), PortAssumed: f.Row.PortAssumed, LeftOut: leftOut})
	return p
}

// proxies says which proxies this machine is set to use. None is used.
func proxies() []result.Finding {
	var said []string
	system := true
	for _, p := range sock.Proxies() {
		words := p.Where + ": " + p.Setting
		if p.Except != "" {
			words += ", not for " + p.Except
		}
		said = append(said, words)
		system = system && p.System
	}
	if len(said) == 0 {
		return []result.Finding{}
	}
	return []result.Finding{verdict.ProxyFound(said, system)}
}
