package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"dialtone/internal/lab/random/router"
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
// roundTrip is how long a packet takes there and its answer back, at most.
func (c trial) roundTrip() time.Duration {
	d := 2 * c.Topology.Delay
	for _, f := range c.Faults {
		for _, way := range []*router.Treatment{f.there, f.back} {
			if way != nil {
				d += way.Delay + way.Jitter
			}
		}
	}
	return d
}

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

// draw makes the trial of a seed. kinds, joined by a plus sign, are the kinds of
// its faults; "" draws those too. What a kind draws depends on the seed, the
// kind and the network alone: the smallest trial that shows a mistake is the
// same seed with fewer kinds, and a new kind in the catalogue leaves most seeds
// as they are.
func draw(seed uint64, kinds string) trial {
	rng := rand.New(rand.NewPCG(seed, 0x10))
	c := trial{Seed: seed, Topology: drawTopology(rng)}
	wanted := strings.Split(kinds, "+")
	if kinds == "" {
		order := shuffled(seed)
		n := 1
		if order[0] != "none" {
			n = []int{1, 1, 1, 1, 1, 1, 2, 2, 2, 3}[rng.IntN(10)]
		}
		c.Topology.fit(order[:1])
		for _, k := range order {
			t := c.Topology
			if t.fit([]string{k}); len(c.Faults) >= n || k == "none" && len(c.Faults) > 0 || t != c.Topology {
				continue
			}
			if f := c.make(k); !clashes(c.Faults, f) {
				c.Faults = append(c.Faults, f)
			}
		}
		return c
	}
	c.Topology.fit(wanted)
	for _, k := range wanted {
		c.Faults = append(c.Faults, c.make(k))
	}
	return c
}

// shuffled is every kind in an order that the seed draws.
func shuffled(seed uint64) []string {
	order := catalogueKinds()
	slices.SortFunc(order, func(a, b string) int { return cmp.Compare(number(seed, a), number(seed, b)) })
	return order
}

// number is a number drawn for a seed and a kind.
func number(seed uint64, kind string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", seed, kind)
	return rand.New(rand.NewPCG(h.Sum64(), seed)).Uint64()
}

// make draws a fault of a kind for the trial's network.
func (c trial) make(kind string) fault {
	d := &drawer{rand.New(rand.NewPCG(c.Seed, number(c.Seed, kind))), c.Topology}
	f := catalogue[slices.Index(catalogueKinds(), kind)].draw(d)
	f.Kind = kind
	return f
}

// fit makes the network one in which faults of these kinds make sense.
func (t *topology) fit(kinds []string) {
	for _, k := range kinds {
		switch k {
		case "rp-filter", "few-ports":
			t.Six = false
		case "udp":
			t.Pair = false
		case "own-instance":
			t.Pair, t.NAT = false, ""
		case "led-back":
			t.Pair, t.NAT = false, ""
		case "neighbour":
			t.Pair, t.Six, t.BothWays, t.NAT = false, false, false, "masquerade"
		case "far-masquerade":
			t.Pair = false
		case "addresses":
			t.NAT = "" // the name says where to
		}
	}
}

// clashes reports whether a fault cannot be planted beside others.
func clashes(faults []fault, f fault) bool {
	for _, o := range faults {
		switch {
		case o.hosts != nil && f.hosts != nil, o.listen != "" && f.listen != "", f.nature == own && o.nature == own,
			o.there != nil && f.there != nil, o.back != nil && f.back != nil,
			o.limits != "" && f.limits != "", o.limited != "" && f.limited != "",
			o.pretends != nil && f.pretends != nil, o.hold != "" && f.hold != "",
			o.second != "" && f.second != "" && o.second != f.second,
			o.nature == elsewhere && f.nature == elsewhere,
			o.Kind == "own-instance", f.Kind == "own-instance", o.hosts != nil && f.nature == elsewhere, f.hosts != nil && o.nature == elsewhere:
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
