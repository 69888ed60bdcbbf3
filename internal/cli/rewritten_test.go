package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARewrittenFileIsWholeEachTime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "report.txt")
	if err := os.WriteFile(name, []byte("of an earlier run, and long"), 0o640); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRewritten(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, _ := os.ReadFile(name); !strings.HasPrefix(string(b), "of an earlier") {
		t.Errorf("opening it took away %q", b)
	}
	for _, text := range []string{"short", "a text that is longer than the one before it", "", "short again"} {
		if err := r.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != text {
			t.Errorf("got %q (%v), want %q", b, err, text)
		}
	}
	if !r.IsFile() || !r.IsThere() {
		t.Error("it is there, and a file")
	}
	if err := os.Rename(name, name+".old"); err != nil {
		t.Skip("a file that is open cannot be renamed here: ", err)
	}
	if r.IsThere() {
		t.Error("it was renamed")
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r.IsThere() {
		t.Error("another has its name")
	}
}
