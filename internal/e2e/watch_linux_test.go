package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A path that stops working between two runs becomes one event, a metric that changes,
// and a line of the history, which the next watch goes on from.
func TestWatchTellsWhatChanges(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("127.78.9.1")
	listen, _ := listening(t, at, `exec "$@"`)
	dir := t.TempDir()
	history := filepath.Join(dir, "history.jsonl")
	w := watching(t, dir, at, history)
	w.until(t, "1 of 1 required paths are ok")
	if got := w.metrics(t); !strings.Contains(got, `dialtone_path_ok{flow="sql-client"`) || !strings.Contains(got, "\ndialtone_run_ok{plan=\"illiad\",target=\"127.78.9.1\"} 1\n") {
		t.Errorf("metrics: %s", got)
	}
	if err := listen.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = listen.Wait()
	w.until(t, "0 of 1 required paths are ok")
	for end := time.Now().Add(patience); !strings.Contains(w.metrics(t), "\ndialtone_run_ok{plan=\"illiad\",target=\"127.78.9.1\"} 0\n"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("metrics: %s", w.metrics(t))
		}
	}
	told := w.metrics(t)
	if !strings.Contains(told, "dialtone_watch_changes_total{change=\"worse\"} 1\n") || strings.Contains(told, soakKey) {
		t.Errorf("metrics: %s", told)
	}
	checkMetrics(t, told)
	w.end(t, syscall.SIGTERM)
	if said := w.said(); strings.Count(said, "sql-client, was open, is refused") != 1 {
		t.Errorf("no, or more than one, event: %s", said)
	}
	checkHistory(t, history)

	// What changes while nobody watches is told by the next.
	listen, _ = listening(t, at, `exec "$@"`)
	defer func() { _ = listen.Kill() }()
	w = watching(t, t.TempDir(), at, history)
	w.until(t, "sql-client, was refused, is open")
	w.end(t, syscall.SIGHUP)
	checkHistory(t, history)
}

// Whatever ends it, in the middle of a run, twice, or at once, its history is whole.
func TestWatchLeavesItsHistoryWhole(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("127.78.9.5")
	listen, _ := listening(t, at, `exec "$@"`)
	defer func() { _ = listen.Kill() }()
	history := filepath.Join(t.TempDir(), "history.jsonl")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		w := watching(t, t.TempDir(), at, history)
		w.until(t, "1 of 1 required paths are ok")
		_ = w.cmd.Process.Signal(sig)
		w.end(t, sig)
		checkHistory(t, history)
	}
}

type watch struct {
	cmd  *exec.Cmd
	outs [2]string // files of standard output and error
}

// watching starts dial watch.
func watching(t *testing.T, dir string, at netip.Addr, history string) *watch {
	t.Helper()
	w := &watch{cmd: exec.Command("env", "--default-signal=HUP", filepath.Join(programs, "dial"), "watch", "--bind", at.Next().String(), "--port-shift", strconv.Itoa(troubleShift),
		"--only", "sql-client", "--every", "1s", "--jitter", "0s", "--history", history, "--metrics", "0", at.String())}
	w.cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	for i, to := range []*io.Writer{&w.cmd.Stdout, &w.cmd.Stderr} {
		w.outs[i] = filepath.Join(dir, strconv.Itoa(i))
		f, err := os.Create(w.outs[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		*to = f
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	return w
}

func (w *watch) said() string {
	out, _ := os.ReadFile(w.outs[0])
	errs, _ := os.ReadFile(w.outs[1])
	return string(out) + string(errs)
}

func (w *watch) until(t *testing.T, words string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(w.said(), words); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q: %s", words, w.said())
		}
	}
}

func (w *watch) metrics(t *testing.T) string {
	t.Helper()
	r, err := http.Get(regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`).FindString(w.said()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// end tells it to end, and waits until it does.
func (w *watch) end(t *testing.T, sig syscall.Signal) {
	t.Helper()
	_ = w.cmd.Process.Signal(sig)
	ended := make(chan error, 1)
	go func() { ended <- w.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("%v: it goes on: %s", sig, w.said())
	}
}

// checkHistory reads a history as its form is: lines of JSON, the first of which says
// what it is, and the last has the newest report.
func checkHistory(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	for _, line := range lines {
		if !json.Valid(line) {
			t.Errorf("no whole line: %q", line)
		}
	}
	if !bytes.HasPrefix(b, []byte(`{"schema":"dialtone.history/1"`)) || !bytes.HasPrefix(lines[len(lines)-1], []byte(`{"report":{`)) || bytes.Contains(b, []byte(soakKey)) {
		t.Errorf("history: %s", b)
	}
}

// promtool is Prometheus' own tool.
func promtool(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"promtool", "/opt/dialtone-peers/usr/bin/promtool"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("DIALTONE_PEERS") != "" {
		t.Fatal("no promtool, and DIALTONE_PEERS is set")
	}
	t.Log("no promtool here: scripts/test unpacks Debian's package prometheus")
	return ""
}

// checkMetrics has Prometheus' own tool look at what was really answered.
func checkMetrics(t *testing.T, metrics string) {
	t.Helper()
	tool := promtool(t)
	if tool == "" {
		return
	}
	c := exec.Command(tool, "check", "metrics")
	c.Stdin = strings.NewReader(metrics)
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s\n%s", err, out, metrics)
	}
}

// The alert rules of the documents are right by Prometheus' own tool, and fire when
// they are to.
func TestAlertRulesFire(t *testing.T) {
	tool := promtool(t)
	if tool == "" {
		t.Skip("no promtool")
	}
	docs := filepath.Join("..", "..", "docs", "prometheus")
	for _, args := range [][]string{{"check", "rules", filepath.Join(docs, "alerts.yml")}, {"test", "rules", filepath.Join(docs, "alerts_test.yml")}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// The dashboard asks in Prometheus' own language, for what the programs really write.
func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "prometheus", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil || len(d.Panels) == 0 {
		t.Fatalf("%d panels, %v", len(d.Panels), err)
	}
	source, err := os.ReadFile(filepath.Join("..", "report", "prometheus.go"))
	if err != nil {
		t.Fatal(err)
	}
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for _, p := range d.Panels {
		for i, q := range p.Targets {
			for _, name := range regexp.MustCompile(`dialtone_[a-z_]+`).FindAllString(q.Expr, -1) {
				if !bytes.Contains(source, []byte(strconv.Quote(name))) {
					t.Errorf("%s: there is no %s", p.Title, name)
				}
			}
			rules += "  - record: " + regexp.MustCompile(`[^a-z]`).ReplaceAllString(strings.ToLower(p.Title), "_") + strconv.Itoa(i) + "\n    expr: " + strconv.Quote(q.Expr) + "\n"
		}
	}
	tool := promtool(t)
	if tool == "" {
		t.Skip("no promtool")
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// The shipped unit is one that systemd reads without complaint, holds back what it is
// said to, and runs a command line that dial takes.
func TestTheShippedWatchUnitIsRight(t *testing.T) {
	name := filepath.Join("..", "..", "docs", "systemd", "dialtone-watch.service")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindSubmatch(b)
	if command == nil {
		t.Fatal("it starts nothing")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(soakKey), 0o600); err != nil {
		t.Fatal(err)
	}
	words := strings.NewReplacer("${CREDENTIALS_DIRECTORY}", dir, "${STATE_DIRECTORY}", dir, "$DIALTONE_WATCH", "--every 0s 127.78.9.9").Replace(string(command[1]))
	args := strings.Fields(words)
	// It is refused for what is wrong on purpose, and for nothing before that.
	if out, err := exec.Command(filepath.Join(programs, "dial"), args[1:]...).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("--every 0s")) {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatal(err)
		}
		t.Skip("no systemd-analyze here")
	}
	unit := filepath.Join(dir, filepath.Base(name)) // it looks for the program
	if err := os.WriteFile(unit, bytes.Replace(b, []byte(args[0]), []byte(filepath.Join(programs, "dial")), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{{"verify"}, {"security", "--offline=yes", "--no-pager", "--threshold=17"}} { // 1.7
		out, err := exec.Command(analyze, append(more, unit)...).CombinedOutput()
		if err != nil || more[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %v: %v\n%s", more, err, out)
		}
	}
}
