//go:build !linux

package sock

import "dialtone/internal/result"

// Dropped says nothing: this system shows no packet that its TCP stack did not
// answer.
func (w *Watch) Dropped(HalfOpen) (result.Drop, string) { return "", "" }
