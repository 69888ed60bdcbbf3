package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// mostMethods is how many a type of a run may have. What has more holds what several
// phases keep apart, and each change to one of them has to be thought through for all.
const mostMethods = 25

func TestNoTypeOfARunKnowsEverything(t *testing.T) {
	dirs := goFiles(t)
	for _, dir := range []string{"internal/survey", "internal/meeting", "internal/consortium", "internal/contact", "internal/visit"} {
		methods := map[string]int{}
		for _, file := range dirs[dir] {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
					methods[receiver(f)]++
				}
			}
		}
		if len(methods) == 0 {
			t.Errorf("%s has no methods: is it there?", dir)
		}
		for name, n := range methods {
			if n > mostMethods {
				t.Errorf("%s.%s has %d methods: give what some of them share a type of its own", dir, name, n)
			}
		}
	}
}

// receiver names the type that a method belongs to.
func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	for {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
		case *ast.IndexExpr:
			of = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}
