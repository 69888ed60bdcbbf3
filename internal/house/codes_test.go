package house

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"

	"dialtone/internal/result"
)

// A finding's code is a constant, so that a code that nobody knows cannot be
// written: no source has one as a loose string. Each constant is a row of the table,
// and something says it.
func TestCodesOfFindingsAreConstants(t *testing.T) {
	rows := map[string]bool{} // the codes of the table → whether a source names them
	for _, g := range result.Codes {
		for _, c := range g.Codes {
			rows[string(c.Code)] = false
		}
	}
	constants := map[string]string{} // names → codes
	table := "internal/result/code.go"
	uses := map[string]bool{} // names
	for dir, files := range goFiles(t) {
		if dir == "internal/lab/random" {
			continue // its judge shares nothing with what it judges
		}
		for _, file := range files {
			ast.Inspect(parsed(t, file), func(n ast.Node) bool {
				if file == table {
					if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && strings.HasPrefix(v.Names[0].Name, "Code") {
						if text, ok := literal(v.Values[0]); ok {
							constants[v.Names[0].Name] = text
						}
					}
					return true
				}
				switch n := n.(type) {
				case *ast.Ident:
					uses[n.Name] = true
				case *ast.BasicLit: // such as a reason that has the name of its code
					if text, ok := literal(n); ok {
						if _, ok := rows[text]; ok {
							rows[text] = true
						}
					}
				}
				for _, at := range codesAt(n) {
					if text, ok := literal(at); ok {
						t.Errorf("%s: the code %q is a loose string", file, text)
					}
				}
				return true
			})
		}
	}
	if len(constants) != len(rows) {
		t.Errorf("%d constants, %d rows", len(constants), len(rows))
	}
	for name, code := range constants {
		said, ok := rows[code]
		if !ok {
			t.Errorf("%s (%s) is no row of the table", name, code)
		}
		if !said && !uses[name] {
			t.Errorf("nothing says %s (%s)", name, code)
		}
	}
}

// codesAt are the expressions of a node that are a finding's code.
func codesAt(n ast.Node) []ast.Expr {
	isCode := func(e ast.Expr) bool {
		s, ok := e.(*ast.SelectorExpr)
		return ok && s.Sel.Name == "Code"
	}
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
			return []ast.Expr{n.Value}
		}
	case *ast.BinaryExpr:
		if isCode(n.X) && (n.Op == token.EQL || n.Op == token.NEQ) {
			return []ast.Expr{n.Y}
		}
	case *ast.SwitchStmt:
		if n.Tag == nil || !isCode(n.Tag) {
			return nil
		}
		var out []ast.Expr
		for _, c := range n.Body.List {
			out = append(out, c.(*ast.CaseClause).List...)
		}
		return out
	case *ast.CallExpr:
		if s, ok := n.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "say" || s.Sel.Name == "find") && len(n.Args) > 1 {
			return n.Args[:1]
		}
	}
	return nil
}

// literal is the text of a string that stands in the source.
func literal(e ast.Expr) (string, bool) {
	b, ok := e.(*ast.BasicLit)
	if !ok || b.Kind != token.STRING || b.Value == `""` {
		return "", false
	}
	return strings.Trim(b.Value, "\"`"), true
}
