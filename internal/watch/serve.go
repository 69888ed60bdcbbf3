package watch

import (
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// maxConns is how many connections whoever asks may hold together; more are closed.
const maxConns = 32

// Metrics answers GET /metrics with what was set last, and nothing else.
type Metrics struct {
	server http.Server
	body   atomic.Pointer[[]byte]
	conns  atomic.Int32
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
		ErrorLog: log.New(io.Discard, "", 0), // what strangers send is nobody's trouble
		ConnState: func(c net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				if m.conns.Add(1) > maxConns {
					c.Close()
				}
			case http.StateClosed, http.StateHijacked:
				m.conns.Add(-1)
			}
		},
	}
	go func() { _ = m.server.Serve(l) }() // it ends by Close
}

// Close ends it at once.
func (m *Metrics) Close() { _ = m.server.Close() }
