//go:build unix

package sock

import (
	"math"
	"syscall"
)

// MaxDescriptors is how many file descriptors this process may have.
func MaxDescriptors() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(l.Cur)
}
