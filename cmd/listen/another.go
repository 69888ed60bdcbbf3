package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"dialtone/internal/clean"
	"dialtone/internal/cli"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/running"
)

// maxFlags bounds what is shown of another listen's flags, in letters.
const maxFlags = 400

// keepRecord keeps what another listen of this machine is to know of this one. Where it
// cannot be kept, another will find the ports taken, and no more.
func (s *serving) keepRecord(l *listener.Listener, until time.Time) *running.Kept {
	r := running.Record{PID: os.Getpid(), Started: time.Now(), Until: until, Plan: s.Plan.Name, Tag: l.Key.Tag(), Network: running.Network(), KeyFile: s.keyFile, Flags: s.same(true)}
	if u, err := user.Current(); err == nil {
		r.User = u.Username
	}
	for _, b := range l.Bound() {
		r.Ports = append(r.Ports, running.Port{Transport: string(b.Transport), At: b.Addr})
	}
	key := s.KeyText
	if s.keyFile != "" {
		key = "" // it has a place already
	}
	k, err := running.Here().Keep(r, key)
	if err != nil {
		return nil
	}
	return k
}

// another is the listen, with another key, that has one of the ports that could not be
// bound; nil: none has.
func (s *serving) another(ctx context.Context, key echo.Key, failed []*listener.BindError) *running.Found {
	var taken []*listener.BindError
	for _, e := range failed {
		if e.InUse {
			taken = append(taken, e)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	for _, f := range running.Here().Others() {
		if f.Tag == key.Tag() {
			continue // the same test, on ports of its own
		}
		for _, e := range taken {
			// A record may name any process: who has the port is for the system to say.
			if e.Holder != nil && e.Holder.PID != 0 && int(e.Holder.PID) != f.PID {
				continue
			}
			if e.Address.IsValid() && f.Has(string(e.Transport), netip.AddrPortFrom(e.Address.Addr, uint16(e.Port))) {
				return &f
			}
		}
	}
	// Of another user, or of an earlier release: only the system knows it.
	for _, e := range taken {
		if e.Transport != plan.TCP || e.Holder == nil || !isListen(e.Holder.Name) || int(e.Holder.PID) == os.Getpid() {
			continue
		}
		if !e.Address.IsValid() || s.isSameKey(ctx, netip.AddrPortFrom(e.Address.Addr, uint16(e.Port)), key) {
			continue
		}
		f := &running.Found{Record: running.Record{PID: int(e.Holder.PID)}}
		for _, o := range taken {
			if o.Address.IsValid() && o.Holder != nil && o.Holder.PID == e.Holder.PID {
				f.Ports = append(f.Ports, running.Port{Transport: string(o.Transport), At: netip.AddrPortFrom(o.Address.Addr, uint16(o.Port))})
			}
		}
		return f
	}
	return nil
}

// isListen reports whether a process is called as this program is.
func isListen(name string) bool {
	own, err := os.Executable()
	return err == nil && strings.EqualFold(name, filepath.Base(own))
}

// isSameKey reports whether a listener with this run's key answers at an address.
func (s *serving) isSameKey(ctx context.Context, at netip.AddrPort, key echo.Key) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if at.Addr().IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if at.Addr().Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		at = netip.AddrPortFrom(loopback, at.Port())
	}
	_, err := listener.InstanceAt(ctx, at, key, echo.NewID())
	return err == nil
}

// anotherRuns says that a listen runs already, and how to go on.
func (s *serving) anotherRuns(f *running.Found) error {
	var about []string
	if f.PID != 0 {
		about = append(about, fmt.Sprintf("pid %d", f.PID))
	}
	if f.User != "" {
		about = append(about, "user "+f.User)
	}
	since, until := "", ""
	if !f.Started.IsZero() {
		since = " since " + f.Started.Local().Format("2006-01-02 15:04 MST")
		until = ", until " + f.Until.Local().Format("2006-01-02 15:04 MST")
	}
	var bound []listener.Bound
	for _, p := range f.Ports {
		bound = append(bound, listener.Bound{Transport: plan.Transport(p.Transport), Addr: p.At})
	}
	var hint strings.Builder
	hint.WriteString("This one has another key, and bound nothing: of two keys each opens half of the ports.\n")
	at := s.addresses()[0]
	switch {
	case f.Key != "" && f.KeyFile != "":
		key, _ := cli.Quote(f.Key)
		fmt.Fprintf(&hint, "  To use that one, run on the machines to test from (its key is kept in %s):\n    dial --key %s%s %s\n", f.KeyFile, key, clean.Line(f.Flags, maxFlags), at)
	case f.KeyFile != "" && runtime.GOOS != "windows":
		fmt.Fprintf(&hint, "  To use that one: its key is kept in %s, which %s may read.\n", f.KeyFile, cmp.Or(f.User, "its user"))
	default:
		hint.WriteString("  To use that one: its key is where it was started, and who started it has it.\n")
	}
	fmt.Fprintf(&hint, "  To use this one, stop that first: Ctrl-C where it runs%s. To run both, give this one --port-shift N, another --bind, or that one's key.", stopCommand(f.PID, runtime.GOOS))
	return &cli.Failure{Code: cli.ExitNothing, Hint: hint.String(),
		Err: fmt.Errorf("one runs here already%s%s (%s), on %s", since, until, strings.Join(about, ", "), portList(bound))}
}

// stopCommand stops a process; "" if it is not known.
func stopCommand(pid int, goos string) string {
	switch {
	case pid == 0:
		return ""
	case goos == "windows":
		return fmt.Sprintf(", or taskkill /pid %d /f", pid)
	}
	return fmt.Sprintf(", or kill %d", pid)
}
