package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever is not plan or service asks what a service's language is like, and not
// which it is: then a new one needs a row in each of their tables, and nothing else.
func TestNoServiceIsNamedButInPlanAndService(t *testing.T) {
	protocols := map[string]bool{}
	for _, d := range parsed(t, "internal/plan/protocol.go").Decls {
		consts, ok := d.(*ast.GenDecl)
		if !ok || consts.Tok != token.CONST {
			continue
		}
		for _, s := range consts.Specs {
			s := s.(*ast.ValueSpec)
			if id, ok := s.Type.(*ast.Ident); ok && id.Name == "Protocol" {
				protocols[s.Names[0].Name] = true
			}
		}
	}
	if len(protocols) < 10 {
		t.Fatalf("internal/plan/protocol.go has these protocols only: %v", protocols)
	}
	for dir, files := range goFiles(t) {
		if dir == "internal/plan" || dir == "internal/service" {
			continue
		}
		for _, file := range files {
			ast.Inspect(parsed(t, file), func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok || !protocols[s.Sel.Name] {
					return true
				}
				if from, ok := s.X.(*ast.Ident); ok && from.Name == "plan" {
					t.Errorf("%s names plan.%s: ask plan.Language for what is to be known of it", file, s.Sel.Name)
				}
				return true
			})
		}
	}
	for _, file := range goFiles(t)["internal/plan"] {
		if strings.HasSuffix(file, "/protocol.go") {
			continue
		}
		ast.Inspect(parsed(t, file), func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && protocols[id.Name] {
				t.Errorf("%s names %s: ask its Language", file, id.Name)
			}
			return true
		})
	}
}

// parsed is a file of the module.
func parsed(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
