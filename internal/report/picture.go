package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A picture is the network as the paths of one direction and family saw it: the two
// machines, the devices between them that showed themselves, and each attempt as a
// line that ends where it stops. Lengths are in CSS pixels from the top, and in
// hundredths of the width from the left, so that it fits a phone.
type picture struct {
	Title       string
	Left, Right box
	NAT         []nat
	Devices     []device
	Lanes       []lane
	Box         int // where the machines' lines begin
	Top         int // where the devices' lines begin
	Height      int
	Legend      [][2]string
	AllNamed    bool // every device has its address beside it, where there is room
}

// A box is one of the two machines.
type box struct {
	Name  string
	Short string   // where there is little room; of the right one
	Lines []string // what else is known of it
}

// A nat is an address that becomes another on the way.
type nat struct {
	Y    int
	Text string
}

// A device is one that showed itself on the way, or a place where one did not.
type device struct {
	X      string
	Name   string
	Number string // for where the name has no room
	Sub    string // its address, if there is room
	Hidden bool   // it did not show itself
	Y      int
}

// A lane is an attempt on the picture.
type lane struct {
	Class        string // of its mark
	Label, Short string // what was tried; where there is little room
	State        string // what came of it, in a word
	Text, Line   int    // where its words stand, and its line
	From, To     string
	Symbol       string // at its end: arrow, stop, flaw or unknown
	Mirrored     bool   // it runs from right to left
	By           string // more of it, where there is room: who did it, if the picture does not show that
	Back         string // where the answer ends on its way back; "": that is no matter here
	BackLine     int
}

// pictures draws what was tried: a picture for each direction and family.
func pictures(r *result.Report) []picture {
	type key struct {
		direction plan.Direction
		family    result.Family
	}
	var order []key
	drawn := map[key][]bundle{}
	for _, l := range places(r) {
		k := key{l.direction, l.family}
		if k.family == "" && len(order) > 0 { // a name without an address
			k.family = order[0].family
		}
		if drawn[k] == nil {
			order = append(order, k)
		}
		drawn[k] = append(drawn[k], l.bundles...)
	}
	var out []picture
	for _, k := range order {
		p := newPicture(r, k.direction == plan.Reverse, drawn[k])
		if f := familyName(k.family); f != "" && len(familiesOf(r, k.direction)) > 1 {
			p.Title += " over " + f
		}
		out = append(out, p)
	}
	return out
}

// Sizes of a picture.
const (
	boxHeight     = 26
	boxLine       = 14
	natHeight     = 24
	deviceHeight  = 36
	laneHeight    = 42
	wayBackHeight = 14
	margin        = 4.0 // hundredths of the width, from an edge to a machine's line
	roomForSubs   = 6   // so many devices have room for an address each
	roomForNames  = 8
	longLabel     = 70 // runes
	shortLabel    = 26
	shortState    = 22
	shortLine     = 42 // a label and a state together
)

// newPicture draws the paths of one direction and family.
func newPicture(r *result.Report, reverse bool, bundles []bundle) picture {
	far := hostName(r.To)
	pic := picture{Title: "From here to " + far, Left: box{Name: "This machine"}, Right: box{Name: far}}
	if reverse {
		pic.Title = "From " + far + " to here"
	}
	for _, s := range append([]string{r.From.Host}, addressesOf(bundles, reverse)...) {
		if s != "" {
			pic.Left.Lines = addOnce(pic.Left.Lines, s)
		}
	}
	for _, s := range append([]string{roles(r.To)}, addressesOf(bundles, !reverse)...) {
		if s != "" && s != far {
			pic.Right.Lines = addOnce(pic.Right.Lines, s)
		}
	}
	for _, s := range translations(bundles) {
		pic.translate(s)
	}
	w := wayOf(bundles)
	n := len(w.hops)
	pic.AllNamed = true
	for i, addresses := range w.hops {
		d := device{X: percent(w.at(float64(i+1)), reverse), Name: fmt.Sprintf("hop %d", i+1), Number: strconv.Itoa(i + 1), Hidden: len(addresses) == 0}
		is := strings.Join(addresses, ", ")
		if d.Hidden {
			is = "did not show itself"
		}
		if n <= roomForSubs && len(addresses) == 1 && len(is) <= len("255.255.255.255") {
			d.Sub = is
		} else {
			pic.AllNamed = false
		}
		if n > roomForNames {
			d.Name = d.Number
		}
		pic.Devices = append(pic.Devices, d)
		pic.Legend = append(pic.Legend, [2]string{fmt.Sprintf("hop %d", i+1), is})
	}
	for _, b := range bundles {
		p := b[0]
		l := lane{Class: classes[b.mark().word], State: state(b, string(p.Verdict)), Mirrored: reverse}
		label := port(p) + " " + services(b)
		if p.Host != "" {
			label += ", " + p.Host
		}
		if p.Address.IsValid() {
			label += " at " + p.Address.String()
		}
		l.name(label)
		by := outcome(p)
		at, symbol, known := w.end(p)
		if i := p.Initiator; i != nil && i.ICMP != nil && i.ICMP.From.IsValid() && p.Verdict == result.Rejected && w.find(i.ICMP.From) == 0 {
			by += " by " + i.ICMP.From.String()
			known = true // by whom, which is all there is to say of it
		}
		l.By = state(b, by)
		l.From, l.To, l.Symbol = percent(0, reverse), percent(at, reverse), symbol
		switch {
		case !known && p.Verdict == result.Intercepted:
			l.By += ", somewhere on the way"
		case !known:
			l.By += ", on the way or there"
		}
		if p.Verdict.Row().Ends == result.WayBack {
			l.Back = percent(w.somewhere(), reverse)
		}
		pic.Lanes = append(pic.Lanes, l)
	}
	pic.lay()
	return pic
}

// translate adds an address that becomes another on the way, once.
func (pic *picture) translate(s string) { pic.NAT = addOnce(pic.NAT, nat{Text: s}) }

// name says what was tried.
func (l *lane) name(s string) { l.Label = cut(s, longLabel) }

// lay gives everything on a picture its height.
func (pic *picture) lay() {
	pic.Right.Short = cut(pic.Right.Name, shortLabel)
	y := boxHeight + boxLine*max(len(pic.Left.Lines), len(pic.Right.Lines))
	pic.Box = y - 4
	for i := range pic.NAT {
		pic.NAT[i].Y = y
		y += natHeight
	}
	pic.Top = y
	for i := range pic.Devices {
		pic.Devices[i].Y = y + 13
	}
	if len(pic.Devices) > 0 {
		y += deviceHeight
	}
	for i := range pic.Lanes {
		l := &pic.Lanes[i]
		if l.By == "" {
			l.By = l.State
		}
		l.State = cut(l.State, shortState)
		l.Short = cut(l.Label, min(shortLabel, shortLine-utf8.RuneCountInString(l.State)))
		l.Text, l.Line = y+17, y+29
		y += laneHeight
		if l.Back != "" {
			l.BackLine = l.Line + wayBackHeight - 2
			y += wayBackHeight
		}
	}
	pic.Height = y + 10
}

// services names what the paths of a bundle are for, each once.
func services(b bundle) string {
	var names []string
	for _, p := range b {
		names = addOnce(names, p.Service)
	}
	return strings.Join(names, ", ")
}

// state is what came of a bundle, in a word; in brackets it does not count.
func state(b bundle, outcome string) string {
	m := b.mark()
	counts := slices.ContainsFunc(b, func(p *result.Path) bool { return p.Counted })
	switch {
	case m.word == markIgnored.word:
		return "(" + outcome + ")"
	case !counts:
		return "(" + m.word + " " + outcome + ")"
	}
	return m.word + " " + outcome
}

// addressesOf lists the addresses of the machine that dialed, or with far of the dialed one.
func addressesOf(bundles []bundle, far bool) []string {
	var out []string
	for _, b := range bundles {
		e := b[0].Source
		if far {
			e = b[0].Target
		}
		if e.IsValid() {
			out = addOnce(out, e.Addr().String())
		}
	}
	if len(out) > 2 {
		out = append(out[:1], fmt.Sprintf("and %d more", len(out)-1))
	}
	return out
}

// translations says which addresses become others on the way, as the two ends know
// them. Where on the way, nothing shows.
func translations(bundles []bundle) []string {
	var out []string
	for _, b := range bundles {
		p := b[0]
		if p.Source.IsValid() {
			seen := p.OthersSeenAs.Addr
			if p.SeenAs.IsValid() {
				seen = p.SeenAs.Addr()
			}
			if seen.IsValid() && !result.IsSameAddr(seen, p.Source.Addr()) {
				out = addOnce(out, fmt.Sprintf("NAT: %s is seen as %s", p.Source.Addr(), seen))
			}
		}
		if i := p.Initiator; i != nil && p.Target.IsValid() && i.Origin.IsValid() && !result.IsSameAddr(i.Origin.Addr(), p.Target.Addr()) {
			out = addOnce(out, fmt.Sprintf("NAT: %s leads to %s", p.Target.Addr(), i.Origin.Addr()))
		}
	}
	if len(out) > 3 {
		out = append(out[:2], fmt.Sprintf("NAT: and %d more", len(out)-2))
	}
	return out
}

// A way is the devices that the traces of several attempts show, by their distance.
type way struct {
	hops [][]string // addresses at 1, 2, ...; none: that one did not show itself
}

// wayOf joins the traces of bundles. Where a packet died of its TTL, a device stands.
// Another ICMP error may come from any device up to there: one that turns a packet
// away lets it die first if it can, so it shows itself nearer, too.
func wayOf(bundles []bundle) way {
	byTTL := map[int][]string{}
	n, distance := 0, 0
	known := map[string]bool{}
	for _, what := range []result.HopOutcome{result.HopExceeded, result.HopICMP} {
		for _, b := range bundles {
			for _, p := range b {
				if p.Initiator == nil || p.Initiator.Trace == nil {
					continue
				}
				distance = max(distance, answersAt(p.Initiator.Trace, p.Target.Addr()))
				for _, h := range p.Initiator.Trace.Hops {
					if h.What != what || !h.From.IsValid() || h.TTL < 1 || h.TTL > maxHops {
						continue
					}
					s := h.From.String()
					if what == result.HopICMP && (known[s] || p.Target.IsValid() && h.From == p.Target.Addr() || distance > 0 && h.TTL >= distance) {
						continue
					}
					known[s] = true
					if p.Target.IsValid() && h.From == p.Target.Addr() {
						s = "NAT at " + s // it answers in the target's name
					}
					n = max(n, h.TTL)
					byTTL[h.TTL] = addOnce(byTTL[h.TTL], s)
				}
			}
		}
	}
	var w way
	for i := range min(max(n, distance-1), maxHops) {
		w.hops = append(w.hops, byTTL[i+1])
	}
	return w
}

// answersAt is the distance at which the target answered a trace; 0: it did not. An
// error that another device sent does not tell of it, however far the packet was to go.
func answersAt(t *result.Trace, target netip.Addr) int {
	if n := len(t.Hops); n > 0 {
		if h := t.Hops[n-1]; h.What == result.HopICMP && h.From.IsValid() && h.From != target {
			return 0
		}
	}
	return t.Distance
}

// maxHops is the most devices that a picture has.
const maxHops = 32

// at is how far from the machine that dials the device at a distance stands, from 0
// to 1, which is the other machine.
func (w way) at(ttl float64) float64 { return min(1, max(0, ttl/float64(len(w.hops)+1))) }

// somewhere is a place between the machines at which no device stands, for what is
// known to end at none of them.
func (w way) somewhere() float64 {
	const middle = 0.5
	if n := len(w.hops); n%2 == 1 {
		return w.at(float64(n/2+1) + middle) // the middle is a device's
	}
	return middle
}

// end is where a path ends, from 0 to 1, the symbol for how, and whether it is known
// where.
func (w way) end(p *result.Path) (at float64, symbol string, known bool) {
	where := p.Verdict.Row().Ends
	code := finding(p).Code
	byHost := slices.Contains([]result.Code{result.CodeNothingListens, result.CodeRefusedByHost, result.CodeRejectedByHost, result.CodeFilteredByHost}, code) ||
		p.Acceptor != nil && p.Acceptor.Saw == result.SawAccepted
	stops := "stop"
	if p.Verdict == result.Silent {
		stops = "unknown" // it may have arrived: nobody was there to ask
	}
	switch {
	case where == result.Nowhere && p.Verdict == result.Untested:
		return 0.03, "unknown", true
	case where == result.Nowhere:
		return 0.03, "stop", true
	case where == result.There && p.OK:
		return 1, "arrow", true
	case where == result.There && isUnproved(p):
		return 1, "unknown", true
	case where == result.There, where == result.WayBack:
		return 1, "flaw", true
	case p.Initiator != nil && p.Initiator.ICMP != nil && w.find(p.Initiator.ICMP.From) > 0:
		return w.at(float64(w.find(p.Initiator.ICMP.From))), "stop", true
	case p.Stop != nil && p.Stop.ByHost:
		return 1, "stop", true
	case p.Stop != nil && (p.Stop.LastHop > 0 || p.Stop.ByHop > 0 || p.Stop.OpenHop > 0):
		return w.at(float64(p.Stop.LastHop) + 0.5), stops, true
	case byHost:
		return 1, "stop", true
	}
	return w.somewhere(), "unknown", false
}

// find is the distance of a device by its address; 0: it did not show itself.
func (w way) find(a netip.Addr) int {
	if !a.IsValid() {
		return 0
	}
	return 1 + slices.IndexFunc(w.hops, func(h []string) bool { return slices.Contains(h, a.String()) })
}

// percent is a place between the machines as one between the edges.
func percent(at float64, mirrored bool) string {
	if mirrored {
		at = 1 - at
	}
	return strconv.FormatFloat(margin+(100-2*margin)*at, 'f', 2, 64) + "%"
}

// cut shortens s to so many runes.
func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return strings.TrimSpace(string(r[:most-3])) + "..."
}
