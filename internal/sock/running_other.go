//go:build !linux

package sock

import "time"

// Running is a clock that only goes forward. Whether it goes on while the
// machine sleeps depends on the system.
func Running() time.Duration { return time.Since(began) }

var began = time.Now()
