package e2e

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// withClock builds the programs with a wall clock that DIALTONE_CLOCK sets back and forth,
// as the system's may be set for all programs alone, and has the tests run those. What
// Go measures by (its monotonic reading) is the system's own.
func withClock(t *testing.T) {
	t.Helper()
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	src, err := os.ReadFile(at)
	if err != nil || strings.Count(string(src), now) != 1 {
		t.Fatalf("time.Now of %s is not as it was: %v", at, err)
	}
	dir := t.TempDir()
	set := filepath.Join(dir, "time.go")
	jumps, err := filepath.Abs(filepath.Join("testdata", "clock", "jumps.go.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(set, []byte(strings.Replace(string(src), now, now+"\tsec += jumped(mono - startNano)\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {at: set, filepath.Join(filepath.Dir(at), "jumps.go"): jumps}})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", dir, "./cmd/listen", "./cmd/dial")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before := programs
	programs = dir
	t.Cleanup(func() { programs = before })
}

// While the clock of either machine, or of both, goes back and forth by hours, and by
// some seconds, every path is told as it is told else: what arrived and got no answer,
// what never arrived, what was rejected, and what is open.
func TestClockThatGoesBackAndForthChangesNoVerdict(t *testing.T) {
	if !hasTime() {
		t.Skip("builds Go's library anew: with DIALTONE_SOAK only")
	}
	if !inNetwork(t, "2001:db8::/32") {
		return
	}
	withClock(t)
	nft := exec.CommandContext(t.Context(), "nft", "-f", "-")
	nft.Stdin = strings.NewReader(`table inet faults {
	chain arriving {
		type filter hook input priority 0
		tcp dport 11533 tcp flags & (syn | ack) == syn drop
		tcp dport 10489 reject with icmp type host-prohibited
	}
	chain leaving {
		type filter hook output priority 0
		tcp sport 14600 tcp flags & (syn | ack) == (syn | ack) drop
	}
}`)
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	var usual told
	for i, c := range []struct{ name, listen, dial string }{
		{"nobody's", "", ""},
		{"dial's", "", "700:0,-3600,0,3600"},
		{"dial's by seconds", "", "1500:0,-7,3,-2"},
		{"listen's", "700:0,-3600,0,3600", ""},
		{"both", "900:0,7200,-86400", "1100:0,-3600,40"},
	} {
		at := netip.AddrFrom4([4]byte{127, 78, 6, byte(1 + i)})
		t.Setenv("DIALTONE_CLOCK", c.listen)
		_, _ = listening(t, at, `exec "$@"`)
		t.Setenv("DIALTONE_CLOCK", c.dial)
		got := fullRun(t, at)
		if i == 0 {
			usual = got
			for path, v := range map[string]string{"sql-client forward ip4": "filtered", "patronapi forward ip4": "reply-lost", "ldap forward ip4": "rejected", "odyssey-client forward ip4": "open"} {
				if got.verdicts[path] != v {
					t.Fatalf("%s is %s, want %s: %v", path, got.verdicts[path], v, got.why[path])
				}
			}
			continue
		}
		t.Logf("%s clock: %d paths, findings %v", c.name, len(got.verdicts), got.findings)
		asUsual(t, usual, got)
	}
}
