package sock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Running is a clock that only goes forward and goes on while the machine
// sleeps (clock_gettime(2), CLOCK_BOOTTIME).
func Running() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(began)
	}
	return time.Duration(t.Nano())
}

var began = time.Now()
