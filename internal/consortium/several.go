package consortium

import (
	"context"
	"slices"
	"sync"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/survey"
)

// runAll makes a run for each config, atOnce of them side by side, and tells
// done of each report as it comes, one at a time. All share one listener for
// their reverse rows, which knows the key of each: the ports can be bound only
// once. An error is about the config with that index, whose run was not made.
// Where the crowd leaves in doubt what arrived, the run is made again at the
// end, alone. When ctx ends, what has not begun is left out.
func runAll(ctx context.Context, configs []survey.Config, atOnce int, done func(i int, r *result.Report, err error)) {
	shared := survey.With{Own: echo.NewID(), Conversations: make(chan struct{}, conversationsAtOnce), Once: true}
	shared.Door = sharedDoor(ctx, shared, configs)
	defer shared.Door.Close()
	one := func(c survey.Config) (*result.Report, error) { return survey.New(c, shared).Run(ctx) }
	var all sync.WaitGroup
	var telling sync.Mutex
	var again []doubted // guarded by telling
	slots := make(chan struct{}, max(1, atOnce))
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
			r, err := one(c)
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
		if r, err := one(configs[d.index]); err == nil && !r.Interrupted {
			d.report = r
		}
		done(d.index, d.report, nil)
	}
}

// conversationsAtOnce bounds the conversations of all runs that are under way: some move
// megabytes over this end's line, and none is to look slow because of the others.
const conversationsAtOnce = 4

// maxAgain bounds the runs that are made again, each of which takes its time.
const maxAgain = 16

// doubted is the report of a run that is to be made again.
type doubted struct {
	index  int
	report *result.Report
}

// isInDoubt reports whether somebody who watched cannot tell whether an attempt
// arrived: something else did, at the same time.
func isInDoubt(r *result.Report) bool {
	return slices.ContainsFunc(r.Paths, func(p result.Path) bool {
		return p.Verdict == result.Silent && p.Acceptor != nil && p.Acceptor.Port == result.PortBound
	})
}

// sharedDoor accepts the reverse rows of all configs; it is not opened if none has any.
func sharedDoor(ctx context.Context, shared survey.With, configs []survey.Config) *listener.Door {
	var keys []echo.Key
	var legs []survey.Leg
	var first survey.Config
	for _, c := range configs {
		more, _, err := c.Legs(sock.Target{}, nil)
		if err != nil {
			continue // its own run says so
		}
		if len(keys) == 0 {
			first = c
		}
		if !slices.Contains(keys, c.Key) {
			keys = append(keys, c.Key)
		}
		legs = append(legs, more...)
	}
	ports := survey.Bindings(legs)
	if len(ports) == 0 {
		return &listener.Door{}
	}
	shared.ID = echo.NewID() // it names this end to other listeners of this machine
	return first.OpenDoor(ctx, shared, ports, nil, listener.Config{Others: keys[1:]})
}
