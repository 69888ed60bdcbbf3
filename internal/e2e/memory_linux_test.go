package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
)

// growing are reports of so many bytes that would become much more in memory, by what
// is said of them; "": nothing, they are just within the bounds.
func growing(size int) map[string]string {
	const head = `{"schema":"dialtone.report/1","run":"x","mode":"paths",`
	fill := func(before, unit, after string) string {
		return head + before + strings.Repeat(unit, (size-len(head)-len(before)-len(after))/len(unit)) + after
	}
	path := `{"flow":"a","verdict":"open","direction":"forward","transport":"tcp","family":"ip4","expect":"open","proof":"keyed","initiator":{"connections":[` + strings.Repeat("{},", size/64/4096-4) + "{}]}}"
	const n = 4096 // with their connections nearly as many objects as there may be
	return map[string]string{
		"too many paths":       fill(`"paths":[{}`, `,{}`, `]}`),
		"too many connections": fill(`"paths":[{"initiator":{"connections":[{}`, `,{}`, `]}}]}`),
		"too many findings":    fill(`"findings":[null`, `,null`, `]}`),
		"objects and lists":    fill(`"x":`, `[`, ``),
		"and no report has":    fill(`"x":{"a":0`, `,"a":0`, `}}`),
		"":                     head + `"paths":[` + strings.Repeat(path+",", n-1) + path + `]}`,
	}
}

// A report of a few KB that would grow to gigabytes is refused, several at once, and
// listen stays below 300 MB.
func TestDeliveriesThatWouldGrowTakeLittleMemory(t *testing.T) {
	at := netip.MustParseAddr("127.78.5.1")
	listen, said := listening(t, at, `exec "$@"`)
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	for want, report := range growing(4 << 20) {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write([]byte(report)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		for range 4 {
			all.Go(func() {
				conn, err := net.Dial("tcp", netip.AddrPortFrom(at, 1433+troubleShift).String())
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				c, err := echo.Prove(ctx, conn, echo.Ask{Key: key, Run: echo.NewID(), Probe: echo.NewID(), Flow: "sql-client"})
				if err != nil {
					t.Error(err)
					return
				}
				var refused *echo.RefusedError
				_, err = c.Deliver(ctx, echo.Delivery{Report: packed.Bytes()})
				switch {
				case want == "" && err != nil:
					t.Errorf("%d bytes that are a report: %v", packed.Len(), err)
				case want != "" && (!errors.As(err, &refused) || !strings.Contains(refused.Reason, want)):
					t.Errorf("%d bytes: %v, want …%s…", packed.Len(), err, want)
				}
			})
		}
	}
	all.Wait()
	peak := memory(t, listen.Pid, "VmHWM")
	t.Logf("listen took %d MiB at most", peak)
	if peak > 300*1000*1000>>20 {
		t.Errorf("it took %d MiB", peak)
	}
	if strings.Contains(said(), "panic") {
		t.Error(said())
	}
}

// peakOf is the most memory that a process takes until it ends, MiB, but for what it
// takes in its last moment. What the system tells of a process that has ended begins
// with what its parent had (getrusage(2)).
func peakOf(pid int) (peak int) {
	for {
		n, err := memoryOf(pid, "VmHWM")
		if err != nil { // it has no memory any more
			return peak
		}
		peak = max(peak, n)
		time.Sleep(time.Millisecond)
	}
}

// A file of 16 MB that would grow to gigabytes is refused, and so are several that do
// together; dial merge stays below 500 MB.
func TestMergedFilesThatWouldGrowTakeLittleMemory(t *testing.T) {
	dir := t.TempDir()
	largest := 0
	for want, report := range growing(result.MaxReport) {
		var names []string
		for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			if want != "" && len(names) == 2 {
				break // the first is refused
			}
			name := filepath.Join(dir, strings.ReplaceAll(want, " ", "-")+n+".json")
			if err := os.WriteFile(name, []byte(strings.Replace(report, `"run":"x"`, `"run":"`+n+`"`, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		for _, n := range slices.Compact([]int{2, len(names)}) {
			some := names[:n]
			cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "dial"), append([]string{"merge", "--format", "json"}, some...)...)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			peak := peakOf(cmd.Process.Pid) // which is no other's until it is waited for
			err := cmd.Wait()
			if peak == 0 {
				t.Error("its memory was not seen")
			}
			largest = max(largest, peak)
			if peak > 500*1000*1000>>20 {
				t.Errorf("%d files, %s: %d MiB", len(some), want, peak)
			}
			var exit *exec.ExitError
			want := want
			if len(some) > 2 {
				want = "give fewer files at a time"
			}
			if want != "" && (!errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(errs.String(), want)) || strings.Contains(errs.String(), "panic") {
				t.Errorf("%d files: %v, %.500s, want …%s…", len(some), err, errs.Bytes(), want)
			}
			t.Logf("%d files of %d KB: %v, %d MiB: %.120s", len(some), len(report)>>10, err, peak, errs.Bytes())
		}
	}
	t.Logf("dial merge took %d MiB at most", largest)
}
