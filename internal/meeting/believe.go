package meeting

import (
	"context"
	"fmt"
	"slices"

	"dialtone/internal/echo"
	"dialtone/internal/merge"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/verdict"
)

// believed is what may be taken over of a report that the far end handed over:
// this end tested nothing in that run by itself, and whoever holds the key can
// say anything. A path counts as ok only if its evidence amounts to that, and
// this end, or another listener of this machine, was part of it: it accepted
// that run's proof on that port, or dialed it itself. What this end wants to
// know and the report does not have is untested.
func (m *meeting) believed(ctx context.Context, r *result.Report) *result.Report {
	out := *merge.Sound(r)
	out.Paths = slices.Clone(out.Paths)
	for i := range out.Paths {
		m.asWanted(&out.Paths[i])
	}
	var ask []int
	for i, p := range out.Paths {
		if p.OK {
			ask = append(ask, i)
		}
	}
	borne := m.borne(ctx, &out, ask)
	var first *result.Path
	count := 0
	for n, i := range ask {
		p := &out.Paths[i]
		// That nothing got through is nothing that this end can have seen: it can
		// only know better.
		if closed := p.Expect == plan.ExpectClosed; borne[n] != closed {
			continue
		}
		if count++; first == nil {
			said := *p
			first = &said
		}
		untested(p, fmt.Sprintf("the other end's report calls it %s, and nothing that this end saw itself bears that out", p.Verdict))
	}
	if count > 0 {
		out.Findings = append(slices.Clone(out.Findings), result.Finding{Code: result.CodeNotBorneOut,
			Text:   fmt.Sprintf("The report that the other end handed over calls %d of its paths ok, such as %s (port %d, %s), and nothing that this end saw itself bears that out. They are not taken over.", count, first.Flow, first.Port, first.Verdict),
			Advice: "Run the test again on both sides. If it happens again, somebody else has the key: make a new one, and give it to the partner alone."})
	}
	out.Paths = append(out.Paths, m.missing(&out)...)
	verdict.Summarize(&out)
	return &out
}

// asWanted gives a path of the far end's report what this end's own plan says of
// its row: whether it counts, and what is expected of it.
func (m *meeting) asWanted(p *result.Path) {
	for _, l := range m.legs {
		if !isFarEnds(l, p) {
			continue
		}
		p.Counted, p.Need = p.Counted || l.Counted, l.Row.Need
		if p.Expect != l.Row.Expect {
			p.Expect = l.Row.Expect
			p.OK = p.OK && p.Verdict == result.Open // by key, whatever was expected
		}
	}
}

// isFarEnds reports whether a path is a leg as the far end's report has it.
func isFarEnds(l survey.Leg, p *result.Path) bool {
	own := *p
	own.Direction = p.Direction.Opposite()
	return l.Is(own)
}

// missing are the paths that this end wants to know of and a report of the far
// end does not have, as that end would give them.
func (m *meeting) missing(r *result.Report) []result.Path {
	var out []result.Path
	for _, l := range m.legs {
		if slices.ContainsFunc(r.Paths, func(p result.Path) bool { return isFarEnds(l, &p) }) {
			continue
		}
		p := result.NewPath(l.Flow, l.Family)
		p.Direction, p.From, p.To = p.Direction.Opposite(), p.To, p.From
		if l.OneOfSeveral {
			p.Address.Addr = l.To
		}
		untested(&p, "the other end tested, and its report does not have this path")
		out = append(out, p)
	}
	return out
}

// untested makes a path one of which nothing is known, and says why.
func untested(p *result.Path, why string) {
	probe := ""
	if p.Initiator != nil {
		probe = p.Initiator.Probe
	}
	p.Initiator, p.Acceptor = &result.Initiator{Probe: probe, NotTried: why}, nil
	p.Attempts, p.RTTMS, p.Stop, p.SeenAs, p.At, p.Notes = 0, nil, nil, result.Endpoint{}, result.Time{}, nil
	verdict.Rule(p, verdict.Context{Mode: result.ModePaths})
}

// borne says of some paths of the far end's report whether this end bears out
// that they work: its own listener first, then those of this machine that have
// ports which it could not.
func (m *meeting) borne(ctx context.Context, r *result.Report, paths []int) []bool {
	var run echo.ID
	if run.UnmarshalText([]byte(r.Run)) != nil {
		return make([]bool, len(paths))
	}
	claims := make([]echo.Claim, len(paths))
	for n, i := range paths {
		p := &r.Paths[i]
		claims[n] = echo.Claim{
			Direction: p.Direction.Opposite(), Transport: p.Transport, Port: p.Port, Family: p.Family, Service: p.Proof == result.ProofService,
		}
	}
	return m.Door.Bears(ctx, run, claims)
}
