package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/clean"
	"dialtone/internal/result"
)

// A metric is one name of the text that Prometheus reads.
type metric struct {
	name, help string
	kind       string // "": gauge
	samples    []sample
}

type sample struct {
	labels string // "": none
	value  float64
}

// renderPrometheus writes a report in Prometheus' text format, version 0.0.4, as the
// textfile collector of node_exporter takes it: names in base units, and no sample
// where nothing is known. Whether a path was tested is a metric of its own, so that
// "not known" is not 0.
func renderPrometheus(r *result.Report, _ Options) ([]byte, error) {
	return writeMetrics(metricsOf(r)), nil
}

// Watched is what is known of a test that is repeated, beside its newest report.
type Watched struct {
	Every   time.Duration         // from the beginning of one run to that of the next
	Runs    int                   // that ended by themselves
	Changes map[result.Change]int // of paths, that were told
	NotKept int                   // times that the history could not be written
}

// RenderWatched writes what Prometheus is told of a repeated test: the newest report
// in the form of its file, if there is one yet (nil: none), and the test itself.
func RenderWatched(r *result.Report, w Watched) []byte {
	var all []metric
	if r != nil {
		all = metricsOf(r)
	}
	count := func(name, help string, n int) metric {
		return metric{name: name, help: help, kind: "counter", samples: []sample{{value: float64(n)}}}
	}
	changes := metric{name: "dialtone_watch_changes_total", help: "What became of paths from one run to the next, by dial compare's words.", kind: "counter"}
	for _, c := range []result.Change{result.ChangeWorse, result.ChangeBetter, result.ChangeUnknown, result.ChangeFirst, result.ChangeBroken} {
		changes.samples = append(changes.samples, sample{labelSet("change", string(c)), float64(w.Changes[c])})
	}
	return writeMetrics(append(all,
		metric{name: "dialtone_watch_interval_seconds", help: "How often the test is repeated.", samples: []sample{{value: w.Every.Seconds()}}},
		count("dialtone_watch_runs_total", "Runs that ended by themselves.", w.Runs), changes,
		count("dialtone_watch_history_errors_total", "Times that the history could not be written.", w.NotKept)))
}

func metricsOf(r *result.Report) []metric {
	var (
		build  = metric{name: "dialtone_build_info", help: "The program that tested; always 1."}
		start  = metric{name: "dialtone_run_start_timestamp_seconds", help: "When the test began, in seconds since 1970."}
		took   = metric{name: "dialtone_run_duration_seconds", help: "How long the test took."}
		ok     = metric{name: "dialtone_run_ok", help: "1 if every required path works and the test was not interrupted, else 0."}
		cut    = metric{name: "dialtone_run_interrupted", help: "1 if the test was stopped before every path was judged."}
		counts = metric{name: "dialtone_required_paths", help: "Required paths, by whether they work: ok, broken or untested."}
		tested = metric{name: "dialtone_path_tested", help: "1 if the path was tried, 0 if not: then nothing is known of it."}
		works  = metric{name: "dialtone_path_ok", help: "1 if the path is as it should be, 0 if not; absent if it was not tried."}
		state  = metric{name: "dialtone_path_verdict_info", help: "The verdict on the path, as a label; always 1."}
		rtt    = metric{name: "dialtone_path_rtt_seconds", help: "Round trip of the proof."}
		expiry = metric{name: "dialtone_certificate_not_after_timestamp_seconds", help: "Until when the certificate of real software is valid, in seconds since 1970."}
	)
	run := labelSet("plan", r.Plan, "target", r.To.Host)
	one := func(m *metric, labels string, value float64) { m.samples = append(m.samples, sample{labels, value}) }
	one(&build, labelSet("version", r.Tool), 1)
	if !r.Started.IsZero() {
		one(&start, run, float64(r.Started.UnixMilli())/1000)
	}
	one(&took, run, float64(r.ElapsedMS)/1000)
	one(&ok, run, bit(r.Summary.OK && !r.Interrupted))
	one(&cut, run, bit(r.Interrupted))
	c := count(r)
	for _, x := range []struct {
		state string
		n     int
	}{{"ok", c.ok}, {"broken", len(c.broken)}, {"untested", len(c.untested)}} {
		one(&counts, labelSet("plan", r.Plan, "target", r.To.Host, "state", x.state), float64(x.n))
	}
	for _, p := range distinct(r) {
		labels := pathLabels(r, p)
		was := p.Verdict != result.Untested
		one(&tested, labelSet(labels...), bit(was))
		one(&state, labelSet(append(labels, "verdict", string(p.Verdict))...), 1)
		if was {
			one(&works, labelSet(labels...), bit(p.OK))
		}
		if p.RTTMS != nil {
			one(&rtt, labelSet(labels...), *p.RTTMS/1000)
		}
		if p.Initiator == nil || p.Initiator.Conversation == nil || p.Initiator.Conversation.Keyed {
			continue
		}
		if until, err := time.Parse(time.RFC3339, p.Initiator.Conversation.Fact("not after")); err == nil {
			one(&expiry, labelSet(labels...), float64(until.Unix()))
		}
	}
	return []metric{build, start, took, ok, cut, counts, tested, works, state, rtt, expiry}
}

func writeMetrics(all []metric) []byte {
	var b strings.Builder
	for _, m := range all {
		if len(m.samples) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, cmp.Or(m.kind, "gauge"))
		for _, s := range m.samples {
			fmt.Fprintf(&b, "%s%s %s\n", m.name, s.labels, strconv.FormatFloat(math.Round(s.value*1e6)/1e6, 'f', -1, 64))
		}
	}
	return []byte(b.String())
}

// pathLabels name a path so that the series stays the same from run to run: nothing
// in them is drawn by the system.
func pathLabels(r *result.Report, p *result.Path) []string {
	host := r.To.Host
	if p.Host != "" {
		host = p.Host
	}
	return []string{
		"flow", p.Flow, "direction", string(p.Direction), "family", string(p.Family), "transport", string(p.Transport), "port", strconv.Itoa(p.PlanPort),
		"target", host, "address", p.Address.String(), "required", strconv.FormatBool(p.Counted),
	}
}

// distinct are the paths, one for each set of labels, since no two samples may have
// the same: of several the one that is not ok.
func distinct(r *result.Report) []*result.Path {
	var out []*result.Path
	at := map[string]int{}
	for i := range r.Paths {
		p := &r.Paths[i]
		key := strings.Join(pathLabels(r, p), "\x00")
		n, ok := at[key]
		switch {
		case !ok:
			at[key] = len(out)
			out = append(out, p)
		case out[n].OK && !p.OK:
			out[n] = p
		}
	}
	return out
}

// labelSet writes names and values in turn as Prometheus has them. An empty value is
// the same as no label.
func labelSet(pairs ...string) string {
	var out []string
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			out = append(out, pair[0]+`="`+labelEscapes.Replace(clean.Line(pair[1], maxCell))+`"`)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "{" + strings.Join(out, ",") + "}"
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
