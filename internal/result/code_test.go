package result

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/findings.md")

// The page has every code that a finding can have, with what it means.
func TestFindingsPageHasEveryCode(t *testing.T) {
	const file = "../../docs/findings.md"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const made = "<!-- made by go test ./internal/result -run TestFindingsPageHasEveryCode -update -->\n"
	head, _, ok := strings.Cut(string(doc), made)
	if !ok {
		t.Fatalf("%s has no place for the tables", file)
	}
	var page strings.Builder
	page.WriteString(head + made)
	seen := map[Code]bool{}
	for _, g := range Codes {
		fmt.Fprintf(&page, "\n## %s\n\n| code | means | to mend |\n| --- | --- | --- |\n", g.About)
		for _, c := range g.Codes {
			who := ""
			if c.Own {
				who = "at the two ends"
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s |\n", c.Code, c.Means, who)
			if seen[c.Code] || c.Means == "" || strings.Contains(c.Means, "|") {
				t.Errorf("%s stands there twice, or says nothing that a table can hold", c.Code)
			}
			seen[c.Code] = true
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if page.String() != string(doc) {
		t.Errorf("%s is not what the table of codes says (-update writes it)", file)
	}
}
