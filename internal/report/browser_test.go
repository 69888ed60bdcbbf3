package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"dialtone/internal/merge"
	"dialtone/internal/report"
	"dialtone/internal/result"
)

// A tab is a page in a real browser.
type tab struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	troubles []string // what the console and the network showed
}

// chromium starts a real browser for a test and returns how to open a page in it.
// Without the program the test is skipped, unless DIALTONE_PEERS says that all peers
// are there.
func chromium(t *testing.T) func(t *testing.T, html []byte) *tab {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatalf("%v: apt-get install chromium", err)
		}
		t.Skipf("%v: apt-get install chromium", err)
	}
	home := t.TempDir()
	all, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Env("HOME="+home),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-quic", true))...)
	t.Cleanup(stop)
	first, cancel := chromedp.NewContext(all)
	t.Cleanup(cancel)
	if err := chromedp.Do(first); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, html []byte) *tab {
		t.Helper()
		file := filepath.Join(t.TempDir(), "report.html")
		if err := os.WriteFile(file, html, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := chromedp.NewContext(first)
		t.Cleanup(cancel)
		ctx, cancelTime := context.WithTimeout(ctx, time.Minute)
		t.Cleanup(cancelTime)
		w := &tab{T: t, ctx: ctx}
		address := "file://" + filepath.ToSlash(file)
		requests := func(ev any) {
			if e, ok := ev.(*network.EventRequestWillBeSent); ok && e.Request.URL != address && !strings.HasPrefix(e.Request.URL, "data:") {
				w.trouble("it asks for " + e.Request.URL)
			}
		}
		if err := chromedp.Listen(ctx, requests); err != nil {
			t.Fatal(err)
		}
		messages := chromedp.Console(ctx)
		go func() {
			for m, err := range messages {
				if err != nil {
					return
				}
				w.trouble(fmt.Sprintf("console: %s: %s", m.Type, m.Text))
			}
		}()
		w.do(chromedp.Navigate(address))
		return w
	}
}

func (w *tab) trouble(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.troubles = append(w.troubles, s)
}

// isQuiet checks that nothing was asked for and nothing went wrong.
func (w *tab) isQuiet() {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.troubles {
		w.Error(s)
	}
}

func (w *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	w.Helper()
	if err := chromedp.Do(w.ctx, steps...); err != nil {
		w.Fatal(err)
	}
}

// eval is what a script says on the page.
func eval[T any](w *tab, script string) T {
	w.Helper()
	v, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		w.Fatalf("%v\n%s", err, script)
	}
	return v
}

// media has the page seen on a screen or on paper, light or dark.
func (w *tab) media(media, scheme string) {
	w.Helper()
	if _, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		w.Fatal(err)
	}
}

// sheets prints the page on A4 paper and counts the sheets.
func (w *tab) sheets() int {
	w.Helper()
	out, err := chromedp.Call(w.ctx, page.PrintToPDF, page.PrintToPDFParams{PaperWidth: 8.27, PaperHeight: 11.69})
	if err != nil {
		w.Fatal(err)
	}
	return len(regexp.MustCompile(`/Type\s*/Page\b[^s]`).FindAll(out.Data, -1))
}

// fits says what sticks out of the page or covers something else of the pictures.
const fits = `(() => {
  const out = [], wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) out.push("the page is " + document.documentElement.scrollWidth + " wide");
  for (const e of document.body.querySelectorAll("*")) {
    if (e.closest("svg") || e.parentElement.closest(".scroll") || e.closest(".unseen, .of")) continue;
    const r = e.getBoundingClientRect();
    if (r.width && (r.right > wide + 1 || r.left < -1)) out.push("<" + e.localName + " class=" + e.className + "> reaches from " + r.left + " to " + r.right);
  }
  for (const svg of document.querySelectorAll("svg.picture")) {
    const box = svg.getBoundingClientRect(), texts = [];
    for (const e of svg.querySelectorAll("text")) {
      const r = e.getBoundingClientRect();
      if (!r.width) continue;
      if (r.left < box.left - 1 || r.right > box.right + 1 || r.bottom > box.bottom + 1) out.push("text sticks out: " + e.textContent);
      for (const o of texts)
        if (r.left < o.r.right - 1 && o.r.left < r.right - 1 && r.top < o.r.bottom - 3 && o.r.top < r.bottom - 3) out.push("text covers text: " + e.textContent + " / " + o.e.textContent);
      texts.push({e, r});
    }
  }
  return out;
})()`

// pale says which text has less contrast than WCAG 2.2 asks for (1.4.3, level AA).
const pale = `(() => {
  const rgb = (s) => s.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const out = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.getClientRects().length || e.matches("script, style")) continue;
    const style = getComputedStyle(e);
    let on = behind(e);
    if (e.closest(".nat")) on = rgb(getComputedStyle(e.closest(".nat").querySelector("rect")).fill);
    const a = light(rgb(e.closest("svg") ? style.fill : style.color)), b = light(on);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) out.add(ratio.toFixed(2) + ": " + e.localName + "." + (e.className.baseVal ?? e.className) + " " + walk.currentNode.data.trim().slice(0, 30));
  }
  return [...out];
})()`

// nameless says what can be reached by keyboard and has no name, and what is hidden
// from those who do not see it.
const nameless = `[...document.querySelectorAll("a[href], button, input, summary, [tabindex]")].filter((e) => {
  const by = (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join("");
  return !(e.textContent.trim() || e.getAttribute("aria-label") || by || (e.labels && e.labels[0]?.textContent.trim()));
}).map((e) => e.outerHTML.slice(0, 80))`

// axe asks axe-core, if scripts/test has brought it, what is wrong with the page.
func (w *tab) axe() {
	w.Helper()
	file := os.Getenv("DIALTONE_AXE")
	if file == "" {
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		w.Fatal(err)
	}
	for _, s := range eval[[]string](w, string(b)+`;axe.run(document).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.impact + " " + v.id + ": " + v.help + ": " + n.html.slice(0, 120))))`) {
		w.Errorf("axe-core: %s", s)
	}
}

// looksRight checks a page in both themes and on a phone.
func (w *tab) looksRight() {
	w.Helper()
	for _, width := range []int64{360, 700, 1280} {
		w.do(chromedp.EmulateViewport(width, 800))
		for _, s := range eval[[]string](w, fits) {
			w.Errorf("%d px: %s", width, s)
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		w.media("", scheme)
		for _, s := range eval[[]string](w, pale) {
			w.Errorf("%s: too little contrast: %s", scheme, s)
		}
	}
	for _, s := range eval[[]string](w, nameless) {
		w.Errorf("without a name: %s", s)
	}
}

// opens checks that a closed part is opened by keyboard and shows what it has.
func (w *tab) opens() {
	w.Helper()
	if !eval[bool](w, `(() => { const s = document.querySelector("summary"); s.focus(); return document.activeElement === s && !s.parentElement.open })()`) {
		w.Fatal("nothing to open, or it is open already")
	}
	w.do(chromedp.KeyEvent("\r"))
	if !eval[bool](w, `(() => { const d = document.querySelector("details"); return d.open && d.querySelector("dd, li, p, pre").getBoundingClientRect().height > 0 })()`) {
		w.Error("it stays closed")
	}
}

// copies presses the first button and returns what is in the clipboard then.
func (w *tab) copies() string {
	w.Helper()
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(w.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
		}); err != nil {
			w.Fatal(err)
		}
	}
	if _, err := chromedp.Call(w.ctx, page.BringToFront, cdp.Empty{}); err != nil { // a page in the background has no clipboard
		w.Fatal(err)
	}
	w.do(chromedp.Click(chromedp.CSS("button[data-copy]")))
	if said := eval[string](w, `new Promise((done) => { const look = () => { const s = document.querySelector("[role=status]").textContent; s ? done(s) : setTimeout(look, 20) }; look() })`); said != "Copied." {
		w.Errorf("it says %q", said)
	}
	return eval[string](w, `navigator.clipboard.readText()`)
}

// run is the report of a real run.
func run(t *testing.T, name string) *result.Report {
	t.Helper()
	r, err := result.ParseReport(report.Unpacked(t, filepath.Join("testdata", "real", name+".json.gz")), result.MaxReport)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asHTML[T any](t *testing.T, k report.Kind[T], v T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := k.Write(&b, report.HTML, v, report.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestABrowserShowsThePagesOfRealRuns(t *testing.T) {
	open := chromium(t)
	for _, name := range []string{"r-open", "r-filtered", "r-filtered-both", "r-behind-a-nat", "r-blocked", "r-several", "r-all-roles", "r-egress"} {
		t.Run(name, func(t *testing.T) {
			r := run(t, name)
			w := open(t, asHTML(t, report.Paths, r))
			w.media("", "light")
			if n := w.sheets(); n < 1 || n > 2 && len(r.Paths) <= 20 {
				t.Errorf("it prints on %d sheets", n)
			}
			w.looksRight()
			w.axe()
			w.opens()
			if eval[bool](w, `!!document.querySelector("button[data-copy]")`) {
				got, want := w.copies(), eval[string](w, `document.querySelector("article button[data-copy]").closest("article").querySelector("h3").textContent.replace(/^\w+\. /, "")`)
				if words := strings.Join(strings.Fields(got), " "); !strings.HasPrefix(words, want) || !strings.Contains(words, "For ") {
					t.Errorf("the clipboard has %q, want it to begin with %q", got, want)
				}
			}
			w.isQuiet()
		})
	}
}

// A browser that keeps the clipboard from a page has another way.
func TestAButtonCopiesWithoutTheClipboardsInterface(t *testing.T) {
	w := chromium(t)(t, asHTML(t, report.Paths, run(t, "r-filtered")))
	eval[bool](w, `(navigator.clipboard.writeText = () => Promise.reject(new Error("kept")), true)`)
	if got := w.copies(); !strings.Contains(got, "Please allow TCP") {
		t.Errorf("the clipboard has %q", got)
	}
	if eval[bool](w, `!!document.querySelector("textarea") || document.activeElement !== document.querySelector("button[data-copy]")`) {
		t.Error("something is left of it")
	}
	eval[bool](w, `(document.execCommand = () => false, document.querySelector("button[data-copy]").click(), true)`)
	if said := eval[string](w, `new Promise((done) => { const look = () => { const s = document.querySelector("[role=status]").textContent; s !== "Copied." ? done(s) : setTimeout(look, 20) }; look() })`); !strings.Contains(said, "Ctrl+C") {
		t.Errorf("it says %q", said)
	}
	if got := eval[string](w, `document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)`); !strings.Contains(got, "Please allow TCP") {
		t.Errorf("%q is marked", got)
	}
}

// On paper is what is open on the screen.
func TestWhatIsFoldedAwayIsNotPrinted(t *testing.T) {
	w := chromium(t)(t, asHTML(t, report.Paths, run(t, "r-filtered")))
	eval[bool](w, `document.querySelector("details").open = true`)
	w.media("print", "dark")
	shown := eval[[]string](w, `[...document.querySelectorAll("details")].map((d) => getComputedStyle(d).display)`)
	if shown[0] == "none" || slices.ContainsFunc(shown[1:], func(s string) bool { return s != "none" }) {
		t.Errorf("%q", shown)
	}
	if ink := eval[string](w, `getComputedStyle(document.body).color + " on " + getComputedStyle(document.body).backgroundColor`); ink != "rgb(0, 0, 0) on rgb(255, 255, 255)" {
		t.Errorf("a dark screen prints %s", ink)
	}
}

// A consortium's matrix can be scrolled and filtered.
func TestABrowserShowsFifteenHundredPartners(t *testing.T) {
	var m result.Matrix
	if err := json.Unmarshal(report.Unpacked(t, filepath.Join("testdata", "real", "m-200.json.gz")), &m); err != nil {
		t.Fatal(err)
	}
	broken := 0
	for len(m.Rows) < 1500 {
		m.Rows = append(m.Rows, m.Rows[len(m.Rows)-200])
	}
	for _, r := range m.Rows {
		if !r.OK {
			broken++
		}
	}
	w := chromium(t)(t, asHTML(t, report.Matrix, &m))
	const shown = `[...document.querySelectorAll("tbody tr")].filter((r) => r.getClientRects().length).length`
	if n := eval[int](w, shown); n != 1500 {
		t.Errorf("%d rows", n)
	}
	if last := eval[bool](w, `(() => {
		const box = document.querySelector(".tall"), row = box.querySelector("tbody tr:last-child");
		box.scrollTo(0, box.scrollHeight);
		const at = row.getBoundingClientRect(), within = box.getBoundingClientRect(), head = box.querySelector("thead th").getBoundingClientRect();
		return at.bottom <= within.bottom + 1 && head.top >= within.top - 1 && head.bottom < at.top;
	})()`); !last {
		t.Error("the last row cannot be reached, or not with the head above it")
	}
	w.do(chromedp.Click(chromedp.CSS("#only-broken")))
	if n := eval[int](w, shown); n != broken || n == 0 {
		t.Errorf("%d rows are shown, want %d", n, broken)
	}
	w.isQuiet()
}

// manyMachines is a matrix of so many machines, each a copy of a real run.
func manyMachines(t *testing.T, n int) *result.Matrix {
	t.Helper()
	open, filtered := report.Unpacked(t, filepath.Join("testdata", "real", "r-open.json.gz")), report.Unpacked(t, filepath.Join("testdata", "real", "r-filtered.json.gz"))
	var in []merge.Input
	for i := range n {
		b := open
		if i%5 < 2 {
			b = filtered
		}
		own := netip.AddrFrom4([4]byte{10, 1, byte(i % 5), byte(1 + i/5%250)})
		r, err := result.ParseReport(bytes.ReplaceAll(b, []byte("10.1.0.10"), []byte(own.String())), result.MaxReport)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, merge.Input{Name: fmt.Sprintf("partner-%04d.example.edu", i), Report: r})
	}
	return merge.Tabulate("dialtone test", in)
}

func TestABrowserShowsAnAddressReport(t *testing.T) {
	var r result.AddressReport
	if err := json.Unmarshal(report.Unpacked(t, filepath.Join("testdata", "real", "a-own.json.gz")), &r); err != nil {
		t.Fatal(err)
	}
	w := chromium(t)(t, asHTML(t, report.Address, &r))
	w.looksRight()
	w.axe()
	if n := w.sheets(); n > 2 {
		t.Errorf("it prints on %d sheets", n)
	}
	w.isQuiet()
}

func TestABrowserShowsAMatrixOfManyMachines(t *testing.T) {
	open := chromium(t)
	for _, n := range []int{3, 40} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := open(t, asHTML(t, report.Matrix, manyMachines(t, n)))
			w.looksRight()
			w.axe()
			w.opens()
			if got := w.copies(); !strings.Contains(got, "Please allow TCP") {
				t.Errorf("the clipboard has %q", got)
			}
			// The head stays where it is, and so do the names.
			if moved := eval[[]float64](w, `(() => {
				const box = document.querySelector(".tall"), at = (s) => box.querySelector(s).getBoundingClientRect();
				const top = at("thead th").top, left = at("tbody th").left;
				box.scrollTo(500, 5000);
				return [at("thead th").top - top, at("tbody th").left - left];
			})()`); moved[0] > 1 || moved[0] < -1 || moved[1] > 0 {
				t.Errorf("the head moves by %v px", moved)
			}
			w.do(chromedp.Click(chromedp.CSS("#only-broken")))
			shown := eval[[]int](w, `[document.querySelectorAll("tbody tr").length, [...document.querySelectorAll("tbody tr")].filter((r) => r.getClientRects().length).length]`)
			if want := []int{n, n/5*2 + min(n%5, 2)}; !slices.Equal(shown, want) {
				t.Errorf("%v rows are shown, want %v", shown, want)
			}
			w.isQuiet()
		})
	}
}
