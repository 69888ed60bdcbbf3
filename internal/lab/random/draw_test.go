package main

import (
	"slices"
	"strings"
	"testing"
)

func TestASeedDrawsTheSameEachTime(t *testing.T) {
	different := map[string]bool{}
	for seed := range uint64(300) {
		a, b := draw(seed, ""), draw(seed, "")
		if a.String() != b.String() {
			t.Errorf("seed %d draws %s, and then %s", seed, a, b)
		}
		if named := draw(seed, strings.Join(a.kinds(), "+")); named.String() != a.String() {
			t.Errorf("seed %d draws %s, and with its kinds named %s", seed, a, named)
		}
		different[a.String()] = true
	}
	if len(different) < 280 {
		t.Errorf("300 draws give only %d trials", len(different))
	}
}

func TestEveryKindIsDrawnAlike(t *testing.T) {
	n := map[string]int{}
	sizes := map[int]int{}
	for seed := range uint64(2000) {
		c := draw(seed, "")
		sizes[len(c.Faults)]++
		for _, k := range c.kinds() {
			n[k]++
		}
	}
	for _, k := range catalogueKinds() {
		if n[k] < 30 {
			t.Errorf("of 2000 seeds only %d have %s", n[k], k)
		}
	}
	for size := 1; size <= 3; size++ {
		if sizes[size] < 150 {
			t.Errorf("%d trials have %d faults: %v", sizes[size], size, sizes)
		}
	}
}

// Whoever may be accused is known for every fault that can break a row.
func TestEveryFaultSaysWhoDidIt(t *testing.T) {
	for seed := range uint64(1000) {
		for _, f := range draw(seed, "").Faults {
			if f.nature != harmless && len(f.accused) == 0 {
				t.Errorf("%s accuses nobody: %s", f.Kind, f.Text)
			}
			if f.nature == harmless && f.Kind != "none" && f.there == nil && f.back == nil && len(f.plants) == 0 {
				t.Errorf("%s plants nothing: %s", f.Kind, f.Text)
			}
		}
	}
}

func TestShrinkingKeepsWhatIsNeeded(t *testing.T) {
	c := trial{Faults: []fault{{Kind: "a"}, {Kind: "b"}, {Kind: "c"}}}
	wrongs := []wrong{{Class: wrongOpen}}
	has := func(c trial, kinds ...string) bool {
		return !slices.ContainsFunc(kinds, func(k string) bool { return !slices.Contains(c.kinds(), k) })
	}
	for _, tt := range []struct {
		name  string
		again func(trial) []wrong
		want  []string
	}{
		{"one is enough", func(c trial) []wrong {
			if has(c, "b") {
				return wrongs
			}
			return nil
		}, []string{"b"}},
		{"two together", func(c trial) []wrong {
			if has(c, "a", "c") {
				return wrongs
			}
			return nil
		}, []string{"a", "c"}},
		{"wrong in another way only", func(trial) []wrong { return []wrong{{Class: falseBlock}} }, nil},
		{"chance", func(trial) []wrong { return nil }, nil},
	} {
		small := shrink(c, wrongs, tt.again)
		switch {
		case small == nil && tt.want != nil, small != nil && !slices.Equal(small.kinds(), tt.want):
			t.Errorf("%s: %v, want %v", tt.name, small, tt.want)
		}
	}
	if !slices.Equal(c.kinds(), []string{"a", "b", "c"}) {
		t.Error("the whole trial was changed")
	}
}
