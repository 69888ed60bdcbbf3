package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding"
	"encoding/base32"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/invite"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// canary is text that does something wherever it gets through as it is: to a
// terminal, to the order of lines, to a spreadsheet.
const canary = "\x1b[31m\x1b]0;t\x07\u009b2J\u202e\u2066\u200b\u2028\u2029\x00\t\r\nFORGED=cmd|' /C calc'!A1;=1+1"

// longCanary is one that is long besides.
var longCanary = canary + strings.Repeat("\u202eA\x1b[2J", 500)

// A spot is one place in a value that can hold text.
type spot struct {
	path  string
	typed bool // a type of its own: one of few words
	plant func(v reflect.Value, text string)
}

// spotsOf finds every place of a type that can hold text, those in lists, tables and
// behind pointers, too, so that a field that is added later is among them.
func spotsOf(t reflect.Type, path string, deep int) (out []spot) {
	if deep > 12 {
		return nil
	}
	zone := func(s string) netip.Addr { return netip.MustParseAddr("fe80::1").WithZone(s) }
	in := func(t reflect.Type, path string, into func(v reflect.Value, do func(reflect.Value))) {
		for _, s := range spotsOf(t, path, deep+1) {
			out = append(out, spot{s.path, s.typed, func(v reflect.Value, text string) {
				into(v, func(v reflect.Value) { s.plant(v, text) })
			}})
		}
	}
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return []spot{{path, false, func(v reflect.Value, s string) { v.Set(reflect.ValueOf(zone(s))) }}}
	case reflect.TypeFor[result.Endpoint]():
		return []spot{{path, false, func(v reflect.Value, s string) {
			v.Set(reflect.ValueOf(result.Endpoint{AddrPort: netip.AddrPortFrom(zone(s), 80)}))
		}}}
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || t.Implements(reflect.TypeFor[json.Marshaler]()) {
		return nil // its text is read into what holds none
	}
	switch t.Kind() {
	case reflect.String:
		return []spot{{path, t.PkgPath() != "", func(v reflect.Value, s string) { v.SetString(s) }}}
	case reflect.Pointer:
		in(t.Elem(), path, func(v reflect.Value, do func(reflect.Value)) {
			if v.IsNil() {
				v.Set(reflect.New(t.Elem()))
			}
			do(v.Elem())
		})
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return []spot{{path, false, func(v reflect.Value, s string) { v.SetBytes([]byte(s)) }}}
		}
		in(t.Elem(), path+"[]", func(v reflect.Value, do func(reflect.Value)) {
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(t, 1, 1))
			}
			for i := range v.Len() {
				do(v.Index(i))
			}
		})
	case reflect.Map:
		for _, part := range []struct {
			name string
			t    reflect.Type
		}{{"{key}", t.Key()}, {"{value}", t.Elem()}} {
			in(part.t, path+part.name, func(v reflect.Value, do func(reflect.Value)) {
				key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
				if part.name == "{key}" {
					do(key)
				} else {
					do(value)
				}
				if v.IsNil() {
					v.Set(reflect.MakeMap(t))
				}
				v.SetMapIndex(key, value)
			})
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				in(f.Type, path+"."+f.Name, func(v reflect.Value, do func(reflect.Value)) { do(v.Field(i)) })
			}
		}
	}
	return out
}

// A planting is text in some places of one message, or several.
type planting struct {
	name  string
	spots map[string][]spot // by message
	text  string
}

// plantings are each place of some messages alone, if there is time, and always
// those for free text together, and all together.
func plantings(messages map[string]reflect.Type) (out []planting) {
	free, all := map[string][]spot{}, map[string][]spot{}
	for name, t := range messages {
		for _, s := range spotsOf(t, name, 0) {
			if hasTime() {
				out = append(out, planting{s.path, map[string][]spot{name: {s}}, canary})
			}
			if all[name] = append(all[name], s); !s.typed {
				free[name] = append(free[name], s)
			}
		}
		out = append(out, planting{"free text of " + name, map[string][]spot{name: free[name]}, canary})
		out = append(out, planting{"all of " + name, map[string][]spot{name: all[name]}, canary})
	}
	out = append(out, planting{"long text everywhere", free, longCanary})
	slices.SortFunc(out, func(a, b planting) int { return strings.Compare(a.name, b.name) })
	return out
}

// plant plants into a message; v is a pointer to it.
func (p planting) plant(name string, v any) {
	for _, s := range p.spots[name] {
		s.plant(reflect.ValueOf(v).Elem(), p.text)
	}
}

// isInert fails for every byte of an output that would do something.
func isInert(t *testing.T, what string, out []byte) {
	t.Helper()
	if !utf8.Valid(out) {
		t.Errorf("%s is no UTF-8", what)
	}
	text := string(out)
	if strings.HasSuffix(what, "csv") {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	for i, r := range text {
		if r != '\n' && (!unicode.IsPrint(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point)) {
			t.Errorf("%s: %U: %q", what, r, text[max(0, i-60):min(len(text), i+30)])
			return
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "FORGED") {
			t.Errorf("%s: a line of the peer's own: %q", what, line)
		}
	}
	if len(out) > 4<<20 {
		t.Errorf("%s has %d bytes", what, len(out))
	}
	switch {
	case strings.HasSuffix(what, "json"):
		if len(out) > 0 && !json.Valid(out) {
			t.Errorf("%s is no JSON: %.200q", what, text)
		}
	case strings.HasSuffix(what, "csv"):
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for _, cell := range slices.Concat(rows...) {
			for part := range strings.SplitSeq(cell, ";") {
				if strings.IndexAny(strings.TrimLeft(part, " '\""), "=+-@\t\r") == 0 && !strings.HasPrefix(part, "'") {
					t.Errorf("%s: a formula: %q", what, part)
				}
			}
		}
	}
}

// program runs one of the programs, looks at all that it says, and returns it.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	given := slices.Clone(args)
	for i := range given {
		given[i] = strings.ReplaceAll(given[i], "\x00", "") // which no system passes on
	}
	cmd := exec.CommandContext(ctx, filepath.Join(programs, name), given...)
	cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || exit != nil && !exit.Exited() || strings.Contains(errs.String(), "panic:") {
		t.Errorf("%s: %v\n%s", name, err, errs.Bytes())
	}
	isInert(t, "standard output", out.Bytes())
	isInert(t, "standard error", errs.Bytes())
	for i, a := range args {
		if a != "--out" {
			continue
		}
		b, err := os.ReadFile(args[i+1])
		if err == nil {
			isInert(t, filepath.Base(args[i+1]), b)
			out.Write(b)
		}
	}
	return out.String() + errs.String()
}

const canaryShift = 10700

// hostileEnd is a far end that holds the key and plants.
type hostileEnd struct {
	echo.NoHost // what carries no text
	planting
	mu    *sync.Mutex
	asked map[string]bool
}

func (h hostileEnd) answer(name string, v any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[name] = true
	h.plant(name, v)
}

func (h hostileEnd) Hello(echo.Peer) (out echo.Hello) {
	out = echo.Hello{Instance: echo.NewID(), Plan: "illiad", Shift: canaryShift, Bound: map[string][]int{"tcp4": {1433 + canaryShift}}, Clock: time.Now().UnixMilli(), Busy: []result.BusyPort{{Port: 1433 + canaryShift, Transport: plan.TCP, InUse: true}}}
	h.answer("Hello", &out)
	return out
}

func (h hostileEnd) Witness(_ echo.Peer, w echo.Witness) (out echo.Witnessed) {
	for range w.Queries {
		out.Answers = append(out.Answers, result.Acceptor{Port: result.PortBusy, Saw: result.SawNothing})
	}
	h.answer("Witness", &out)
	return out
}

func (h hostileEnd) DialBack(ctx context.Context, p echo.Peer, d echo.DialBack) (out echo.DialedBack) {
	for _, b := range d.Paths { // in earnest: dial asks for more where it proved itself
		out.Halves = append(out.Halves, dialer.Attempt(ctx, dialer.Path{
			Flow: b.Flow, Transport: b.Transport, Probe: b.Probe, Target: netip.AddrPortFrom(p.Remote.Addr(), uint16(b.Port)),
		}, dialer.Options{Key: p.Key, Run: p.Run, Bytes: d.Bytes, Timeout: time.Second}))
	}
	h.answer("DialBack", &out)
	return out
}

func (h hostileEnd) ConverseBack(_ context.Context, _ echo.Peer, b echo.ConverseBack) (out echo.ConversedBack) {
	out.Conversations = make([]result.Conversation, len(b.Paths))
	h.answer("ConverseBack", &out)
	return out
}

func (h hostileEnd) HeldBack(echo.Peer, echo.HeldBack) (out echo.HeldSoFar, _ bool) {
	h.answer("HeldBack", &out)
	out.Done = true
	return out, true
}

func (h hostileEnd) Meet(echo.Peer, echo.Meet) (out echo.Met) {
	out.Turn = echo.TurnLead
	h.answer("Meet", &out)
	return out
}

func (h hostileEnd) Deliver(echo.Peer, echo.Delivery) (out echo.Receipt, _ func(), _ error) {
	h.answer("Deliver", &out)
	return out, nil, nil
}

func (h hostileEnd) Collect(echo.Peer) (out echo.Collected, _ error) {
	h.answer("Collect", &out)
	return out, nil
}

func (h hostileEnd) Vouch(_ echo.Peer, v echo.Vouch) (out echo.Vouched, _ error) {
	out.Borne = make([]bool, len(v.Claims))
	h.answer("Vouch", &out)
	return out, nil
}

// answers are the messages with text of a Host: what each method returns.
func answers() map[string]reflect.Type {
	out := map[string]reflect.Type{}
	host := reflect.TypeFor[echo.Host]()
	for i := range host.NumMethod() {
		m := host.Method(i)
		if m.Type.NumOut() > 0 && len(spotsOf(m.Type.Out(0), m.Name, 0)) > 0 && m.Type.Out(0) != reflect.TypeFor[error]() {
			out[m.Name] = m.Type.Out(0)
		}
	}
	return out
}

// parallel runs a case for each of n, a few at once.
func parallel(n int, do func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 6)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() { defer func() { <-slots }(); do(i) })
	}
	all.Wait()
}

// Whatever a far end that holds the key writes into any field of any answer, dial
// shows it as text.
func TestNoFieldOfAnAnswerActsOnAnything(t *testing.T) {
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	messages := answers()
	delete(messages, "Collect") // which a program of one's own machine answers: see TestNoFieldOfAReportActsOnAnything
	cases := plantings(messages)
	var mu sync.Mutex
	asked := map[string]bool{}
	shown := 0
	dir := t.TempDir()
	parallel(len(cases), func(i int) {
		at, from := netip.AddrFrom4([4]byte{127, 80, byte(i / 200), byte(1 + i%200)}), netip.AddrFrom4([4]byte{127, 81, byte(i / 200), byte(1 + i%200)})
		l, err := net.Listen("tcp", netip.AddrPortFrom(at, 1433+canaryShift).String())
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		o, err := net.Listen("tcp", netip.AddrPortFrom(at, 7968+canaryShift).String())
		if err != nil {
			t.Error(err)
			return
		}
		defer o.Close()
		a := &echo.Answerer{Key: key, Instance: echo.NewID(), Software: canary, Host: hostileEnd{planting: cases[i], mu: &mu, asked: asked}}
		for _, l := range []net.Listener{l, o} {
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() { defer conn.Close(); a.Answer(t.Context(), conn) }()
				}
			}()
		}
		out := filepath.Join(dir, strconv.Itoa(i)+".json")
		common := []string{"--bind", from.String(), "--port-shift", strconv.Itoa(canaryShift), "--timeout", "1s", "--verbose", "--out", out}
		args := append(common, "--only", "sql-client", "--both-ways", at.String())
		if len(cases[i].spots["HeldBack"]) > 0 {
			args = append([]string{"--hold", "1s"}, args...)
		}
		if len(cases[i].spots["Meet"]) > 0 {
			args = append([]string{"odyssey", "--only", "odyssey", "--wait", "2s"}, append(common, at.String())...)
		}
		said := program(t, "dial", args...)
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(said, `FORGED`) {
			shown++
		}
		if t.Failed() {
			t.Logf("so far at %s", cases[i].name)
		}
	})
	for name := range messages {
		if !asked[name] {
			t.Errorf("dial never asked for a %s: let it, or its fields are not tried", name)
		}
	}
	if shown == 0 {
		t.Error("nothing that was planted was ever shown: nothing was tried")
	}
	t.Logf("%d plantings, of which %d are shown, as text", len(cases), shown)
}

// Whatever who holds the key writes into any field of any request, listen shows it as
// text, on its screen, in JSON and in its ledger.
func TestNoFieldOfARequestActsOnAnything(t *testing.T) {
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	for n, format := range []string{"", "--json"} {
		at := netip.AddrFrom4([4]byte{127, 82, 0, byte(1 + n)})
		dir := t.TempDir()
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		args := []string{"--bind", at.String(), "--port-shift", strconv.Itoa(canaryShift), "--for", "1m", "--ledger", filepath.Join(dir, "ledger"), "--ready-file", filepath.Join(dir, "ready")}
		if format != "" {
			args = append(args, format)
		}
		cmd := exec.Command(filepath.Join(programs, "listen"), args...)
		cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill() }()
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("listen does not get ready")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		requests := 0
		ask := func(flow string, say func(*echo.Conn)) {
			conn, err := net.Dial("tcp", netip.AddrPortFrom(at, 1433+canaryShift).String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			c, err := echo.Prove(ctx, conn, echo.Ask{Key: key, Run: echo.NewID(), Probe: echo.NewID(), Flow: flow})
			if err != nil {
				t.Errorf("%q: %v", flow, err)
				return
			}
			requests++
			say(c)
		}
		for _, part := range []string{canary[:60], canary[40:]} { // a flow has 64 bytes
			ask(part[:min(len(part), 64)], func(*echo.Conn) {})
		}
		conn := reflect.TypeFor[*echo.Conn]()
		for i := range conn.NumMethod() {
			m := conn.Method(i)
			if m.Type.NumIn() != 3 || m.Type.In(1) != reflect.TypeFor[context.Context]() || m.Type.In(2) == conn {
				continue
			}
			body := m.Type.In(2)
			for _, text := range []string{canary, longCanary} {
				for _, s := range spotsOf(body, m.Name, 0) {
					v := reflect.New(body).Elem()
					acceptable(v)
					s.plant(v, text)
					ask("sql-client", func(c *echo.Conn) {
						reflect.ValueOf(c).MethodByName(m.Name).Call([]reflect.Value{reflect.ValueOf(ctx), v})
					})
				}
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		shown := false
		for _, name := range []string{"out", "ledger"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			isInert(t, "listen "+format+": its "+name, b)
			shown = shown || bytes.Contains(b, []byte("FORGED"))
		}
		if !shown || requests < 30 {
			t.Errorf("%d requests, and nothing of them is shown", requests)
		}
		t.Logf("%d requests %s", requests, format)
	}
}

// acceptable sets the numbers that a request must have.
func acceptable(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				acceptable(v.Field(i))
			}
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(1000)
	}
}

// reportOf is a report with text planted in it, as a file.
func reportOf(t *testing.T, p planting, run string) []byte {
	t.Helper()
	r := result.Report{}
	if err := json.Unmarshal([]byte(`{"schema": "dialtone.report/1", "run": "`+run+`", "mode": "paths", "plan": "illiad", "started": "2026-03-17T21:51:40.000Z",
 "from": {"role": "server"}, "to": {"role": "peer"}, "paths": [
  {"flow": "odyssey-out", "port": 17968, "plan_port": 7968, "transport": "tcp", "direction": "forward", "family": "ip4", "from": "server", "to": "peer",
   "counted": true, "expect": "open", "verdict": "filtered", "proof": "none", "need": "required"}]}`), &r); err != nil {
		t.Fatal(err)
	}
	p.plant("Report", &r)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever stands in any field of a report from elsewhere, dial merge shows it as
// text in every form, those fields that it takes and those for which it refuses it.
func TestNoFieldOfAReportActsOnAnything(t *testing.T) {
	dir := t.TempDir()
	var taken []string
	refused := map[string]string{} // a file by what is said of it
	for i, s := range spotsOf(reflect.TypeFor[result.Report](), "Report", 0) {
		for _, text := range []string{canary, longCanary} {
			name := filepath.Join(dir, fmt.Sprintf("%d-%d.json", i, len(text)))
			b := reportOf(t, planting{s.path, map[string][]spot{"Report": {s}}, text}, fmt.Sprintf("%032x", len(taken)))
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := result.ParseReport(b, result.MaxReport); err != nil {
				words := err.Error()
				if at := strings.LastIndex(words, ": "); at > 0 {
					words = words[at:]
				}
				refused[words] = name
			} else {
				taken = append(taken, name)
			}
		}
	}
	if len(taken) < 100 || len(refused) == 0 {
		t.Fatalf("%d are taken, %d refused", len(taken), len(refused))
	}
	t.Logf("%d reports are taken, and refused in %d ways", len(taken), len(refused))
	out := filepath.Join(dir, "all")
	if said := program(t, "dial", append([]string{"merge", "--out", out + ".json", "--out", out + ".csv", "--out", out + ".txt", "--out", out + ".requests", "--dialect", "nft"}, taken...)...); !strings.Contains(said, "FORGED") {
		t.Error("nothing that was planted is shown")
	}
	for _, name := range refused {
		program(t, "dial", "merge", name, name)
	}
	// Each by itself: the whole report is shown then.
	parallel(len(taken), func(i int) {
		program(t, "dial", "merge", "--out", taken[i]+".out.json", "--out", taken[i]+".requests", taken[i], taken[i])
	})
}

// Whatever stands in any field of a report that is handed over to a dial that waits, it
// is shown as text, in the place of its own report; and so is why one is refused, by
// listen.
func TestNoFieldOfADeliveredReportActsOnAnything(t *testing.T) {
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	pack := func(b []byte) echo.Delivery {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(b); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		return echo.Delivery{Report: packed.Bytes(), Last: true}
	}
	all := planting{"all that is taken", map[string][]spot{}, canary}
	var refused []echo.Delivery
	run := strings.Repeat("1", 32)
	for _, s := range spotsOf(reflect.TypeFor[result.Report](), "Report", 0) {
		b := reportOf(t, planting{s.path, map[string][]spot{"Report": {s}}, canary}, run)
		if _, err := result.ParseReport(b, result.MaxReport); err != nil {
			refused = append(refused, pack(b))
		} else if !slices.Contains([]string{"Report.Run", "Report.Plan", "Report.From.Role", "Report.To.Role"}, s.path) { // by which it is taken for this run's
			all.spots["Report"] = append(all.spots["Report"], s)
		}
	}
	deliver := func(at netip.AddrPort, d echo.Delivery) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for ; ; time.Sleep(50 * time.Millisecond) {
			conn, err := net.DialTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 84, 0, 1)}, net.TCPAddrFromAddrPort(at))
			if ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				continue // it does not wait yet
			}
			defer conn.Close()
			c, err := echo.Prove(ctx, conn, echo.Ask{Key: key, Run: echo.NewID(), Probe: echo.NewID(), Flow: "hand-over"})
			if err != nil {
				return err
			}
			_, err = c.Deliver(ctx, d)
			return err
		}
	}
	handed := make(chan error, 1)
	waits := netip.MustParseAddr("127.84.0.2")
	go func() {
		handed <- deliver(netip.AddrPortFrom(waits, 7968+canaryShift), pack(reportOf(t, all, run)))
	}()
	said := program(t, "dial", "odyssey", "--wait", "30s", "--only", "odyssey", "--bind", waits.String(), "--port-shift", strconv.Itoa(canaryShift), "--out", filepath.Join(t.TempDir(), "x.json"), "127.84.0.1")
	if err := <-handed; err != nil || !strings.Contains(said, "FORGED") {
		t.Errorf("%v: %s", err, said)
	}
	at := netip.MustParseAddr("127.84.0.3")
	_, tells := listening(t, at, `exec "$@" >&2`)
	for _, d := range refused {
		var why *echo.RefusedError
		if err := deliver(netip.AddrPortFrom(at, 7968+troubleShift), d); !errors.As(err, &why) {
			t.Errorf("%v", err)
		}
	}
	isInert(t, "listen's screen", []byte(tells()))
	if !strings.Contains(tells(), "refused: ") {
		t.Error(tells())
	}
}

// Whatever a service says in its own language, or in a certificate, dial shows it as
// text.
func TestNoWordOfAServiceActsOnAnything(t *testing.T) {
	at := netip.MustParseAddr("127.85.0.1")
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := pkix.Name{CommonName: canary, Organization: []string{canary}}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"\x1b[2J\r\nFORGED", "=cmd|'!A1"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certified := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: signer}}}
	illiad, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.NewReplacer("\r", "", "\n", "").Replace(canary)
	ports := map[int]bool{}
	for _, r := range illiad.Rows {
		if r.Transport != plan.TCP || r.Port == 0 || ports[r.Port] {
			continue
		}
		ports[r.Port] = true
		l, err := net.Listen("tcp", netip.AddrPortFrom(at, uint16(r.Port+canaryShift)).String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		speaks := string(r.Speaks)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
					if r.Speaks == plan.HTTPS || r.Speaks == plan.LDAPS || r.Speaks == plan.SMTPS {
						conn = tls.Server(conn, certified)
					}
					b := make([]byte, 4096)
					for n := range 20 {
						switch {
						case strings.HasPrefix(speaks, "smtp") || speaks == "ftp":
							fmt.Fprintf(conn, "%d-%s\r\n%[1]d %[2]s\r\n", []int{220, 250, 530}[n%3], words)
						case n > 0:
							fmt.Fprintf(conn, "HTTP/1.1 302 %s\r\nServer: %[1]s\r\nLocation: http://%[1]s/\r\nWWW-Authenticate: %[1]s\r\n\r\n%[1]s", words)
						}
						if k, err := conn.Read(b); err != nil || k == 0 {
							return
						}
					}
				}()
			}
		}()
	}
	said := program(t, "dial", "--installed", "--role", "all", "--bind", "127.85.0.2", "--port-shift", strconv.Itoa(canaryShift), "--timeout", "1s", "--verbose", "--out", filepath.Join(t.TempDir(), "x.json"), at.String())
	if n := strings.Count(said, "FORGED"); n < 10 {
		t.Errorf("shown %d times: %s", n, said)
	}
}

// Whatever stands in any field of an invitation, signed by who made it, or in a mail
// around it, or in a list of partners, a site file or a plan.
func TestNoFieldOfAFileActsOnAnything(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	illiad, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	line, err := invite.Make(invite.Invitation{
		Name: "A", Hosts: []string{"127.83.0.1"}, KeyText: soakKey, Plan: "illiad", PlanDigest: illiad.Digest(), Shift: canaryShift, Ports: map[string]int{"odyssey-in": 9}, Rows: []string{"odyssey-out"},
		Issued: time.Now(), Expires: time.Now().Add(time.Hour), By: "b",
	})
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		program(t, "dial", append(args, "--port-shift", strconv.Itoa(canaryShift), "--timeout", "200ms", "--bind", "127.83.0.2")...)
	}
	invitations := 0
	for _, bad := range resigned(t, line) {
		program(t, "dial", "odyssey", "--timeout", "200ms", "--bind", "127.83.0.2", bad)
		invitations++
	}
	run("odyssey", "@"+file("mail", "From: "+canary+"\r\nSubject: "+canary+"\r\nContent-Type: text/plain; charset="+canary+"\r\n\r\n"+canary+"\r\ndialtone-invitation-"+canary+"\r\n"+line[:40]))
	run("odyssey", canary)
	run("odyssey", "@"+canary)
	run("--only", canary, "127.83.0.1")
	run("--plan", canary, "127.83.0.1")
	run("egress", "--host", canary+"="+canary)
	documents := map[string]string{
		"--peers": "- name: {}\n  host: {}\n  invitation: {}\n  kind: {}\n  port: {}\n  sends: {}\n",
		"--site":  "title: {}\nroles:\n  server: {}\nports:\n  sql: {}\nfeatures: [{}]\n{}: {}\n",
		"--plan":  "name: {}\ntitle: {}\nrevised: {}\nroles:\n  a: {}\n  {}: x\nrows:\n- id: {}\n  name: {}\n  from: {}\n  to: {}\n  port: {}\n  need: {}\n  why: {}\n  source: {}\n",
	}
	for flag, doc := range documents {
		n := strings.Count(doc, "{}")
		for i := range n {
			k := -1
			parts := strings.Split(doc, "{}")
			var b strings.Builder
			for j, p := range parts {
				b.WriteString(p)
				if j == len(parts)-1 {
					break
				}
				if k++; k == i {
					q, _ := json.Marshal(canary) // a YAML text in quotes (YAML 1.2 section 7.3.1)
					b.Write(q)
				} else {
					b.WriteString("x")
				}
			}
			name := file(fmt.Sprintf("%s%d.yaml", strings.Trim(flag, "-"), i), b.String())
			if flag == "--peers" {
				run("odyssey", flag, name)
			} else {
				program(t, "listen", "plan", flag, name)
			}
		}
	}
	run("odyssey", "--peers", file("peers.csv", "name,host,invitation\n\""+canary+"\",\""+canary+"\",\""+canary+"\"\n"))
	if invitations < 8 {
		t.Errorf("only %d invitations", invitations)
	}
}

// resigned are an invitation with each of its texts replaced, and signed again.
func resigned(t *testing.T, line string) (out []string) {
	t.Helper()
	enc := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	head, rest, _ := strings.Cut(line, ":")
	body, rest, _ := strings.Cut(rest, ".")
	end := rest[strings.Index(rest, "."):]
	plainText, err := enc.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		var v any
		if err := json.Unmarshal(plainText, &v); err != nil {
			t.Fatal(err)
		}
		left := i
		if v = replaced(v, &left); left >= 0 {
			return out
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		signed := head + ":" + enc.EncodeToString(b)
		mac := hmac.New(sha256.New, key.Derive("invitation"))
		mac.Write([]byte(signed))
		out = append(out, signed+"."+enc.EncodeToString(mac.Sum(nil))+end)
	}
}

// replaced is a value with its text number left replaced by the canary; left is below
// zero if there is one.
func replaced(v any, left *int) any {
	switch v := v.(type) {
	case string:
		if *left--; *left == -1 {
			return canary
		}
	case []any:
		for i := range v {
			v[i] = replaced(v[i], left)
		}
	case map[string]any:
		for _, k := range slices.Sorted(func(yield func(string) bool) {
			for k := range v {
				if !yield(k) {
					return
				}
			}
		}) {
			v[k] = replaced(v[k], left)
		}
	}
	return v
}
