//go:build linux || darwin

package sock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Running is a clock that only goes forward and goes on while the machine
// sleeps.
func Running() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clockRunning, &t); err != nil {
		return time.Since(began)
	}
	return time.Duration(t.Nano())
}

var began = time.Now()
