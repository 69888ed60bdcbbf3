package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What SECURITY.md promises is shown by tests: each row names some, and each that
// it names is there.
func TestWhatIsPromisedIsShownByTests(t *testing.T) {
	tests := testNames(t)
	b, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]*|script/[a-z0-9-]+\\.txtar)`")
	_, promises, ok := strings.Cut(string(b), "\n## What is promised")
	if !ok {
		t.Fatal("it promises nothing")
	}
	promises, _, _ = strings.Cut(promises, "\n## What is not promised")
	rows := 0
	for line := range strings.Lines(promises) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		if !name.MatchString(line) {
			t.Errorf("no test shows this: %s", line)
		}
	}
	if rows < 10 {
		t.Errorf("%d promises", rows)
	}
	for _, m := range name.FindAllStringSubmatch(string(b), -1) {
		if script, ok := strings.CutPrefix(m[1], "script/"); ok {
			if _, err := os.Stat(filepath.Join(root, "internal", "e2e", "testdata", "script", script)); err != nil {
				t.Error(err)
			}
			continue
		}
		if !tests[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// testNames are the tests and fuzz targets of the module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				out[fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
