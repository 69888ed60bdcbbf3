package watch

import (
	"bytes"
	"testing"
	"time"

	"dialtone/internal/result"
)

// FuzzHistory: whatever a history's file holds is read within its bounds, or refused, and
// what was read is written so that it reads the same.
func FuzzHistory(f *testing.F) {
	h := NewHistory("illiad", "server.example")
	h.Add(&result.Report{Schema: result.Schema, Run: "1", Started: result.TimeOf(time.Unix(1e9, 0)), Plan: "illiad", Mode: result.ModePaths}, nil)
	f.Add(h.Bytes())
	f.Add(NewHistory("illiad", "server.example").Bytes())
	f.Add([]byte(`{"schema":"dialtone.history/1","plan":"other","to":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := NewHistory("illiad", "server.example")
		if h.Read(b) != nil {
			return
		}
		if h.size > maxEvents {
			t.Errorf("%d bytes of events", h.size)
		}
		written, again := h.Bytes(), NewHistory("illiad", "server.example")
		if err := again.Read(written); err != nil || !bytes.Equal(again.Bytes(), written) {
			t.Errorf("%v:\n%s\n%s", err, written, again.Bytes())
		}
	})
}
