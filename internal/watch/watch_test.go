package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dialtone/internal/result"
)

// A run that takes longer than the interval is not overlapped: the next begins when
// one is due after it.
func TestRunsDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var starts []time.Duration
		err := Run(ctx, Config{
			Every: 10 * time.Second,
			Test: func(context.Context) (*result.Report, error) {
				starts = append(starts, time.Since(began))
				if len(starts) == 4 {
					cancel()
				}
				if len(starts) == 2 {
					time.Sleep(25 * time.Second)
				}
				return &result.Report{}, nil
			},
			Compare: func(_, _ *result.Report) (*result.Comparison, error) { return &result.Comparison{}, nil },
			OnRun:   func(*result.Report, *result.Comparison) {},
		})
		if want := "[0s 10s 40s 50s]"; err != nil || fmt.Sprint(starts) != want {
			t.Errorf("%v, %v, want %s", err, starts, want)
		}
	})
}

// The first run's error is the command line's; what is interrupted is not told.
func TestOnlyWholeRunsAreTold(t *testing.T) {
	wrong := errors.New("wrong")
	if err := Run(t.Context(), Config{Every: time.Second, Test: func(context.Context) (*result.Report, error) { return nil, wrong }}); !errors.Is(err, wrong) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, Config{Every: time.Second, Test: func(context.Context) (*result.Report, error) { cancel(); return &result.Report{}, nil },
		OnRun: func(*result.Report, *result.Comparison) { t.Error("it was told") }})
	if err != nil {
		t.Error(err)
	}
}

func TestWhatIsAsItWasIsNotTold(t *testing.T) {
	ok, open, dropped := &result.PathState{OK: true, Verdict: result.Open}, &result.PathState{Verdict: result.Filtered}, &result.PathState{Verdict: result.Silent}
	for _, x := range []struct {
		change   result.Change
		old, now *result.PathState
		told     bool
	}{
		{result.ChangeStill, ok, ok, false}, {result.ChangeWorse, ok, open, true}, {result.ChangeBetter, open, ok, true},
		{result.ChangeBroken, open, open, false}, {result.ChangeBroken, open, dropped, true},
		{result.ChangeUnknown, ok, nil, true}, {result.ChangeUnknown, open, nil, false}, {result.ChangeUnknown, nil, nil, false}, {result.ChangeFirst, nil, open, true},
	} {
		d := &result.Comparison{Paths: []result.PathChange{{Change: x.change, Old: x.old, New: x.now}}}
		if got := len(Told(d)) == 1; got != x.told {
			t.Errorf("%s from %v to %v: told %v", x.change, x.old, x.now, got)
		}
	}
}

func reportOf(run string, failed int) *result.Report {
	return &result.Report{Schema: result.Schema, Run: run, Plan: "illiad", Started: result.TimeOf(time.Unix(1e9, 0)), Mode: result.ModePaths,
		Summary: result.Summary{OK: failed == 0, Counted: 3, Failed: failed}}
}

// Runs that end alike are one line; the file keeps to its bound whatever happens, and
// what was written is read again.
func TestHistoryIsBounded(t *testing.T) {
	h := NewHistory("illiad", "192.0.2.1")
	for range 50 {
		h.Add(reportOf("a", 0), nil)
	}
	if n := bytes.Count(h.Bytes(), []byte("\n")); n != 3 || !strings.Contains(string(h.Bytes()), `"runs":50`) {
		t.Errorf("%d lines: %s", n, h.Bytes())
	}
	change := result.PathChange{Flow: "sql-client", Change: result.ChangeWorse, New: &result.PathState{Finding: &result.Finding{Text: strings.Repeat("x", 1000)}}}
	for i := range 3000 {
		h.Add(reportOf(fmt.Sprint(i), 1), []result.PathChange{change})
	}
	b := h.Bytes()
	if len(b) > maxEvents+64<<10 || !bytes.Contains(b, []byte(`"run":"2999"`)) || bytes.Contains(b, []byte(`"run":"0"`)) {
		t.Errorf("%d bytes", len(b))
	}
	again := NewHistory("illiad", "192.0.2.1")
	if err := again.Read(b); err != nil || !bytes.Equal(again.Bytes(), b) {
		t.Errorf("read again: %v", err)
	}
	if got := again.Add(reportOf("new", 1), nil); len(got) != 1 || got[0].Runs != 1 {
		t.Errorf("a gap between two watches is not to be seen: %+v", got)
	}
}

func TestForeignHistoriesAreRefused(t *testing.T) {
	good := NewHistory("illiad", "192.0.2.1")
	good.Add(reportOf("a", 0), nil)
	other := NewHistory("illiad", "192.0.2.2")
	for text, want := range map[string]string{
		"hello":                                 "no history",
		`{"schema":"dialtone.report/1"}`:        "no history",
		string(other.Bytes()):                   "of another test: of 192.0.2.2",
		string(good.Bytes()) + "{\"at\n":        "line 4 is damaged",
		string(good.Bytes()[:good.size+100]):    "line 3 is damaged",
		string(good.Bytes()) + `{"report":"x"}`: "line 4 is damaged",
	} {
		err := NewHistory("illiad", "192.0.2.1").Read([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// What is asked beside the metrics gets nothing, and who holds more connections than
// there are places for is shown out.
func TestMetricsAreAllThatIsServed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var m Metrics
	m.Set([]byte("a 1\n"))
	m.Serve(l)
	defer m.Close()
	get := func(path string) (int, string) {
		r, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if code, body := get("/metrics"); code != 200 || body != "a 1\n" {
		t.Errorf("%d %q", code, body)
	}
	if code, _ := get("/"); code != 404 {
		t.Errorf("/: %d", code)
	}
	if r, err := http.Post("http://"+l.Addr().String()+"/metrics", "", nil); err != nil || r.StatusCode != 405 {
		t.Errorf("POST: %v %v", r, err)
	}
	http.DefaultClient.CloseIdleConnections()
	shown := make(chan struct{}, 2*maxConns)
	for range 2 * maxConns {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				shown <- struct{}{}
			}
		}()
	}
	<-shown // the first of them, for a later one
	if code, body := get("/metrics"); code != 200 || body != "a 1\n" {
		t.Errorf("while others hold on: %d %q", code, body)
	}
}
