//go:build !linux

package sock

import (
	"net"

	"dialtone/internal/result"
)

// Dropped says nothing: this system shows no packet that its TCP stack did not
// answer.
func (w *Watch) Dropped(HalfOpen) (result.Drop, string) { return "", "" }

// overflows returns false: this system does not tell.
func overflows() (uint64, bool) { return 0, false }

// droppedBy returns 0: this system does not tell.
func droppedBy(net.Listener) uint32 { return 0 }
