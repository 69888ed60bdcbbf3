package lab

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"
)

var update = flag.Bool("update", false, "write docs/two-institutions.md anew")

// An exchange is what the page of two institutions shows.
type exchange struct {
	ListenCommand, Listen, Seen                            string
	Mail                                                   string
	DialCommand, Broken, Mended                            string
	WaitHere, WaitThere, HalfHere, HalfThere, MergeCommand string
	Merged                                                 string
	LiveListenCommand, LiveListen                          string
	LiveCommand, Live, LineCommand, Line                   string
}

// TestTheExchangeInTheDocs does what docs/two-institutions.md tells, across real
// firewalls, and holds the page against what the programs print.
func TestTheExchangeInTheDocs(t *testing.T) {
	needLab(t)
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "docs", "two-institutions.md")
	var page string
	for range exchangeTries {
		page = playExchange(t, bin)
		if *update {
			write(t, file, page)
			return
		}
		if steady(read(t, file)) == steady(page) {
			return
		}
		t.Logf("not the page, played again:\n%s", firstDifference(steady(read(t, file)), steady(page)))
	}
	t.Errorf("docs/two-institutions.md is not what the programs print (-update writes it anew):\n%s", firstDifference(steady(read(t, file)), steady(page)))
}

// exchangeTries is how often the exchange is played until it is word by word the
// page: a busy machine loses packets, and a report tells of that too.
const exchangeTries = 4

// playExchange does what the page tells, and returns the page.
func playExchange(t *testing.T, bin Binaries) string {
	t.Helper()
	st := &stage{lab: up(t), dir: t.TempDir(), bin: filepath.Dir(bin.Listen)}
	var x exchange

	// The invitation, in an e-mail that was wrapped and quoted on its way.
	plant(t, st.lab, "fwp", dropIn("wan", "7968"))
	x.ListenCommand = `sudo listen --role server,peer --for 2h --invite invitation.txt --public server4.lab --name "Example University"`
	listen := st.lab.Command(t.Context(), "server", bin.Listen, "--role", "server,peer", "--for", "2h", "--invite", "invitation.txt",
		"--public", "server4.lab", "--name", "Example University", "--ready-file", "ready")
	var said bytes.Buffer
	listen.Dir, listen.Stdout, listen.Stderr = st.dir, &said, &said
	listen.Cancel = func() error { return listen.Process.Signal(os.Interrupt) }
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, filepath.Join(st.dir, "ready"))
	line := strings.TrimSpace(read(t, filepath.Join(st.dir, "invitation.txt")))
	mail := "Subject: Odyssey between our servers\n\nHello Ben, here it is:\n\n> " + strings.Join(fold(line, 72), "\n> ") + "\n\nRegards, Ada\n"
	write(t, filepath.Join(st.dir, "mail.txt"), mail)

	x.DialCommand = "sudo dial odyssey @mail.txt"
	x.Broken, _ = st.says(t, "peer", bin.Dial, "odyssey", "@mail.txt")
	plant(t, st.lab, "fwp", "delete table inet fault")
	x.Mended, _ = st.says(t, "peer", bin.Dial, "odyssey", "@mail.txt")
	if err := listen.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := listen.Wait(); err != nil {
		t.Errorf("listen: %v", err)
	}
	x.Listen, _, _ = strings.Cut(said.String(), "\nWho reached what")
	first := arrived.FindStringIndex(x.Listen)
	if first == nil {
		t.Fatalf("listen told of nobody that came:\n%s", said.String())
	}
	x.Listen, x.Seen = x.Listen[:first[0]], strings.TrimSpace(x.Listen[first[0]:])
	x.Listen = strings.TrimSpace(strings.ReplaceAll(x.Listen, line, short(line)))
	x.Mail = quoted(fold(line, 72))

	// Both firewalls closed: two halves.
	plant(t, st.lab, "fwp", dropIn("wan", "{ 1611, 7968 }"))
	plant(t, st.lab, "fws", dropIn("wan", "{ 1611, 7968 }"))
	x.WaitHere = "sudo dial odyssey --wait 12s --out example.json --key \"six words that both know\" 203.0.113.2"
	x.WaitThere = "sudo dial odyssey --wait 12s --out sample.json --key \"six words that both know\" 10.2.0.10"
	half := make(chan string)
	go func() {
		out, _ := st.says(t, "server", bin.Dial, "odyssey", "--wait", "12s", "--out", "example.json", "--key", "six words that both know", "203.0.113.2")
		half <- out
	}()
	x.HalfThere, _ = st.says(t, "peer", bin.Dial, "odyssey", "--wait", "12s", "--out", "sample.json", "--key", "six words that both know", "10.2.0.10")
	x.HalfHere = <-half
	x.MergeCommand = "dial merge example.json sample.json"
	x.Merged, _ = st.says(t, "server", bin.Dial, "merge", "example.json", "sample.json")
	x.HalfHere, x.HalfThere = brief(x.HalfHere), brief(x.HalfThere)
	playLive(t, st, &x)

	var page bytes.Buffer
	if err := template.Must(template.ParseFiles("testdata/two-institutions.md.tmpl")).Execute(&page, x); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// playLive does what the page tells of two institutions whose Odyssey runs.
func playLive(t *testing.T, st *stage, x *exchange) {
	t.Helper()
	for _, node := range []string{"fwp", "fws"} {
		plant(t, st.lab, node, "delete table inet fault")
	}
	for _, node := range []string{"server", "peer"} {
		if err := st.plantProgram(t.Context(), node, "exec ncat -lk 7968 -c 'cat >/dev/null'", 7968); err != nil {
			t.Fatal(err)
		}
	}
	x.LiveListenCommand = `sudo listen --role server,peer --for 2h --key "six words that both know"`
	listen := st.lab.Command(t.Context(), "server", filepath.Join(st.bin, "listen"), "--role", "server,peer", "--for", "2h", "--key", "six words that both know", "--ready-file", "live")
	var said bytes.Buffer
	listen.Dir, listen.Stderr = st.dir, &said
	listen.Cancel = func() error { return listen.Process.Signal(os.Interrupt) }
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, filepath.Join(st.dir, "live"))
	x.LiveCommand = `sudo dial odyssey --key "six words that both know" server4.lab`
	x.LineCommand = `sudo dial odyssey --enter --key "six words that both know" server4.lab`
	x.Live, _ = st.says(t, "peer", filepath.Join(st.bin, "dial"), "odyssey", "--key", "six words that both know", "server4.lab")
	x.Line, _ = st.says(t, "peer", filepath.Join(st.bin, "dial"), "odyssey", "--enter", "--key", "six words that both know", "server4.lab")
	x.Line = brief(x.Line)
	if err := listen.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := listen.Wait(); err != nil {
		t.Errorf("listen: %v", err)
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, "7968") {
			x.LiveListen += line
		}
	}
	x.LiveListen = strings.TrimSpace(x.LiveListen)
}

// says runs a program on a node, in the stage's directory, and returns what it
// prints for people.
func (st *stage) says(t *testing.T, node string, argv ...string) (out string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), dialWithin)
	defer cancel()
	cmd := st.lab.Command(ctx, node, argv...)
	cmd.Dir = st.dir
	b, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Errorf("%v: %v", argv, err)
		return "", -1
	}
	return strings.TrimRight(string(b), "\n"), cmd.ProcessState.ExitCode()
}

func dropIn(dev, ports string) string {
	return fmt.Sprintf("table inet fault { chain f { type filter hook forward priority -5; iifname %q ct direction original tcp dport %s drop; }; }", dev, ports)
}

func plant(t *testing.T, l *Lab, node, rules string) {
	t.Helper()
	if err := l.Plant(t.Context(), node, rules); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, file string) {
	t.Helper()
	for until := time.Now().Add(readyWithin); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
	}
	t.Fatalf("%s did not come", file)
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fold breaks a line as mail programs do.
func fold(line string, width int) []string {
	var out []string
	for len(line) > width {
		out = append(out, line[:width])
		line = line[width:]
	}
	return append(out, line)
}

func quoted(lines []string) string { return "> " + strings.Join(lines, "\n> ") }

func short(line string) string { return line[:60] + "…" + line[len(line)-12:] }

// brief leaves out of a half what a reader has seen above: what to ask for, and
// all between the paths and what the report speaks for.
func brief(text string) string {
	answer, rest, asks := strings.Cut(text, "\nWhat to ask for\n")
	_, paths, leads := strings.Cut(rest, "\nFrom here ")
	for _, title := range []string{"\nAlso noted\n", "\nNot tested in this run\n", "\nThis run\n"} {
		paths, _, _ = strings.Cut(paths, title)
	}
	_, end, speaks := strings.Cut(text, "\nThis speaks ")
	if !asks || !leads || !speaks {
		return text
	}
	return answer + "\n…\n\nFrom here " + paths + "\n…\n\nThis speaks " + end
}

// What differs each time.
var changing = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`[ \t\n>]+`), " "}, // lines break where they come to: first, so that what follows is whole
	{regexp.MustCompile(`dialtone-invitation-1:[a-z2-7…\s>.]*?\.end`), "INVITATION"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d(\.\d+)?)?`), "TIME"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\b(pid|process) \d+`), "PID"},
	{regexp.MustCompile(`\b(took|for) [0-9.]+ ?(ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`[0-9.]+ (ms|s|seconds|min)\b`), "DURATION"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{regexp.MustCompile(`[a-z]+(-[a-z]+){5}`), "KEY"},
	{regexp.MustCompile(`/b/[0-9A-Z]{5}-[0-9A-Z]{5}`), "/b/CODE"},
	{regexp.MustCompile(`\b(3[2-9]|[45]\d|6[0-5])\d{3}\b`), "PORT"},                // that the system hands out
	{regexp.MustCompile(`Contact through [a-z-]+, \S+,`), "Contact through PATH,"}, // whichever answered first
	{regexp.MustCompile(` at \S+ \(`), " at HOST ("},
	{regexp.MustCompile(` \("[^"]*"\): `), ` ("HOST"): `},
	{regexp.MustCompile(`\b\d+ contacts `), "N contacts "}, // more where the machine is slow
	{regexp.MustCompile(`The rest is as in `), "As in "},
}

// arrived is a line of what listen tells of those that come.
var arrived = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\dZ  `)

// steady is a text without what differs each time. Whom listen tells of first
// is whoever came first.
func steady(text string) string {
	lines := strings.Split(text, "\n")
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && arrived.MatchString(lines[to]) && !strings.Contains(lines[to], "Z  report ") {
			to++
		}
		slices.SortFunc(lines[from:to], func(a, b string) int {
			_, a, _ = strings.Cut(a, "→")
			_, b, _ = strings.Cut(b, "→")
			return strings.Compare(a, b)
		})
		from = max(from, to-1)
	}
	text = strings.Join(lines, "\n")
	for _, c := range changing {
		text = c.is.ReplaceAllString(text, c.as)
	}
	return text
}

func firstDifference(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	around := func(s string) string { return s[max(0, n-100):min(len(s), n+200)] }
	return fmt.Sprintf("page:     …%s…\nprograms: …%s…", around(a), around(b))
}
