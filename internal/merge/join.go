package merge

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// Join makes one report of those of the two ends of a pair, from a's point of
// view. It changes neither.
func Join(a, b *result.Report, p Pairing) *result.Report {
	a, b = Sound(a), Sound(b)
	j := joiner{a: a, b: b, assumed: p.Assumed}
	out := *a
	out.Findings = nil
	if p.Assumed {
		j.find(assumed(a, b))
	}
	var clash *result.Finding
	if j.clocks, clash = compareClocks(a, b); clash != nil {
		j.find(*clash)
	}
	out.Paths = j.paths()
	j.listened(b, a)
	j.listened(a, b)
	for _, r := range []*result.Report{a, b} {
		if r.Interrupted {
			j.find(interrupted(r))
		}
	}
	out.Findings = slices.Concat(j.findings, carried(a, b))
	out.Interrupted = a.Interrupted || b.Interrupted
	out.Joined = &result.Join{
		Run: b.Run, Tool: b.Tool, Host: b.From.Host, Started: b.Started, ElapsedMS: b.ElapsedMS,
		ClockMS: j.clocks.ms(), Clock: j.clocks.source, Assumed: p.Assumed,
	}
	verdict.Summarize(&out)
	return &out
}

// joiner is two reports on their way to be one.
type joiner struct {
	a, b     *result.Report
	assumed  bool
	clocks   clocks // b's minus a's
	findings []result.Finding
}

func (j *joiner) find(f result.Finding) { j.findings = append(j.findings, f) }

// assumed says that the pair is one by elimination only.
func assumed(a, b *result.Report) result.Finding {
	return result.Finding{Code: result.CodeEndsAssumed,
		Text: fmt.Sprintf("Nothing in the two reports shows that each is the other's end, behind NATs that is usual: %s dialed %s and has itself %s; %s dialed %s and has itself %s. They were joined because both are of dial odyssey and there are no others.",
			who(a), endWords(a.To), addrWords(a), who(b), endWords(b.To), addrWords(b)),
		Advice: "Make sure that these addresses lead to those machines. If they do not, nothing below holds."}
}

func endWords(e result.End) string {
	switch {
	case len(e.Addresses) == 0:
		return orElse(e.Host, "an unknown host")
	case e.Host == "" || slices.Contains(e.Addresses.Words(), e.Host):
		return words(e.Addresses.Words())
	}
	return e.Host + " (" + words(e.Addresses.Words()) + ")"
}

func addrWords(r *result.Report) string {
	var out []string
	for _, a := range ownAddrs(r) {
		out = append(out, a.String())
	}
	return orElse(words(out), "no known address")
}

// words joins the first few of a list.
func words(list []string) string {
	const most = 6
	s := ""
	for i, w := range list {
		if i == most {
			return s + fmt.Sprintf(" and %d more", len(list)-most)
		}
		if i > 0 {
			s += ", "
		}
		s += w
	}
	return s
}

func interrupted(r *result.Report) result.Finding {
	return result.Finding{Code: result.CodeInterrupted, Text: fmt.Sprintf("The run of %s was interrupted, so its report is not the whole picture.", who(r)),
		Advice: "Run the test again there, to the end."}
}

// listened says if the listening end's report lacks its half.
func (j *joiner) listened(listening, dialing *result.Report) {
	if listening.Listened != nil || IsListens(dialing) {
		return // of what it dialed nothing is to be known
	}
	j.find(result.Finding{Code: result.CodeNotListened,
		Text:   fmt.Sprintf("The report of %s does not say what arrived there, so nothing more is known of what %s dialed.", who(listening), who(dialing)),
		Advice: fmt.Sprintf("Run dial odyssey with --wait on both sides at the same time, with this release or a later one, and join the new reports; on %s make sure that it may open the ports.", who(listening))})
}

// carried are the findings of both runs that still hold: that nobody could be
// asked does not.
func carried(a, b *result.Report) []result.Finding {
	var out []result.Finding
	for _, r := range []*result.Report{a, b} {
		for _, f := range r.Findings {
			if f.Code == result.CodeNoContact {
				continue
			}
			if r == b && f.Code != result.CodeContradiction {
				f.Text = fmt.Sprintf("On %s: %s", who(b), f.Text)
			}
			out = append(out, f)
		}
	}
	return out
}

// paths are a's, each with what both reports know of it, and those that only b
// knows of.
func (j *joiner) paths() []result.Path {
	out := []result.Path{}
	used := map[*result.Path]bool{} // several rows may share one path
	for i := range j.a.Paths {
		p := &j.a.Paths[i]
		k := p.Key()
		var other *result.Path
		for _, q := range j.opposites(p) {
			other, used[q] = q, true
		}
		if k.Direction == plan.Forward {
			out = append(out, j.choose(p, j.complete(p, j.a, j.b), from(j.b, other, p)))
		} else {
			out = append(out, j.choose(p, j.complete(from(j.b, other, p), j.b, j.a), p))
		}
	}
	for i := range j.b.Paths {
		p := &j.b.Paths[i]
		if used[p] {
			continue
		}
		seen := from(j.b, p, j.likeness(p))
		if p.Direction == plan.Forward {
			seen = j.complete(seen, j.b, j.a)
		}
		out = append(out, *seen)
	}
	return out
}

// opposites are a's path as b has it, in each row that it serves there. Where a
// name has several addresses, each has a path of its own, and only the one to
// the same address is the same path.
func (j *joiner) opposites(p *result.Path) []*result.Path {
	var out []*result.Path
	k := p.Key().Opposite()
	for i := range j.b.Paths {
		q := &j.b.Paths[i]
		if q.Key() == k && (!p.Address.IsValid() && !q.Address.IsValid() || p.Target.IsValid() && q.Target.IsValid() && p.Target.Addr() == q.Target.Addr()) {
			out = append(out, q)
		}
	}
	return out
}

// likeness is what a would call a path that only b knows of: as its own path
// of the other address family, or else as b does.
func (j *joiner) likeness(p *result.Path) *result.Path {
	k := p.Key().Opposite()
	for i := range j.a.Paths {
		like := j.a.Paths[i].Key()
		like.Family = k.Family
		if like == k {
			return &j.a.Paths[i]
		}
	}
	out := *p
	out.Direction = k.Direction
	if isServers(j.a) && isServers(j.b) { // each calls the other its peer
		out.From, out.To = p.To, p.From
	}
	return &out
}

// from is what r's report found on a path that the other one calls p, as a
// path of that one; nil if it found nothing.
func from(r *result.Report, found, p *result.Path) *result.Path {
	if found == nil {
		return nil
	}
	out := *found
	out.Flow, out.Service, out.PlanPort, out.Direction = p.Flow, p.Service, p.PlanPort, p.Direction
	out.From, out.To, out.Host, out.Need, out.Why = p.From, p.To, p.Host, p.Need, p.Why
	out.Counted, out.Opposite = p.Counted, p.Opposite
	if out.Expect != p.Expect {
		out.Expect = p.Expect
		out, _ = sound(r, out)
	}
	if f, ok := verdict.Retell(out, verdict.ContextOf(r, &out, "")); ok {
		// In the roles of the other end. A finding of another code rests on more than
		// this path, and stands.
		if f == nil || found.Finding == nil || f.Code == found.Finding.Code || out.Expect != found.Expect {
			out.Finding = f
		}
	}
	return &out
}

// complete adds the accepting end's half from its own report to a path that
// the other end dialed, unless the run had it already or needs none. p may be
// nil.
func (j *joiner) complete(p *result.Path, dialed, listened *result.Report) *result.Path {
	if p == nil || !isTried(p) || p.Initiator.Connect == "" || listened.Listened == nil {
		return p
	}
	w := witness{far: listened, run: dialed.Run, seenAs: seenAddrs(dialed, listened), clocks: j.clocks}
	if dialed == j.b {
		w.clocks = j.clocks.reversed()
	}
	if !j.assumed {
		w.seenAs = append(w.seenAs, listened.To.Addresses...) // whom it dialed
	}
	if p.Initiator.Answer == result.AnswerKeyed {
		return j.confirm(p, dialed, w)
	}
	if p.Acceptor != nil && p.Acceptor.Saw != result.SawUnknown {
		return p
	}
	half := w.half(p)
	if p.Acceptor != nil && half.Saw == result.SawUnknown && p.Acceptor.Port != result.PortUnknown {
		return p // what the listener said at the time is as good
	}
	out := *p
	out.Acceptor = half
	switch {
	case out.SeenAs.IsValid():
	case !half.Source.IsValid():
		if !out.OthersSeenAs.IsValid() {
			out.OthersSeenAs = natOf(&out, seenAddrs(dialed, listened))
		}
	case half.Joined == nil || half.Joined.Attempt.Equal(out.Initiator.At.Time):
		out.SeenAs = half.Source
	case !out.OthersSeenAs.IsValid() && !result.IsSameAddr(half.Source.Addr(), out.Source.Addr()):
		out.OthersSeenAs = result.Addr{Addr: half.Source.Addr()} // another attempt's port says nothing of this one's
	}
	if !out.OthersOrigin.IsValid() {
		out.OthersOrigin = behindNAT(listened, out.Target.Addr())
	}
	verdict.Rule(&out, verdict.ContextOf(dialed, &out, listened.Listened.Instance))
	if out.Verdict == result.Open {
		return p // no half that was found later proves a path
	}
	return &out
}

// behindNAT is the address from which an end dials, by its own report, if it is
// dialed at another one of that family, a NAT's; unknown if it is not, or has several.
func behindNAT(r *result.Report, dialed netip.Addr) (own result.Addr) {
	for _, a := range r.From.Addresses {
		switch {
		case !dialed.IsValid() || result.FamilyOf(a) != result.FamilyOf(dialed):
		case a == dialed || own.IsValid():
			return result.Addr{}
		default:
			own.Addr = a
		}
	}
	return own
}

// confirm returns a path that is proved, unless the other end's report denies
// it: another listener proved itself than the one that held the port there.
func (j *joiner) confirm(p *result.Path, dialed *result.Report, w witness) *result.Path {
	if !w.denies(p) {
		return p
	}
	out := *p
	verdict.Rule(&out, verdict.ContextOf(dialed, &out, w.far.Listened.Instance))
	j.find(result.Finding{Code: result.CodeContradiction,
		Text: fmt.Sprintf("%s was proved by listener %.8s on port %d, and %s reports that its own listener %.8s held that port and saw nothing of it (%s, %s).",
			who(dialed), p.Initiator.Instance, p.Port, who(w.far), w.far.Listened.Instance, p.Flow, p.Direction),
		Advice: "Another machine with the same key answered. Find out to which one the address leads."})
	return &out
}

func isTried(p *result.Path) bool {
	return p.Initiator != nil && p.Initiator.NotTried == "" && p.Verdict != result.Untested
}

// choose makes one path of what each report found of it: dialed is the dialing
// end's, accepted the accepting end's; either may be nil or untested. Where
// they contradict each other the worse counts.
func (j *joiner) choose(p, dialed, accepted *result.Path) result.Path {
	switch {
	case dialed == nil && accepted == nil:
		return *p
	case dialed == nil || !isTried(dialed) && accepted != nil && isTried(accepted):
		return *accepted
	case accepted == nil || !isTried(accepted):
		return *dialed
	}
	switch better := moreKnown(dialed, accepted); {
	case better != nil:
		return *better
	case dialed.Verdict == accepted.Verdict:
		return *dialed
	}
	worse := dialed
	if isWorse(accepted, dialed) {
		worse = accepted
	}
	j.find(result.Finding{Code: result.CodeContradiction,
		Text: fmt.Sprintf("The two reports contradict each other about %s (port %d, %s): the end that dialed it says %s (%s), the end that accepted says %s (%s). The worse counts.",
			p.Flow, p.Port, p.Direction, dialed.Verdict, timeWords(dialed.At.Time), accepted.Verdict, timeWords(accepted.At.Time)),
		Advice: "It may have changed between the two runs. Run the test again on both sides."})
	return *worse
}

func timeWords(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return "at " + t.UTC().Format(time.DateTime) + " UTC by its clock"
}

// moreKnown returns the one of two paths that says the same as the other and
// more, nil if neither does.
func moreKnown(x, y *result.Path) *result.Path {
	switch {
	case slices.Contains(x.Verdict.Row().Becomes, y.Verdict):
		return y
	case slices.Contains(y.Verdict.Row().Becomes, x.Verdict):
		return x
	case x.Verdict == y.Verdict && x.Acceptor == nil && y.Acceptor != nil:
		return y
	}
	return nil
}

// isWorse reports whether x is worse than y: not ok, or it got less far.
func isWorse(x, y *result.Path) bool {
	if x.OK != y.OK {
		return !x.OK
	}
	return x.Verdict.Row().Reach < y.Verdict.Row().Reach
}
