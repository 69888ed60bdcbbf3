package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What happened is put in order, and told to the other end, by sock.Now: the wall clock
// may be set in between, and a moment that went through result.TimeOf is compared by it.
func TestEvidenceGoesByAClockThatNobodySets(t *testing.T) {
	wall := regexp.MustCompile(`TimeOf\(time\.Now|time\.Since\([\w.]*\.At\b|At: +time\.Now`)
	found := 0
	for _, pkg := range []string{"dialer", "survey", "meeting", "contact", "visit", "witness", "listener"} {
		files, err := filepath.Glob(filepath.Join(root, "internal", pkg, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found += strings.Count(string(b), "sock.Now()")
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			if m := wall.Find(b); m != nil {
				t.Errorf("%s has %s: use sock.Now and sock.Since", name, m)
			}
		}
	}
	if found < 10 {
		t.Errorf("sock.Now is there %d times", found)
	}
}
