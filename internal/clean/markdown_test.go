package clean

import (
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Whatever a peer says of itself is text for a real reader of Markdown: in a
// paragraph, an item of a list, and a cell of a table.
func TestMarkdownStaysText(t *testing.T) {
	for _, s := range []string{
		"plain words, 10.1.0.10:1433 -> 10.2.0.10 (hop 3)", "*a* **b** _c_ __d__", "`code`", "<script>alert(1)</script>", "<!-- a -->", "<http://example.org>",
		"[a](http://example.org)", "![a](http://example.org/x.png)", "[a]: http://example.org", "http://example.org/x", "HTTPS://example.org", "www.example.org", "a | b | c",
		"# a", "## a", "- a", "+ a", "* a", "1. a", "12) a", "> a", "---", "===", "~~~", "~~a~~", "```", "&lt;b&gt; &#60; &amp;", `a\`, `\*a\*`, "$x^2$",
		"- # > 1. a", "\ta", "    a", "a\n\n# b", "x\x1b[2J", "Version 2.0", "10.", "a_b_c", "| --- |", "*", "<", "a\\|b", "ftp://example.org", "[x] done", "[^1]",
	} {
		want := strings.Join(strings.Fields(Line(s, 1000)), " ")
		for where, format := range map[string]string{
			"paragraph": "%\n", "item": "- %\n", "bold": "**x%x**\n", "cell": "| a | b |\n| --- | --- |\n| % | y |\n", "numbered": "1. **x%x**\n\n   - Log: %\n",
		} {
			src := []byte(strings.ReplaceAll(format, "%", Markdown(s, 1000)))
			doc := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote)).Parser().Parse(text.NewReader(src))
			var kinds, words []string
			err := ast.Walk(doc, func(n ast.Node, enter bool) (ast.WalkStatus, error) {
				if !enter {
					return ast.WalkContinue, nil
				}
				switch k := n.Kind().String(); k {
				case "Document", "Text", "Paragraph", "TextBlock", "List", "ListItem", "Table", "TableHeader", "TableRow", "TableCell", "Emphasis", "String":
					if where != "bold" && where != "numbered" && k == "Emphasis" {
						kinds = append(kinds, k)
					}
				default:
					kinds = append(kinds, k)
				}
				if n.Kind() == ast.KindText {
					words = append(words, string(n.(*ast.Text).Segment.Value(src)))
				}
				return ast.WalkContinue, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(kinds) > 0 {
				t.Errorf("%q in a %s becomes %v: %s", s, where, kinds, src)
			}
			if where != "paragraph" {
				continue
			}
			var html strings.Builder
			if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(src, &html); err != nil {
				t.Fatal(err)
			}
			got := strings.NewReplacer("<p>", "", "</p>", "", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&amp;", "&").Replace(html.String())
			if got = strings.Join(strings.Fields(got), " "); got != want {
				t.Errorf("%q reads %q, want %q", s, got, want)
			}
		}
	}
}
