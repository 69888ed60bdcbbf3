package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryPackageSaysOnceWhatItIsFor(t *testing.T) {
	for dir, files := range goFiles(t) {
		var with []string
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc == nil {
				continue
			}
			with = append(with, file)
			want := "Package " + f.Name.Name + " "
			if f.Name.Name == "main" {
				want = "Command " + filepath.Base(dir) + " "
			}
			if !strings.HasPrefix(f.Doc.Text(), want) {
				t.Errorf("%s: the package comment does not begin with %q", file, want)
			}
		}
		if len(with) != 1 {
			t.Errorf("%s has %d package comments %v: it needs one, in the file that a reader opens first", dir, len(with), with)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, files := range goFiles(t) {
		for _, file := range files {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(root, file), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Name.Name == "main" {
				continue
			}
			for _, d := range f.Decls {
				for _, name := range undocumented(d) {
					t.Errorf("%s:%d: exported %s has no comment", file, fset.Position(name.Pos()).Line, name.Name)
				}
			}
		}
	}
}

// undocumented returns the exported names of a declaration that no comment
// stands with: on the name itself, at the end of its line, or on its group.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || isExportedReceiver(d.Recv)) && !isStandardMethod(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var out []*ast.Ident
		grouped := false // a comment on an earlier line speaks for those after it
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					out = append(out, s.Name)
				}
			case *ast.ValueSpec:
				grouped = grouped || s.Doc != nil
				if s.Doc != nil || s.Comment != nil || d.Doc != nil || grouped || isOfNamedType(d, s) {
					continue
				}
				for _, n := range s.Names {
					if n.IsExported() {
						out = append(out, n)
					}
				}
			}
		}
		return out
	}
	return nil
}

// isOfNamedType reports whether a constant is one of an enumeration, whose type
// has the comment.
func isOfNamedType(d *ast.GenDecl, s *ast.ValueSpec) bool {
	if d.Tok != token.CONST {
		return false
	}
	id, ok := s.Type.(*ast.Ident)
	return ok && id.IsExported()
}

func isExportedReceiver(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

// isStandardMethod reports whether the standard library has written the
// method's contract down.
func isStandardMethod(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	switch d.Name.Name {
	case "Error", "Unwrap", "Is", "String", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText":
		return true
	}
	return false
}
