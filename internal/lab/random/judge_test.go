package main

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"dialtone/internal/lab/random/oracle"
	"dialtone/internal/lab/random/router"
)

// A small world: a client, a server, and one fault.
type world struct {
	fault  fault
	hits   int
	plain  map[string]int // of 48 plain connections to a row, how many worked
	strays map[string]int
	own    []oracle.Seen // dial's connections, as the client's interface saw them
	far    []oracle.Seen
	report report
	exit   int
	beside *fault        // another
	took   time.Duration // 0: a second
}

var sql = row{1433, "tcp", false}

func (w world) judge() []wrong {
	c := trial{Faults: []fault{w.fault}}
	f := facts{Before: oracle.Results{}, After: oracle.Results{}, Hits: []int{w.hits}, Report: w.report, Exit: w.exit, Took: cmp.Or(w.took, time.Second)}
	if w.beside != nil {
		c.Faults, f.Hits = append(c.Faults, *w.beside), append(f.Hits, 0)
	}
	f.Report.Schema = "dialtone.report/1"
	for _, r := range c.Topology.rows() {
		worked, ok := w.plain[r.String()]
		if !ok {
			worked = 2 * oracle.Times
		}
		name := "server"
		if r.Reverse {
			name = "client"
		}
		for i := range 2 * oracle.Times {
			one := oracle.Tried{OK: i < worked, Name: fmt.Sprintf("%s:%d", name, r.Port), Ended: "silence"}
			if i < w.strays[r.String()] {
				one.Name = fmt.Sprintf("database:%d", r.Port)
			}
			if i%2 == 0 {
				f.Before[r.String()] = append(f.Before[r.String()], one)
			} else {
				f.After[r.String()] = append(f.After[r.String()], one)
			}
		}
	}
	f.Near = oracle.Seens{Conns: w.own, Ended: 10 * time.Second}
	f.Far = oracle.Seens{Conns: w.far, Ended: 10 * time.Second}
	return judge(c, f)
}

func open(r row) path {
	p := path{Port: r.Port, PlanPort: r.Port, Transport: r.Transport, Direction: "forward", Verdict: "open", OK: true, Counted: true, Proof: "keyed"}
	if r.Reverse {
		p.Direction = "reverse"
	}
	return p
}

func blocked(r row, verdict, code, text, advice string) path {
	p := open(r)
	p.Verdict, p.OK, p.Proof = verdict, false, "none"
	if code != "" {
		p.Finding = &finding{code, text, advice}
	}
	return p
}

// with adds connections from ports to what is said of a path.
func with(p path, ports ...int) path {
	for _, n := range ports {
		one := connection{Source: fmt.Sprintf("10.1.0.10:%d", n)}
		if p.Initiator == nil {
			p.Initiator = new(initiator)
		}
		p.Initiator.Connections = append(p.Initiator.Connections, one)
	}
	return p
}

func from(s oracle.Seen, port int) oracle.Seen {
	s.From = fmt.Sprintf("10.1.0.10:%d", port)
	return s
}

func came(to int, how string) oracle.Seen {
	s := oracle.Seen{Transport: "tcp", From: "10.1.0.10:40000", To: fmt.Sprintf("10.2.0.10:%d", to), Out: true, SYNs: 1, TTL: 64, SYNACKs: 1, There: 100, Back: 100}
	switch how {
	case "silence":
		s.SYNs, s.SYNACKs, s.There, s.Back = 3, 0, 0, 0
	case "reset":
		s.SYNACKs, s.There, s.Back, s.FarRST = 0, 0, 0, true
	case "trace":
		s.SYNACKs, s.There, s.Back, s.TTL = 0, 0, 0, 2
	}
	return s
}

func late(s oracle.Seen, at time.Duration) oracle.Seen {
	s.First = at
	return s
}

func lossOf(share float64) *router.Treatment { return &router.Treatment{Loss: share} }

func TestReportsAreHeldAgainstTheTruth(t *testing.T) {
	fws := func(kind string, n nature, accused ...party) fault {
		return fault{Kind: kind, nature: n, rows: []row{sql}, places: []string{"fws"}, accused: accused, plants: []plant{{"fws", ""}}}
	}
	all := func(p ...path) report {
		r := report{Paths: p}
		r.Summary.OK = !slices.ContainsFunc(p, func(p path) bool { return p.Counted && !p.OK })
		return r
	}
	asleep := func(ok, failed oracle.Seen, says string) world {
		r := all(open(sql))
		r.Findings = []finding{{Code: "listener-paused", Text: says}}
		return world{fault: fault{Kind: "flush", nature: moment, at: 200 * time.Millisecond, accused: []party{device}},
			beside: &fault{Kind: "listener-sleeps", nature: own, at: 240 * time.Millisecond, until: 6 * time.Second, listen: sleeps, mention: saysListener},
			hits:   9, own: []oracle.Seen{ok, failed}, report: r}
	}
	restarted := func(failed oracle.Seen, says string) world {
		r := all(open(sql))
		r.Findings = []finding{{Code: "listener-restarted", Text: says}}
		return world{fault: fault{Kind: "outage", nature: moment, at: 500 * time.Millisecond, until: 2 * time.Second, accused: []party{device}},
			beside: &fault{Kind: "listener-restarts", nature: own, at: 330 * time.Millisecond, listen: restarts, mention: saysListener},
			hits:   4, own: []oracle.Seen{came(1433, "ok"), from(failed, 40001)}, report: r}
	}
	lossyBeside := func(worked int) world {
		return world{fault: fault{Kind: "loss-heavy", nature: lossy, back: lossOf(0.28)}, beside: &fault{Kind: "idle", nature: resting, rows: []row{sql}},
			plain: map[string]int{sql.String(): worked}, own: []oracle.Seen{came(1433, "ok"), from(came(1433, "silence"), 40001)}, report: all(open(sql))}
	}
	ask := "Please allow TCP from 10.1.0.10 (client) to 10.2.0.10 (database) port 1433. It is dropped by %s."
	for _, tt := range []struct {
		name string
		w    world
		want []class
	}{
		{"all is well", world{report: all(open(sql))}, nil},
		{"open, and nothing ever passes", world{fault: fws("drop", static, device), hits: 5, plain: map[string]int{sql.String(): 0}, report: all(open(sql))}, []class{wrongOpen}},
		{"open, and half of the connections fail", world{fault: fws("parity", share, device), plain: map[string]int{sql.String(): 24}, report: all(open(sql))}, []class{wrongOpen}},
		{"open, and a connection of its own failed", world{fault: fws("chance", share, device), hits: 1, plain: map[string]int{sql.String(): 40}, own: []oracle.Seen{came(1433, "ok"), came(1433, "silence")}, report: all(open(sql))}, []class{wrongOpen}},
		{"open by luck", world{fault: fws("chance", share, device), plain: map[string]int{sql.String(): 40}, own: []oracle.Seen{came(1433, "ok")}, report: all(open(sql))}, nil},
		{"a trace's packets are meant to die", world{own: []oracle.Seen{came(1433, "ok"), came(1433, "trace")}, report: all(open(sql))}, nil},
		{"more at once than a limit takes, and dial was below it", world{fault: fws("rate", limit, device), plain: map[string]int{sql.String(): 8}, own: []oracle.Seen{came(1433, "ok")}, report: all(open(sql))}, nil},
		{"so much more that none of them came through", world{fault: fws("rate", limit, device), plain: map[string]int{sql.String(): 0}, own: []oracle.Seen{came(1433, "ok")}, report: all(open(sql))}, nil},
		{"and dial met the limit, too", world{fault: fws("rate", limit, device), plain: map[string]int{sql.String(): 0}, own: []oracle.Seen{came(1433, "ok"), came(1433, "silence")}, report: all(open(sql))}, []class{wrongOpen}},
		{"led to somebody else", world{fault: fws("led-to-other-machine", elsewhere, nat), hits: 1, strays: map[string]int{sql.String(): 48}, report: all(open(sql))}, []class{wrongOpen}},
		{"everything leads to one other machine, as behind a NAT", world{fault: fault{Kind: "led-to-other-machine", nature: elsewhere, accused: []party{nat}}, strays: map[string]int{sql.String(): 48, "tcp/1344 forward": 48, "tcp/443 forward": 48, "tcp/7968 forward": 48, "udp/1434 forward": 48}, report: all(open(sql))}, nil},
		{"and it stays that while a listener is started anew", world{fault: fault{Kind: "led-to-other-machine", nature: elsewhere, accused: []party{nat}}, beside: &fault{Kind: "listener-restarts", nature: own, mention: saysListener}, strays: map[string]int{sql.String(): 48, "tcp/1344 forward": 48, "tcp/443 forward": 48, "tcp/7968 forward": 48, "udp/1434 forward": 48}, report: all(open(sql))}, nil},
		{"a flush while listen slept, as is said", asleep(came(1433, "ok"), came(1433, "silence"), "The listener on 10.2.0.10 did not answer: it was stopped."), nil},
		{"and where nothing says so", asleep(came(1433, "ok"), came(1433, "silence"), "All is well."), []class{wrongOpen}},
		{"and a failure after it woke", asleep(came(1433, "ok"), late(came(1433, "silence"), 9*time.Second), "The listener on 10.2.0.10 did not answer: it was stopped."), []class{wrongOpen}},
		{"what another dial's connections met", world{fault: fault{Kind: "dies", nature: moment, accused: []party{device}, places: []string{"wan"}, plants: []plant{{"wan", ""}}}, beside: &fault{Kind: "second-dial", nature: own, beside: true}, hits: 9,
			own: []oracle.Seen{came(1433, "ok"), from(came(1433, "silence"), 40001)}, report: all(with(open(sql), 40000))}, nil},
		{"and what dial's own met beside another", world{fault: fault{Kind: "dies", nature: moment, accused: []party{device}, places: []string{"wan"}, plants: []plant{{"wan", ""}}}, beside: &fault{Kind: "second-dial", nature: own, beside: true}, hits: 9,
			own: []oracle.Seen{came(1433, "ok"), from(came(1433, "silence"), 40001)}, report: all(with(open(sql), 40000, 40001))}, []class{wrongOpen}},
		{"what a restart reset beside an outage, as is said", restarted(came(1433, "reset"), "The listener on 10.2.0.10 was started anew, and so this run began again."), nil},
		{"and what got no answer beside it", restarted(came(1433, "silence"), "The listener on 10.2.0.10 was started anew, and so this run began again."), []class{wrongOpen}},
		{"and where nothing says so of the restart", restarted(came(1433, "reset"), "All is well."), []class{wrongOpen}},
		{"what loss alone made fail, beside a fault that nothing met", lossyBeside(48), nil},
		{"and where plain connections fail, too", lossyBeside(37), []class{wrongOpen}},
		{"a minute is long", world{took: 61 * time.Second, report: all(open(sql))}, []class{tooLong}},
		{"and not where an answer takes more than a second", world{fault: fault{Kind: "delay", nature: harmless, there: &router.Treatment{Delay: 600 * time.Millisecond}, back: &router.Treatment{Delay: 600 * time.Millisecond}}, took: 90 * time.Second, report: all(open(sql))}, nil},
		{"a name that is this machine's, and it is said", world{fault: fault{Kind: "own-instance", nature: own, hosts: []string{"10.1.0.10"}, accused: []party{naming}, mention: saysOwn}, plain: map[string]int{sql.String(): 0}, exit: 1,
			own: []oracle.Seen{came(1433, "reset")}, report: all(blocked(sql, "refused", "refused", "This name leads back to this machine.", "Please allow TCP"))}, nil},
		{"a name that is this machine's, and a firewall is asked", world{fault: fault{Kind: "own-instance", nature: own, hosts: []string{"10.1.0.10"}, accused: []party{naming}, mention: saysOwn}, plain: map[string]int{sql.String(): 0}, exit: 1,
			own: []oracle.Seen{came(1433, "reset")}, report: all(blocked(sql, "refused", "refused", "RST came back.", "Please allow TCP"))}, []class{falseCulprit}},
		{"blocked, and it is", world{fault: fws("drop", static, device), hits: 5, plain: map[string]int{sql.String(): 0}, own: []oracle.Seen{came(1433, "silence")}, exit: 1,
			report: all(blocked(sql, "filtered", "filtered", "No answer came.", fmt.Sprintf(ask, "198.51.100.1 (hop 2) or 198.51.100.6 (hop 3)")))}, nil},
		{"blocked, and it is not", world{exit: 1, report: all(blocked(sql, "silent", "silent", "No answer came.", ""))}, []class{falseBlock}},
		{"untested without a reason", world{exit: 1, report: all(blocked(sql, "untested", "untested", "Not tested.", ""))}, []class{falseBlock}},
		{"the wrong device", world{fault: fws("drop", static, device), hits: 5, plain: map[string]int{sql.String(): 0}, own: []oracle.Seen{came(1433, "silence")}, exit: 1,
			report: all(blocked(sql, "filtered", "filtered", "No answer came.", fmt.Sprintf(ask, "198.51.100.2 (hop 1)")))}, []class{falseCulprit}},
		{"a reply is lost of which no request arrived", world{fault: fws("drop", static, device), hits: 5, plain: map[string]int{sql.String(): 0}, own: []oracle.Seen{came(1433, "silence")}, exit: 1,
			report: all(blocked(sql, "reply-lost", "reply-lost", "The answer did not come back.", ""))}, []class{falseCulprit}},
		{"a RST that nobody sent", world{fault: fws("drop", static, device), hits: 5, plain: map[string]int{sql.String(): 0}, own: []oracle.Seen{came(1433, "silence")}, exit: 1,
			report: all(blocked(sql, "refused", "refused-on-the-way", "RST came back.", ""))}, []class{falseCulprit}},
		{"the listener is blamed for a device's ICMP", world{fault: fws("reject", static, device), hits: 5, plain: map[string]int{sql.String(): 0}, exit: 1,
			report: all(blocked(sql, "rejected", "nothing-listens", "the target machine itself says that nothing listens there", ""))}, []class{falseCulprit}},
		{"a firewall is blamed for the machine's own filter", world{fault: fault{Kind: "rp-filter", nature: own, accused: []party{farEnd}, mention: saysReverse, places: []string{"server"}}, plain: map[string]int{sql.String(): 0}, exit: 1,
			own: []oracle.Seen{came(1433, "silence")}, report: all(blocked(sql, "filtered", "filtered-by-host", "That machine's own firewall dropped it.", ""))}, []class{falseCulprit}},
		{"and is not, where its filter is named", world{fault: fault{Kind: "rp-filter", nature: own, accused: []party{farEnd}, mention: saysReverse, places: []string{"server"}}, plain: map[string]int{sql.String(): 0}, exit: 1,
			own: []oracle.Seen{came(1433, "silence")}, report: all(blocked(sql, "filtered", "filtered-by-host", "Its reverse path filter dropped it, no firewall.", ""))}, nil},
		{"light loss is no hole", world{fault: fault{Kind: "loss-light", nature: lossy, there: lossOf(0.1), accused: []party{link}}, exit: 1,
			report: all(blocked(sql, "mtu-hole", "mtu-hole", "large packets do not pass", ""))}, []class{falseBlock}},
		{"heavy loss may be unsteady", world{fault: fault{Kind: "loss-heavy", nature: lossy, there: lossOf(0.3), accused: []party{link}}, exit: 1, own: []oracle.Seen{came(1433, "silence")},
			report: all(blocked(sql, "unsteady", "unsteady", "2 of 3", ""))}, nil},
		{"nothing proved the key, beside a proof", world{fault: fws("drop", static, device), hits: 1, report: report{Summary: all().Summary, Paths: []path{open(sql)}, Findings: []finding{{"no-contact", "Nothing at 10.2.0.10 proved the key.", ""}}}}, []class{contradiction}},
		{"the exit status denies the summary", world{exit: 1, report: all(open(sql))}, []class{contradiction}},
		{"all is well, and the link died", world{fault: fault{Kind: "dies", nature: moment, accused: []party{device}, places: []string{"wan"}, plants: []plant{{"wan", ""}}}, hits: 9,
			own: []oracle.Seen{came(1433, "ok"), came(1433, "silence")}, report: all(open(sql))}, []class{wrongOpen}},
	} {
		var got []class
		for _, w := range tt.w.judge() {
			if !slices.Contains(got, w.Class) {
				got = append(got, w.Class)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v: %v", tt.name, got, tt.want, tt.w.judge())
		}
	}
}
