package watch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"dialtone/internal/clean"
	"dialtone/internal/result"
)

// schema names the form of a history: a line that says so, one for each event, and
// the newest report on the last.
const schema = "dialtone.history/1"

// MaxHistory is the most that a history may have, in bytes; maxEvents is what its
// events may: the older are dropped.
const (
	MaxHistory = maxEvents + result.MaxReport + 1<<10
	maxEvents  = 1 << 20
)

// Errors of a file that is no history, or none of this test.
var (
	ErrForeign = errors.New("this is no history of dial watch")
	ErrOther   = errors.New("this is the history of another test")
)

type header struct {
	Schema string `json:"schema"`
	Plan   string `json:"plan"`
	To     string `json:"to"` // the host that is tested
}

// A History is what changed, and the newest report. It is written whole each time.
type History struct {
	head   header
	events [][]byte // lines
	size   int      // of events
	runs   Event    // the last event, if it is of runs of this watch
	Report *result.Report
}

// NewHistory returns an empty history of a test.
func NewHistory(plan, to string) *History { return &History{head: header{schema, plan, to}} }

// Read reads what Bytes returned, for the same test. The error is ErrForeign, ErrOther,
// or says which line is damaged.
func (h *History) Read(b []byte) error {
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	var head header
	if json.Unmarshal(lines[0], &head) != nil || head.Schema != schema {
		return ErrForeign
	}
	if head != h.head {
		return fmt.Errorf("%w: of %s, plan %s", ErrOther, clean.Line(head.To, 80), clean.Line(head.Plan, 80))
	}
	for i, line := range lines[1:] {
		var e Event
		var last struct {
			Report json.RawMessage `json:"report"`
		}
		if json.Unmarshal(line, &e) != nil || json.Unmarshal(line, &last) != nil {
			return fmt.Errorf("line %d is damaged", i+2)
		}
		if last.Report == nil {
			h.add(line)
			continue
		}
		var err error
		if h.Report, err = result.ParseReport(last.Report, result.MaxReport); err != nil {
			return fmt.Errorf("line %d is damaged: %w", i+2, err)
		}
	}
	return nil
}

func (h *History) add(line []byte) {
	h.events = append(h.events, line)
	h.size += len(line)
	for h.size > maxEvents {
		h.size -= len(h.events[0])
		h.events = h.events[1:]
	}
}

// Add adds a run and what changed, and returns the events that are new: a run that
// ends as the one before it did, with nothing changed, is counted there.
func (h *History) Add(r *result.Report, changes []result.PathChange) []Event {
	var out []Event
	for _, x := range changes {
		out = append(out, Event{At: r.Started, Run: r.Run, OK: r.Summary.OK, Counted: r.Summary.Counted, Failed: r.Summary.Failed, Path: &x})
	}
	now := Event{At: r.Started, Run: r.Run, Runs: 1, Until: r.Started, OK: r.Summary.OK, Counted: r.Summary.Counted, Failed: r.Summary.Failed}
	if was := h.runs; was.Runs > 0 && len(h.events) > 0 && len(out) == 0 && was.OK == now.OK && was.Counted == now.Counted && was.Failed == now.Failed {
		was.Runs, was.Until = was.Runs+1, now.Until
		h.size -= len(h.events[len(h.events)-1])
		h.events = h.events[:len(h.events)-1]
		now = was
	} else {
		out = append(out, now)
	}
	for _, e := range out {
		if e.Path != nil {
			h.add(Line(e))
		}
	}
	h.add(Line(now))
	h.runs, h.Report = now, r
	return out
}

// Line is an event as a line of JSON, without its end.
func Line(e Event) []byte { return compact(e) }

// compact is a document on one line.
func compact(v any) []byte {
	b, err := result.Encode(v)
	var out bytes.Buffer
	if err != nil || json.Compact(&out, b) != nil {
		return []byte("{}") // nothing here cannot be marshalled
	}
	return out.Bytes()
}

// Bytes is the whole history.
func (h *History) Bytes() []byte {
	var b bytes.Buffer
	b.Write(append(compact(h.head), '\n'))
	for _, line := range h.events {
		b.Write(append(line[:len(line):len(line)], '\n'))
	}
	if h.Report != nil {
		b.Write(append(compact(map[string]any{"report": h.Report}), '\n'))
	}
	return b.Bytes()
}
