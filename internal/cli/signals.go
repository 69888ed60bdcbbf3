package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilStopped returns a context that ends when the program is told to stop: by an
// interrupt, by the system (Go tells a closed console of Windows, a logoff and a
// shutdown as SIGTERM, and waits), or since its terminal goes away. After that a second
// one of the first two ends it at once; a terminal that goes away is often told twice,
// and never does.
//
// A reader of its output that goes away, or a file that may not grow, is an error of
// writing and nothing more. told is another way to stop it; nil: there is none.
func untilStopped(told <-chan struct{}) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	gone := make(chan os.Signal, 1)
	// One that was started to outlive its terminal (nohup) does.
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	} else {
		signal.Notify(gone, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), writeSignals...)
	go func() {
		select {
		case <-stop:
		case <-gone:
		case <-told:
		case <-ctx.Done():
		}
		signal.Stop(stop)
		cancel()
	}()
	return ctx, cancel
}
