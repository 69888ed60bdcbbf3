package survey

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/contact"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// maxBegun is how often a run begins at most: once, and again for each time that
// the far end's listener was started anew in its middle.
const maxBegun = 3

// errRestarted ends a run in whose middle the far end's listener was started anew.
var errRestarted = errors.New("the far end's listener was started anew")

// untilItLasts makes a run with a survey of fresh's, and begins again with another
// where the far end's listener was started anew meanwhile: nobody can be asked any
// more what the one before saw, and what it answered tells nothing of its
// successor, which may have other ports.
func untilItLasts(ctx context.Context, most int, fresh func() *survey) (r *result.Report, err error) {
	var restartedAt time.Time
	var earlier map[jobKey][]result.Connection
	for n := range most {
		s := fresh()
		s.restartedAt, s.earlier, s.mayEndEarly = restartedAt, earlier, n < most-1
		if r, err = s.run(ctx); !errors.Is(err, errRestarted) {
			break
		}
		restartedAt, earlier = s.cut.at, s.failedSince(s.cut.since)
		if s.OnRestart != nil {
			s.OnRestart()
		}
	}
	return r, err
}

// isToBeginAgain reports whether the listener was started anew, and a run that
// begins again would tell more. Connections were not kept idle for nothing.
func (s *survey) isToBeginAgain() bool {
	return s.mayEndEarly && s.cut != nil && s.cut.anew != "" && !s.done
}

// failedSince are the connections of each forward job that failed although the
// listener that answers now did by then: what another run tells of it, they do too.
func (s *evidence) failedSince(since time.Time) map[jobKey][]result.Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[jobKey][]result.Connection{}
	for _, j := range s.attempts() {
		if j.direction != plan.Forward {
			continue
		}
		for _, c := range s.connectionsOf(j) {
			// A conversation may have failed since the certificate is another one.
			if c.IsFailed() && c.At.After(since) && c.Purpose != result.PurposeConversation {
				out[j.jobKey] = append(out[j.jobKey], c)
			}
		}
	}
	return out
}

// A reign is from when to when a listener is known to have answered at one place, and
// how often.
type reign struct {
	first, last time.Time
	times       int
}

// restarted finds out whether another listener took the place of one: it was
// started once all that the one before ever proved was opened. Of two between
// which somebody shares connections out, each answers while the other runs. Behind
// an address there may be several machines, behind a port of it only one.
func (s *lasting) restarted(ctx context.Context) *cutOff {
	type answer struct {
		now contact.Heard
		ok  bool
	}
	reigns, answers := s.reigns(), map[netip.AddrPort]*answer{}
	var all sync.WaitGroup // over a long way each takes its time
	for place, at := range reigns {
		if len(at) <= max(1, s.compared[place]) {
			continue
		}
		a := &answer{}
		answers[place] = a
		all.Go(func() { a.now, a.ok = s.whoAnswers(ctx, place) })
	}
	all.Wait()
	for place, a := range answers {
		if !a.ok && place.Port() != 0 && len(s.waysTo(place)) == 0 {
			if c := succession(reigns[place]); c != nil {
				return c
			}
		}
		if !a.ok {
			continue
		}
		at := reigns[place]
		s.compared[place] = len(at)
		anew := a.now.Hello.Instance.String()
		var last time.Time // that another one answered
		for instance, r := range at {
			if instance != anew && r.last.After(last) {
				last = r.last
			}
		}
		if last.Before(a.now.Began) {
			c := &cutOff{at: last, anew: anew, since: at[anew].first}
			if c.since.IsZero() {
				c.since = sock.Now() // it was asked just now, and has answered nothing before
			}
			return c
		}
	}
	return nil
}

// succession finds out the same at a port where nobody can be asked when he began, for
// datagrams alone get through: of two listeners one answered all that came first and the
// other all the rest, which whoever shares connections out hardly ever brings about.
func succession(at map[string]reign) *cutOff {
	const hardly = 0.02
	if len(at) != 2 {
		return nil
	}
	names := slices.SortedFunc(maps.Keys(at), func(a, b string) int { return at[a].first.Compare(at[b].first) })
	before, after := at[names[0]], at[names[1]]
	chance := 2.0 // either may have been the first: one in so many as one can choose those of the one
	for i := range before.times {
		chance *= float64(i+1) / float64(after.times+i+1)
	}
	if !before.last.Before(after.first) || chance > hardly {
		return nil
	}
	return &cutOff{at: before.last, anew: names[1], since: after.first}
}

// reigns are those of all listeners that proved themselves, by their instances, and
// by the address that was dialed (port 0), and by address and port.
func (s *evidence) reigns() map[netip.AddrPort]map[string]reign {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[netip.AddrPort]map[string]reign{}
	seen := func(to netip.AddrPort, instance string, c *result.Connection) {
		for _, place := range []netip.AddrPort{to, netip.AddrPortFrom(to.Addr(), 0)} {
			if out[place] == nil {
				out[place] = map[string]reign{}
			}
			// When its proof came is not known. A relay opens a connection before there is
			// anybody behind it, and one whose first SYN was lost may open long after that.
			r, opened := out[place][instance], c.Opened()
			if over := c.Over(); r.first.IsZero() || over.Before(r.first) {
				r.first = over
			}
			if opened.After(r.last) {
				r.last = opened
			}
			r.times++
			out[place][instance] = r
		}
	}
	for _, j := range s.attempts() {
		i := j.initiator
		if !j.to.IsValid() || i == nil || i.Answer != result.AnswerKeyed {
			continue
		}
		for n := range i.Connections {
			c := &i.Connections[n]
			switch {
			case c.Instance != "":
				seen(i.Target.AddrPort, c.Instance, c)
			case c.Purpose == result.PurposeConversation: // it names no listener
			case c.Reached == result.ReachedProved || c.Reached == result.ReachedDone:
				seen(i.Target.AddrPort, i.Instance, c)
			}
		}
	}
	for n := range s.besides {
		if b := &s.besides[n]; b.Instance != "" {
			seen(b.target, b.Instance, &b.Connection)
		}
	}
	return out
}

// whoAnswers asks whoever answers at a place now what it is.
func (s *lasting) whoAnswers(ctx context.Context, place netip.AddrPort) (h contact.Heard, ok bool) {
	ways := s.waysTo(place)
	for _, p := range ways[:min(len(ways), contact.MaxTries)] {
		conn, err := s.contacts.Open(ctx, p.Target, s.patienceBack())
		if err != nil {
			continue
		}
		within, cancel := context.WithTimeout(ctx, s.patienceBack())
		h, err = conn.Hear(within)
		cancel()
		conn.Close()
		if err == nil {
			return h, true
		}
	}
	return h, false
}

// waysTo are those on which a listener proved itself at a place.
func (s *lasting) waysTo(place netip.AddrPort) []contact.Way {
	return slices.DeleteFunc(s.contacts.Ways(result.FamilyOf(place.Addr()), ""), func(p contact.Way) bool {
		return p.Target.Addr() != place.Addr() || place.Port() != 0 && p.Target.Port() != place.Port()
	})
}
