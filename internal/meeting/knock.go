package meeting

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

// maxKnocks bounds the tries of each path that the report lists.
const maxKnocks = 128

// A way is a forward path that is dialed.
type way struct {
	result.PathKey
	to netip.Addr
}

// waysOf are those over TCP of some legs, on which the far end can prove itself.
func waysOf(legs []survey.Leg) (out []way) {
	for _, l := range legs {
		p := result.NewPath(l.Flow, l.Family)
		w := way{p.Key(), l.To}
		if w.Direction == plan.Forward && w.Transport == plan.TCP && w.Port != 0 && w.SourcePort == 0 && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// knock dials every forward path once, to find one that proves itself, and says
// how it went.
func (m *meeting) knock(ctx context.Context) (reached netip.AddrPort, words string) {
	var all sync.WaitGroup
	var mu sync.Mutex
	ended := map[string]int{}
	for _, w := range waysOf(m.legs) {
		all.Go(func() {
			target := netip.AddrPortFrom(w.to, uint16(w.Port))
			i := dialer.Attempt(ctx, dialer.Path{
				Flow: "knock", Transport: w.Transport, Probe: echo.NewID(), Target: target, Source: netip.AddrPortFrom(m.Bind.For(w.Family), 0),
			}, dialer.Options{Key: m.Key, Run: m.ID, Own: m.Own, Timeout: m.Timeout, ProofOnly: true})
			mu.Lock()
			defer mu.Unlock()
			if i.Answer == result.AnswerKeyed && int(i.Origin.Port()) == w.Port {
				reached = target
				return
			}
			ended[knockWords(i)]++
			m.remember(w, i)
		})
	}
	all.Wait()
	m.mu.Lock()
	m.tries++
	m.mu.Unlock()
	return reached, mostOf(ended)
}

// remember keeps a try for the report: the first ones and the latest, which
// tell most about when the far end could have seen them.
func (m *meeting) remember(k way, i result.Initiator) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.knocks[k]) >= maxKnocks {
		m.knocks[k] = slices.Delete(m.knocks[k], maxKnocks/2, maxKnocks/2+1)
	}
	m.knocks[k] = append(m.knocks[k], result.Failed{At: i.At, Source: i.Source, Connect: i.Connect, Answer: i.Answer})
}

func knockWords(i result.Initiator) string {
	switch {
	case i.Connect == result.ConnectTimeout:
		return "no answer"
	case i.Connect == result.ConnectRST:
		return "refused"
	case i.Connect == result.ConnectICMP:
		return "rejected"
	case i.Connect != result.ConnectOpen:
		return "not possible from here (" + i.Error + ")"
	case i.Answer == result.AnswerOwn:
		return "leads back to this machine"
	case i.Answer == result.AnswerWrongKey:
		return "answered with another key"
	}
	return "opened, without proof"
}

func mostOf(counts map[string]int) string {
	var words []string
	for w := range counts {
		words = append(words, w)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// addKnocks lists the tries of each forward path that was never proved.
func (m *meeting) addKnocks(r *result.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range r.Paths {
		p := &r.Paths[i]
		if p.Direction != plan.Forward || p.Initiator == nil || p.Proof == result.ProofKeyed {
			continue
		}
		half := *p.Initiator
		half.Failed = append(slices.Clone(m.knocks[way{p.Key(), p.Target.Addr()}]), half.Failed...)
		p.Initiator = &half
	}
}
