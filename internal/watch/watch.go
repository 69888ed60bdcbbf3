// Package watch repeats a test, keeps what changed from one run to the next, and
// tells it to whoever asks over HTTP. It neither tests nor compares by itself.
package watch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"dialtone/internal/result"
)

// An Event is a line of the history: runs that ended alike, or what became of a path.
type Event struct {
	At  result.Time `json:"at"`  // when the run began
	Run string      `json:"run"` // its id

	// Of runs that ended alike: how many, when the last began, and how they ended.
	Runs    int         `json:"runs,omitempty"`
	Until   result.Time `json:"until,omitzero"`
	OK      bool        `json:"ok"`
	Counted int         `json:"counted"` // required paths
	Failed  int         `json:"failed"`  // of them, those that are not ok

	// Of a path: what became of it; nil: the line is of runs.
	Path *result.PathChange `json:"path,omitempty"`
}

// A Config is what is repeated, and who is told.
type Config struct {
	Every  time.Duration // from the beginning of one run to that of the next
	Jitter time.Duration // a run begins up to so much later, by chance; less than Every
	// Test makes a run, and Compare says what changed between two.
	Test    func(context.Context) (*result.Report, error)
	Compare func(old, now *result.Report) (*result.Comparison, error)
	Last    *result.Report // of an earlier watch; nil: there is none
	// OnRun is told of each run that ended by itself, and what changed since the one
	// before it; nil: there is none, or the two cannot be compared.
	OnRun func(*result.Report, *result.Comparison)
	// OnTrouble is told what keeps a run from being made or compared.
	OnTrouble func(error)
}

// Run repeats the test until ctx ends, and returns the error of the first run, which
// is one of the command line. Runs do not overlap: one that takes longer than Every
// is followed by the next that is due after it. What ctx interrupts is not told.
func Run(ctx context.Context, c Config) error {
	last, due := c.Last, time.Now()
	for first := true; ; first = false {
		r, err := c.Test(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			c.OnTrouble(err)
		default:
			var d *result.Comparison
			if last != nil {
				if d, err = c.Compare(last, r); err != nil {
					c.OnTrouble(fmt.Errorf("the run was not compared with the one before: %w", err))
				}
			}
			c.OnRun(r, d)
			last = r
		}
		now := time.Now()
		due = next(due, now, c.Every)
		wait := due.Sub(now)
		if c.Jitter > 0 {
			wait += rand.N(c.Jitter)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// next is when a run is due after one that was due then and is over now.
func next(then, now time.Time, every time.Duration) time.Time {
	return then.Add(every * (1 + max(0, now.Sub(then))/every))
}

// Told are the changes that are worth telling: not what is as it was, nor that what
// did not work, or was not known, is not known now.
func Told(d *result.Comparison) []result.PathChange {
	var out []result.PathChange
	if d == nil {
		return nil
	}
	for _, x := range d.Paths {
		switch x.Change {
		case result.ChangeStill:
		case result.ChangeBroken:
			if x.Old.Verdict != x.New.Verdict {
				out = append(out, x)
			}
		case result.ChangeUnknown:
			if x.Old != nil && x.Old.OK {
				out = append(out, x)
			}
		default:
			out = append(out, x)
		}
	}
	return out
}
