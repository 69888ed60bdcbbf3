package sock

import "golang.org/x/sys/unix"

const clockRunning = unix.CLOCK_BOOTTIME // clock_gettime(2)
