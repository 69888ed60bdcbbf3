package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unitFile is the shipped unit, which says with what rights root starts listen.
var unitFile = filepath.Join("..", "..", "docs", "systemd", "dialtone-listen.service")

// unitSays is a setting of the shipped unit.
func unitSays(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("%s has no %s", unitFile, name)
	}
	return string(m[1])
}

// startAs starts the built listen on the plan's own ports, as root with no more
// rights than the shipped unit leaves it, to go on as user nobody.
func startAs(t *testing.T, at netip.Addr, dir string, more ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { said.Close() })
	rights := "-all"
	for name := range strings.FieldsSeq(unitSays(t, "CapabilityBoundingSet")) {
		rights += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	listen := exec.Command("setpriv", append([]string{"--no-new-privs", "--bounding-set", rights, filepath.Join(programs, "listen"),
		"--plan", "illiad-2006", "--user", "nobody", "--for", "2m", "--bind", at.String(), "--ledger", filepath.Join(dir, "ledger"),
	}, more...)...)
	listen.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	listen.Stdout, listen.Stderr = said, said
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	return listen, said
}

// Root binds, nobody answers: with no right but that one thread may bind FTP's
// port, from which it dials all the same.
func TestListenGoesOnAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	at, from := "127.78.4.1", "127.78.4.2"
	dir := t.TempDir()
	public, err := os.MkdirTemp("", "dialtone-e2e-") // a test's own is below one of root's
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(public)
	ready := filepath.Join(public, "ready")
	if err := os.Chown(public, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	listen, said := startAs(t, netip.MustParseAddr(at), dir, "--ready-file", ready)
	ended := make(chan error, 1)
	go func() { ended <- listen.Wait() }()
	defer func() { _ = listen.Process.Kill(); <-ended }()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(end) {
			b, _ := os.ReadFile(said.Name())
			t.Fatalf("listen does not get ready: %s", b)
		}
	}
	checkRights(t, listen.Process.Pid)

	out := filepath.Join(dir, "out.json")
	dial := exec.Command(filepath.Join(programs, "dial"), "--plan", "illiad-2006", "--role", "all", "--both-ways", "--bind", from, "--out", out, at)
	dial.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	if b, err := dial.CombinedOutput(); err != nil {
		t.Errorf("dial: %v\n%s", err, b)
	}
	var r struct {
		Contact struct{ Witness string }
		Paths   []struct {
			Flow, Direction, Verdict, Source string
			SourcePort                       int `json:"source_port"`
		}
	}
	b, err := os.ReadFile(out)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Contact.Witness != "capture" {
		t.Errorf("its witness is %q: the capture was not opened before", r.Contact.Witness)
	}
	from20 := 0
	for _, p := range r.Paths {
		if p.Verdict != "open" {
			t.Errorf("%s %s: %s", p.Flow, p.Direction, p.Verdict)
		}
		if p.Direction == "reverse" && p.SourcePort == 20 {
			from20++
			if p.Source != at+":20" {
				t.Errorf("%s was dialed from %s", p.Flow, p.Source)
			}
		}
	}
	if from20 == 0 {
		t.Error("nothing was dialed from port 20")
	}
	if err := listen.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		ended <- err
		if err != nil {
			t.Errorf("listen ends with %v", err)
		}
	case <-time.After(patience):
		t.Error("listen does not end")
	}
	if b, err := os.ReadFile(filepath.Join(dir, "ledger")); err != nil || !strings.Contains(string(b), `"kind":"submission"`) {
		t.Errorf("the ledger: %v\n%s", err, b)
	}
	if b, _ := os.ReadFile(said.Name()); !strings.Contains(string(b), "It goes on as user nobody") || !strings.Contains(string(b), "Who reached what:") {
		t.Errorf("listen says %s", b)
	}
}

// checkRights looks at every thread of a process that root became nobody in.
func checkRights(t *testing.T, pid int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %v, %v", threads, err)
	}
	binders := 0
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it ended just now
		}
		status := string(b)
		for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "Groups:\t65534 \n", "CapInh:\t0000000000000000\n", "CapAmb:\t0000000000000000\n"} {
			if !strings.Contains(status, want) {
				t.Errorf("%s has no %q:\n%s", file, want, status)
			}
		}
		held := regexp.MustCompile(`(?m)^Cap(?:Prm|Eff):\t(\S+)$`).FindAllStringSubmatch(status, -1)
		switch {
		case len(held) == 2 && held[0][1] == "0000000000000000" && held[1][1] == held[0][1]:
		case len(held) == 2 && held[0][1] == "0000000000000400" && held[1][1] == held[0][1]:
			binders++ // CAP_NET_BIND_SERVICE
		default:
			t.Errorf("%s: %v", file, held)
		}
	}
	if binders != 1 {
		t.Errorf("%d of %d threads may bind low ports", binders, len(threads))
	}
}

// The shipped unit is one that systemd reads without complaint, holds back what it is
// said to, and starts listen by a command line that listen takes.
func TestTheShippedUnitIsRight(t *testing.T) {
	command := strings.Fields(unitSays(t, "ExecStart"))
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte(soakKey), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(command[1:], "--check", "--port-shift", strconv.Itoa(troubleShift), "--bind", "127.78.4.4")
	for i, a := range args {
		switch a {
		case "dialtone":
			args[i] = "nobody"
		case "/etc/dialtone/key":
			args[i] = key
		}
	}
	if os.Geteuid() == 0 {
		if out, err := exec.Command(filepath.Join(programs, "listen"), args...).CombinedOutput(); err != nil {
			t.Errorf("listen %v: %v\n%s", args, err, out)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatal(err)
		}
		t.Skip("no systemd-analyze here")
	}
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// It looks for the program.
	unit := filepath.Join(dir, filepath.Base(unitFile))
	if err := os.WriteFile(unit, bytes.Replace(b, []byte(command[0]), []byte(filepath.Join(programs, "listen")), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{{"verify"}, {"security", "--offline=yes", "--no-pager", "--threshold=28"}} { // 2.8
		out, err := exec.Command(analyze, append(more, unit)...).CombinedOutput()
		if err != nil || more[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %v: %v\n%s", more, err, out)
		}
	}
}

// The shipped unit does its work inside its own sandbox: under systemd as process 1 of
// a container, every row of the plan of 2006 is proved both ways.
func TestTheShippedUnitWorksUnderSystemd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	b, _ := os.ReadFile("/proc/filesystems")
	if _, err := os.Stat("/usr/lib/systemd/systemd"); err != nil || !bytes.Contains(b, []byte("\toverlay\n")) || !bytes.Contains(b, []byte("\tcgroup2\n")) {
		t.Skip("needs systemd, overlay and cgroup2 of the kernel")
	}
	dir := t.TempDir()
	script, err := filepath.Abs(filepath.Join("testdata", "systemd.sh"))
	if err != nil {
		t.Fatal(err)
	}
	unit, err := filepath.Abs(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	container := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", script, dir, filepath.Join(programs, "listen"), unit)
	container.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	var log bytes.Buffer
	container.Stdout, container.Stderr = &log, &log
	if err := container.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = container.Wait(); close(ended) }()
	defer func() {
		_ = container.Process.Kill()
		<-ended
		removeGroup(t, dir)
	}()

	first := childOf(t, container.Process.Pid, ended) // process 1 there
	said := fmt.Sprintf("/proc/%d/root/run/said", first)
	listen := 0
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if b, _ := os.ReadFile(said); bytes.Contains(b, []byte("Listening for plan")) {
			listen = childOf(t, first, ended)
			break
		}
		select {
		case <-ended:
			t.Fatalf("the container ended: %s", log.String())
		default:
		}
		if time.Now().After(end) {
			b, _ := os.ReadFile(said)
			t.Fatalf("listen does not get ready: %s\n%s", b, log.String()) // the container is killed with the test
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", listen))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t64999\t64999\t64999\t64999\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in %s", want, status)
		}
	}
	out := filepath.Join(dir, "out.json")
	enter := []string{"--target", strconv.Itoa(first), "--net"}
	dial := exec.Command("nsenter", append(enter, filepath.Join(programs, "dial"), "--plan", "illiad-2006", "--role", "all", "--both-ways", "--bind", "127.0.0.2", "--out", out, "127.0.0.1")...)
	dial.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	if b, err := dial.CombinedOutput(); err != nil {
		t.Errorf("dial: %v\n%s", err, b)
	}
	if b, _ := os.ReadFile(out); !bytes.Contains(b, []byte(`"source": "127.0.0.1:20"`)) || !bytes.Contains(b, []byte(`"witness": "capture"`)) {
		t.Errorf("nothing was dialed from port 20, or captured: %s", b)
	}
	all := append(enter, "--mount", "--pid", "--cgroup", "--root", "--wd")
	if b, err := exec.Command("nsenter", append(all, "systemctl", "stop", filepath.Base(unitFile))...).CombinedOutput(); err != nil {
		t.Errorf("stop: %v\n%s", err, b)
	}
	b, err = exec.Command("nsenter", append(all, "systemctl", "show", "-p", "Result,ExecMainStatus,ActiveState", filepath.Base(unitFile))...).CombinedOutput()
	if want := "Result=success\nExecMainStatus=0\nActiveState=inactive\n"; err != nil || string(b) != want {
		t.Errorf("it ended with %v\n%s", err, b)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/var/log/dialtone/ledger.jsonl", first)); err != nil || !strings.Contains(string(b), `"kind":"submission"`) {
		t.Errorf("the ledger: %v\n%s", err, b)
	}
}

// removeGroup removes the control group of a container that is gone, whose name the
// script left in a file.
func removeGroup(t *testing.T, dir string) {
	t.Helper()
	name, err := os.ReadFile(filepath.Join(dir, "group"))
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "groups")
	if err := errors.Join(os.Mkdir(at, 0o700), unix.Mount("none", at, "cgroup2", 0, "")); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(at, unix.MNT_DETACH) }()
	root := filepath.Join(at, strings.TrimSpace(string(name)))
	var groups []string
	_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, name)
		}
		return nil
	})
	slices.Reverse(groups) // the inner ones first
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var errs error
		for _, g := range groups {
			if err := os.Remove(g); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = err // its processes are on their way out
			}
		}
		if errs == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(errs)
		}
	}
}

// childOf waits for the one child of a process.
func childOf(t *testing.T, pid int, ended <-chan struct{}) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if child, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return child
		}
		select {
		case <-ended:
			t.Fatal("the container ended")
		default:
		}
	}
	t.Fatalf("process %d has no child", pid)
	return 0
}

// What the user could not write later is refused before anything is answered.
func TestListenRefusesAReadyFileThatItsUserCannotWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	listen, said := startAs(t, netip.MustParseAddr("127.78.4.3"), dir, "--ready-file", filepath.Join(dir, "ready"))
	err := listen.Wait()
	b, _ := os.ReadFile(said.Name())
	if listen.ProcessState.ExitCode() != 2 || !strings.Contains(string(b), "permission denied, as user nobody") || !strings.Contains(string(b), "a directory that nobody may write to") {
		t.Errorf("listen ends with %v and says:\n%s", err, b)
	}
	if strings.Contains(string(b), "Listening for") {
		t.Errorf("it had begun to answer:\n%s", b)
	}
}

// Once it is ready, listen writes no file but those that it has open: none of its
// threads can get the right back (sock.TestGivingUpFilesLeavesWhatIsOpen says what it
// cannot do then).
func TestListenGivesUpFilesOnceItIsReady(t *testing.T) {
	if _, _, err := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); err != 0 {
		t.Skipf("this kernel has no Landlock: %v", err)
	}
	listen, _ := listening(t, netip.MustParseAddr("127.78.2.7"), `exec "$@"`)
	has := func() (all bool, what string) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", listen.Pid))
		if err != nil || len(tasks) == 0 {
			t.Fatal(tasks, err)
		}
		for _, name := range tasks {
			b, err := os.ReadFile(name)
			if err == nil && !bytes.Contains(b, []byte("\nNoNewPrivs:\t1\n")) { // which Landlock wants first
				return false, name
			}
		}
		return true, ""
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if all, name := has(); all {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%s may still gain rights", name)
		}
	}
}
