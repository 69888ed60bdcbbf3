package lab

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"dialtone/internal/result"
)

const root = "../.."

// enough is how many scenarios run side by side: they mostly wait.
const enough = "10"

func TestMain(m *testing.M) {
	if files := strings.Split(os.Getenv(consortiumEnv), "\n"); len(files) == 3 {
		if err := beMembers(files[0], files[1], files[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", enough)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		building.Lock() // for good: no lab is begun any more
		_ = Sweep(root, func(pid int) bool { return pid == os.Getpid() })
		if scratch != "" {
			_ = os.RemoveAll(scratch)
		}
		os.Exit(130)
	}()
	code := m.Run()
	if scratch != "" {
		_ = os.RemoveAll(scratch)
	}
	os.Exit(code)
}

// needLab skips the test unless labs were asked for, and fails it if they were
// and this machine cannot build them.
func needLab(t *testing.T) {
	t.Helper()
	lack := Missing(root)
	if os.Getenv("DIALTONE_LAB") == "" {
		lack = append(lack, "DIALTONE_LAB is not set: DIALTONE_LAB=1 go test ./internal/lab")
		t.Skip(strings.Join(lack, "; "))
	}
	if len(lack) > 0 {
		t.Fatal("DIALTONE_LAB is set, but:\n  " + strings.Join(lack, "\n  "))
	}
	sweepOnce.Do(func() {
		err := Sweep(root, func(pid int) bool { return !running(pid) })
		if err != nil {
			t.Log(err)
		}
	})
}

func running(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}

var (
	sweepOnce sync.Once
	building  sync.RWMutex // read-locked while a lab is built
	labs      atomic.Int64
	scratch   string
)

// up builds a lab that goes down with the test.
func up(t *testing.T) *Lab {
	t.Helper()
	building.RLock()
	l, err := Up(t.Context(), root, NameFor(os.Getpid(), int(labs.Add(1))))
	building.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// binaries builds listen and dial once for all tests.
var binaries = sync.OnceValues(func() (Binaries, error) {
	dir, err := os.MkdirTemp("", "dialtone-lab-")
	if err != nil {
		return Binaries{}, err
	}
	scratch = dir
	return Build(context.Background(), root, dir)
})

// TestScenarios plays every file in scenarios/, or the one that -run names:
// go test ./internal/lab -run TestScenarios/sql-dropped -v
func TestScenarios(t *testing.T) {
	needLab(t)
	all, err := Load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	var total tally
	t.Cleanup(func() { t.Log(total.String()) })
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			var run Run
			var j Judgement
			var err error
			again := twice(t, func() (wrong []string, chance bool) {
				dir := t.TempDir() // outlives the lab, and whatever still writes there
				if run, err = Play(t.Context(), up(t), bin, s, dir); err != nil {
					j = Judgement{Wrong: []string{err.Error()}}
				} else {
					j = Judge(s, run)
				}
				if len(j.Wrong) > 0 {
					t.Logf("The report:\n%s\nWhat the programs said:\n%s%s", run.Text, run.Log, connectionsOf(run.Report.Paths, j))
				}
				return j.Wrong, j.FalseOpens() == 0
			})
			if again {
				total.again.Add(1)
			}
			total.add(j)
			if err != nil {
				t.Fatal(err)
			}
			if len(j.Wrong) > 0 {
				t.Errorf("%s\n\n  %s", s.About, strings.Join(j.Wrong, "\n  "))
			}
		})
	}
}

// connectionsOf tells of the paths that were judged wrongly what each connection came to.
func connectionsOf(paths []result.Path, j Judgement) string {
	var b strings.Builder
	for i, judged := range j.Paths {
		if judged.Got != judged.Want {
			told, err := json.Marshal(paths[i].Initiator.Connections)
			fmt.Fprintf(&b, "%s: %s %v\n", judged.Path, told, err)
		}
	}
	return b.String()
}

// playing is read-locked while a scenario is played beside others, and locked
// while one is played alone.
var playing sync.RWMutex

// twice plays a scenario beside others and, if something is wrong that leaves it
// a chance, again alone: the others take its time, on a machine that may be busy
// besides, and what is wrong is wrong alone, too. A false open has no chance.
func twice(t *testing.T, play func() (wrong []string, chance bool)) (again bool) {
	t.Helper()
	wrong, chance := func() ([]string, bool) {
		playing.RLock()
		defer playing.RUnlock()
		return play()
	}()
	if len(wrong) == 0 || !chance {
		return false
	}
	t.Logf("wrong beside others, played again alone: %s", strings.Join(wrong, "; "))
	playing.Lock()
	defer playing.Unlock()
	play()
	return true
}

// A tally sums up scenarios that ran side by side.
type tally struct {
	mu                                  sync.Mutex
	scenarios, right, paths, falseOpens int
	again                               atomic.Int64 // played a second time, alone
	matrix                              map[[2]result.Verdict]int
}

func (c *tally) add(j Judgement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scenarios++
	if len(j.Wrong) == 0 {
		c.right++
	}
	c.paths += len(j.Paths)
	c.falseOpens += j.FalseOpens()
	if c.matrix == nil {
		c.matrix = map[[2]result.Verdict]int{}
	}
	for _, p := range j.Paths {
		c.matrix[[2]result.Verdict{p.Want, p.Got}]++
	}
}

func (c *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d scenarios right, %d paths judged, %d false open; %d of them played again alone\n", c.right, c.scenarios, c.paths, c.falseOpens, c.again.Load())
	for _, want := range result.Verdicts {
		for _, got := range result.Verdicts {
			if n := c.matrix[[2]result.Verdict{want, got}]; n > 0 {
				remark := ""
				if want != got {
					remark = "  WRONG"
				}
				fmt.Fprintf(&b, "  %-16s judged %-16s %4d%s\n", want, got, n, remark)
			}
		}
	}
	return b.String()
}

func TestALabLeavesNothingBehind(t *testing.T) {
	needLab(t)
	name := NameFor(os.Getpid(), int(labs.Add(1)))
	l, err := Up(t.Context(), root, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"server4.lab", "server6.lab", "peer.lab"} {
		if out, err := l.Command(t.Context(), "client", "ncat", "-v", "-z", "-w", "2", to, "7968").CombinedOutput(); err == nil {
			t.Errorf("something listens on %s: %s", to, out)
		} else if !strings.Contains(string(out), "refused") {
			t.Errorf("%s is not reachable: %s", to, out)
		}
	}
	left := l.Command(t.Context(), "server", "sleep", "600")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	if err := left.Wait(); err == nil {
		t.Error("a program in the lab outlived it")
	}
	for _, place := range []string{"/run/netns", "/etc/netns"} {
		if rest, _ := filepath.Glob(filepath.Join(place, name+"-*")); rest != nil {
			t.Errorf("left behind: %v", rest)
		}
	}
	if err := l.Down(); err != nil {
		t.Errorf("taking it down twice: %v", err)
	}
}

func TestLabRunPassesOnTheExitStatusAndCleansUp(t *testing.T) {
	needLab(t)
	name := NameFor(os.Getpid(), int(labs.Add(1)))
	cmd := exec.CommandContext(t.Context(), scriptIn(root), "run", "-n", name, "client", "sh", "-c", "cat; exit 7")
	cmd.Stdin = strings.NewReader("input")
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 7 || string(out) != "input" {
		t.Errorf("output %q, %v; want input and status 7", out, err)
	}
	if rest, _ := filepath.Glob("/run/netns/" + name + "-*"); rest != nil {
		t.Errorf("left behind: %v", rest)
	}
}

func TestLabScriptKnowsTheSameNodes(t *testing.T) {
	script, err := os.ReadFile(scriptIn(root))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(script), "\nnodes=(")
	line, _, _ := strings.Cut(after, ")")
	got := strings.Fields(line)
	want := slices.Clone(Nodes)
	slices.Sort(got)
	slices.Sort(want)
	if !ok || !slices.Equal(got, want) {
		t.Errorf("scripts/lab has nodes %v, this package %v", got, want)
	}
}
