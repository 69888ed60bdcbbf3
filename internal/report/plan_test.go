package report

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"dialtone/internal/plan"
)

const plansFile = "../../docs/plans.md"

func TestPlansPageIsMadeFromThePlans(t *testing.T) {
	var plans []*plan.Plan
	for _, name := range plan.Names() {
		p, err := plan.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	made := plansPage(plans)
	if *update {
		if err := os.WriteFile(plansFile, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(plansFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, made) {
		t.Errorf("docs/plans.md is not what the plans say (make it with -update, and see git diff)")
	}
	// listen plan, the page and the files agree: every row, with its source.
	for _, p := range plans {
		var text bytes.Buffer
		if err := WritePlan(&text, p, nil, Options{}); err != nil {
			t.Fatal(err)
		}
		said := strings.Join(strings.Fields(text.String()), " ")
		for _, r := range p.Rows {
			if !strings.Contains(said, r.ID+" "+planPort(r)) || !strings.Contains(said, "Source: "+strings.Join(strings.Fields(r.Source), " ")) {
				t.Errorf("listen plan --plan %s does not show row %s with its source %s", p.Name, r.ID, r.Source)
			}
			if !strings.Contains(string(page), "| `"+r.ID+"` |") || !strings.Contains(string(page), markdown(r.Source)) {
				t.Errorf("docs/plans.md does not show row %s of %s with its source %s", r.ID, p.Name, r.Source)
			}
		}
		for _, s := range p.Sources {
			if !strings.Contains(said, s.Name+" "+s.At) || !strings.Contains(string(page), s.At) {
				t.Errorf("%s: the page %s is not named: %s", p.Name, s.Name, s.At)
			}
		}
	}
}

func TestPlanIsNoWiderThanAPage(t *testing.T) {
	for _, name := range plan.Names() {
		p, err := plan.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := WritePlan(&b, p, []plan.Excluded{{Row: p.Rows[0], Why: strings.Repeat("because of this and that ", 20)}}, Options{}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if width(line) > 80 && !strings.Contains(line, "://") { // an address stays whole
				t.Errorf("%s: %d columns: %s", name, width(line), line)
			}
		}
	}
}

// plansPage is plans as a page in Markdown.
func plansPage(plans []*plan.Plan) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# The built-in plans")
	line("")
	line("Made from the plan files by `go test ./internal/report -run Plans -update`; `listen plan --plan NAME` prints the same. What no page says has no row, which proves nothing.")
	line("A row whose need says *inferred* follows from its source and does not stand there in these words. *Apart*: required as soon as the site file has the two roles on different hosts. *External*: a role of hosts that are not this software's own. *Idle for*: a connection has to survive that long without traffic.")
	for _, p := range plans {
		line("\n## %s: %s\n", p.Name, markdown(p.Title))
		line("Revised %s.\n", p.Revised)
		line("| row | connection | service | port | from → to | need | why | source |")
		line("| --- | --- | --- | --- | --- | --- | --- | --- |")
		for _, r := range p.Rows {
			line("| `%s` | %s | %s | %s | %s | %s | %s | %s |", r.ID, markdown(r.Name), planService(r), planPort(r), strings.Replace(markdown(planRoles(r)), "->", "→", 1), planNeed(r), markdown(r.Why), markdown(r.Source))
		}
		line("\nRoles:\n")
		for _, r := range p.RoleNames() {
			where := ""
			if p.IsExternal(r) {
				where = " (external)"
			}
			line("- `%s`: %s%s", r, markdown(p.Roles[r]), where)
		}
		line("\nPages:\n")
		for _, s := range p.Sources {
			line("- %s: <%s>", markdown(s.Name), s.At)
		}
	}
	return b.Bytes()
}
