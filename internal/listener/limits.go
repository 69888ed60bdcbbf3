package listener

import (
	"container/heap"
	"container/list"
	"net/netip"
	"sync"

	"dialtone/internal/echo"
	"dialtone/internal/sock"
)

const (
	// maxConns bounds connections in all. There is no bound for an address: behind
	// one address may be everybody, the holder of the key among them.
	maxConns = 4096
	// fewestConns is allowed whatever the limit is.
	fewestConns = 8
	// A quarter of the descriptors, but no more than mostReserve and no fewer than
	// leastReserve, is kept from connections: for dialing back, looking at the
	// kernel's tables and the files. The ports themselves come on top.
	leastReserve, mostReserve = 16, 512
	// maxShare is how many connections of one network that have proved nothing are
	// as good as those of any other, if there may be four times as many: as many as
	// one dial makes at once, several times over.
	maxShare = 64
)

// reserveOf is how many of so many descriptors are kept from connections.
func reserveOf(descriptors int) int { return min(max(leastReserve, descriptors/4), mostReserve) }

// A tier is what a connection has shown of itself.
type tier int

const (
	// tierStrange has proved nothing, whatever its first bytes look like.
	tierStrange tier = iota
	// tierAsked made a Binding with the key, or used a token: a holder of the key,
	// or a recording of one.
	tierAsked
	// tierProved sent a message with the nonce of this very connection: no recording.
	tierProved
)

// limits decides who is shed when there are as many connections as there may
// be. A newcomer is always let in as long as anything may be shed for it:
// those that have proved nothing first, then those that asked with the key and
// said nothing since, the oldest first; one that has proved itself never, unless it came
// beyond the share of its run, its network or all of those (hasShare): then it counts as
// if it had only asked, so that no holder of the key takes all there may be. If those that
// asked are more than half of all there may be, they are recordings, and shed first:
// else they would leave no room for who has yet to ask, and for the services'
// conversations, whose token comes late. Of networks (networkOf) that hold more of a
// tier than their share, the one that holds the most sheds first: a flood from one
// costs that flood, and not others.
//
// A connection of dial's leaves the lowest tier with its first packet, about
// when it is accepted, and the second with the next, a round trip later. What
// defeats it is churn: strangers that come back at once, more of them within
// the time between two packets than there may be connections. With 4096 and
// the first packet right behind the handshake's last, as it is unless it is
// lost, that is well over what the machine can accept; where it is lost and sent
// again after a second, 4,000 new connections a second for as long as that, and
// only if they come from the holder's own network or from so many that none has
// more than its share. All operations take O(log n).
type limits struct {
	mu     sync.Mutex
	most   int
	all    int
	crowds [tierProved]crowd // of each tier that may be shed
	turns  uint64            // counts who came to a tier
	// Those that proved themselves, of each run and each network.
	proved    int
	ofRun     map[echo.ID]int
	ofNetwork map[netip.Prefix]int
}

// A crowd is the connections of one tier: a heap of networks, the one to shed
// from first.
type crowd struct {
	share    int
	all      int
	networks map[netip.Prefix]*network
	order    []*network
}

// A network is what one stranger usually has, and its connections of a tier,
// the oldest first. It is never empty.
type network struct {
	prefix netip.Prefix
	places *list.List
	at     int // in the heap's order
}

// A place is a connection's among those that there may be.
type place struct {
	l       *limits
	network netip.Prefix
	evict   func()  // ends the connection
	run     echo.ID // of one that proved itself
	tier    tier
	beyond  bool          // it proved itself, and was beyond its run's or network's share
	turn    uint64        // when it came to its tier
	in      *list.Element // of its network's places; nil if none may shed it
	gone    bool          // shed, or released
}

func newLimits() *limits {
	l := &limits{ofRun: map[echo.ID]int{}, ofNetwork: map[netip.Prefix]int{}}
	l.bound(maxConns)
	return l
}

// allow takes into account how many descriptors the process may have, of which
// used are taken for good.
func (l *limits) allow(used int) {
	n := sock.MaxDescriptors()
	l.bound(max(fewestConns, min(maxConns, n-used-reserveOf(n))))
}

func (l *limits) bound(most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = most
	for i := range l.crowds {
		l.crowds[i].share = max(1, min(maxShare, most/4))
		heap.Init(&l.crowds[i])
	}
}

// take takes a place for a connection from a. evict ends the connection to make
// room for another. shed is the one that was ended for this, nil if none was.
// Without a place p is nil: all there may be have proved themselves.
func (l *limits) take(a netip.Addr, evict func()) (p, shed *place) {
	l.mu.Lock()
	if l.all >= l.most {
		if shed = l.next(); shed == nil {
			l.mu.Unlock()
			return nil, nil
		}
		l.leave(shed)
	}
	p = &place{l: l, network: networkOf(a), evict: evict}
	l.all++
	l.enter(p, tierStrange)
	l.mu.Unlock()
	if shed != nil {
		shed.evict() // before the next is accepted: its descriptor is free again
	}
	return p, shed
}

// makeRoom sheds one; nil: there is none that may be.
func (l *limits) makeRoom() *place {
	l.mu.Lock()
	shed := l.next()
	if shed != nil {
		l.leave(shed)
	}
	l.mu.Unlock()
	if shed != nil {
		shed.evict()
	}
	return shed
}

// next is whose turn it is to be shed; nil: nobody's.
func (l *limits) next() *place {
	if c := &l.crowds[tierAsked]; c.all > l.most/2 {
		return c.order[0].places.Front().Value.(*place)
	}
	for i := range l.crowds {
		if c := &l.crowds[i]; len(c.order) > 0 {
			return c.order[0].places.Front().Value.(*place)
		}
	}
	return nil
}

// enter puts a place into a tier.
func (l *limits) enter(p *place, t tier) {
	p.tier = t
	if t >= tierProved {
		l.proved++
		l.ofRun[p.run]++
		l.ofNetwork[p.network]++
		return
	}
	l.turns++
	p.turn = l.turns
	c := &l.crowds[t]
	c.all++
	n := c.networks[p.network]
	if n == nil {
		if c.networks == nil {
			c.networks = map[netip.Prefix]*network{}
		}
		n = &network{prefix: p.network, places: list.New()}
		c.networks[p.network] = n
		p.in = n.places.PushBack(p)
		heap.Push(c, n)
		return
	}
	p.in = n.places.PushBack(p)
	heap.Fix(c, n.at)
}

// withdraw takes a place out of its tier.
func (l *limits) withdraw(p *place) {
	if p.tier >= tierProved {
		l.proved--
		if l.ofRun[p.run]--; l.ofRun[p.run] == 0 {
			delete(l.ofRun, p.run)
		}
		if l.ofNetwork[p.network]--; l.ofNetwork[p.network] == 0 {
			delete(l.ofNetwork, p.network)
		}
		return
	}
	c := &l.crowds[p.tier]
	c.all--
	n := c.networks[p.network]
	n.places.Remove(p.in)
	p.in = nil
	if n.places.Len() > 0 {
		heap.Fix(c, n.at)
		return
	}
	heap.Remove(c, n.at)
	delete(c.networks, p.network)
}

func (l *limits) leave(p *place) {
	if !p.gone {
		p.gone = true
		l.all--
		l.withdraw(p)
	}
}

// hasShare reports whether one more connection of a run and its network may prove
// itself: of a run a quarter of all there may be, more than any dial makes at once, of a
// network, behind which may be many, three, and an eighth is for who has yet to come.
func (l *limits) hasShare(run echo.ID, n netip.Prefix) bool {
	quarter := max(1, l.most/4)
	return l.ofRun[run] < quarter && l.ofNetwork[n] < l.most-quarter && l.proved < l.most-max(1, l.most/8)
}

// raise records that a connection showed more of itself, and of which run it is.
func (p *place) raise(t tier, run echo.ID) {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	if p.gone {
		return
	}
	if t == tierProved && !p.l.hasShare(run, p.network) {
		p.beyond, t = true, tierAsked
	}
	if t > p.tier {
		p.run = run
		p.l.withdraw(p)
		p.l.enter(p, t)
	}
}

// isShed reports whether the connection was ended to make room.
func (p *place) isShed() bool {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	return p.gone
}

// release gives the place up.
func (p *place) release() {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.leave(p)
}

// excess is how many more places a network has than its share.
func (c *crowd) excess(n *network) int { return max(0, n.places.Len()-c.share) }

func (c *crowd) Len() int { return len(c.order) }

func (c *crowd) Less(i, j int) bool {
	a, b := c.order[i], c.order[j]
	if x, y := c.excess(a), c.excess(b); x != y {
		return x > y
	}
	return a.places.Front().Value.(*place).turn < b.places.Front().Value.(*place).turn
}

func (c *crowd) Swap(i, j int) {
	c.order[i], c.order[j] = c.order[j], c.order[i]
	c.order[i].at, c.order[j].at = i, j
}

// Push implements heap.Interface.
func (c *crowd) Push(n any) {
	n.(*network).at = len(c.order)
	c.order = append(c.order, n.(*network))
}

// Pop implements heap.Interface.
func (c *crowd) Pop() any {
	n := c.order[len(c.order)-1]
	c.order[len(c.order)-1] = nil
	c.order = c.order[:len(c.order)-1]
	return n
}
