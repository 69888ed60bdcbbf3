package sock

import "time"

// started is when this process began, by the wall clock and by Running.
var started = struct {
	wall    time.Time
	running time.Duration
}{time.Now().Round(0), Running()}

// Now is the time by which what happened is put in order and told to the other end:
// the wall clock's as it was when this process began, and since then Running's. Who
// sets the machine's clock, or its time service, moves no moment against another,
// and what the machine slept through counts, which time.Now's comparisons leave out.
// Deadlines are time.Now's.
func Now() time.Time { return started.wall.Add(Running() - started.running) }

// Since is how long ago a moment of Now's was.
func Since(t time.Time) time.Duration { return Now().Sub(t) }
