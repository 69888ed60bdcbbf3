package main

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"dialtone/internal/lab/random/router"
)

// A nature is how a fault shows, for the judge to know what may excuse a report
// and what may be accused.
type nature int

const (
	harmless  nature = iota // whatever is planted, every connection works
	static                  // always alike
	share                   // some connections, by chance or by their ports
	limit                   // from some number or rate on
	moment                  // from some moment on, or for a while
	lossy                   // single packets
	content                 // what is said decides
	size                    // how large a packet is decides
	elsewhere               // connections lead to something else
	resting                 // how long a connection is idle, or lasts, decides
	own                     // one of the two programs or machines does it
)

// A party is somebody whom a finding may accuse.
type party string

const (
	device   party = "a device on the way"
	nat      party = "a translation or load balancer"
	farEnd   party = "the far end's machine"
	nearEnd  party = "the machine that dials"
	listener party = "listen"
	naming   party = "DNS or the address"
	link     party = "a link's packet size"
)

// A plant is a rule set at a node. %s is the name of its table.
type plant struct{ node, rules string }

// A command runs in a node before a phase and is undone after it.
type command struct{ node, do, undo string }

// An action is something that happens to a program, in the middle of the run.
type action string

const (
	stops    action = "stops"
	restarts action = "restarts"
	sleeps   action = "sleeps"
)

// A pretence is something at a node that accepts connections in another's name.
type pretence struct {
	node string
	mode string // see oracle.Pretend
}

// A fault is one thing that is planted.
type fault struct {
	Kind string
	Text string // what it is and where, for people

	nature nature
	rows   []row         // whose connections it touches; nil: all of them
	at     time.Duration // since dial began; 0: it stands before
	until  time.Duration // when it is gone again; 0: never

	plants   []plant
	commands []command
	once     []command // run at the time at, in nodes; nothing undoes them
	there    *router.Treatment
	back     *router.Treatment
	listen   action
	second   string   // a node on which another listen with the same key runs
	hosts    []string // addresses of the name that dial is given instead
	limits   string   // shell words before dial, or
	limited  string   // before listen
	beside   bool     // another dial runs at the same time
	stranger string   // a node from which somebody else connects to the same ports
	pretends *pretence
	hold     string // dial's --hold

	translates bool // an address is changed on the way, beside what the topology does

	places  []string // nodes that do it
	accused []party  // who may be accused of it
	mention *regexp.Regexp
}

// touches reports whether the fault concerns a row at all.
func (f fault) touches(r row) bool { return f.rows == nil || slices.Contains(f.rows, r) }

// hook builds a table of one chain. Both %s of the caller are left for the
// table's name; extra stands before the chain.
func hook(c chain, extra string, rules ...string) plant {
	text := fmt.Sprintf("table inet %%s {\n counter hits { }\n %s\n chain c {\n  type filter hook %s priority -5; policy accept;\n", extra, c.hook)
	for _, r := range rules {
		text += "  " + r + "\n"
	}
	return plant{c.node, text + " }\n}\n"}
}

// dnat builds a table that leads connections elsewhere.
func dnat(c chain, family, to string, rules ...string) plant {
	text := "table inet %s {\n counter hits { }\n chain c {\n  type nat hook prerouting priority -110; policy accept;\n"
	if len(rules) == 0 {
		rules = []string{fmt.Sprintf("%s counter name hits dnat %s to %s", c.match, family, to)}
	}
	for _, r := range rules {
		text += "  " + r + "\n"
	}
	return plant{c.node, text + " }\n}\n"}
}
