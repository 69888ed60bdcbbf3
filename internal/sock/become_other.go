//go:build !linux

package sock

import "net"

// CanBecome says that this system has no Become.
const CanBecome = false

// Become fails with ErrCannotBecome.
func Become(User, []net.Listener) error { return ErrCannotBecome }

// A capture is nothing here.
type capture struct{}

// Open has nothing to open before Run: this system has no capture.
func (w *Watch) Open() {}
