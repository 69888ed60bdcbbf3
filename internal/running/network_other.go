//go:build unix && !linux

package running

// Network names the network of this program: here there is one.
func Network() string { return "" }
