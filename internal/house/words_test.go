package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// CONTRIBUTING.md has what each word means. Here is what the same word, or another
// for the same thing, once meant as well.
var strays = []struct {
	names, comments *regexp.Regexp // nil: nothing
	but             []string       // files that may
	say             string
}{
	{names: regexp.MustCompile(`(?i)talk`), say: "ask for control, conversation for a service's own"},
	{names: regexp.MustCompile(`(?i)ledger`), but: []string{"internal/listener/journal.go", "internal/listener/appender.go", "cmd/listen/"}, say: "arrivals for the memory; the ledger is a file"},
	{names: regexp.MustCompile(`^(is|lookAt)Held$|^held(There|Now|Behind\w*|Time)$`), say: "busy for a port that others have, idle for keeping idle"},
	{
		comments: regexp.MustCompile(`\b(hold|holds|held|holding)\b[^.;:]{0,60}\b[cC]onversation|[cC]onversation[^.;:]{0,30}\b(is|was|be|are|were) held\b`),
		say:      "a conversation is had, a port is busy, a connection is kept idle",
	},
}

func TestAWordHasOneMeaning(t *testing.T) {
	for _, files := range goFiles(t) {
		for _, file := range files {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(root, file), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range strays {
				isHome := false
				for _, at := range s.but {
					isHome = isHome || strings.HasPrefix(file, at)
				}
				if isHome {
					continue
				}
				ast.Inspect(f, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok && s.names != nil && s.names.MatchString(id.Name) {
						t.Errorf("%s: %s: %s", fset.Position(id.Pos()), id.Name, s.say)
					}
					return true
				})
				for _, c := range f.Comments {
					if text := strings.Join(strings.Fields(c.Text()), " "); s.comments != nil && s.comments.MatchString(text) {
						t.Errorf("%s: %q: %s", fset.Position(c.Pos()), s.comments.FindString(text), s.say)
					}
				}
			}
		}
	}
}
