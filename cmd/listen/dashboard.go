package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"

	"dialtone/internal/cli"
	"dialtone/internal/echo"
	"dialtone/internal/page"
	"dialtone/internal/result"
)

// A dashboard is the live matrix, on a port of its own of this machine alone.
type dashboard struct {
	*page.Board
	at   net.Listener
	errs io.Writer
}

// maxWatchers bounds the connections of a dashboard.
const maxWatchers = 32

// newDashboard binds a dashboard's port; nil: none is wanted.
func newDashboard(ctx context.Context, addr string, errs io.Writer) (*dashboard, error) {
	if addr == "" {
		return nil, nil
	}
	const hint = "Give an address of this machine alone and a free port, such as 127.0.0.1:7900. From elsewhere: ssh -L 7900:127.0.0.1:7900 THIS-MACHINE."
	to, err := netip.ParseAddrPort(addr)
	switch {
	case err != nil:
		return nil, cli.Usagef(hint, "--dashboard %q: it is no address with a port", addr)
	case !to.Addr().IsLoopback():
		return nil, cli.Usagef(hint, "--dashboard %s: others could reach it there", addr)
	}
	at, err := new(net.ListenConfig).Listen(ctx, "tcp", to.String())
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--dashboard: %w", err), hint)
	}
	return &dashboard{page.NewBoard(cli.Software), netutil.LimitListener(at, maxWatchers), errs}, nil
}

// words say where it is; "": nowhere.
func (d *dashboard) words() string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("Who has tested what, live, in a browser of this machine:\n  http://%s%s\n", d.at.Addr(), d.Path())
}

// serve answers until ctx ends.
func (d *dashboard) serve(ctx context.Context) {
	if d == nil {
		return
	}
	server := &http.Server{
		Handler: d.Board, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	_ = server.Serve(d.at) // until it is closed
}

// take takes a report in.
func (d *dashboard) take(r *result.Report, from netip.Addr) {
	if d == nil {
		return
	}
	if err := d.Take(r, from); err != nil {
		fmt.Fprintf(d.errs, "listen: --dashboard: %v\n", err)
	}
}

// onReport is what a listener is to call for each report of dial's; nil: nobody watches.
func (d *dashboard) onReport() func(*result.Report, echo.Peer) {
	if d == nil {
		return nil
	}
	return func(r *result.Report, p echo.Peer) { d.take(r, p.Remote.Addr()) }
}
