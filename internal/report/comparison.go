package report

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// renderComparisonText writes a comparison for people: what became of what worked,
// path by path, then what else differs; at the end the answer again.
func renderComparisonText(c *result.Comparison, o Options) ([]byte, error) {
	p := newPage(o)
	p.hang("", comparisonAnswer(c), 0, comparisonStyle(c))
	p.blank()
	for _, f := range c.Findings {
		p.hang("  !  ", f.Text, 0, bad)
		if f.Advice != "" {
			p.hang("     ", f.Advice, 0, plain)
		}
		p.blank()
	}
	changes(p, c, false)
	p.title("The two reports")
	p.blank()
	p.fields(2, [][2]string{{"Old", comparedLine(c.Old)}, {"New", comparedLine(c.New)}})
	p.blank()
	p.hang("", comparisonAnswer(c), 0, comparisonStyle(c))
	return []byte(p.b.String()), nil
}

func comparedLine(c result.Compared) string {
	s := startOf(c) + ", from " + endName(c.From) + " to " + endName(c.To) + ", plan " + c.Plan
	if c.Interrupted {
		s += ", interrupted"
	}
	return s + ", run " + c.Run
}

func startOf(c result.Compared) string {
	if c.Started.IsZero() {
		return "at a time that is not known"
	}
	return c.Started.UTC().Format("2006-01-02 15:04 UTC")
}

// then and now name the two reports in a sentence.
func then(c *result.Comparison) string {
	switch c.Relation {
	case result.RelationElsewhere:
		return "from " + hostName(c.Old.From)
	case result.RelationOtherTarget:
		return "to " + hostName(c.Old.To)
	}
	return "on " + startOf(c.Old)
}

func now(c *result.Comparison) string {
	switch c.Relation {
	case result.RelationElsewhere:
		return "from " + hostName(c.New.From)
	case result.RelationOtherTarget:
		return "to " + hostName(c.New.To)
	}
	return "now"
}

func comparisonStyle(c *result.Comparison) style {
	switch s := c.Summary; {
	case s.Worse > 0:
		return bad
	case s.Unknown > 0 || s.Worked == 0:
		return pending
	}
	return good
}

// comparisonAnswer is the answer to "it worked yesterday" in a sentence or two.
func comparisonAnswer(c *result.Comparison) string {
	s, was, is := c.Summary, then(c), now(c)
	of := func(change result.Change, what func(result.PathChange) string) string {
		var names []string
		for _, p := range c.Paths {
			if p.Counted && p.Change == change && (change != result.ChangeUnknown || p.Old != nil && p.Old.OK) {
				names = append(names, pathName(c, p)+what(p))
			}
		}
		if len(names) > maxNamed {
			names = append(names[:maxNamed:maxNamed], fmt.Sprintf("and %d more", len(names)-maxNamed))
		}
		return strings.Join(names, ", ")
	}
	bare := func(result.PathChange) string { return "" }
	verdicts := func(p result.PathChange) string {
		return " (was " + stateName(p.Old) + ", is " + stateName(p.New) + ")"
	}
	worked := func(n int) string {
		return fmt.Sprintf("%d required %s that worked %s", n, one(n, "path", "paths"), was)
	}
	var out []string
	switch {
	case s.Worked == 0 && s.Better == 0 && s.Broken == 0 && s.First == 0:
		out = append(out, "Neither report says of a required path that it works, or that it does not.")
	case s.Worked == 0:
		out = append(out, fmt.Sprintf("No required path is known to have worked %s.", was))
	case s.Worse == 0 && s.Unknown == 0 && s.Worked == 1:
		out = append(out, fmt.Sprintf("The one required path that worked %s works %s.", was, still(c)))
	case s.Worse == 0 && s.Unknown == 0:
		out = append(out, fmt.Sprintf("All %s work %s.", worked(s.Worked), still(c)))
	case s.Worse > 0:
		out = append(out, fmt.Sprintf("%d of %s %s %s: %s.", s.Worse, worked(s.Worked), one(s.Worse, "does not work", "do not work"), is, of(result.ChangeWorse, verdicts)))
	default:
		out = append(out, fmt.Sprintf("Of %s, nothing shows that any stopped working.", worked(s.Worked)))
	}
	if s.Unknown > 0 {
		out = append(out, fmt.Sprintf("Of %s it is not known whether %s %s: %s.", of(result.ChangeUnknown, bare), one(s.Unknown, "it works", "they work"), is,
			"it was not tested, or what answered proves nothing"))
	}
	if s.Better > 0 {
		out = append(out, fmt.Sprintf("%d did not work then and %s now: %s.", s.Better, one(s.Better, "does", "do"), of(result.ChangeBetter, bare)))
	}
	if s.Broken > 0 {
		out = append(out, fmt.Sprintf("What fails in both reports is not new: %s.", of(result.ChangeBroken, bare)))
	}
	if n := firstBroken(c); n != "" {
		out = append(out, fmt.Sprintf("%s %s, and nothing is known of before.", n, "does not work"))
	}
	if also := alsoDiffers(c); len(also) > 0 && s.Worse > 0 {
		out = append(out, "Beside that "+list(also)+one(len(also), " is not as it was.", " are not as they were."))
	}
	return strings.Join(out, " ")
}

// alsoDiffers names what a firewall may go by, or a path depend on, and that is not
// as it was.
func alsoDiffers(c *result.Comparison) []string {
	all := slices.Clone(c.Differs)
	for _, x := range c.Paths {
		all = append(all, x.Differs...)
	}
	var out []string
	for _, w := range []struct {
		what  result.Aspect
		words string
	}{
		{result.AspectFrom, "the address of the machine that dialed"}, {result.AspectTo, "the far end's address"}, {result.AspectSeenAs, "the address that the far end sees"},
		{result.AspectHops, "the way of the packets"}, {result.AspectMTU, "the size that gets through"}, {result.AspectCertificate, "a certificate"},
	} {
		if slices.ContainsFunc(all, func(d result.Difference) bool { return d.What == w.what }) {
			out = append(out, w.words)
		}
	}
	return out
}

func still(c *result.Comparison) string {
	if c.Relation == result.RelationLater {
		return "now, too"
	}
	return now(c) + ", too"
}

// firstBroken names the paths that fail and of which the old report says nothing.
func firstBroken(c *result.Comparison) string {
	var names []string
	for _, p := range c.Paths {
		if p.Counted && p.Change == result.ChangeFirst && !p.New.OK {
			names = append(names, pathName(c, p))
		}
	}
	if len(names) > maxNamed {
		names = append(names[:maxNamed:maxNamed], "more")
	}
	return list(names)
}

// pathName is a path's flow, and what tells it from others of that flow.
func pathName(c *result.Comparison, p result.PathChange) string {
	s := p.Flow
	var ways, families bool
	for _, o := range c.Paths {
		if o.Flow == p.Flow {
			ways = ways || o.Direction != p.Direction
			families = families || o.Direction == p.Direction && o.Family != p.Family
		}
	}
	if ways && p.Direction == plan.Reverse {
		s += " to here"
	}
	switch {
	case p.Address.IsValid():
		s += " at " + p.Address.String()
	case families:
		s += " over " + familyName(p.Family)
	}
	return s
}

func stateName(s *result.PathState) string {
	if s == nil {
		return "not in the report"
	}
	return string(s.Verdict)
}

// changeTitles are what paths are listed under, the urgent first.
var changeTitles = []struct {
	change result.Change
	title  string
	style  style
}{
	{result.ChangeWorse, "Worked then, and does not now", bad},
	{result.ChangeUnknown, "Not known now", pending},
	{result.ChangeBetter, "Works now, and did not then", good},
	{result.ChangeBroken, "Works in neither", plain},
	{result.ChangeFirst, "Not known then", plain},
}

// changes writes what became of the paths and what else differs; in a report, which
// says elsewhere how each path is now, only what is of then.
func changes(p *page, c *result.Comparison, inReport bool) {
	if inReport {
		p.title(sinceTitle(c))
		p.blank()
		for _, f := range c.Findings {
			p.hang("  !  ", f.Text+" "+f.Advice, 0, bad)
			p.blank()
		}
	}
	for _, t := range changeTitles {
		all := listed(c, t.change)
		if len(all) == 0 {
			continue
		}
		indent := ""
		if inReport {
			indent = "  "
		}
		p.hang(indent, t.title, 0, strong)
		p.blank()
		for _, x := range all {
			p.hang(indent+"  ", ChangeLine(c, x), 0, t.style)
			if t.change == result.ChangeWorse || t.change == result.ChangeBetter {
				p.fields(len(indent)+4, changeFields(c, x, inReport))
			}
		}
		p.blank()
	}
	if inReport && len(changeNames(c, result.ChangeStill)) > 0 && !slices.ContainsFunc(c.Paths, func(x result.PathChange) bool { return x.Change != result.ChangeStill }) {
		p.hang("  ", "Every path is as it was.", 0, plain)
		p.blank()
	}
	if names := changeNames(c, result.ChangeStill); len(names) > 0 && !inReport {
		p.title("Works in both")
		p.blank()
		p.hang("  ", strings.Join(names, ", "), 0, plain)
		p.blank()
	}
	if d := otherDifferences(c); len(d) > 0 {
		indent := ""
		if inReport {
			indent = "  "
		}
		p.hang(indent, "What else differs", 0, strong)
		p.blank()
		p.fields(4, d)
		p.blank()
	}
}

func sinceTitle(c *result.Comparison) string {
	return "What changed since the report of " + startOf(c.Old)
}

// listed are the paths that became so. Of what never worked nobody asks whether it
// does now.
func listed(c *result.Comparison, change result.Change) []result.PathChange {
	var out []result.PathChange
	for _, x := range c.Paths {
		if x.Change == change && (change != result.ChangeUnknown || x.Old != nil && x.Old.OK) {
			out = append(out, x)
		}
	}
	return out
}

func changeNames(c *result.Comparison, change result.Change) []string {
	var out []string
	for _, x := range c.Paths {
		if x.Change == change {
			out = addOnce(out, pathName(c, x))
		}
	}
	return out
}

// ChangeLine says in a line what became of a path of a comparison.
func ChangeLine(c *result.Comparison, x result.PathChange) string {
	s := fmt.Sprintf("%s, %d/%s: %s, was %s, is %s", x.Service, x.Port, x.Transport, pathName(c, x), stateName(x.Old), stateName(x.New))
	if !x.Counted {
		s += " (not required)"
	}
	return s
}

// changeFields are when a path was as it was, and what differs beside that.
func changeFields(c *result.Comparison, x result.PathChange, inReport bool) [][2]string {
	out := [][2]string{{"Then", stateLine(x.Old)}, {"Now", stateLine(x.New)}}
	if f := x.New.Finding; f != nil && !x.New.OK && !inReport {
		out = append(out, [2]string{"Means", f.Text})
		if f.Advice != "" {
			out = append(out, [2]string{"Ask", f.Advice})
		}
	}
	for _, d := range x.Differs {
		out = append(out, [2]string{aspectNames[d.What], differenceLine(d)})
	}
	if c.Relation == result.RelationLater && !x.Old.At.IsZero() && !x.New.At.IsZero() {
		out = append(out, [2]string{"When", fmt.Sprintf("it changed between %s and %s", x.Old.At.UTC().Format("2006-01-02 15:04:05"), x.New.At.UTC().Format("2006-01-02 15:04:05 UTC"))})
	}
	return out
}

func stateLine(s *result.PathState) string {
	out := string(s.Verdict)
	if s.Source.IsValid() && s.Target.IsValid() {
		out += ", " + endpoint(s.Source) + " -> " + s.Target.String()
	}
	if !s.At.IsZero() {
		out += ", " + s.At.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return out
}

// aspectNames are what people call what can differ.
var aspectNames = map[result.Aspect]string{
	result.AspectPlan: "Plan", result.AspectMode: "Asked", result.AspectTool: "Program", result.AspectFrom: "From", result.AspectTo: "To",
	result.AspectContact: "Contact", result.AspectHops: "Way", result.AspectStops: "Stops", result.AspectPort: "Port", result.AspectSource: "Source",
	result.AspectTarget: "Target", result.AspectSeenAs: "Seen as", result.AspectHolder: "Held by", result.AspectSoftware: "Software",
	result.AspectCertificate: "Certificate", result.AspectTLS: "TLS", result.AspectRTT: "Round trip", result.AspectMTU: "Size", result.AspectNote: "Note",
}

func differenceLine(d result.Difference) string {
	switch {
	case d.Old == "":
		return "now " + d.New
	case d.New == "":
		return "then " + d.Old + "; now nothing of the kind"
	}
	return "was " + d.Old + "; is " + d.New
}

// otherDifferences are those of the runs, and of the paths that are listed without
// theirs, each once with the names of its paths.
func otherDifferences(c *result.Comparison) [][2]string {
	var out [][2]string
	for _, d := range c.Differs {
		out = append(out, [2]string{aspectNames[d.What], differenceLine(d)})
	}
	var order []result.Difference
	names := map[result.Difference][]string{}
	for _, x := range c.Paths {
		if x.Change == result.ChangeWorse || x.Change == result.ChangeBetter {
			continue
		}
		for _, d := range x.Differs {
			if names[d] == nil {
				order = append(order, d)
			}
			names[d] = addOnce(names[d], pathName(c, x))
		}
	}
	slices.SortStableFunc(order, func(a, b result.Difference) int {
		return slices.Index(result.Aspects, a.What) - slices.Index(result.Aspects, b.What)
	})
	for _, d := range order {
		of := names[d]
		if len(of) > maxNamed {
			of = append(of[:maxNamed:maxNamed], fmt.Sprintf("and %d more", len(of)-maxNamed))
		}
		out = append(out, [2]string{aspectNames[d.What], differenceLine(d) + " (" + strings.Join(of, ", ") + ")"})
	}
	return out
}

// An htmlSince is what a page has of a comparison.
type htmlSince struct {
	Title, Answer string
	Changes       []htmlChange
}

// An htmlChange is what became of a path, or what else differs.
type htmlChange struct {
	Title string
	Facts []labelledTexts
}

// sinceOf is what a report's page has of a comparison; nil: there is none.
func sinceOf(c *result.Comparison) *htmlSince {
	if c == nil {
		return nil
	}
	s := &htmlSince{Title: sinceTitle(c), Answer: comparisonAnswer(c)}
	for _, f := range c.Findings {
		s.Answer += " " + strings.TrimSpace(f.Text+" "+f.Advice)
	}
	for _, t := range changeTitles {
		for _, x := range listed(c, t.change) {
			h := htmlChange{Title: t.title + ": " + ChangeLine(c, x)}
			if x.Old != nil && x.New != nil {
				h.Facts = labelled(changeFields(c, x, true))
			}
			s.Changes = append(s.Changes, h)
		}
	}
	if d := otherDifferences(c); len(d) > 0 {
		s.Changes = append(s.Changes, htmlChange{"What else differs", labelled(d)})
	}
	return s
}
