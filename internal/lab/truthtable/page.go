package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dialtone/internal/lab"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// An outcome is what came of one scenario.
type outcome struct {
	scenario lab.Scenario
	wrong    []string    // what dial got wrong, a sentence each
	dial     []testimony // all paths that dial tested
	paths    int         // how many those are, with the ones that nobody tested
	others   map[string][]testimony
}

// A testimony is what one tool says of one path.
type testimony struct {
	truth truth
	words string
	rank  int // where words stand among a table's columns
	grade grade
}

// A subject is a tool on the page.
type subject struct {
	name    string
	version string
	forms   []string // its command lines
	all     []testimony
}

func sum(all []testimony) counts {
	var c counts
	for _, t := range all {
		c[t.grade]++
	}
	return c
}

// dialTestimony is what dial says of the distinct paths of a report: rows of the
// plan that share an attempt count once. paths is their number with those that
// were not to be tested.
func dialTestimony(s lab.Scenario, r result.Report, j lab.Judgement) (said []testimony, paths int) {
	type attempt struct {
		flow       string
		direction  plan.Direction
		transport  plan.Transport
		family     result.Family
		target     string
		sourcePort int
		want, got  result.Verdict
	}
	seen := map[attempt]bool{}
	for i, p := range r.Paths {
		judged := j.Paths[i]
		a := attempt{direction: p.Direction, transport: p.Transport, family: p.Family, sourcePort: p.SourcePort, want: judged.Want, got: judged.Got}
		if p.Target.IsValid() {
			a.target = p.Target.String()
		} else {
			a.flow = p.Flow
		}
		if seen[a] {
			continue
		}
		seen[a] = true
		paths++
		if judged.Want == result.Untested && judged.Got == result.Untested {
			continue
		}
		t := truthOf(s, p.Transport, judged.Want)
		said = append(said, testimony{t, string(judged.Got), verdictRank(judged.Got), gradeDial(t, judged.Got)})
	}
	return said, paths
}

// otherTestimony is what a tool's answers amount to.
func otherTestimony(targets []target, truths map[target]truth, answers map[target]answer) []testimony {
	said := make([]testimony, len(targets))
	for i, t := range targets {
		tr, a := truths[t], answers[t]
		tr.alone = false
		said[i] = testimony{tr, a.words, int(a.claim), gradeOther(tr, a.claim)}
	}
	return said
}

// inOrder sorts outcomes by the name of their scenario and hands each subject
// what it said: the same outcomes make the same page, in whatever order they
// came about.
func inOrder(outcomes []outcome, subjects []subject) ([]outcome, []subject) {
	outcomes = slices.SortedFunc(slices.Values(outcomes), func(a, b outcome) int { return cmp.Compare(a.scenario.Name, b.scenario.Name) })
	subjects = slices.Clone(subjects)
	for _, o := range outcomes {
		subjects[0].all = append(subjects[0].all, o.dial...)
		for i := range subjects[1:] {
			subjects[i+1].all = append(subjects[i+1].all, o.others[subjects[i+1].name]...)
		}
	}
	return outcomes, subjects
}

// page renders what inOrder returned.
func page(outcomes []outcome, subjects []subject) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Truth table

%s plays %d scenarios: it plants a fault in a real network (network namespaces, nftables) and asks each tool
what it sees. The truth is known: somebody planted it. That command makes this page, nobody edits it, and it comes out the
same each time, on a busy machine too (%s).

`, code("scripts/lab report"), len(outcomes), code("scripts/lab report --check --busy"))
	b.WriteString(summary(outcomes, subjects))
	b.WriteString(`
**FALSE OPEN** is the worst there is: a path is said to work that does not. It is part of *wrong*.

A *path* is one address, port, transport and direction. Each tool gets a fresh network with the same fault in it and a
fresh listener, and runs on the machine where dial runs. What it is asked about:

- **dial** about every path in both directions, those left out that no attempt could be made for.
- **nmap** and **nc** about the forward paths whose address dial's report names. They cannot say anything of the way
  back: nobody at the far end runs them for you. Nor of FTP's data connection, whose port only a conversation names.

## How an answer is graded

`)
	b.WriteString(rules)
	b.WriteString(`
A port that must be closed is no exception: its truth is what becomes of the packets. dial is graded by the same measure.
Its verdict is right if it is the scenario's, and then still ambiguous if it is one that leaves the fault open: silent and
answered; and, where no far end could be asked, stalled, reset, and refused while a listener runs. Any other verdict is
wrong. A dead connection after idle hours, a hole above a packet size, or a changed byte are planted too, and cannot be
seen by trying a handshake: that is what the comparison is about, not a fault of those tools.

In the tables below, rows are the planted truth and columns what the tool said, in its own words.
`)
	fmt.Fprintf(&b, "%s is right, %s ambiguous, %s wrong, %s FALSE OPEN.\n", code(marks[right]), code(marks[ambiguous]), code(marks[wrong]), code(marks[falseOpen]))
	for _, s := range subjects {
		fmt.Fprintf(&b, "\n## %s\n\n", s.name)
		if s.version != "" {
			fmt.Fprintf(&b, "%s. ", s.version)
		}
		b.WriteString("As it was called:\n\n```\n" + strings.Join(s.forms, "\n") + "\n```\n\n")
		b.WriteString(matrix(s.all))
	}
	b.WriteString(`
## Every fault

A dash: the tool could not be asked.

`)
	b.WriteString(eachScenario(outcomes, subjects))
	b.WriteString(withoutOthers(outcomes))
	return b.String()
}

func code(s string) string { return "`" + s + "`" }

// summary is the tables at the top.
func summary(outcomes []outcome, subjects []subject) string {
	paths := 0
	for _, o := range outcomes {
		paths += o.paths
	}
	var b strings.Builder
	table := func(head string, of func(testimony) bool) {
		fmt.Fprintf(&b, "| tool | %s | right | right but ambiguous | wrong | of which FALSE OPEN |\n", head)
		b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: |\n")
		for _, s := range subjects {
			var all []testimony
			for _, t := range s.all {
				if of(t) {
					all = append(all, t)
				}
			}
			c := sum(all)
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", s.name, c.sum(), c[right], c[ambiguous], c[wrong]+c[falseOpen], c[falseOpen])
		}
	}
	table(fmt.Sprintf("asked about, of %d paths", paths), func(testimony) bool { return true })
	b.WriteString("\nMost paths of a scenario work, as in life. Only those on which something is wrong:\n\n")
	table("asked about", func(t testimony) bool { return t.truth.verdict != result.Open })
	return b.String()
}

// matrix is a confusion matrix.
func matrix(all []testimony) string {
	rows, columns := map[truth]bool{}, map[string]int{}
	cells := map[truth]map[string]counts{}
	for _, t := range all {
		rows[t.truth] = true
		columns[t.words] = t.rank
		if cells[t.truth] == nil {
			cells[t.truth] = map[string]counts{}
		}
		c := cells[t.truth][t.words]
		c[t.grade]++
		cells[t.truth][t.words] = c
	}
	heads := slices.SortedFunc(maps.Keys(columns), func(a, b string) int {
		return cmp.Or(cmp.Compare(columns[a], columns[b]), strings.Compare(a, b))
	})
	var b strings.Builder
	b.WriteString("| truth |")
	for _, h := range heads {
		fmt.Fprintf(&b, " %s |", cellText(h))
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(heads)) + "\n")
	for _, t := range slices.SortedFunc(maps.Keys(rows), compareTruths) {
		fmt.Fprintf(&b, "| %s |", t)
		for _, h := range heads {
			cell := ""
			if c, ok := cells[t][h]; ok {
				cell = c.String() + " "
			}
			fmt.Fprintf(&b, " %s|", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// verdictRank orders verdicts as everywhere.
func verdictRank(v result.Verdict) int { return slices.Index(result.Verdicts, v) }

// cellText makes words fit for a cell.
func cellText(words string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(words), " "), "|", `\|`)
}

func compareTruths(a, b truth) int {
	return cmp.Or(strings.Compare(string(a.transport), string(b.transport)),
		cmp.Compare(verdictRank(a.verdict), verdictRank(b.verdict)),
		strings.Compare(a.String(), b.String()))
}

// eachScenario is a line for each scenario.
func eachScenario(outcomes []outcome, subjects []subject) string {
	var b strings.Builder
	b.WriteString("| scenario | what is planted |")
	for _, s := range subjects {
		b.WriteString(" " + s.name + " |")
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(subjects)) + "\n")
	for _, o := range outcomes {
		fmt.Fprintf(&b, "| [%s](../internal/lab/scenarios/%s.yaml) | %s | %s |", o.scenario.Name, o.scenario.Name,
			cellText(o.scenario.About), sum(o.dial))
		for _, s := range subjects[1:] {
			fmt.Fprintf(&b, " %s |", sum(o.others[s.name]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// withoutOthers lists the scenarios that only dial plays.
func withoutOthers(outcomes []outcome) string {
	var b strings.Builder
	for _, o := range outcomes {
		if o.scenario.Alone != "" {
			fmt.Fprintf(&b, "- %s: %s\n", o.scenario.Name, o.scenario.Alone)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n## Where only dial was asked\n\n" + b.String()
}
