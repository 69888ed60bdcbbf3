package main

import (
	"fmt"
	"slices"
	"strings"
)

// tabulate counts what was wrong, a row for each kind. A wrong trial counts
// under the kinds that its smallest form still has.
func tabulate(outcomes []outcome, again bool) string {
	type count struct {
		seeds, right, missed, once int
		wrong                      map[class]int
		seedsOf                    []string
	}
	by := map[string]*count{}
	total := &count{wrong: map[class]int{}}
	at := func(kind string) *count {
		if by[kind] == nil {
			by[kind] = &count{wrong: map[class]int{}}
		}
		return by[kind]
	}
	for _, o := range outcomes {
		if o.err != nil {
			continue
		}
		guilty := o.trial.kinds()
		if o.small != nil {
			guilty = o.small.kinds()
		}
		var had []class
		for _, w := range o.wrong {
			if !slices.Contains(had, w.Class) {
				had = append(had, w.Class)
			}
		}
		for _, c := range append([]*count{total}, countsOf(o.trial.kinds(), at)...) {
			c.seeds++
			c.missed += o.missed
		}
		if len(had) == 0 {
			for _, c := range append([]*count{total}, countsOf(o.trial.kinds(), at)...) {
				c.right++
			}
			continue
		}
		for _, k := range o.trial.kinds() {
			if !slices.Contains(guilty, k) {
				at(k).right++
			}
		}
		for _, c := range append([]*count{total}, countsOf(guilty, at)...) {
			for _, k := range had {
				c.wrong[k]++
			}
			c.seedsOf = append(c.seedsOf, fmt.Sprint(o.trial.Seed))
			if o.small == nil {
				c.once++
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-22s %6s %6s", "kind", "seeds", "right")
	for _, k := range classes {
		fmt.Fprintf(&b, " %13s", k)
	}
	fmt.Fprintf(&b, " %7s  wrong seeds\n", "missed")
	line := func(name string, c *count, seeds bool) {
		fmt.Fprintf(&b, "%-22s %6d %6d", name, c.seeds, c.right)
		for _, k := range classes {
			fmt.Fprintf(&b, " %13d", c.wrong[k])
		}
		fmt.Fprintf(&b, " %7d", c.missed)
		if seeds && len(c.seedsOf) > 0 {
			fmt.Fprintf(&b, "  %s", strings.Join(c.seedsOf, " "))
		}
		b.WriteByte('\n')
	}
	for _, k := range catalogueKinds() {
		if c := by[k]; c != nil {
			line(k, c, true)
		}
	}
	line("all", total, false)
	if again && total.once > 0 {
		fmt.Fprintf(&b, "%d of the wrong seeds did not show it again.\n", total.once)
	}
	return b.String()
}

func countsOf[T any](kinds []string, at func(string) *T) []*T {
	var out []*T
	for _, k := range kinds {
		out = append(out, at(k))
	}
	return out
}
