package survey

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// dialBack has the far end attempt the reverse jobs of one family.
func (s *survey) dialBack(ctx context.Context, f result.Family, jobs []*job) {
	var ask []*job
	for _, j := range jobs {
		if j.port == 0 {
			j.port = s.accept.l.HighPort(j.flow, f)
		}
		switch why := s.accept.noAcceptor(j); {
		case why != "":
			s.finish(j, result.Initiator{NotTried: why})
		case j.port == 0:
			s.finish(j, result.Initiator{NotTried: "this machine could not open a high port for the data connection"})
		default:
			ask = append(ask, j)
		}
	}
	if _, ok := s.contacts.helloOf(f); !ok {
		for _, j := range ask {
			s.finish(j, result.Initiator{NotTried: "there was no contact over " + familyWords(f) + " to ask the far end to dial back"})
		}
		return
	}
	var g errgroup.Group
	g.SetLimit(4)
	for chunk := range slices.Chunk(ask, echo.MaxDialBack) {
		g.Go(func() error {
			s.askBack(ctx, f, chunk)
			return nil
		})
	}
	_ = g.Wait() // what failed is in the jobs
}

func familyWords(f result.Family) string {
	if f == result.IP6 {
		return "IPv6"
	}
	return "IPv4"
}

// askBack has the far end attempt one message's worth of jobs.
func (s *survey) askBack(ctx context.Context, f result.Family, jobs []*job) {
	halves, by, err := s.halvesOf(ctx, f, jobs)
	for i, j := range jobs {
		switch {
		case err != nil && ctx.Err() != nil:
			s.finish(j, result.Initiator{NotTried: "interrupted"})
		case err != nil:
			s.finish(j, result.Initiator{NotTried: "the far end's half got lost: " + err.Error()})
		default:
			j.by = by
			s.finish(j, halves[i])
		}
	}
}

// attemptBack has the far end attempt a job of its own.
func (s *survey) attemptBack(ctx context.Context, j *job) result.Initiator {
	halves, by, err := s.halvesOf(ctx, j.family, []*job{j})
	if err != nil || by != j.by {
		return result.Initiator{NotTried: "the far end could not be asked again"}
	}
	return halves[0]
}

// halvesOf asks the far end to attempt jobs and returns its half of each, and
// which listener it was.
func (s *survey) halvesOf(ctx context.Context, f result.Family, jobs []*job) (halves []result.Initiator, by string, err error) {
	d := echo.DialBack{TimeoutMS: s.Timeout.Milliseconds(), Bytes: s.Bytes}
	for _, j := range jobs {
		d.Paths = append(d.Paths, echo.BackPath{Flow: j.flow, Probe: j.probe, Transport: j.transport, Port: j.port, SourcePort: j.sourcePort, Trace: j.trace})
	}
	// An attempt has up to four steps: connecting, two payloads, and a second
	// connection for the second of them; and a trace, or the search for a size.
	err = s.talk(ctx, f, true, 4*s.Timeout+15*time.Second, func(ctx context.Context, c *echo.Conn) (err error) {
		by = c.Instance.String()
		halves, err = c.DialBack(ctx, d)
		return err
	})
	return halves, by, err
}

// dialBackAgain repeats what another listener than the expected one dialed
// back: it told of its own paths, not of those that were asked for.
func (s *survey) dialBackAgain(ctx context.Context) {
	for _, f := range s.families() {
		var again []*job
		for _, j := range s.jobs {
			if j.direction == plan.Reverse && j.family == f && j.by != "" && j.by != s.expected {
				j.probe, j.by = echo.NewID(), ""
				again = append(again, j)
			}
		}
		if len(again) > 0 {
			s.dialBack(ctx, f, again)
		}
	}
}
