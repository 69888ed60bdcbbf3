package page

import (
	"crypto/rand"
	"crypto/subtle"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A code lets a browser in. It is short, to be read over a telephone: ten characters of
// an alphabet of 32 (Crockford's, without I, L, O and U), 50 bits. Whoever guesses is
// slowed down and nobody is locked out: behind the guessing address may be everybody. At
// the 4,096 guesses a second that a listener's connections leave one network, eight hours
// find a code once in ten million times.
type code string

const (
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLength   = 10
	// quickGuesses is how many wrong codes a network may give in a minute before each
	// code from it, right or wrong, waits for guessPause.
	quickGuesses = 20
	guessPause   = time.Second
	// maxGuessers bounds the networks that are counted; beyond it all count as one.
	maxGuessers = 4096
)

// newCode draws a code.
func newCode() code {
	b := make([]byte, codeLength)
	_, _ = rand.Read(b) // it never fails
	for i := range b {
		b[i] = codeAlphabet[b[i]%32]
	}
	return code(b)
}

// String is the code as it stands in a link.
func (c code) String() string { return string(c[:codeLength/2]) + "-" + string(c[codeLength/2:]) }

// is reports whether somebody typed this code: small letters, hyphens and spaces are
// nothing, and what is easily taken for another is that.
func (c code) is(typed string) bool {
	if len(typed) > 4*codeLength {
		return false
	}
	typed = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(typed))
	return subtle.ConstantTimeCompare([]byte(c), []byte(typed)) == 1
}

// guessers counts wrong codes by network. Its zero value is ready for use.
type guessers struct {
	mu    sync.Mutex
	since time.Time
	wrong map[netip.Prefix]int
}

// networkOf is what counts as one guesser: an address of IPv4, a site of IPv6.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // it has as many
	return p
}

// pause is how long a code from there has to wait before it is looked at.
func (g *guessers) pause(from netip.Addr, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin(now)
	if g.wrong[g.of(from)] >= quickGuesses {
		return guessPause
	}
	return 0
}

// add counts a wrong one.
func (g *guessers) add(from netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin(now)
	g.wrong[g.of(from)]++
}

// begin begins another minute when one is over.
func (g *guessers) begin(now time.Time) {
	if g.wrong == nil || now.Sub(g.since).Abs() > time.Minute {
		g.since, g.wrong = now, map[netip.Prefix]int{}
	}
}

func (g *guessers) of(from netip.Addr) netip.Prefix {
	n := networkOf(from)
	if _, known := g.wrong[n]; !known && len(g.wrong) >= maxGuessers {
		return netip.Prefix{}
	}
	return n
}
