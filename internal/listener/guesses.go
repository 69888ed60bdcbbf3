package listener

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// guesses counts what came under another key, by network. Nobody is made to wait
// for it and nobody is locked out: behind the guessing address may be the holder
// of the key, and a key of listen's own has 77 bits. Its zero value is ready for
// use.
type guesses struct {
	networks map[netip.Prefix]int
	all      int
}

const (
	// maxGuessNetworks bounds the networks that are counted; those that guess least
	// are forgotten, not what all guessed.
	maxGuessNetworks = 4096
	// shownGuesses is how many networks the summary names.
	shownGuesses = 10
)

// add counts one and says the how manieth it was, for people.
func (g *guesses) add(from netip.Addr) string {
	n := networkOf(from)
	g.all++
	if _, known := g.networks[n]; !known && len(g.networks) >= maxGuessNetworks {
		order := g.order()
		for _, least := range order[len(order)/2:] {
			delete(g.networks, least)
		}
	}
	if g.networks == nil {
		g.networks = map[netip.Prefix]int{}
	}
	g.networks[n]++
	if g.all == 1 {
		return ""
	}
	return fmt.Sprintf("the %s under another key from %s, of %d in all", ordinal(g.networks[n]), networkText(n), g.all)
}

// order is the networks, the one that guessed most first.
func (g *guesses) order() []netip.Prefix {
	return slices.SortedFunc(maps.Keys(g.networks), func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(g.networks[b], g.networks[a]), a.Addr().Compare(b.Addr()))
	})
}

// summary says who guessed, "" if nobody did.
func (g *guesses) summary() string {
	if g.all == 0 {
		return ""
	}
	var from []string
	order := g.order()
	for _, n := range order[:min(len(order), shownGuesses)] {
		from = append(from, fmt.Sprintf("%s ×%d", networkText(n), g.networks[n]))
	}
	if n := len(order) - len(from); n > 0 {
		from = append(from, fmt.Sprintf("and %s more", counted(n, "network")))
	}
	return fmt.Sprintf("Under another key than this listener's came %s: %s. Each is a mistyped key, another site's dial, or a guess.\n", counted(g.all, "request"), strings.Join(from, ", "))
}

func ordinal(n int) string {
	suffix := "th"
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		suffix = "st"
	case n%10 == 2:
		suffix = "nd"
	case n%10 == 3:
		suffix = "rd"
	}
	return fmt.Sprint(n, suffix)
}
