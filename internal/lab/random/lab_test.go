package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/lab"
)

const root = "../../.."

func TestMain(m *testing.M) {
	help() // the oracle's parts run as this program
	os.Exit(m.Run())
}

// A kept seed is one that must be right. Its kinds are named, so that it draws
// the same when others are added.
type kept struct {
	kind string // "any": drawn, too
	seed uint64
}

func keptSeeds(t *testing.T) []kept {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "seeds.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all []kept
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		for _, s := range f[1:] {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				t.Fatalf("testdata/seeds.txt: %q: %v", line, err)
			}
			all = append(all, kept{f[0], n})
		}
	}
	return all
}

func TestKeptSeedsNameKinds(t *testing.T) {
	for _, k := range keptSeeds(t) {
		for _, one := range strings.Split(k.kind, "+") {
			if one != "any" && !slices.Contains(catalogueKinds(), one) {
				t.Errorf("testdata/seeds.txt: there is no kind %q", one)
			}
		}
	}
}

// TestSeeds plays the seeds of testdata/seeds.txt, and a long way beside them. One that is wrong is played
// again: side by side with others on a busy machine a run may be short of time.
// A wrong open is never excused.
func TestSeeds(t *testing.T) {
	lack := lab.Missing(root)
	if os.Getenv("DIALTONE_LAB") == "" {
		t.Skip("DIALTONE_LAB is not set: DIALTONE_LAB=1 go test ./internal/lab/random")
	}
	if len(lack) > 0 {
		t.Fatal("DIALTONE_LAB is set, but:\n  " + strings.Join(lack, "\n  "))
	}
	dir := t.TempDir()
	bin, err := lab.Build(t.Context(), root, dir)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	p := &player{options: options{root: root, scratch: dir, labs: 4, shrink: true}, bin: bin, self: self, stdout: &out, stderr: &progress}
	t.Cleanup(func() {
		if err := lab.Sweep(root, func(pid int) bool { return pid == os.Getpid() }); err != nil {
			t.Error(err)
		}
	})
	slots := make(chan struct{}, p.labs)
	var wg sync.WaitGroup
	wg.Go(func() { longWayIsOpen(t, p) })
	for _, k := range keptSeeds(t) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			kind, typed := k.kind, "--kind "+k.kind+" "
			if kind == "any" {
				kind, typed = "", ""
			}
			o := p.seed(t.Context(), draw(k.seed, kind))
			if o.err != nil {
				t.Error(o.err)
			}
			words := fmt.Sprintf("scripts/lab random %s--seed %d --count 1 --verbose: %s", typed, k.seed, o.trial)
			for _, w := range o.wrong {
				if o.small != nil || w.Class == wrongOpen {
					t.Errorf("%s\n  %s", words, w)
				} else {
					t.Logf("once, and not again: %s\n  %s", words, w)
				}
			}
		})
	}
	wg.Wait()
}

// longWayIsOpen plays round trips of 1.6 s: the system sends every SYN twice, and what
// is said on a connection takes most of a step's time. That is no fault.
func longWayIsOpen(t *testing.T, p *player) {
	c := trial{Seed: 1, Topology: topology{Delay: 800 * time.Millisecond}}
	f, err := p.play(t.Context(), c)
	if err != nil {
		t.Error(err)
		return
	}
	for _, w := range judge(c, f) {
		t.Errorf("a long way: %s", w)
	}
	isOfLoss := func(n struct{ Code, Text string }) bool { return n.Code == "lossy" || n.Code == "retried" }
	for _, path := range f.Report.Paths {
		if path.Verdict != "open" || slices.ContainsFunc(path.Notes, isOfLoss) {
			t.Errorf("a long way: %s %s is %s: %+v", path.Direction, path.Flow, path.Verdict, path.Notes)
		}
	}
	if f.Exit != 0 || len(f.Report.Paths) == 0 || len(f.Report.Findings) > 0 {
		t.Errorf("a long way: exit %d, %d paths, %+v", f.Exit, len(f.Report.Paths), f.Report.Findings)
	}
}
