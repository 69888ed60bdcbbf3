package lab

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/echo"
	"dialtone/internal/invite"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

const (
	consortiumSize = 200
	brokenEach     = 5 // one in so many is broken
	// consortiumWithin bounds a run with all partners, on a busy machine too.
	consortiumWithin = 8 * time.Minute
	// consortiumEnv tells this test's own binary to be the partners.
	consortiumEnv = "DIALTONE_LAB_CONSORTIUM"
)

// An ailment is what is wrong with a partner, and what dial has to say of
// Odyssey to it and back.
type ailment struct {
	name string
	nft  string // rules of the server-side firewall; SICK is the set of partners
	out  result.Verdict
	in   result.Verdict
}

// healthy is no ailment.
var healthy = ailment{out: result.Open, in: result.Open}

var ailments = []ailment{
	{name: "dropped in", nft: `iifname "wan" ip daddr SICK tcp dport 7968 drop`, out: result.Filtered, in: result.Open},
	{name: "dropped back", nft: `iifname "lan" ip saddr SICK tcp dport 7968 drop`, out: result.Open, in: result.Filtered},
	{name: "reset in", nft: `iifname "wan" ip daddr SICK tcp dport 7968 reject with tcp reset`, out: result.Refused, in: result.Open},
	{name: "reset back", nft: `iifname "lan" ip saddr SICK tcp dport 7968 reject with tcp reset`, out: result.Open, in: result.Refused},
	{name: "rejected in", nft: `iifname "wan" ip daddr SICK tcp dport 7968 reject with icmp type admin-prohibited`, out: result.Rejected, in: result.Open},
	{name: "rejected back", nft: `iifname "lan" ip saddr SICK tcp dport 7968 reject with icmp type admin-prohibited`, out: result.Open, in: result.Rejected},
	{name: "reply lost in", nft: `iifname "lan" ip saddr SICK tcp sport 7968 drop`, out: result.ReplyLost, in: result.Open},
	{name: "reply lost back", nft: `iifname "wan" ip daddr SICK tcp sport 7968 drop`, out: result.Open, in: result.ReplyLost},
	{name: "cut off", nft: `ip daddr SICK drop`, out: result.Silent, in: result.Untested},
	{name: "redirected", out: result.Redirected, in: result.Open},
	{name: "redirected to a stranger", out: result.Answered, in: result.Open},
	{name: "wrong key", out: result.Answered, in: result.Untested},
	{name: "nobody listens", out: result.Refused, in: result.Untested},
	{name: "other software", out: result.Arrived, in: result.Open},
	{name: "expired", out: result.Untested, in: result.Untested},
	{name: "altered", out: result.Untested, in: result.Untested},
}

// A member is a partner of the test's consortium.
type member struct {
	Name     string
	Addr     netip.Addr
	Key      string // "": nobody listens
	Occupied bool   // other software has port 7968

	ailment    ailment
	invitation string
}

// consortium makes the members: each has an address and a key of its own, but
// that a redirected one shares its key with the healthy one behind it.
func consortium(t *testing.T) []*member {
	t.Helper()
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	var out []*member
	for i := range consortiumSize {
		m := &member{
			Name: fmt.Sprintf("Library %03d", i+1), Addr: netip.AddrFrom4([4]byte{10, 2, 0, byte(40 + i)}),
			Key: fmt.Sprintf("the key of library %03d", i+1), ailment: healthy,
		}
		if i%brokenEach == 0 {
			m.ailment = ailments[i/brokenEach%len(ailments)]
		}
		out = append(out, m)
	}
	for i, m := range out {
		if m.ailment.name == "redirected" {
			out[i+1].Key = m.Key
		}
	}
	for _, m := range out {
		inv := invite.Invitation{
			Name: m.Name, Hosts: []string{m.Addr.String()}, KeyText: m.Key, Plan: p.Name, PlanDigest: p.Digest(),
			Rows:   []string{"odyssey-out", "odyssey-in", "iso-out", "iso-in"},
			Issued: time.Now().Add(-3 * time.Hour), Expires: time.Now().Add(3 * time.Hour), By: "the lab",
		}
		if m.ailment.name == "expired" {
			inv.Expires = time.Now().Add(-time.Hour)
		}
		if m.invitation, err = invite.Make(inv); err != nil {
			t.Fatal(err)
		}
		switch m.ailment.name {
		case "altered":
			b := []byte(m.invitation)
			b[len(b)/2] = 'a' + (b[len(b)/2]-'a'+1)%26
			m.invitation = string(b)
		case "wrong key":
			m.Key = "a key that was given to nobody"
		case "nobody listens":
			m.Key = ""
		case "other software":
			m.Occupied = true
		}
	}
	return out
}

// fault is what the firewall does to the members, as nftables rules.
func fault(members []*member) string {
	var sets, rules, nat strings.Builder
	for n, a := range ailments {
		var sick []string
		for _, m := range members {
			if m.ailment.name == a.name {
				sick = append(sick, m.Addr.String())
			}
		}
		switch {
		case a.nft != "":
			set := fmt.Sprintf("sick%d", n)
			fmt.Fprintf(&sets, "  set %s { type ipv4_addr; elements = { %s }; }\n", set, strings.Join(sick, ", "))
			fmt.Fprintf(&rules, "    %s\n", strings.ReplaceAll(a.nft, "SICK", "@"+set))
		case strings.HasPrefix(a.name, "redirected"):
			for _, s := range sick {
				fmt.Fprintf(&nat, "    iifname \"wan\" ip daddr %s tcp dport 7968 dnat ip to %s\n", s, netip.MustParseAddr(s).Next())
			}
		}
	}
	return fmt.Sprintf("table inet fault {\n%s  chain f {\n    type filter hook forward priority -5;\n%s  }\n  chain n {\n    type nat hook prerouting priority dstnat;\n%s  }\n}\n", &sets, &rules, &nat)
}

// writeList is the members as a spreadsheet program in Europe saves them: some with
// a host, some with a file for the invitation.
func writeList(t *testing.T, dir string, members []*member) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("\ufeff")
	w := csv.NewWriter(&b)
	w.Comma, w.UseCRLF = ';', true
	rows := [][]string{{"name", "host", "invitation"}}
	for i, m := range members {
		row := []string{m.Name, "", m.invitation}
		if i%3 == 0 {
			row[1] = m.Addr.String()
		}
		if i%4 == 0 {
			file := fmt.Sprintf("invitation-%03d.txt", i+1)
			if err := os.WriteFile(filepath.Join(dir, file), []byte("Dear colleague,\r\n\r\n> "+m.invitation+"\r\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			row[2] = "@" + file
		}
		rows = append(rows, row)
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "partners.csv")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A sighting is a line of the members' common ledger: who was dialed, and when.
type sighting struct {
	At   time.Time
	Addr netip.Addr
	Kind echo.Kind
}

// beMembers is the members' listeners, in a process of their own, until it is
// interrupted: members of file, a line in ledger for each contact, and the file
// ready once all answer.
func beMembers(file, ledger, ready string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var members []member
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	p, err := plan.Load("illiad")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(ledger, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var mu sync.Mutex
	lines := json.NewEncoder(log)
	var all, answering sync.WaitGroup
	var starting errgroup.Group
	starting.SetLimit(runtime.GOMAXPROCS(0)) // each stretches a key
	for _, m := range members {
		if m.Key == "" {
			continue
		}
		starting.Go(func() error {
			key, err := echo.ParseKey(m.Key)
			if err != nil {
				return err
			}
			if m.Occupied {
				l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(m.Addr, 7968)))
				if err != nil {
					return err
				}
				go beSilent(l)
			}
			l := listener.New(listener.Config{
				Key: key, Software: "dialtone lab", Plan: p, Roles: []plan.Role{plan.RolePeer},
				Ports: p.Ports([]plan.Role{plan.RolePeer}), Addrs: []netip.Addr{m.Addr},
				OnEvent: func(c listener.Event) {
					mu.Lock()
					defer mu.Unlock()
					_ = lines.Encode(sighting{c.At, m.Addr, c.Kind})
				},
			})
			for _, err := range l.Bind(ctx) {
				if !m.Occupied {
					return err
				}
			}
			answering.Add(1)
			isReady := sync.OnceFunc(answering.Done)
			all.Go(func() {
				_ = l.Serve(ctx, func([]*listener.BindError) { isReady() })
				isReady() // one that ends early must not hold up the end
			})
			return nil
		})
	}
	if err := starting.Wait(); err != nil {
		return err
	}
	answering.Wait()
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		return err
	}
	all.Wait()
	return nil
}

// beSilent accepts connections and says nothing, as Odyssey does.
func beSilent(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b := make([]byte, 4096)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		}()
	}
}

// memberNodes are the machines that have the members' addresses: each packet
// is looked at by every listener of its machine.
var memberNodes = []string{"server", "database", "ils"}

// startMembers starts them and returns their ledgers.
func startMembers(t *testing.T, l *Lab, dir string, members []*member) (ledgers []string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	var ready []func() error
	for n, node := range memberNodes {
		var here []*member
		var batch strings.Builder
		for i, m := range members {
			if i%len(memberNodes) == n {
				here = append(here, m)
				fmt.Fprintf(&batch, "address add %s/24 dev eth0\n", m.Addr)
			}
		}
		addresses := l.Command(t.Context(), node, "ip", "-batch", "-")
		addresses.Stdin = strings.NewReader(batch.String())
		if out, err := addresses.CombinedOutput(); err != nil {
			t.Fatalf("addresses: %v\n%s", err, out)
		}
		b, err := json.Marshal(here)
		if err != nil {
			t.Fatal(err)
		}
		file, isReady := filepath.Join(dir, node+".json"), filepath.Join(dir, node+".ready")
		ledger := filepath.Join(dir, node+".jsonl")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := l.Command(context.Background(), node, os.Args[0])
		cmd.Env = append(cmd.Env, consortiumEnv+"="+strings.Join([]string{file, ledger, isReady}, "\n"))
		cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
			t.Logf("the members on %s: %v user, %v system", node, cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime())
		})
		ledgers = append(ledgers, ledger)
		ready = append(ready, func() error {
			return waitFor(ctx, cmd, func() bool { _, err := os.Stat(isReady); return err == nil })
		})
	}
	for _, wait := range ready {
		if err := wait(); err != nil {
			t.Fatal(err)
		}
	}
	return ledgers
}

// dialPeers prepares dial odyssey --peers on the client's node.
func dialPeers(ctx context.Context, l *Lab, bin Binaries, dir, list string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = l.Command(ctx, "client", bin.Dial, "odyssey", "--peers", list, "--format", "json", "--out", filepath.Join(dir, "matrix.txt"))
	cmd.Env = append(cmd.Env, "DIALTONE_KEY=")
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// runPeers runs it to its end and returns the matrix.
func runPeers(t *testing.T, l *Lab, bin Binaries, dir, list string) (m result.Matrix, said string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), consortiumWithin)
	defer stop()
	cmd, stdout, stderr := dialPeers(ctx, l, bin, dir, list)
	began := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("dial: %v, want exit 1\n%s", err, stderr)
	}
	t.Logf("dial took %v: %v user, %v system", time.Since(began).Round(time.Second), cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime())
	if err := json.Unmarshal(stdout.Bytes(), &m); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	return m, stderr.String()
}

// cellOf is a row's path of a flow over IPv4.
func cellOf(m result.Matrix, r result.MatrixRow, flow string) *result.MatrixCell {
	for i, c := range m.Columns {
		if c.Flow == flow && c.Family == result.IP4 && i < len(r.Cells) {
			return r.Cells[i]
		}
	}
	return nil
}

// diagnosis is what a matrix says, but for times and runs.
func diagnosis(m result.Matrix) string {
	var b strings.Builder
	for _, r := range m.Rows {
		fmt.Fprintf(&b, "%s %v", r.Name, r.OK)
		for i, c := range r.Cells {
			if c != nil {
				fmt.Fprintf(&b, " %s=%s/%s", m.Columns[i].Flow, c.Verdict, c.Code)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// checkConsortium compares a matrix with what is wrong with the members.
func checkConsortium(t *testing.T, m result.Matrix, members []*member) {
	t.Helper()
	if len(m.Rows) != len(members) {
		t.Fatalf("%d rows", len(m.Rows))
	}
	falseOpen, right := 0, 0
	for i, want := range members {
		r := m.Rows[i]
		good := r.Name == want.Name && r.OK == (want.ailment.name == "")
		for _, way := range []struct {
			flow string
			want result.Verdict
		}{{"odyssey-out", want.ailment.out}, {"odyssey-in", want.ailment.in}} {
			c := cellOf(m, r, way.flow)
			if c == nil {
				t.Errorf("%s (%s): there is no path %s", r.Name, want.ailment.name, way.flow)
				good = false
				continue
			}
			good = good && c.Verdict == way.want
			if c.Verdict == result.Open && way.want != result.Open {
				falseOpen++
			}
			// Whoever has to act is told, once; what the two ends have to mend is a
			// finding, or where it is of one port a request to them.
			own, ends := slices.Contains(result.OwnCodes, c.Code), want.ailment.name == "nobody listens"
			needs := !c.OK && c.Verdict != result.Untested && !own
			if own && c.Verdict != result.Untested && !slices.ContainsFunc(m.Findings, func(f result.Finding) bool { return f.Code == c.Code && strings.HasPrefix(f.Text, want.Name+": ") }) {
				t.Errorf("%s (%s): no finding %s says so: %+v", r.Name, want.ailment.name, c.Code, m.Findings)
			}
			asked := c.Request > 0 && c.Request <= len(m.Requests) && slices.Contains(m.Requests[c.Request-1].Rows, i)
			if needs != asked || asked && m.Requests[c.Request-1].Ends != ends {
				t.Errorf("%s (%s): %s is %s with request %d", r.Name, want.ailment.name, way.flow, c.Verdict, c.Request)
			}
		}
		if !good {
			out, in := cellOf(m, r, "odyssey-out"), cellOf(m, r, "odyssey-in")
			t.Errorf("%s at %s (%s): ok %v, out %+v, in %+v; want %s, %s", r.Name, want.Addr, want.ailment.name, r.OK, out, in, want.ailment.out, want.ailment.in)
			continue
		}
		right++
	}
	t.Logf("%d of %d partners right in both directions, %d false open", right, len(members), falseOpen)
	for name, words := range map[string]string{"expired": "the invitation has expired", "altered": "the invitation was altered"} {
		for _, member := range members {
			if member.ailment.name == name && !slices.ContainsFunc(m.Findings, func(f result.Finding) bool { return strings.HasPrefix(f.Text, member.Name+": "+words) }) {
				t.Errorf("no finding says of %s that %s", member.Name, words)
			}
		}
	}
}

// A consortium of 200, a fifth of them broken: every one right in both
// directions; and after a kill in the middle nobody is dialed twice.
func TestAConsortium(t *testing.T) {
	needLab(t)
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := up(t)
	members := consortium(t)
	ledgers := startMembers(t, l, dir, members)
	if err := l.Plant(t.Context(), "fws", fault(members)); err != nil {
		t.Fatal(err)
	}
	file := writeList(t, dir, members)
	progress := file + ".progress"

	whole, _ := runPeers(t, l, bin, dir, file)
	checkConsortium(t, whole, members)
	if _, err := os.Stat(progress); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run to the end leaves its progress behind: %v", err)
	}

	cmd, _, stderr := dialPeers(t.Context(), l, bin, dir, file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), consortiumWithin)
	defer stop()
	err = waitFor(ctx, cmd, func() bool { return len(finished(t, progress)) >= consortiumSize/3 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	done := finished(t, progress)
	if n := len(done); n >= consortiumSize-10 {
		t.Fatalf("it was killed too late: %d were tested", n)
	}
	settle(ctx, t, l)
	killed := time.Now()
	resumed, said := runPeers(t, l, bin, dir, file)
	if want := strconv.Itoa(len(done)) + " of 200 partners were tested by a run that was interrupted"; !strings.Contains(said, want) {
		t.Errorf("it does not say that %s:\n%s", want, said)
	}
	checkConsortium(t, resumed, members)
	if a, b := diagnosis(whole), diagnosis(resumed); a != b {
		t.Errorf("the resumed run differs.\nwhole:\n%s\nresumed:\n%s", a, b)
	}
	dialed := dialedSince(t, ledgers, killed)
	for _, m := range members {
		switch again := dialed[m.Addr]; {
		case again && done[m.Name]:
			t.Errorf("%s was tested before the kill, and is dialed again", m.Name)
		case !again && !done[m.Name] && m.ailment.name == "":
			t.Errorf("%s was not tested before the kill, and is not dialed after it", m.Name)
		}
	}
	t.Logf("killed after %d partners; %d addresses were dialed by the run that went on", len(done), len(dialed))
}

// settle waits until no member dials back to the run that was killed: the next
// one would have to leave open whose attempt that is.
func settle(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	for _, node := range memberNodes {
		for {
			out, err := l.Command(ctx, node, "ss", "-Htn", "state", "syn-sent").Output()
			if err != nil {
				t.Fatalf("ss on %s: %v", node, err)
			}
			if len(out) == 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// finished are the partners in a progress file.
func finished(t *testing.T, file string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for line := range bytes.Lines(b) {
		var e struct{ Partner string }
		if bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &e) == nil && e.Partner != "" {
			out[e.Partner] = true
		}
	}
	return out
}

// dialedSince are the members that something reached after a time.
func dialedSince(t *testing.T, ledgers []string, since time.Time) map[netip.Addr]bool {
	t.Helper()
	out := map[netip.Addr]bool{}
	for _, ledger := range ledgers {
		b, err := os.ReadFile(ledger)
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
			var s sighting
			if err := d.Decode(&s); err != nil {
				t.Fatal(err)
			}
			if s.At.After(since) {
				out[s.Addr] = true
			}
		}
	}
	return out
}
