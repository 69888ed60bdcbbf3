package survey

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// attempts are those of a run, in an order that does not change. What is asked of
// them follows from what they saw alone.
type attempts []*job

// evidence is what a run has seen by now.
type evidence struct {
	spans

	mu      sync.Mutex
	legs    []*leg
	jobs    map[jobKey]*job
	besides []beside                       // connections beside the attempts
	earlier map[jobKey][]result.Connection // that failed before it began again, with the same listener
	bans    []ban                          // that touching a port set off
	trip    time.Duration                  // the longest round trip of attempts that are under way
}

// attempts lists those that are known by now. While some are under way it, and all
// that is asked of it, is for whoever holds the mutex.
func (s *evidence) attempts() attempts {
	all := make(attempts, 0, len(s.jobs))
	for _, j := range s.jobs {
		all = append(all, j)
	}
	slices.SortFunc(all, func(a, b *job) int { return a.jobKey.compare(b.jobKey) })
	return all
}

// compare orders attempts: forward ones first, then by what is dialed.
func (k jobKey) compare(o jobKey) int {
	return cmp.Or(
		cmp.Compare(k.direction, o.direction), cmp.Compare(k.transport, o.transport), cmp.Compare(k.family, o.family),
		k.to.Compare(o.to), cmp.Compare(k.port, o.port), cmp.Compare(k.sourcePort, o.sourcePort),
	)
}

// longestTrip is the longest round trip that any of them measured, 0 if none did.
func (all attempts) longestTrip() (longest time.Duration) {
	for _, j := range all {
		if j.initiator != nil {
			longest = max(longest, trip(j.initiator))
		}
	}
	return longest
}

// trip is how long the way of an attempt is there and back, 0 if that is not known: no
// longer than its handshake, which the system answers while a program sleeps. Over UDP
// nothing tells the two apart.
func trip(i *result.Initiator) time.Duration {
	return min(rtt(i), time.Duration(i.ConnectMS*float64(time.Millisecond)))
}

// dialedFrom are the addresses that forward attempts left from.
func (all attempts) dialedFrom() []netip.Addr {
	var out []netip.Addr
	for _, j := range all {
		if i := j.initiator; j.direction == plan.Forward && i != nil && i.Source.IsValid() {
			out = append(out, i.Source.Addr())
		}
	}
	return out
}

// sourceChanged reports whether a device on the way changes source addresses
// or ports of a direction and family, as far as any proved path shows. With
// none to show it, a private IPv4 address may well be changed.
func (all attempts) sourceChanged(d plan.Direction, f result.Family) bool {
	proved, private := false, false
	for _, j := range all {
		i := j.initiator
		if j.direction != d || j.family != f || i == nil || !i.Source.IsValid() {
			continue
		}
		private = private || i.Source.Addr().Is4() && i.Source.Addr().IsPrivate()
		if i.SeenAs.IsValid() {
			proved = true
			if i.SeenAs.Port() != i.Source.Port() || !result.IsSameAddr(i.SeenAs.Addr(), i.Source.Addr()) {
				return true
			}
		}
	}
	return !proved && private
}

// portsKept reports whether every proved TCP path of a direction and family that shows
// it kept its source port.
func (all attempts) portsKept(d plan.Direction, f result.Family) bool {
	kept := false
	for _, j := range all {
		i := j.initiator
		if j.direction != d || j.family != f || j.transport != plan.TCP || i == nil || !i.SeenAs.IsValid() || i.Source.Port() == 0 {
			continue
		}
		if i.SeenAs.Port() != i.Source.Port() {
			return false
		}
		kept = true
	}
	return kept
}

// isLossy reports whether a proved path of a family lost a SYN or several
// segments.
func (all attempts) isLossy(f result.Family) bool {
	for _, j := range all {
		if i := j.initiator; j.family == f && i != nil && i.IsLossy() {
			return true
		}
	}
	return false
}

// isProvedByTCP reports whether any TCP path to the listener that proved a job
// proved itself: another listener's proofs are not known to it. So are those that
// came from another address: a NAT may give UDP another one than TCP, and a request
// from an address that proved nothing over TCP is not answered.
func (all attempts) isProvedByTCP(proved *job) bool {
	for _, j := range all {
		if i := j.initiator; j.direction == proved.direction && j.family == proved.family && j.transport == plan.TCP && i != nil && i.Answer == result.AnswerKeyed && i.Instance == proved.initiator.Instance &&
			i.SeenAs.Addr() == proved.initiator.SeenAs.Addr() {
			return true
		}
	}
	return false
}

// hasUnproved reports whether a forward TCP path to an address opened a
// connection on which no proof came.
func (all attempts) hasUnproved(to netip.Addr) bool {
	for _, j := range all {
		i := j.initiator
		if i == nil || j.direction != plan.Forward || j.to != to || j.transport != plan.TCP || i.Connect != result.ConnectOpen {
			continue
		}
		if i.Ordinary != nil && j.acceptor != nil && j.acceptor.Saw == result.SawAccepted {
			continue // it is known who accepted
		}
		switch i.Answer {
		case result.AnswerKeyed, result.AnswerWrongKey, result.AnswerForbidden, result.AnswerVersion, result.AnswerOwn:
		default:
			return true
		}
	}
	return false
}

// isRelayed reports whether a proved path to an address of the far end goes
// through something in the middle that has two connections.
func (all attempts) isRelayed(to netip.Addr) bool {
	return slices.ContainsFunc(all, func(j *job) bool {
		return j.direction == plan.Forward && j.to == to && j.initiator != nil && j.initiator.Relay.Relayed()
	})
}

// othersSeenAs is the address that a NAT gives to the proved paths of a job's
// direction, family and transport, unknown if it gives none or several. Where none of that
// transport was proved, those of the other tell: a NAT may give UDP another address than TCP.
func (all attempts) othersSeenAs(of *job) result.Addr {
	if seen, proved := all.seenAs(of, of.transport); proved {
		return seen
	}
	for _, t := range []plan.Transport{plan.TCP, plan.UDP} {
		if seen, proved := all.seenAs(of, t); proved {
			return seen
		}
	}
	return result.Addr{}
}

// seenAs is the same of one transport, and whether any path shows it.
func (all attempts) seenAs(of *job, t plan.Transport) (seen result.Addr, proved bool) {
	for _, j := range all {
		i := j.initiator
		if j.transport != t || j.direction != of.direction || j.family != of.family || i == nil || !i.SeenAs.IsValid() {
			continue
		}
		a := i.SeenAs.Addr()
		if result.IsSameAddr(a, i.Source.Addr()) || seen.IsValid() && seen.Addr != a {
			return result.Addr{}, true
		}
		seen.Addr = a
	}
	return seen, seen.IsValid()
}

// othersOrigin is the address of the machine to which a NAT leads the proved
// paths of a job's direction and family, unknown if it leads none, or to several, or
// the job was proved itself.
func (all attempts) othersOrigin(of *job) (origin result.Addr) {
	if of.initiator != nil && of.initiator.Origin.IsValid() {
		return origin
	}
	if of.direction == plan.Reverse {
		return all.behindNAT(of)
	}
	for _, j := range all {
		i := j.initiator
		if j.direction != of.direction || j.family != of.family || i == nil || !i.Origin.IsValid() || i.Origin.Addr().IsUnspecified() {
			continue
		}
		a := i.Origin.Addr()
		if result.IsSameAddr(a, i.Target.Addr()) || origin.IsValid() && origin.Addr != a {
			return result.Addr{}
		}
		origin.Addr = a
	}
	return origin
}

// behindNAT is this machine's own address, if a reverse job's target is another
// one: that of a NAT in front of it.
func (all attempts) behindNAT(of *job) (own result.Addr) {
	if of.initiator == nil || !of.initiator.Target.IsValid() {
		return own
	}
	for _, a := range all.dialedFrom() {
		if result.FamilyOf(a) != of.family {
			continue
		}
		if a == of.initiator.Target.Addr() {
			return result.Addr{}
		}
		own.Addr = a
	}
	return own
}

// ownAddresses are those that attempts left from.
func (all attempts) ownAddresses() result.Addrs {
	var out []netip.Addr
	for _, j := range all {
		if j.direction == plan.Forward && j.initiator != nil && j.initiator.Source.IsValid() {
			out = append(out, j.initiator.Source.Addr())
		}
	}
	return result.AddrsOf(out...)
}

// datagramWays are forward paths over UDP that were proved, if none over TCP was.
func (all attempts) datagramWays() []*job {
	var out []*job
	for _, j := range all {
		switch {
		case j.direction != plan.Forward || j.initiator == nil || j.initiator.Answer != result.AnswerKeyed:
		case j.transport == plan.TCP:
			return nil
		default:
			out = append(out, j)
		}
	}
	return out
}
