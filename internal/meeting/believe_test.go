package meeting

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// keyHolder is somebody who has the key and no test to report: he connects from
// far to the end that waits at near, proves the key as a run, and hands over
// what he likes.
func keyHolder(ctx context.Context, port int, r *result.Report) error {
	var run echo.ID
	if err := run.UnmarshalText([]byte(r.Run)); err != nil {
		return err
	}
	d, err := echo.NewDelivery(r)
	if err != nil {
		return err
	}
	var c *echo.Conn
	for {
		got := sock.Dial(ctx, "tcp", netip.AddrPortFrom(far, 0), netip.AddrPortFrom(near, uint16(port)))
		if got.Err == nil {
			if c, err = echo.Prove(ctx, got.Conn, echo.Ask{Key: prooftest.RightKey, Run: run, Probe: echo.NewID(), Flow: "hostile"}); err == nil {
				break
			}
			got.Conn.Close()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, err = c.Deliver(ctx, d)
	return err
}

// invented is the report of a run from far to near in which all went well, with
// all the evidence of it.
func invented(port int) *result.Report {
	whole := &result.Transfer{Outcome: result.TransferIntact, Want: 4096, Intact: 4096}
	r := &result.Report{
		Schema: result.Schema, Run: echo.NewID().String(), Mode: result.ModePaths, Started: result.TimeOf(time.Now()), Plan: "test",
		From: result.End{Role: "server"}, To: result.End{Role: "peer"},
		Contact: &result.Contact{Flow: "out", Direction: plan.Forward, Port: port, Family: result.IP4, Instance: echo.NewID().String()},
	}
	for _, w := range []struct {
		flow       string
		d          plan.Direction
		from, to   netip.Addr
		role, peer string
	}{{"out", plan.Forward, far, near, "server", "peer"}, {"in", plan.Reverse, near, far, "peer", "server"}} {
		target := result.EndpointFrom(netip.AddrPortFrom(w.to, uint16(port)))
		source := result.EndpointFrom(netip.AddrPortFrom(w.from, 50000))
		i := &result.Initiator{
			Probe: echo.NewID().String(), At: r.Started, Attempts: 1, Source: source, Target: target, SeenAs: source, Origin: target,
			Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Instance: r.Contact.Instance, Sent: whole, Received: whole,
		}
		r.Paths = append(r.Paths, result.Path{
			Flow: w.flow, Service: "a service", Port: port, PlanPort: port, Transport: plan.TCP, Direction: w.d, Family: result.IP4, From: w.role, To: w.peer,
			Need: plan.Required, Counted: true, Expect: plan.ExpectOpen, Verdict: result.Open, OK: true, Proof: result.ProofKeyed,
			At: r.Started, Source: source, Target: target, SeenAs: source, Attempts: 1, Initiator: i,
			Acceptor: &result.Acceptor{Instance: r.Contact.Instance, Port: result.PortBound, Saw: result.SawAccepted, Proved: true},
		})
	}
	r.Summary = result.Summary{OK: true, Counted: 2, Verdicts: map[result.Verdict]int{result.Open: 2}}
	return r
}

// Whoever has the key can hand over a report. Nothing that he says in it makes
// a path ok that this end did not see work, and nothing ends the program.
func TestDeliveredReportIsNotBelieved(t *testing.T) {
	both := func(r *result.Report, f func(p *result.Path)) {
		for i := range r.Paths {
			f(&r.Paths[i])
		}
	}
	next := 24200
	for name, lie := range map[string]func(*result.Report){
		"with all the evidence": func(*result.Report) {},
		"without any evidence":  func(r *result.Report) { both(r, func(p *result.Path) { p.Initiator, p.Acceptor = nil, nil }) },
		"without halves, and another verdict": func(r *result.Report) {
			both(r, func(p *result.Path) { p.Verdict, p.Initiator, p.Acceptor = result.Unresolved, nil, nil })
		},
		"an ok with a verdict that is none": func(r *result.Report) {
			both(r, func(p *result.Path) {
				p.Verdict, p.Initiator = result.Filtered, &result.Initiator{Connect: result.ConnectTimeout}
			})
		},
		"of no path":                    func(r *result.Report) { r.Paths = nil },
		"of one path of two":            func(r *result.Report) { r.Paths = r.Paths[:1] },
		"of paths that do not count":    func(r *result.Report) { both(r, func(p *result.Path) { p.Counted, p.Need = false, plan.Optional }) },
		"of another run than it proved": func(r *result.Report) { r.Paths[0].Port, r.Paths[1].Port = 1, 1 },
		"of ports that are to be closed": func(r *result.Report) {
			both(r, func(p *result.Path) {
				p.Expect, p.Verdict, p.Initiator, p.Acceptor = plan.ExpectClosed, result.Silent, &result.Initiator{Connect: result.ConnectTimeout, Attempts: 1}, nil
			})
		},
		"of the service's own conversation": func(r *result.Report) {
			both(r, func(p *result.Path) {
				p.Proof, p.Initiator.Answer = result.ProofService, result.AnswerReset
				p.Initiator.Conversation = &result.Conversation{Speaks: "http", Outcome: result.ConversationCompleted, Keyed: true}
				p.Acceptor.Conversed = true
			})
		},
	} {
		next++
		port := next
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := meeter(institutions(port), near, far, 4*time.Second)
			lies := invented(port)
			lie(lies)
			came := make(chan error, 1)
			go func() { came <- keyHolder(t.Context(), port, lies) }()
			r, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-came; err != nil {
				t.Fatalf("it was not handed over: %v", err)
			}
			out, in := pathTo(t, r, "out", plan.Forward), pathTo(t, r, "in", plan.Reverse)
			if r.Run != lies.Run {
				t.Error("it was not taken over at all, and this test shows nothing")
			}
			if out.OK || out.Verdict == result.Open || !out.Counted || !in.Counted || r.Summary.OK || verdict.ExitCode(r) == 0 {
				t.Errorf("believed: out %+v\nin %+v\nsummary %+v", out, in, r.Summary)
			}
			for _, p := range r.Paths {
				if p.Finding == nil && !p.OK {
					t.Errorf("%s is not explained", p.Flow)
				}
			}
		})
	}
}

// What the other end tested and this end took part in is believed.
func TestDeliveredReportIsBorneOut(t *testing.T) {
	p := institutions(24220)
	follower := make(chan *result.Report, 1)
	go func() {
		r, _ := Run(t.Context(), meeter(p, near, far, time.Minute))
		follower <- r
	}()
	leader, err := Run(t.Context(), meeter(p, far, near, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*result.Report{leader, <-follower} {
		if r == nil || !r.Summary.OK || r.Summary.Counted != 2 {
			t.Fatalf("%+v", r)
		}
		if slices.ContainsFunc(r.Findings, func(f result.Finding) bool { return f.Code == "not-borne-out" }) {
			t.Errorf("%+v", r.Findings)
		}
	}
}
