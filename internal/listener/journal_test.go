package listener

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
)

// told is what was told, by whomever.
type told struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *told) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *told) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func contactOf(k echo.Kind, remote string) Event {
	return Event{At: noon, Kind: k, Peer: echo.Peer{
		Remote: netip.MustParseAddrPort(remote), Local: netip.MustParseAddrPort("198.51.100.9:1433"), Transport: plan.TCP,
	}}
}

func TestStrangerThatKnocksWithoutEndFillsNothing(t *testing.T) {
	var out bytes.Buffer
	j := &Journal{Out: &out, JSON: true}
	c := contactOf(echo.KindForeign, "192.0.2.7:50000")
	for range 10_000 {
		j.Write(c)
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != maxKnocks {
		t.Errorf("%d lines", n)
	}
	// Others are written down all the same, and so is the holder of the key there.
	out.Reset()
	j.Write(contactOf(echo.KindForeign, "192.0.2.8:50000"))
	j.Write(contactOf(echo.KindProved, "192.0.2.7:50000"))
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 2 {
		t.Errorf("%d lines of others", n)
	}
	// A minute later it is told how many there were.
	out.Reset()
	c.At = noon.Add(61 * time.Second)
	j.Write(c)
	if want := fmt.Sprintf("(%d more from this address", 10_000-maxKnocks); !strings.Contains(out.String(), want) {
		t.Errorf("%q lacks %q", out.String(), want)
	}
	if s := j.Summary(); !strings.Contains(s, "tcp/1433 not-stun ×10001") {
		t.Errorf("summary:\n%s", s)
	}
}

// While the clock goes back and forth, none of it hides what comes until it has caught up.
func TestClockThatIsSetBackHidesNothing(t *testing.T) {
	var out bytes.Buffer
	j := &Journal{Out: &out, JSON: true}
	c := contactOf(echo.KindForeign, "192.0.2.7:50000")
	hours := []int{0, -1, 1, 0, -24}
	for _, h := range hours {
		c.At = noon.Add(time.Duration(h) * time.Hour)
		for range maxKnocks + 5 {
			j.Write(c)
		}
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != len(hours)*maxKnocks {
		t.Errorf("%d lines, want %d", n, len(hours)*maxKnocks)
	}
	if n := strings.Count(out.String(), "(5 more from this address"); n != len(hours)-1 {
		t.Errorf("told %d times how many were hidden", n)
	}
}

func TestAHolderOfTheKeyFillsNoDisk(t *testing.T) {
	var out bytes.Buffer
	j := &Journal{Out: &out, JSON: true}
	c := contactOf(echo.KindProved, "192.0.2.7:50000")
	for range maxKeyed + 500 {
		j.Write(c)
	}
	j.Write(contactOf(echo.KindProved, "192.0.2.8:50000"))
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != maxKeyed+1 {
		t.Errorf("%d lines", n)
	}
	c.At = noon.Add(61 * time.Second)
	j.Write(c)
	if !strings.Contains(out.String(), "(500 more from this address") {
		t.Error("nothing says how many were not written down")
	}
}

func TestStrangersFromManyAddressesFillNothing(t *testing.T) {
	for name, addr := range map[string]func(i int) netip.Addr{
		"one IPv6 network": func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
		},
		"the whole world": func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			j := &Journal{Out: &out, JSON: true}
			c := contactOf(echo.KindSilent, "192.0.2.7:50000")
			for i := range 5 * maxAddrs {
				c.Peer.Remote = netip.AddrPortFrom(addr(i), 1)
				j.Write(c)
			}
			if n := bytes.Count(out.Bytes(), []byte("\n")); n > maxAllKnocks || n == 0 {
				t.Errorf("%d lines", n)
			}
			for i := range 8 * maxAddrs { // and each does many things
				c.Peer.Remote, c.Peer.Local = netip.AddrPortFrom(addr(i%maxAddrs), 1), netip.AddrPortFrom(c.Peer.Local.Addr(), uint16(i/maxAddrs))
				j.Write(c)
			}
			if len(j.quiet) > maxAddrs+1 || len(j.reached) > maxAddrs {
				t.Errorf("%d and %d addresses are kept", len(j.quiet), len(j.reached))
			}
			out.Reset()
			j.Write(contactOf(echo.KindProved, "192.0.2.7:50000"))
			if out.Len() == 0 {
				t.Error("the holder of the key is not written down")
			}
			if s := j.Summary(); !strings.Contains(s, "192.0.2.7        tcp/1433 proved ×1\n") || !strings.Contains(s, " contacts more, ") {
				t.Errorf("the summary leaves the holder out, or what it does not list: %s", s[max(0, len(s)-300):])
			}
			tallies, count := 0, j.unlisted
			for _, all := range j.reached {
				tallies += len(all)
				for _, y := range all {
					count += y.count
				}
			}
			if tallies > maxTallies || tallies != j.tallies || count != 13*maxAddrs+1 {
				t.Errorf("%d things are kept, counted %d; of %d contacts", tallies, j.tallies, count)
			}
		})
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	hostile := "\x1b[2J\r\nforged\x00\u202e\u2028\xff\"'<"
	c := contactOf(echo.KindForeign, "192.0.2.7:50000")
	s := contactOf(echo.KindSubmitted, "192.0.2.7:50000")
	s.Submission = &echo.Submission{Host: strings.ReplaceAll(hostile, "\u202e", "")} // which echo takes out
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		j := &Journal{Out: &out, JSON: asJSON}
		j.Write(c)
		j.Write(s)
		if n := bytes.Count(out.Bytes(), []byte("\n")); n != 2 || bytes.ContainsAny(out.Bytes(), "\x1b\r\x00") || strings.ContainsAny(out.String(), "\u202e\u2028") || out.Len() > 1500 {
			t.Errorf("%d lines: %q", n, out.String())
		}
		if !asJSON {
			continue
		}
		for line := range bytes.Lines(out.Bytes()) {
			var r record
			if err := json.Unmarshal(line, &r); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
}

func TestRecordsHaveTheirFields(t *testing.T) {
	var out bytes.Buffer
	j := &Journal{Out: &out, JSON: true}
	c := contactOf(echo.KindProved, "192.0.2.7:50000")
	c.Peer.Flow, c.Peer.Run, c.Peer.Probe = "sql", echo.ID{1}, echo.ID{2}
	j.Write(c)
	want := `{"at":"2026-11-23T12:00:00Z","kind":"proved","transport":"tcp","source":"192.0.2.7:50000","local":"198.51.100.9:1433","flow":"sql",` +
		`"run":"01000000000000000000000000000000","probe":"02000000000000000000000000000000"}` + "\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
	out.Reset()
	j.JSON = false
	j.Write(c)
	s := contactOf(echo.KindSubmitted, "192.0.2.7:50000")
	s.Submission = &echo.Submission{Host: "pc", Summary: result.Summary{Counted: 3, Failed: 1}, Broken: []string{"sql: filtered"}}
	j.Write(s)
	text := "12:00:00Z  key         192.0.2.7:50000 → tcp/1433  dial with the key (sql)\n" +
		"12:00:00Z  report      192.0.2.7 (\"pc\"): 3 required paths, 1 not ok\n           sql: filtered\n"
	if out.String() != text {
		t.Errorf("%q", out.String())
	}
}

func TestContactIsInTheLedgerWhenItsAnswerComes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	j := &Journal{Ledger: f, Err: os.Stderr}
	l := start(t, Config{OnEvent: j.Write})
	for range 5 {
		ask := newAsk()
		prove(t, loop, l.at, ask)
		b, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(b, []byte(ask.Probe.String())) {
			t.Fatalf("answered, and not in the ledger (%v):\n%s", err, b)
		}
	}
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
}

func TestAnswerWaitsForTheLedger(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	// A pipe that is full: the ledger cannot be written until it is read.
	_ = w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err = nil; err == nil; {
		_, err = w.Write(make([]byte, 4096))
	}
	_ = w.SetWriteDeadline(time.Time{})
	var trouble told
	writing := make(chan struct{}, 1)
	j := &Journal{Ledger: w, Err: &trouble}
	l := start(t, Config{OnEvent: func(c Event) { writing <- struct{}{}; j.Write(c) }})
	conn := dialFrom(t, loop, l.at)
	ask := newAsk()
	proved := make(chan error, 1)
	go func() { _, err := echo.Prove(within(t, guardTime), conn, ask); proved <- err }()
	receive(t, writing)
	select {
	case err := <-proved:
		t.Fatalf("answered (%v) before the ledger was written", err)
	default:
	}
	read := bufio.NewReader(r)
	for line := ""; !strings.Contains(line, ask.Probe.String()); {
		if line, err = read.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := receive(t, proved); err != nil {
		t.Error(err)
	}
	l.stop()
	if trouble.String() != "" {
		t.Errorf("a pipe is no trouble: %s", trouble.String())
	}
}

// Whoever reads a ledger that is a pipe may stand still: nobody is held up by it for
// long, and what is written once it reads again are whole lines.
func TestALedgerThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	t.Run("a pipe by its name", func(t *testing.T) { unreadLedger(t, false) })
	t.Run("an inherited one", func(t *testing.T) { unreadLedger(t, true) })
}

// unreadLedger tries it with a descriptor whose writes have no deadline, as those
// that the shell opened are (blocks), or with one that Go opened.
func unreadLedger(t *testing.T, blocks bool) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var trouble told
	j := &Journal{Ledger: w, Err: &trouble}
	l := start(t, Config{OnEvent: j.Write})
	_ = w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err = nil; err == nil; {
		_, err = w.Write(bytes.Repeat([]byte("x"), 1000))
	}
	_ = w.SetWriteDeadline(time.Time{})
	if blocks {
		w.Fd() // which makes it one that blocks
	}
	ask := newAsk()
	for range 20 {
		prove(t, loop, l.at, ask)
	}
	l.stop()
	if s := j.Summary(); !strings.Contains(s, "asked ×20") {
		t.Errorf("summary:\n%s", s)
	}
	if n := strings.Count(trouble.String(), "cannot be written"); n != 1 {
		t.Errorf("told %d times: %s", n, trouble.String())
	}
	go func() {
		j.Write(contactOf(echo.KindSilent, "192.0.2.7:1"))
		j.Write(contactOf(echo.KindSilent, "192.0.2.7:2"))
		j.book.flush(guardTime)
		w.Close()
	}()
	whole := 0
	for s := bufio.NewScanner(r); s.Scan(); {
		if json.Valid(s.Bytes()) {
			whole++
		}
	}
	if whole == 0 || !strings.Contains(trouble.String(), "can be written again") {
		t.Errorf("%d whole lines: %s", whole, trouble.String())
	}
}

// slowDisk takes as long to flush as it is made to.
type slowDisk struct {
	flushing, flush chan struct{}
	flushed         int
	b               bytes.Buffer
}

func (d *slowDisk) Write(b []byte) (int, error) { return d.b.Write(b) }

func (d *slowDisk) Sync() error {
	d.flushing <- struct{}{}
	<-d.flush
	d.flushed++
	return nil
}

// However slow the disk is, many contacts at once take it no more time than one or two.
func TestManyAtOnceWaitNoLongerForASlowLedgerThanOne(t *testing.T) {
	d := &slowDisk{flushing: make(chan struct{}), flush: make(chan struct{})}
	var a appender
	var errs told
	var all sync.WaitGroup
	all.Go(func() { a.append(d, &errs, []byte("first\n")) })
	receive(t, d.flushing)
	for range 99 {
		all.Go(func() { a.append(d, &errs, []byte("later\n")) })
	}
	for waiting := 0; waiting < 99; time.Sleep(time.Millisecond) {
		a.mu.Lock()
		if a.waiting != nil {
			waiting = a.waiting.lines
		}
		a.mu.Unlock()
	}
	d.flush <- struct{}{}
	receive(t, d.flushing)
	d.flush <- struct{}{}
	all.Wait()
	if n := strings.Count(d.b.String(), "\n"); n != 100 || d.flushed != 2 || strings.Contains(errs.String(), "it lacks") {
		t.Errorf("%d lines, flushed %d times: %s", n, d.flushed, errs.String())
	}
}

// What took too long and got there after all is not missing.
func TestALedgerThatWasOnlySlowLacksNothing(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_ = w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err = nil; err == nil; {
		_, err = w.Write(bytes.Repeat([]byte("x"), 1000))
	}
	_ = w.SetWriteDeadline(time.Time{})
	var trouble told
	j := &Journal{Ledger: w, Err: &trouble}
	for n := range 50 { // the first stands in the pipe, and the others wait for nothing
		j.Write(contactOf(echo.KindSilent, fmt.Sprintf("192.0.2.%d:1", n)))
	}
	read := make(chan int)
	go func() {
		whole := 0
		for s := bufio.NewScanner(r); s.Scan(); {
			if bytes.HasSuffix(s.Bytes(), []byte("}")) {
				whole++
			}
		}
		read <- whole
	}()
	for !strings.Contains(trouble.String(), "again") {
		time.Sleep(time.Millisecond)
	}
	if !strings.Contains(trouble.String(), "nothing is missing from it") {
		t.Errorf("told:\n%s", trouble.String())
	}
	w.Close()
	if whole := <-read; whole != 50 {
		t.Errorf("%d lines in the ledger", whole)
	}
}

func TestFullDiskIsToldOnceAndServingGoesOn(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out bytes.Buffer
	var trouble told
	j := &Journal{Out: &out, JSON: true, Ledger: full, Err: &trouble}
	l := start(t, Config{OnEvent: j.Write})
	for range 3 {
		prove(t, loop, l.at, newAsk())
	}
	j.mu.Lock()
	j.Ledger = file // space is free again
	j.mu.Unlock()
	prove(t, loop, l.at, newAsk())
	l.stop()
	if n := strings.Count(out.String(), "asked"); n != 4 {
		t.Errorf("%d contacts are shown", n)
	}
	if n := strings.Count(trouble.String(), "cannot be written"); n != 1 || strings.Count(trouble.String(), "can be written again") != 1 {
		t.Errorf("told:\n%s", trouble.String())
	}
}

func TestSummarySaysWhoReachedWhat(t *testing.T) {
	j := &Journal{}
	if got := j.Summary(); got != "Nobody reached any port.\n" {
		t.Errorf("%q", got)
	}
	for range 2 {
		j.Write(contactOf(echo.KindProved, "192.0.2.7:50000"))
	}
	j.Write(contactOf(echo.KindSubmitted, "192.0.2.9:1"))
	c := contactOf(echo.KindForeign, "192.0.2.7:50001")
	c.Visit = service.Visit{Service: "SQL Server", Words: "PRELOGIN and login came, refused as meant"}
	j.Write(c)
	c.Peer.Local = netip.MustParseAddrPort("198.51.100.9:80")
	c.Visit = service.Visit{Service: "HTTP", Words: "GET came, answered with the page"}
	j.Write(c)
	if got, want := j.Summary(), "Who reached what:\n"+
		"  192.0.2.7        tcp/80 HTTP: GET came, answered with the page ×1\n"+
		"  192.0.2.7        tcp/1433 proved ×2, SQL Server: PRELOGIN and login came, refused as meant ×1\n"; got != want {
		t.Errorf("%q", got)
	}
}
