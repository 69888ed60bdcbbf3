package verdict

import (
	"net/netip"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// explainMuteDatagrams explains silence over UDP where the same machine's listener
// said over TCP that it would not answer there: under another key, or from an
// address that is not allowed, it answers no datagram at all (docs/wire.md,
// section 5), which looks like a firewall and is none.
func explainMuteDatagrams(r *result.Report) {
	mute := map[netip.Addr]*result.Finding{}
	for i := range r.Paths {
		p := &r.Paths[i]
		if p.Transport != plan.TCP || p.Initiator == nil || p.Finding == nil || !p.Target.IsValid() {
			continue
		}
		switch p.Initiator.Answer {
		case result.AnswerWrongKey, result.AnswerForbidden:
			if mute[p.Target.Addr()] == nil {
				mute[p.Target.Addr()] = p.Finding
			}
		}
	}
	for i := range r.Paths {
		p := &r.Paths[i]
		why := mute[p.Target.Addr()]
		if why == nil || p.Transport != plan.UDP || p.Verdict != result.Silent || p.Acceptor != nil || p.Expect == plan.ExpectClosed {
			continue
		}
		p.Finding = &result.Finding{Code: why.Code, Text: with("No answer came over UDP, and none could: over TCP that machine says why", why.Text), Advice: why.Advice}
	}
}
