package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Scenario is a planted truth and what dial must make of it.
// scenarios/README.md explains the file format.
type Scenario struct {
	Name    string            `yaml:"-"`     // file name without .yaml
	About   string            `yaml:"about"` // the truth, in one sentence
	Files   map[string]string `yaml:"files"` // written to the directory that every command runs in
	Plant   []Plant           `yaml:"plant"`
	Listen  Listen            `yaml:"listen"`
	Also    []Listen          `yaml:"also"` // further listeners, on other nodes, started after it
	Dial    Dial              `yaml:"dial"`
	Partner *Partner          `yaml:"partner"` // a second dial, at the other institution
	Exit    int               `yaml:"exit"`
	// OrExit is another status that dial may end with, where chance decides which
	// paths a fault meets.
	OrExit  *int           `yaml:"or_exit"`
	Contact string         `yaml:"contact"` // "some" (default) or "none"
	Expect  []Expect       `yaml:"expect"`
	Default result.Verdict `yaml:"default"` // of every path that no Expect is about
	// Findings are codes of what must be found about the run as a whole.
	Findings []result.Code `yaml:"findings"`
	Says     []string      `yaml:"says"`  // must be in the text report, of dial address
	Alone    string        `yaml:"alone"` // why the truth table asks no other tool; "": it does
}

// A Plant is one thing done to a node before listen starts. Exactly one of
// NFT, Run, Before and STUN is set.
type Plant struct {
	Node   string `yaml:"node"`
	NFT    string `yaml:"nft"`    // rules
	Run    string `yaml:"run"`    // shell, must succeed
	Before string `yaml:"before"` // shell, left running
	Port   int    `yaml:"port"`   // with Before: wait until it listens on this TCP port
	// STUN are one or two addresses of the node at which a STUN server answers,
	// by TCP and UDP; two make it one of RFC 5780.
	STUN []string `yaml:"stun"`
}

// Listen says where listen runs. Node "none": nowhere.
type Listen struct {
	Node string   `yaml:"node"`
	Args []string `yaml:"args"`
	Ends bool     `yaml:"ends"` // it may end before dial does
}

// Dial says where dial runs, and with which arguments.
type Dial struct {
	Node string   `yaml:"node"`
	Args []string `yaml:"args"`
	Env  []string `yaml:"env"` // NAME=VALUE, beside what it has anyway
}

// An Expect is about the paths that match its first five fields, each of which
// matches any if left out. The first Expect that matches a path counts.
type Expect struct {
	Flow      string         `yaml:"flow"`
	Port      int            `yaml:"port"` // of the plan
	Direction plan.Direction `yaml:"direction"`
	Family    result.Family  `yaml:"family"`
	Address   string         `yaml:"address"` // that was dialed, of several

	Verdict result.Verdict    `yaml:"verdict"`
	Or      []result.Verdict  `yaml:"or"` // as good, where chance decides; never open for a path that must not be
	OK      *bool             `yaml:"ok"`
	Proof   result.Proof      `yaml:"proof"`   // what it rests on
	Finding result.Code       `yaml:"finding"` // its code
	Notes   []result.NoteCode `yaml:"notes"`   // must be there, beside any others
	Says    []string          `yaml:"says"`    // must be in the finding, the notes or the evidence
}

const noListener = "none"

// proofs are what an Expect may demand.
var proofs = []result.Proof{result.ProofKeyed, result.ProofSeen, result.ProofService, result.ProofBrowser, result.ProofPlain, result.ProofNone}

// Bare reports whether no listener runs in s.
func (s Scenario) Bare() bool { return len(s.listeners()) == 0 }

// listeners are the ones to start, in order.
func (s Scenario) listeners() []Listen {
	all := append([]Listen{s.Listen}, s.Also...)
	return slices.DeleteFunc(all, func(l Listen) bool { return l.Node == noListener })
}

// Load reads every scenario in dir, in order of name.
func Load(dir string) ([]Scenario, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no scenario in %s", dir)
	}
	all := make([]Scenario, 0, len(names))
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(name, src)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Parse reads one scenario. Its errors name the file, the line and the value.
func Parse(file string, src []byte) (Scenario, error) {
	s := Scenario{Name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
	if err := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict()).Decode(&s); err != nil {
		return Scenario{}, fmt.Errorf("%s: %s", file, yaml.FormatError(err, false, true))
	}
	if s.Listen.Node == "" {
		s.Listen.Node = "server"
	}
	if s.Dial.Node == "" {
		s.Dial.Node = "client"
	}
	if s.Contact == "" {
		s.Contact = "some"
	}
	if s.Partner != nil && s.Alone == "" {
		s.Alone = "a second dial at the other end takes part in it"
	}
	if s.Default == "" {
		s.Default = result.Open
	}
	if where, what := s.fault(); what != "" {
		return Scenario{}, fmt.Errorf("%s:%d: %s", file, lineOf(src, where), what)
	}
	return s, nil
}

// fault returns the first thing wrong with s and the YAML path to it.
func (s Scenario) fault() (where, what string) {
	if strings.TrimSpace(s.About) == "" {
		return "$", "about is missing: say in one sentence what is planted"
	}
	if !slices.Contains(result.Verdicts, s.Default) {
		return "$.default", unknown("verdict", s.Default, result.Verdicts)
	}
	if !slices.Contains([]string{"some", "none"}, s.Contact) {
		return "$.contact", unknown("contact", s.Contact, []string{"some", "none"})
	}
	if s.Listen.Node != noListener && !slices.Contains(Nodes, s.Listen.Node) {
		return "$.listen.node", unknown("node", s.Listen.Node, append(slices.Clone(Nodes), noListener))
	}
	on := []string{s.Listen.Node}
	for i, l := range s.Also {
		at := fmt.Sprintf("$.also[%d]", i)
		switch {
		case !slices.Contains(Nodes, l.Node):
			return at, unknown("node", l.Node, Nodes)
		case slices.Contains(on, l.Node):
			return at, fmt.Sprintf("a listener runs on %s already", l.Node)
		}
		on = append(on, l.Node)
	}
	if !slices.Contains(Nodes, s.Dial.Node) {
		return "$.dial.node", unknown("node", s.Dial.Node, Nodes)
	}
	if s.Partner != nil {
		if !slices.Contains(Nodes, s.Partner.Node) {
			return "$.partner.node", unknown("node", s.Partner.Node, Nodes)
		}
		if what := s.Partner.fault(); what != "" {
			return "$.partner", what
		}
	}
	if len(s.Dial.Args) == 0 {
		return "$", "dial.args is missing: at least the host to dial, such as [server.lab]"
	}
	for i, p := range s.Plant {
		at := fmt.Sprintf("$.plant[%d]", i)
		set := 0
		for _, v := range []string{p.NFT, p.Run, p.Before, strings.Join(p.STUN, "")} {
			if v != "" {
				set++
			}
		}
		switch {
		case !slices.Contains(Nodes, p.Node):
			return at, unknown("node", p.Node, Nodes)
		case set != 1:
			return at, "a plant is one of nft, run, before and stun"
		case p.Port != 0 && p.Before == "":
			return at, "port goes with before: it says when that program is ready"
		case p.Before != "" && p.Port == 0:
			return at, "before wants a port: the TCP port on which that program listens once it is ready"
		case p.Port < 0 || p.Port > 65535:
			return at, fmt.Sprintf("port %d is not a port", p.Port)
		}
	}
	for i, e := range s.Expect {
		at := fmt.Sprintf("$.expect[%d]", i)
		switch {
		case !slices.Contains(result.Verdicts, e.Verdict):
			return at, unknown("verdict", e.Verdict, result.Verdicts)
		case e.Direction != "" && e.Direction != plan.Forward && e.Direction != plan.Reverse:
			return at, unknown("direction", e.Direction, []plan.Direction{plan.Forward, plan.Reverse})
		case e.Family != "" && e.Family != result.IP4 && e.Family != result.IP6:
			return at, unknown("family", e.Family, []result.Family{result.IP4, result.IP6})
		case e.Proof != "" && !slices.Contains(proofs, e.Proof):
			return at, unknown("proof", e.Proof, proofs)
		}
	}
	return "", ""
}

func unknown[T ~string](kind string, got T, want []T) string {
	if got == "" {
		return fmt.Sprintf("%s is missing: one of %s", kind, list(want))
	}
	return fmt.Sprintf("no %s %q: one of %s", kind, got, list(want))
}

func list[T ~string](of []T) string {
	words := make([]string, len(of))
	for i, w := range of {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

// lineOf returns the line on which the value at a YAML path stands, or 1.
func lineOf(src []byte, path string) int {
	p, err := yaml.PathString(path)
	if err != nil {
		return 1
	}
	node, err := p.ReadNode(bytes.NewReader(src))
	if err != nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return 1
	}
	return node.GetToken().Position.Line
}
