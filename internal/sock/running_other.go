//go:build !linux && !darwin

package sock

import "time"

// Running is a clock that only goes forward. On Windows it goes on while the machine
// sleeps, as Go reads the interrupt time there; elsewhere that depends on the system.
func Running() time.Duration { return time.Since(began) }

var began = time.Now()
