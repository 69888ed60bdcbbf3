package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A trial is what one seed draws: a network and what is planted in it.
type trial struct {
	Seed     uint64
	Topology topology
	Faults   []fault
}

func (c trial) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", c.Topology)
	for _, f := range c.Faults {
		fmt.Fprintf(&b, "; [%s] %s", f.Kind, f.Text)
	}
	return b.String()
}

// kinds are the kinds of a trial's faults.
func (c trial) kinds() []string {
	var out []string
	for _, f := range c.Faults {
		if !slices.Contains(out, f.Kind) {
			out = append(out, f.Kind)
		}
	}
	return out
}

func catalogueKinds() []string {
	var out []string
	for _, b := range catalogue {
		out = append(out, b.kind)
	}
	return out
}

// draw makes the trial of a seed. With a kind, only faults of that kind. The
// same seed draws the same trial; seeds one after the other go round the
// catalogue, so that no kind is rare.
func draw(seed uint64, kind string) trial {
	rng := rand.New(rand.NewPCG(seed, 0x10))
	c := trial{Seed: seed, Topology: drawTopology(rng)}
	main := catalogue[seed%uint64(len(catalogue))]
	if i := slices.Index(catalogueKinds(), kind); i >= 0 {
		main = catalogue[i]
	}
	if slices.Contains([]string{"rp-filter", "few-ports"}, main.kind) {
		c.Topology.Six = false
	}
	if main.kind == "udp" || main.kind == "own-instance" {
		c.Topology.Pair = false
	}
	if main.kind == "addresses" || main.kind == "own-instance" {
		c.Topology.NAT = "" // the name says where to
	}
	d := &drawer{rng, c.Topology}
	c.Faults = []fault{main.make(d)}
	if main.kind == "none" {
		return c
	}
	for n := rng.IntN(20); len(c.Faults) < 3 && n < 9; n += 5 { // 55 % one, 25 % two, 20 % three
		b := catalogue[1+rng.IntN(len(catalogue)-1)]
		if kind != "" {
			b = main
		}
		if b.kind == "rp-filter" && c.Topology.Six || b.kind == "udp" && c.Topology.Pair || b.kind == "own-instance" {
			continue
		}
		f := b.make(d)
		if clashes(c.Faults, f) {
			continue
		}
		c.Faults = append(c.Faults, f)
	}
	return c
}

func (b block) make(d *drawer) fault {
	f := b.draw(d)
	f.Kind = b.kind
	return f
}

// clashes reports whether a fault cannot be planted beside others.
func clashes(faults []fault, f fault) bool {
	for _, o := range faults {
		switch {
		case o.hosts != nil && f.hosts != nil, o.listen != "" && f.listen != "", o.Kind == f.Kind && f.commands != nil,
			o.there != nil && f.there != nil, o.back != nil && f.back != nil,
			o.limits != "" && f.limits != "", o.limited != "" && f.limited != "",
			o.second != "" && f.second != "" && o.second != f.second,
			o.nature == elsewhere && f.nature == elsewhere,
			o.Kind == "own-instance", o.hosts != nil && f.nature == elsewhere, f.hosts != nil && o.nature == elsewhere:
			return true
		}
	}
	return false
}

func drawTopology(rng *rand.Rand) topology {
	t := topology{Pair: rng.IntN(4) == 0, Six: rng.IntN(7) == 0}
	if !t.Pair && !t.Six {
		t.NAT = []string{"", "", "", "", "masquerade", "masquerade-random", "forward"}[rng.IntN(7)]
	}
	t.BothWays = !t.Pair && t.NAT == "" && rng.IntN(6) == 0
	if rng.IntN(5) == 0 {
		t.Delay = time.Duration([]int{1, 10, 40}[rng.IntN(3)]) * time.Millisecond
	}
	return t
}
