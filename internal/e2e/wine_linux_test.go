package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// wine64 runs programs of Windows (Debian's package wine64).
const wine64 = "/usr/lib/wine/wine64"

// A winery is a machine of wine's own: its registry and its drives.
type winery struct {
	dir      string
	programs string // built for Windows
}

// newWinery makes one. Where the tests of other machines are wanted it must come about.
func newWinery(t *testing.T) *winery {
	t.Helper()
	if _, err := os.Stat(wine64); err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatalf("wine64 is not installed, and DIALTONE_PEERS is set: %v", err)
		}
		t.Skip("wine64 is not installed: DIALTONE_PEERS=1 go test ./internal/e2e -run Wine")
	}
	w := &winery{dir: filepath.Join(t.TempDir(), "wine"), programs: t.TempDir()}
	// As a release builds them: scripts/test has compiled that already.
	build := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-gcflags", "all=-l", "-o", w.programs, "./cmd/...")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { // its own server, by its own directory
		kill := exec.Command("/usr/lib/wine/wineserver64", "-k")
		kill.Env = w.env()
		_ = kill.Run()
	})
	boot := exec.Command(wine64, "wineboot.exe", "--init")
	boot.Env = w.env()
	if out, err := boot.CombinedOutput(); err != nil {
		t.Fatalf("wineboot: %v\n%s", err, out)
	}
	random := filepath.Join(w.dir, "drive_c", "windows", "system32", "bcryptprimitives.dll")
	if _, err := os.Stat(random); err != nil {
		if err := os.WriteFile(random, forwarder("bcryptprimitives.dll", "ProcessPrng", "advapi32.SystemFunction036"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// forwarder is a library of Windows with one function, which is another one's. Go's
// programs want ProcessPrng, which wine 8 lacks; advapi32's RtlGenRandom takes the same
// and does the same. The form: Microsoft, PE Format, "Optional Header" and "The .edata
// Section".
func forwarder(library, name, to string) []byte {
	const at, raw = 0x1000, 0x200 // of the one section: in memory, in the file
	le := binary.LittleEndian
	b := make([]byte, raw)
	copy(b, "MZ")
	le.PutUint32(b[60:], 64) // where the header is
	h := append([]byte("PE\x00\x00"), make([]byte, 20)...)
	le.PutUint16(h[4:], 0x8664)  // amd64
	le.PutUint16(h[6:], 1)       // sections
	le.PutUint16(h[20:], 240)    // of the optional header
	le.PutUint16(h[22:], 0x2022) // executable, large addresses, library
	o := make([]byte, 240)
	le.PutUint16(o, 0x20b)            // PE32+
	le.PutUint64(o[24:], 0x180000000) // where it wants to be
	le.PutUint32(o[32:], 0x1000)      // alignment in memory
	le.PutUint32(o[36:], raw)         // and in the file
	le.PutUint16(o[40:], 6)           // Windows Vista
	le.PutUint16(o[48:], 6)
	le.PutUint32(o[56:], 2*at)
	le.PutUint32(o[60:], raw)
	le.PutUint16(o[68:], 3)     // console
	le.PutUint16(o[70:], 0x100) // no code in data
	le.PutUint64(o[72:], 1<<20)
	le.PutUint64(o[80:], 0x1000)
	le.PutUint64(o[88:], 1<<20)
	le.PutUint64(o[96:], 0x1000)
	le.PutUint32(o[108:], 16) // directories, of which the first has the exports
	le.PutUint32(o[112:], at)
	le.PutUint32(o[116:], raw)
	sec := make([]byte, 40)
	copy(sec, ".edata")
	le.PutUint32(sec[8:], raw)
	le.PutUint32(sec[12:], at)
	le.PutUint32(sec[16:], raw)
	le.PutUint32(sec[20:], raw)
	le.PutUint32(sec[36:], 0x40000040) // data, to be read
	copy(b[64:], slices.Concat(h, o, sec))
	e := make([]byte, raw)
	text := 60
	put := func(s string) uint32 {
		defer func() { text += len(s) + 1 }()
		copy(e[text:], s)
		return uint32(at + text)
	}
	le.PutUint32(e[12:], put(library))
	le.PutUint32(e[16:], 1) // the first number
	le.PutUint32(e[20:], 1) // functions
	le.PutUint32(e[24:], 1) // names
	le.PutUint32(e[28:], at+40)
	le.PutUint32(e[32:], at+44)
	le.PutUint32(e[36:], at+48)
	le.PutUint32(e[40:], put(to)) // inside the directory: not code, but whose it is
	le.PutUint32(e[44:], put(name))
	return append(b, e...)
}

func (w *winery) env() []string {
	// Neither Mono, Gecko nor a desktop is wanted.
	return append(os.Environ(), "WINEPREFIX="+w.dir, "WINEARCH=win64", "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe=", "DISPLAY=", "DIALTONE_KEY="+wineKey)
}

const wineKey = "tiling-walnut-quilt-mango-unlit-twelve"

// command is a program of ours, on Windows or here.
func (w *winery) command(ctx context.Context, onWindows bool, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
	if onWindows {
		c = exec.CommandContext(ctx, wine64, append([]string{filepath.Join(w.programs, name+".exe")}, args...)...)
	}
	c.Env = w.env()
	c.WaitDelay = time.Second
	return c
}

// listening starts a listen that is ready, and returns what it says.
func (w *winery) listening(t *testing.T, onWindows bool, at string, args ...string) (said func() string) {
	t.Helper()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	said = func() string {
		b, _ := os.ReadFile(out.Name())
		return string(b)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready := filepath.Join(dir, "ready")
	listen := w.command(ctx, onWindows, "listen", slices.Concat([]string{"--bind", at, "--port-shift", wineShift, "--for", "10m", "--ready-file", ready}, args)...)
	listen.Stdout, listen.Stderr = out, out
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = listen.Wait(); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	for end := time.Now().Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return said
		}
		select {
		case <-ended:
			t.Fatalf("listen ends: %s", said())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("listen does not get ready: %s", said())
		}
	}
}

// wineShift is added to every port: those of this machine are others'.
const wineShift = "10500"

// A dialed is what came of a dial.
type dialed struct {
	code         int
	said, errors string
	report       struct{ Paths []dialedPath }
}

type dialedPath struct {
	Flow, Transport, Direction, Verdict, Proof, Source string
	Finding                                            struct{ Code, Text string }
}

func (w *winery) dial(t *testing.T, onWindows bool, args ...string) dialed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	c := w.command(ctx, onWindows, "dial", append([]string{"--port-shift", wineShift, "--format", "json"}, args...)...)
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	d := dialed{said: stdout.String(), errors: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		d.code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(stdout.Bytes(), &d.report); err != nil {
		t.Fatalf("dial %q: exit %d, %v\n%s%s", args, d.code, err, d.said, d.errors)
	}
	return d
}

// counts are the verdicts of a report.
func (d dialed) counts() map[string]int {
	out := map[string]int{}
	for _, p := range d.report.Paths {
		out[p.Direction+" "+p.Verdict]++
	}
	return out
}

// The programs of Windows, as far as wine shows it, with each other and with those of
// this system: the whole plan both ways, and what fails.
func TestWine(t *testing.T) {
	t.Parallel() // it mostly waits
	w := newWinery(t)
	n := byte(0)
	addresses := func() (a, b string) {
		n += 2
		return fmt.Sprintf("127.78.9.%d", n), fmt.Sprintf("127.78.9.%d", n+1)
	}
	for _, c := range []struct{ listen, dial bool }{{true, true}, {true, false}, {false, true}} {
		name := map[bool]string{true: "exe", false: "linux"}
		t.Run("dial "+name[c.dial]+" to listen "+name[c.listen], func(t *testing.T) {
			a, b := addresses()
			said := w.listening(t, c.listen, a)
			d := w.dial(t, c.dial, "--bind", b, "--role", "all", "--both-ways", a)
			if d.code != 0 {
				t.Errorf("exit %d\n%s\n%s\n%s", d.code, d.said, d.errors, said())
			}
			proved := 0
			for _, p := range d.report.Paths {
				if p.Transport == "udp" {
					// Go wants of a UDP socket what wine 8 does not have (SIO_UDP_NETRESET):
					// neither end can have one, and says so.
					if p.Verdict == "open" {
						t.Errorf("wine has UDP now: %s %s is %s; take this exception out", p.Flow, p.Direction, p.Verdict)
					}
					continue
				}
				if p.Verdict != "open" || p.Proof != "keyed" {
					t.Errorf("%s %s: %s, %s (%s)", p.Flow, p.Direction, p.Verdict, p.Proof, p.Finding.Text)
					continue
				}
				proved++
			}
			t.Logf("%d paths: %v", proved, d.counts())
			if proved < 60 {
				t.Errorf("%d paths", proved)
			}
		})
	}
	a, b := addresses()
	w.listening(t, true, a)
	for name, c := range map[string]struct {
		args          []string
		code          int
		flow, verdict string
		finding       string
	}{
		"wrong key": {[]string{"--key", "another-key-than-that-of-listen", "--bind", b, "--only", "sql-client", a}, 1, "sql-client", "answered", "wrong-key"},
		"refused":   {[]string{"--bind", b, "--only", "sql-client", "--port", "sql-client=9", a}, 1, "sql-client", "refused", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := w.dial(t, true, c.args...)
			p := d.report.Paths[0]
			if d.code == 0 || p.Flow != c.flow || p.Verdict != c.verdict || c.finding != "" && p.Finding.Code != c.finding {
				t.Errorf("exit %d\n%s%s", d.code, d.said, d.errors)
			}
			if strings.HasSuffix(p.Source, ":0") || !strings.HasPrefix(p.Source, b+":") {
				t.Errorf("its source is %q", p.Source)
			}
			t.Logf("exit %d, %s from %s: %s", d.code, p.Verdict, p.Source, p.Finding.Text)
		})
	}
	t.Run("without --bind", func(t *testing.T) {
		d := w.dial(t, true, "--only", "sql-client,platform", a)
		if d.code != 0 {
			t.Errorf("exit %d\n%s%s", d.code, d.said, d.errors)
		}
	})
	t.Run("occupied", func(t *testing.T) {
		a, b := addresses()
		other, err := net.Listen("tcp", a+":11933") // sql-client's, by a program of this system
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		go func() {
			for {
				c, err := other.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
				defer c.Close()
			}
		}()
		said := w.listening(t, true, a)
		d := w.dial(t, true, "--bind", b, "--only", "sql-client,platform", a)
		i := slices.IndexFunc(d.report.Paths, func(p dialedPath) bool {
			return p.Flow == "sql-client"
		})
		if i < 0 || d.report.Paths[i].Verdict != "occupied" || d.code != 1 {
			t.Errorf("exit %d\n%s%s", d.code, d.said, d.errors)
		}
		if !strings.Contains(said(), "tcp/11933 on "+a+" is held by") {
			t.Errorf("listen says %s", said())
		}
	})
	t.Run("selfcheck", func(t *testing.T) { w.selfcheck(t) })
	t.Run("service", func(t *testing.T) { w.service(t, addresses) })
	t.Run("installer", func(t *testing.T) { w.install(t) })
	t.Run("unit tests", func(t *testing.T) { w.runTests(t) })
}

// selfcheck has both programs try their points on wine, and reads the file as whoever
// asked for it does.
func (w *winery) selfcheck(t *testing.T) {
	for _, name := range []string{"dial", "listen"} {
		file := filepath.Join(t.TempDir(), "sent back.txt")
		said, err := w.command(t.Context(), true, name, "selfcheck", "--out", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		if strings.Contains(text, "\r") || len(text) == len(b) {
			t.Error("its lines do not end as Notepad wants them")
		}
		for id, state := range map[string]string{
			"connect-refused": "as expected", "bind-taken": "as expected", "bind-elsewhere": "as expected", "exclusive": "as expected",
			"private-file": "as expected", "clock": "as expected", "system": "told", "services": "told", "firewall-profile": "told",
			// What wine 8 lacks is told as what it is.
			"udp": "DIFFERS", "table": "DIFFERS", "half-open": "not known", "firewall-rules": "not known", "excluded-tcp": "not known",
		} {
			if !strings.Contains(text, "\n["+state+"] "+id+" (") {
				t.Errorf("%s: %s is not %s", name, id, state)
			}
		}
		for _, has := range []string{"\nit is wine ", "error 10061 (", "error 10049 (", "error 10013 (", "  [ ] "} {
			if !strings.Contains(strings.ReplaceAll(text, "  seen:  ", ""), has) {
				t.Errorf("%s: no %q", name, has)
			}
		}
		if t.Failed() || name == "listen" {
			t.Logf("%s\n%s", said, text)
		}
	}
}

// service has Windows keep listen: installed, started, dialed, told of, stopped, removed.
func (w *winery) service(t *testing.T, addresses func() (a, b string)) {
	a, b := addresses()
	dir := t.TempDir()
	key, ledger, ready := filepath.Join(dir, "key.txt"), filepath.Join(dir, "ledger.jsonl"), filepath.Join(dir, "ready")
	if err := os.WriteFile(key, []byte(wineKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := func(code int, args ...string) string {
		t.Helper()
		c := w.command(t.Context(), true, "listen", append([]string{"service"}, args...)...)
		out, err := c.CombinedOutput()
		if c.ProcessState == nil || c.ProcessState.ExitCode() != code {
			t.Fatalf("listen service %q: %v, not exit %d\n%s", args, err, code, out)
		}
		t.Logf("listen service %s\n%s", args[0], out)
		return string(out)
	}
	net := func(args ...string) {
		t.Helper()
		c := exec.Command(wine64, append([]string{"net.exe"}, args...)...)
		c.Env = w.env()
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("net %q: %v\n%s", args, err, out)
		}
	}
	if said := listen(1, "status"); !strings.Contains(said, "is not installed") {
		t.Error(said)
	}
	if said := listen(2, "run"); !strings.Contains(said, "is for Windows to start") {
		t.Error(said)
	}
	said := listen(0, "install", "--key-file", key, "--ledger", ledger, "--ready-file", ready, "--bind", a, "--port-shift", wineShift, "--for", "5m")
	if !strings.Contains(said, "icacls ") || strings.Contains(said, wineKey) {
		t.Error(said)
	}
	t.Cleanup(func() { _ = w.command(context.Background(), true, "listen", "service", "remove").Run() })
	if said := listen(2, "install", "--key-file", key, "--ledger", ledger); !strings.Contains(said, "listen service remove takes it away") {
		t.Error(said)
	}
	net("start", "dialtone-listen")
	for end := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it does not get ready: %s", listen(1, "status"))
		}
	}
	if said := listen(0, "status"); !strings.Contains(said, "is installed and running (pid ") || strings.Contains(said, wineKey) {
		t.Error(said)
	}
	if d := w.dial(t, false, "--bind", b, "--only", "sql-client,platform", a); d.code != 0 {
		t.Errorf("exit %d\n%s%s", d.code, d.said, d.errors)
	}
	net("stop", "dialtone-listen")
	if said := listen(1, "status"); !strings.Contains(said, "is installed and stopped.") {
		t.Error(said)
	}
	if b, err := os.ReadFile(ledger); err != nil || !bytes.Contains(b, []byte("sql-client")) {
		t.Errorf("its ledger: %v, %d bytes", err, len(b))
	}
	net("start", "dialtone-listen") // and is removed as it runs
	if said := listen(0, "remove"); !strings.Contains(said, "dialtone-listen is removed") {
		t.Error(said)
	}
	if said := listen(1, "status"); !strings.Contains(said, "is not installed") {
		t.Error(said)
	}
}

// install installs what scripts/release --msi makes, runs it and removes it.
func (w *winery) install(t *testing.T) {
	dir := t.TempDir()
	release := exec.Command(filepath.Join("..", "..", "scripts", "release"), "--only", "windows/amd64", "--packages=false", "--msi", "--out", dir)
	if out, err := release.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	msis, err := filepath.Glob(filepath.Join(dir, "*.msi"))
	if err != nil || len(msis) != 1 {
		t.Fatal(msis, err)
	}
	run := func(args ...string) string {
		t.Helper()
		c := exec.Command(wine64, args...)
		c.Env = w.env()
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	installed := filepath.Join(w.dir, "drive_c", "Program Files", "Dialtone")
	run("msiexec", "/i", msis[0], "/qn")
	for _, name := range []string{"dial.exe", "listen.exe", "START-HERE.txt", "docs/windows.md", "docs/systemd/dialtone-listen.service"} {
		if _, err := os.Stat(filepath.Join(installed, name)); err != nil {
			t.Error(err)
		}
	}
	if said := run(`C:\Program Files\Dialtone\dial.exe`, "version"); !strings.HasPrefix(said, "dial ") || !strings.Contains(said, "windows/amd64") {
		t.Errorf("%q", said)
	}
	run("msiexec", "/x", msis[0], "/qn")
	if _, err := os.Stat(installed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", installed, err)
	}
}

// runTests runs unit tests that only Windows can run, and some that everybody can.
func (w *winery) runTests(t *testing.T) {
	for pkg, run := range map[string]string{
		"internal/sock": "TestCodesAreThoseOfTheSystem|TestErrorsOfSocketsAreRead|TestFailedDialKnowsItsSourcePort|TestEveryCode|TestOwnAddressesAreKnown|TestOpenDialKnowsItsSource",
		"internal/cli":  "TestAFileWithAKeyIsItsOwnersAlone|TestAWindowOfItsOwn",
	} {
		t.Run(filepath.Base(pkg), func(t *testing.T) {
			test := filepath.Join(t.TempDir(), "test.exe")
			build := exec.Command("go", "test", "-c", "-trimpath", "-tags", "urfave_cli_no_docs", "-gcflags", "all=-l", "-o", test, "./"+pkg)
			build.Dir = filepath.Join("..", "..")
			build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			c := exec.Command(wine64, test, "-test.v", "-test.run", "^("+run+")")
			c.Env, c.Dir = w.env(), filepath.Join("..", "..", pkg)
			out, err := c.CombinedOutput()
			if passed := strings.Count(string(out), "--- PASS"); err != nil || passed != strings.Count(run, "|")+1 {
				t.Errorf("%d passed, %v\n%s", passed, err, out)
			}
		})
	}
}
