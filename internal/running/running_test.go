package running

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// here is a place for a test's records alone.
func here(t *testing.T) Place {
	t.Helper()
	dir := t.TempDir()
	return Place{dir, []string{dir}}
}

func record(pid int) Record {
	return Record{
		PID: pid, User: "ann", Started: time.Date(2026, 3, 17, 14, 0, 0, 0, time.UTC), Tag: "1f2e", Network: Network(),
		Ports: []Port{{"tcp", netip.MustParseAddrPort("0.0.0.0:1433")}, {"udp", netip.MustParseAddrPort("192.0.2.1:1434")}},
	}
}

func (p Place) of(pid int) *Found {
	for _, f := range p.Others() {
		if f.PID == pid {
			return &f
		}
	}
	return nil
}

const pid = 1 << 30 // no system gives one so high

func TestARecordIsFoundWhileItsProgramRuns(t *testing.T) {
	p := here(t)
	k, err := p.Keep(record(pid), "some words of a key")
	if err != nil {
		t.Fatal(err)
	}
	f := p.of(pid)
	if f == nil || f.Key != "some words of a key" || !f.Has("tcp", netip.MustParseAddrPort("192.0.2.7:1433")) {
		t.Fatalf("found %+v", f)
	}
	if f.Has("udp", netip.MustParseAddrPort("192.0.2.7:1434")) || f.Has("tcp", netip.MustParseAddrPort("[::]:1433")) || !f.Has("udp", netip.MustParseAddrPort("0.0.0.0:1434")) {
		t.Error("it has other ports than it said")
	}
	if info, err := os.Stat(f.KeyFile); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	if b, err := os.ReadFile(strings.TrimSuffix(f.KeyFile, ".key") + ".json"); err != nil || strings.Contains(string(b), "some words") {
		t.Errorf("what everybody may read: %s, %v", b, err)
	}
	// As a program leaves it that was killed: no lock, and all is there.
	name := strings.TrimSuffix(f.KeyFile, ".key") + ".json"
	whole, _ := os.ReadFile(name)
	k.End()
	if err := os.WriteFile(name, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if p.of(pid) != nil {
		t.Error("nobody has it, and it is found")
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("it is still there")
	}
}

func TestTheRecordOfAnotherNetworkIsNoneOfOurs(t *testing.T) {
	p := here(t)
	r := record(pid + 1)
	r.Network = "another"
	k, err := p.Keep(r, "")
	if err != nil {
		t.Fatal(err)
	}
	defer k.End()
	if p.of(pid+1) != nil {
		t.Error("it was found")
	}
}

// What was left is cleared up by the next one, whether or not it looks for others; a key
// in a file of somebody's own stays.
func TestTheNextOneClearsUp(t *testing.T) {
	p := here(t)
	own := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(own, []byte("words"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"listen-5.json", "listen-5.key"} {
		if err := os.WriteFile(filepath.Join(p.own, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := record(pid + 3)
	r.KeyFile = own
	k, err := p.Keep(r, "")
	if err != nil {
		t.Fatal(err)
	}
	if f := p.of(pid + 3); f == nil || f.Key != "words" {
		t.Errorf("found %+v", f)
	}
	if left, _ := filepath.Glob(filepath.Join(p.own, "*")); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	k.End()
	if left, _ := filepath.Glob(filepath.Join(p.own, "*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if _, err := os.Stat(own); err != nil {
		t.Error(err)
	}
}

// Another user's record says what that user likes: it is text, in one line.
func TestWhatARecordSaysIsText(t *testing.T) {
	p := here(t)
	r := record(pid + 4)
	const hostile = "ann\x1b]0;owned\a\nrun this: "
	r.User, r.Plan, r.Tag, r.Flags, r.KeyFile = hostile, hostile, hostile, hostile, hostile+strings.Repeat("x", 1<<17)
	r.Ports = append(r.Ports, Port{hostile, netip.MustParseAddrPort("0.0.0.0:22")})
	k, err := p.Keep(r, "")
	if err != nil {
		t.Fatal(err)
	}
	defer k.End()
	f := p.of(pid + 4)
	if f == nil {
		t.Fatal("it is not found")
	}
	said := fmt.Sprintf("%v", f.Record)
	if strings.ContainsAny(said, "\x1b\a\n") || len(said) > 6*maxText || len(f.Ports) != 2 {
		t.Errorf("it says %.600q", said)
	}
}

// What somebody else puts there does not get through, and breaks nothing.
func TestRubbishIsNoRecord(t *testing.T) {
	p := here(t)
	k, err := p.Keep(record(pid+2), "")
	if err != nil {
		t.Fatal(err)
	}
	defer k.End()
	dir := filepath.Dir(k.record.Name())
	for name, text := range map[string]string{"listen-7.json": "{", "listen-x.json": strings.Repeat("[", 1<<20), "listen-8.json": ""} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(f.Name())
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := lock(f); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := exec.Command("mkfifo", filepath.Join(dir, "listen-9.json")).Run(); err == nil {
			defer os.Remove(filepath.Join(dir, "listen-9.json"))
		}
	}
	if p.of(pid+2) == nil {
		t.Error("what is right is not found any more")
	}
}
