package survey

import (
	"context"
	"slices"
	"sync"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// RunAll makes a run for each config, atOnce of them side by side, and tells
// done of each report as it comes, one at a time. All share one listener for
// their reverse rows, which knows the key of each: the ports can be bound only
// once. An error is about the config with that index, whose run was not made.
// Where the crowd leaves in doubt what arrived, the run is made again at the
// end, alone. When ctx ends, what has not begun is left out.
func RunAll(ctx context.Context, configs []Config, atOnce int, done func(i int, r *result.Report, err error)) {
	own := echo.NewID()
	door := sharedDoor(ctx, own, configs)
	defer door.Close()
	var all sync.WaitGroup
	var telling sync.Mutex
	var again []doubted // guarded by telling
	slots := make(chan struct{}, max(1, atOnce))
	talking := make(chan struct{}, atOnceOfAll)
	for i, c := range configs {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			r, err := one(ctx, c, own, door, talking)
			telling.Lock()
			defer telling.Unlock()
			if err == nil && len(configs) > 1 && len(again) < maxAgain && isInDoubt(r) && ctx.Err() == nil {
				again = append(again, doubted{i, r})
				return
			}
			done(i, r, err)
		})
	}
	all.Wait()
	for _, d := range again {
		if r, err := one(ctx, configs[d.index], own, door, talking); err == nil && !r.Interrupted {
			d.report = r
		}
		done(d.index, d.report, nil)
	}
}

// maxAgain bounds the runs that are made again, each of which takes its time.
const maxAgain = 16

// doubted is the report of a run that is to be made again.
type doubted struct {
	index  int
	report *result.Report
}

func one(ctx context.Context, c Config, own echo.ID, door *listener.Door, talking chan struct{}) (*result.Report, error) {
	s := newSurvey(c)
	s.own, s.door, s.talking = own, door, talking
	return s.run(ctx)
}

// isInDoubt reports whether somebody who watched cannot tell whether an attempt
// arrived: something else did, at the same time.
func isInDoubt(r *result.Report) bool {
	return slices.ContainsFunc(r.Paths, func(p result.Path) bool {
		return p.Verdict == result.Silent && p.Acceptor != nil && p.Acceptor.Port == result.PortBound
	})
}

// NotRun is the report of a run that was not made, because of what f says: its
// paths are untested, and none of them is ok. The error is that of Run.
func NotRun(c Config, f result.Finding) (*result.Report, error) {
	s := newSurvey(c)
	remote := c.Remote
	if len(remote) == 0 {
		remote = plan.DefaultRemote
	}
	if err := s.choose(remote); err != nil {
		return nil, err
	}
	for _, j := range s.attempts() {
		j.initiator = &result.Initiator{Probe: j.probe.String(), NotTried: f.Text}
	}
	r := s.report(context.Background(), remote, nil)
	r.Findings = []result.Finding{f}
	return r, nil
}

// sharedDoor accepts the reverse rows of all configs, as own; it is not opened if
// none has any.
func sharedDoor(ctx context.Context, own echo.ID, configs []Config) *listener.Door {
	var keys []echo.Key
	var legs []*leg
	var first *survey
	for _, c := range configs {
		s := newSurvey(c)
		remote := c.Remote
		if len(remote) == 0 {
			remote = plan.DefaultRemote
		}
		if s.choose(remote) != nil {
			continue // its own run says so
		}
		if !slices.Contains(keys, c.Key) {
			keys = append(keys, c.Key)
		}
		legs = append(legs, s.legs...)
		if first == nil {
			first = s
		}
	}
	ports := reverseBindings(legs)
	if len(ports) == 0 {
		return &listener.Door{}
	}
	first.own = own
	return first.openDoor(ctx, ports, nil, listener.Config{Others: keys[1:]})
}
