package page

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Of five hundred rows a browser draws those again that changed, and no others.
func TestABrowserDrawsWhatChangedOfFiveHundredRows(t *testing.T) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatalf("%v: apt-get install chromium", err)
		}
		t.Skipf("%v: apt-get install chromium", err)
	}
	b := NewBoard("Dialtone test")
	r := reportFrom(t, 1)
	take := func(run int) {
		one := *r
		one.Run = fmt.Sprintf("%032x", run)
		if err := b.Take(&one, client.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	const clients = 500
	for i := range clients {
		take(i + 1)
	}
	server := httptest.NewServer(b)
	defer server.Close()
	home := t.TempDir()
	all, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Env("HOME="+home),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-quic", true))...)
	defer stop()
	ctx, cancel := chromedp.NewContext(all)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, time.Minute)
	defer cancelTime()
	says := func(script string) string {
		t.Helper()
		v, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("%v\n%s", err, script)
		}
		return v
	}
	rows := func(n int) string {
		return says(fmt.Sprintf(`new Promise((done) => { const look = () => document.querySelectorAll("tbody tr").length === %d ? done(document.getElementById("answer").textContent) : setTimeout(look, 50); look() })`, n))
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+b.Path())); err != nil {
		t.Fatal(err)
	}
	if got, want := rows(clients), "500 tests so far; something is blocked in 500"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	says(`for (const tr of document.querySelectorAll("tbody tr")) tr.drawn = 1; "marked"`)
	take(clients + 1)
	take(7) // again
	rows(clients + 1)
	if got := says(`String([...document.querySelectorAll("tbody tr")].filter((tr) => !tr.drawn).length)`); got != "2" {
		t.Errorf("%s rows were drawn again, want 2", got)
	}
}
