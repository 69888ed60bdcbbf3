package listener

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
)

// What holds a port is looked at on this machine itself, by its service's own
// conversation, and dial is told what it shows.
func TestHeldPortIsLookedAt(t *testing.T) {
	web := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Dialtone-Answer") != "" || strings.HasPrefix(r.URL.Path, "/dialtone/") {
			t.Errorf("it was asked as a listener is: %s", r.URL)
		}
		w.Header().Set("Server", "the library's web server/1.0")
	})
	l, port := listenBelow(t, &net.ListenConfig{}, "tcp4", loop.String())
	plain := &httptest.Server{Listener: l, Config: &http.Server{Handler: web}}
	plain.Start()
	t.Cleanup(plain.Close)
	ls, secure := listenBelow(t, &net.ListenConfig{}, "tcp4", loop.String())
	inTLS := &httptest.Server{Listener: ls, Config: &http.Server{Handler: web}}
	inTLS.StartTLS()
	t.Cleanup(inTLS.Close)

	rows := []plan.Row{
		{ID: "free", Transport: plan.TCP},
		{ID: "http", Transport: plan.TCP, Port: port, Speaks: plan.HTTP},
		{ID: "https", Transport: plan.TCP, Port: secure, Speaks: plan.HTTPS},
	}
	p := planOf(rows...)
	held := New(Config{Key: rightKey, Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{loop}})
	if failed := held.Bind(t.Context()); len(failed) != 2 {
		t.Fatalf("%v", failed)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, over := make(chan struct{}), make(chan error, 1)
	go func() { over <- held.Serve(ctx, func([]*BindError) { close(ready) }) }()
	receive(t, ready)
	busy := held.Hello(echo.Peer{Remote: netip.AddrPortFrom(loop, 1)}).Busy
	cancel()
	if err := receive(t, over); err != nil {
		t.Error(err)
	}
	if len(busy) != 2 {
		t.Fatalf("%+v", busy)
	}
	for _, b := range busy {
		if b.Software != "the library's web server/1.0" {
			t.Errorf("%d: software %q", b.Port, b.Software)
		}
		if want := b.Port == secure; (len(b.Certificate) == 64) != want {
			t.Errorf("%d: certificate %q", b.Port, b.Certificate)
		}
	}
}
