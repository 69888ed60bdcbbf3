package sock

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// A process that gave up files cannot write, make, remove or run any, on none of its
// threads; what it has open it goes on writing, and it reads.
func TestGivingUpFilesLeavesWhatIsOpen(t *testing.T) {
	if v, err := ll.LandlockGetABIVersion(); err != nil || v < 3 {
		t.Skipf("this kernel's Landlock is version %d: %v", v, err)
	}
	const mark = "DIALTONE_GIVES_UP_FILES"
	dir := os.Getenv(mark)
	if dir == "" { // it is for good: another process does it
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		dir := t.TempDir()
		cmd.Env = append(os.Environ(), mark+"="+dir)
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "open")); err != nil || string(b) != "before, after" {
			t.Errorf("%q, %v", b, err)
		}
		return
	}
	open, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.WriteString("before"); err != nil {
		t.Fatal(err)
	}
	begun, give := make(chan bool), make(chan bool)
	var all sync.WaitGroup
	for range 8 { // threads that are there before
		all.Go(func() {
			runtime.LockOSThread()
			begun <- true
			<-give
			for what, try := range map[string]func() error{
				"create":   func() error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) },
				"write":    func() error { _, err := os.OpenFile(open.Name(), os.O_WRONLY, 0); return err },
				"truncate": func() error { return os.Truncate(open.Name(), 0) },
				"remove":   func() error { return os.Remove(open.Name()) },
				"mkdir":    func() error { return os.Mkdir(filepath.Join(dir, "d"), 0o700) },
				"run":      func() error { return exec.Command("/bin/true").Run() },
			} {
				if err := try(); !errors.Is(err, os.ErrPermission) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, err := os.ReadFile("/etc/hosts"); err != nil {
				t.Error(err)
			}
		})
		<-begun
	}
	if err := GiveUpFiles(); err != nil {
		t.Fatal(err)
	}
	close(give)
	all.Wait()
	if _, err := open.WriteString(", after"); err != nil {
		t.Error(err)
	}
}
