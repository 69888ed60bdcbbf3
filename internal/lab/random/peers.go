package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A peer is another tool that people ask whether a port is open, run where dial
// ran and right after it, with everything planted and listen running.
type peer struct {
	name string
	argv func(addr string, port int) []string
	open func(out string, exit int) bool // whether it says that the port is open
}

var peers = []peer{
	{"nc -z", func(addr string, port int) []string {
		return []string{"nc", "-n", "-z", "-w", "4", addr, strconv.Itoa(port)}
	}, func(_ string, exit int) bool { return exit == 0 }},
	{"nmap -sT", func(addr string, port int) []string {
		argv := []string{"nmap", "-n", "-Pn", "-sT", "-oG", "-", "-p", strconv.Itoa(port)}
		if strings.Contains(addr, ":") {
			argv = append(argv, "-6")
		}
		return append(argv, addr)
	}, func(out string, _ int) bool { return strings.Contains(out, "/open/tcp/") }},
	// As PsPing does: open means that all of four connections were completed.
	{"nping, four connects", func(addr string, port int) []string {
		argv := []string{"nping", "--tcp-connect", "-c", "4", "--delay", "100ms", "-p", strconv.Itoa(port)}
		if strings.Contains(addr, ":") {
			argv = append(argv, "-6")
		}
		return append(argv, addr)
	}, func(out string, _ int) bool { return strings.Contains(out, "Successful connections: 4") }},
}

// asked are the forward rows over TCP that a peer called open (or not), by its
// name.
type asked map[string]map[row]bool

// askPeers asks every peer of every forward row over TCP.
func (s *stage) askPeers(ctx context.Context) (asked, error) {
	t := s.trial.Topology
	to := t.target()
	if s.hosts() != nil {
		to = s.hosts()[0]
	}
	said := asked{}
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed error
	for _, p := range peers {
		said[p.name] = map[row]bool{}
		for _, r := range t.rows() {
			if r.Reverse || r.Transport != "tcp" {
				continue
			}
			all.Go(func() {
				cmd := s.lab.Command(ctx, t.nearNode().name, p.argv(to, r.Port)...)
				out, err := cmd.CombinedOutput()
				mu.Lock()
				defer mu.Unlock()
				if _, exited := err.(*exec.ExitError); err != nil && !exited {
					failed = fmt.Errorf("%s: %w", p.name, err)
					return
				}
				said[p.name][r] = p.open(string(out), cmd.ProcessState.ExitCode())
			})
		}
	}
	all.Wait()
	return said, failed
}

// stands reports whether everything that is planted stands from the beginning to
// the end, and treats a connection alike whatever it says and for however long:
// what the plain ones met then holds for the peers' as well.
func (c trial) stands() bool {
	return !slices.ContainsFunc(c.Faults, func(f fault) bool {
		return f.at > 0 || f.nature == moment || f.nature == limit || f.nature == content || f.nature == resting || f.listen != "" || f.beside || f.Kind == "shun" || f.hosts != nil || f.limits != "" || f.limited != ""
	})
}

// A grade counts what a tool said of rows, by what plain connections met there.
type grade struct {
	never, openNever int // nothing ever passed, and it was called open all the same
	part, openPart   int // some connections failed, or led elsewhere
	whole, shutWhole int // all of them came where they ought to, and it was not called open
}

func (g *grade) add(tr truth, open bool) {
	count := func(n, of *int, wrong bool) {
		*of++
		if wrong {
			*n++
		}
	}
	switch {
	case tr.tried == 0:
	case tr.never():
		count(&g.openNever, &g.never, open)
	case tr.worked < tr.tried || tr.strayed > 0:
		count(&g.openPart, &g.part, open)
	default:
		count(&g.shutWhole, &g.whole, !open)
	}
}

// gradePeers grades peers, and dial on the same rows.
func gradePeers(c trial, f facts, grades map[string]*grade) {
	if f.Peers == nil || !c.stands() {
		return
	}
	at := func(name string) *grade {
		if grades[name] == nil {
			grades[name] = &grade{}
		}
		return grades[name]
	}
	for _, p := range f.Report.Paths {
		r, ok := known(c.Topology, p)
		if !ok || r.Reverse || r.Transport != "tcp" || p.Address != "" {
			continue
		}
		tr := know(c, f, r)
		at("dial").add(tr, p.OK)
		for _, tool := range peers {
			at(tool.name).add(tr, f.Peers[tool.name][r])
		}
	}
}

// tabulatePeers is the table of the peers; "" if none was asked.
func tabulatePeers(grades map[string]*grade) string {
	if len(grades) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-22s %26s %34s %30s\n", "rows over TCP, forward", "nothing passes: open", "some fail or lead elsewhere: open", "all pass: not called open")
	for _, name := range append([]string{"dial"}, peerNames()...) {
		if g := grades[name]; g != nil {
			fmt.Fprintf(&b, "%-22s %16d of %5d %24d of %5d %20d of %5d\n", name, g.openNever, g.never, g.openPart, g.part, g.shutWhole, g.whole)
		}
	}
	return b.String()
}

func peerNames() []string {
	var names []string
	for _, p := range peers {
		names = append(names, p.name)
	}
	return names
}
