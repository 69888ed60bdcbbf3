package sock

import "golang.org/x/sys/unix"

const clockRunning = unix.CLOCK_MONOTONIC // it goes on in sleep there, and CLOCK_UPTIME_RAW does not (clock_gettime(3))
