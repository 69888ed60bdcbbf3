package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A browserRow is what a browser's test says of a port.
type browserRow struct{ Class, Words, Text string }

// A surfer is a real browser on a machine of the lab.
type surfer struct {
	*testing.T
	ctx context.Context
}

// surf starts Chromium on a node, with more flags.
func surf(t *testing.T, st *stage, node string, flags ...string) *surfer {
	t.Helper()
	home := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	program := filepath.Join(home, "chromium-there") // which speaks through a pipe, and so from inside the node, too
	write(t, program, fmt.Sprintf("#!/bin/sh\nexec %s netns exec %s-%s %s \"$@\"\n", find("ip"), st.lab.name, node, find("chromium")))
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Env("HOME="+home, "PATH="+path()),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true), chromedp.Flag("no-proxy-server", true))
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		options = append(options, chromedp.Flag(name, value))
		if name == "proxy-server" {
			options = append(options, chromedp.Flag("no-proxy-server", false))
		}
	}
	all, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	tab, end := chromedp.NewContext(all)
	t.Cleanup(end)
	if err := chromedp.Do(tab); err != nil {
		t.Fatal(err)
	}
	return &surfer{t, tab}
}

func (s *surfer) do(steps ...chromedp.Action[chromedp.Void]) {
	s.Helper()
	if err := chromedp.Do(s.ctx, steps...); err != nil {
		s.Fatal(err)
	}
}

// says is what a script says on the page.
func (s *surfer) says(script string) string {
	s.Helper()
	v, err := chromedp.Run(s.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		s.Fatalf("%v\n%s", err, script)
	}
	return v
}

// tests opens the link and has the test made, and returns what it says of each port.
func (s *surfer) tests(link string) map[string]browserRow {
	s.Helper()
	s.do(chromedp.Navigate(link))
	s.says(`document.getElementById("name").value = "Desk 2"; document.getElementById("go").click(); "clicked"`)
	state := s.says(`new Promise((done) => { const look = () => { const t = document.getElementById("state").textContent; t.startsWith("Done") || t.startsWith("The test stopped") ? done(t) : setTimeout(look, 100) }; look() })`)
	if !strings.HasPrefix(state, "Done") {
		s.Fatal(state)
	}
	rows := map[string]browserRow{}
	if err := json.Unmarshal([]byte(s.says(`JSON.stringify(Object.fromEntries([...document.querySelectorAll("#list li")].map((li) => [li.querySelector(".name").textContent.match(/\d+/)[0], {Class: li.className, Words: li.querySelector(".outcome").textContent, Text: li.textContent}])))`)), &rows); err != nil {
		s.Fatal(err)
	}
	return rows
}

// picture writes what is seen into a folder that DIALTONE_PICTURES names, if it does.
func (s *surfer) picture(name string) {
	s.Helper()
	dir := os.Getenv("DIALTONE_PICTURES")
	if dir == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1100} {
			if _, err := chromedp.Call(s.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
				s.Fatal(err)
			}
			s.do(chromedp.EmulateViewport(width, 900))
			b, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				s.Fatal(err)
			}
			write(s.T, filepath.Join(dir, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), string(b))
		}
	}
}

// fitsAndIsRead checks the page at phone width, and asks axe-core, if there is one.
func (s *surfer) fitsAndIsRead() {
	s.Helper()
	s.do(chromedp.EmulateViewport(360, 800))
	if wide := s.says(`String(document.documentElement.scrollWidth)`); wide != "360" {
		s.Errorf("at 360 px the page is %s wide", wide)
	}
	file := os.Getenv("DIALTONE_AXE")
	if file == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(s.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
			s.Fatal(err)
		}
		if said := s.says(read(s.T, file) + `;axe.run(document).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.impact + " " + v.id + ": " + n.html.slice(0, 120))).join("\n"))`); said != "" {
			s.Errorf("axe-core, %s:\n%s", scheme, said)
		}
	}
}

var aLink = regexp.MustCompile(`http://10\.2\.0\.10/b/[0-9A-Z]{5}-[0-9A-Z]{5}`)

var aDashboard = regexp.MustCompile(`http://127\.0\.0\.1:7900/\S+/`)

// TestABrowserAcrossRealFirewalls opens the link of a real listen in a real browser.
func TestABrowserAcrossRealFirewalls(t *testing.T) {
	needLab(t)
	if find("chromium") == "chromium" {
		t.Fatal("apt-get install chromium")
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{lab: up(t), dir: t.TempDir(), bin: filepath.Dir(bin.Listen)}
	end := sync.OnceFunc(func() {
		if err := st.end(); err != nil {
			t.Error(err)
		}
	})
	defer end()
	files := filepath.Join(st.dir, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(files, "dialtone_0.1.0_linux_amd64.tar.gz"), "x")
	write(t, filepath.Join(files, "dialtone_0.1.0_windows_amd64.zip"), "x")
	if err := st.startListener(t.Context(), Listen{Node: "server", Args: []string{"--downloads", files, "--dashboard", "127.0.0.1:7900", "--out", filepath.Join(st.dir, "arrived.txt")}}, bin.Listen, filepath.Join(st.dir, "ready")); err != nil {
		t.Fatal(err)
	}
	link := aLink.FindString(st.log())
	if link == "" {
		t.Fatalf("listen printed no link:\n%s", st.log())
	}
	want := func(t *testing.T, rows map[string]browserRow, port, class, words string) {
		t.Helper()
		if r := rows[port]; r.Class != class || !strings.Contains(r.Text, words) {
			t.Errorf("port %s: %+v, want %s, %q", port, r, class, words)
		}
	}
	drops := func(t *testing.T, node, rule string) {
		t.Helper()
		plant(t, st.lab, node, "table inet browser { chain f { type filter hook forward priority -5; "+rule+"; }; }")
		t.Cleanup(func() {
			if err := st.lab.Plant(context.Background(), node, "delete table inet browser"); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("open", func(t *testing.T) {
		s := surf(t, st, "client")
		rows := s.tests(link)
		for _, port := range []string{"443", "1344", "1433", "7968"} {
			want(t, rows, port, "through", "256 KiB each way arrived unchanged")
		}
		want(t, rows, "1434", "unknown", "a browser sends no datagrams")
		if text := s.says(`document.body.textContent`); !strings.Contains(text, "port 80, from 10.1.0.10") || !strings.Contains(text, "dialtone_0.1.0_linux_amd64.tar.gz") || strings.Contains(text, "windows_amd64") || strings.Contains(text, key) {
			t.Errorf("the page says:\n%s", text)
		}
		s.picture("browser-open")
		s.fitsAndIsRead()
		s.do(chromedp.Navigate(s.says(`document.getElementById("report").href`)))
		if text := s.says(`document.body.textContent`); !strings.Contains(text, "HTTP went through on all 3 required paths") || !strings.Contains(text, "What a browser shows is no proof") || strings.Contains(text, "Please allow") {
			t.Errorf("the report says:\n%s", text)
		}
		s.picture("browser-report-open")
	})
	t.Run("1433 dropped", func(t *testing.T) {
		drops(t, "fws", "tcp dport 1433 drop")
		s := surf(t, st, "client")
		rows := s.tests(link)
		want(t, rows, "1433", "blocked", "saw nothing arrive on port 1433")
		want(t, rows, "7968", "through", "256 KiB")
		s.picture("browser-dropped")
		s.fitsAndIsRead()
		s.do(chromedp.Navigate(s.says(`document.getElementById("report").href`)))
		if text := s.says(`document.body.textContent`); !strings.Contains(text, "1 of 3 required paths does not let this browser through: sql-client (filtered)") ||
			!strings.Contains(text, "Please allow TCP from 10.1.0.10 (client) to 10.2.0.10 (database) port 1433") {
			t.Errorf("the report says:\n%s", text)
		}
		s.picture("browser-report-dropped")
	})
	t.Run("answer lost", func(t *testing.T) {
		drops(t, "fwc", "tcp sport 7968 drop")
		rows := surf(t, st, "client").tests(link)
		want(t, rows, "7968", "blocked", "the answer did not come back")
		want(t, rows, "1433", "through", "256 KiB")
	})
	t.Run("answer cut off", func(t *testing.T) {
		// The handshake passes, and whatever has data from the server does not.
		drops(t, "fws", "tcp sport 1344 ct original packets > 2 meta length > 80 drop")
		rows := surf(t, st, "client").tests(link)
		want(t, rows, "1344", "blocked", "request arrived at the listener on port 1344")
	})
	t.Run("refused on the way", func(t *testing.T) {
		drops(t, "fws", "tcp dport 1433 reject with tcp reset")
		rows := surf(t, st, "client").tests(link)
		want(t, rows, "1433", "unknown", "nothing arrived here")
		if r := rows["1433"]; strings.Contains(r.Text, "Please") {
			t.Errorf("it asks for something: %s", r.Text)
		}
	})
	t.Run("a proxy", func(t *testing.T) {
		write(t, filepath.Join(st.dir, "squid.conf"), "http_port 3128\nhttp_access allow all\npid_filename none\ncache_log /dev/null\naccess_log none\n"+
			"cache_effective_user proxy\nvisible_hostname proxy.campus.example\ndns_nameservers 127.0.0.1\npinger_enable off\nshutdown_lifetime 1 second\n")
		// It shares memory by name: one of its own keeps two apart, and leaves nothing behind.
		if err := st.plantProgram(t.Context(), "ils", "exec unshare -m sh -c 'mount -t tmpfs none /dev/shm && exec squid -N -f squid.conf'", 3128); err != nil {
			t.Fatal(err)
		}
		rows := surf(t, st, "client", "proxy-server=http://10.2.0.30:3128").tests(link)
		want(t, rows, "1433", "through", "A proxy may have carried it (Via:")
	})
	t.Run("local network access", func(t *testing.T) {
		// As if the page came from a public address: then the browser keeps it from all others.
		rows := surf(t, st, "client", "ip-address-space-overrides=10.2.0.10:80=public").tests(link)
		for _, port := range []string{"443", "1433", "7968"} {
			want(t, rows, port, "unknown", "(Local Network Access)")
		}
	})
	t.Run("a name that the browser takes to HTTPS by itself", func(t *testing.T) {
		// All of .dev is on browsers' own list (HSTS preload). The page does not come by that
		// name, and does by the address, which is why the link has it.
		s := surf(t, st, "client", "host-resolver-rules=MAP illiad.dev 10.2.0.10")
		named := strings.Replace(link, "10.2.0.10", "illiad.dev", 1)
		if err := chromedp.Do(s.ctx, chromedp.Navigate(named)); err == nil || !strings.Contains(err.Error(), "CERT") {
			t.Errorf("by the name: %v, want that the certificate is not trusted", err)
		}
		if where, text := s.says(`document.URL + " " + location.href`), s.says(`document.body.textContent`); strings.Contains(text, "You reached") {
			t.Errorf("%s says:\n%s", where, text)
		}
		want(t, s.tests(link), "1433", "through", "256 KiB each way arrived unchanged")
	})
	t.Run("wrong code", func(t *testing.T) {
		s := surf(t, st, "client")
		s.do(chromedp.Navigate(link[:len(link)-5] + "00000"))
		text := s.says(`document.body.textContent`)
		if !strings.Contains(text, "You reached the future ILLiad server, port 80, from 10.1.0.10") || !strings.Contains(text, "this link is not good") || strings.Contains(text, "1433") {
			t.Errorf("it says:\n%s", text)
		}
		s.picture("browser-stranger")
		s.fitsAndIsRead()
	})
	t.Run("another site's page", func(t *testing.T) {
		if err := st.plantProgram(t.Context(), "peer", `exec python3 -m http.server 8000`, 8000); err != nil {
			t.Fatal(err)
		}
		s := surf(t, st, "peer")
		s.do(chromedp.Navigate("http://10.3.0.10:8000/"))
		for _, script := range []string{
			`fetch(LINK).then((r) => r.text(), (e) => "kept")`,
			`fetch(LINK + "/start", {method: "POST", body: "{\"role\":\"client\"}", headers: {"Content-Type": "application/json"}}).then((r) => r.text(), (e) => "kept")`,
			`fetch(LINK + "/start", {method: "POST", body: "{\"role\":\"client\"}"}).then((r) => r.text(), (e) => "kept")`,
		} {
			if said := s.says(strings.ReplaceAll(script, "LINK", `"`+link+`"`)); said != "kept" {
				t.Errorf("a page of another site reads %q", said)
			}
		}
	})
	t.Run("the dashboard", func(t *testing.T) {
		if out, _ := st.says(t, "client", "env", "DIALTONE_KEY="+key, bin.Dial, "10.2.0.10"); !strings.Contains(out, "All 3 required paths work") {
			t.Fatalf("dial says:\n%s", out)
		}
		s := surf(t, st, "server")
		s.do(chromedp.Navigate(aDashboard.FindString(st.log())))
		rows := s.says(`new Promise((done) => { const look = () => { const t = [...document.querySelectorAll("tbody tr")].map((tr) => tr.textContent).join("\n"); t.includes("dial") ? done(t) : setTimeout(look, 100) }; look() })`)
		for _, want := range []string{"Desk 2 (10.1.0.10)", "sql-client (filtered)", "NO filtered", "? answered", "All 3 required paths work", "ok open"} {
			if !strings.Contains(rows, want) {
				t.Errorf("it lacks %q:\n%s", want, rows)
			}
		}
		s.picture("dashboard")
		s.fitsAndIsRead()
		s.do(chromedp.Navigate(s.says(`[...document.querySelectorAll("tbody a")].find((a) => a.closest("tr").textContent.includes("NO filtered")).href`)))
		if text := s.says(`document.body.textContent`); !strings.Contains(text, "Please allow TCP from 10.1.0.10") {
			t.Errorf("the story says:\n%s", text)
		}
	})
	end()
	if own := strings.Join(strings.Fields(read(t, filepath.Join(st.dir, "arrived.txt"))), " "); !strings.Contains(own, `"Desk 2": 1 of 3 required paths does not let this browser through: sql-client (filtered)`) {
		t.Errorf("listen's own report:\n%s", own)
	}
	if log := st.log(); strings.Count(log, `"Desk 2": `) < 5 || !strings.Contains(log, "a browser's link with another code") {
		t.Errorf("listen's screen:\n%s", log)
	}
}
