package watch

import (
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxConns is how many connections whoever asks may hold together: for one more the
// oldest is closed, so that who holds on shuts nobody out.
const maxConns = 32

// Metrics answers GET /metrics with what was set last, and nothing else.
type Metrics struct {
	server http.Server
	body   atomic.Pointer[[]byte]

	mu    sync.Mutex
	conns []net.Conn // the oldest first
}

// Set sets what is answered, in Prometheus' text format, version 0.0.4.
func (m *Metrics) Set(b []byte) { m.body.Store(&b) }

// Serve begins to answer on l, until Close.
func (m *Metrics) Serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if b := m.body.Load(); b != nil {
			_, _ = w.Write(*b)
		}
	})
	m.server = http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog:  log.New(io.Discard, "", 0), // what strangers send is nobody's trouble
		ConnState: m.connState,
	}
	go func() { _ = m.server.Serve(l) }() // it ends by Close
}

// Close ends it at once.
func (m *Metrics) Close() { _ = m.server.Close() }

// connState keeps count of connections.
func (m *Metrics) connState(c net.Conn, s http.ConnState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch s {
	case http.StateNew:
		m.conns = append(m.conns, c)
		if len(m.conns) > maxConns {
			m.conns[0].Close()
			m.conns = m.conns[1:]
		}
	case http.StateClosed, http.StateHijacked:
		m.conns = slices.DeleteFunc(m.conns, func(o net.Conn) bool { return o == c })
	}
}
