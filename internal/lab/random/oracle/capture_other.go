//go:build !linux

package oracle

import "errors"

// A Capture takes down what passes at an interface; on Linux only, as the lab
// is.
type Capture struct{}

// Listen begins a capture at the interface of that name.
func Listen(string) (*Capture, error) {
	return nil, errors.New("oracle: captures need Linux")
}

// Close ends the capture.
func (*Capture) Close() Seens { return Seens{} }
