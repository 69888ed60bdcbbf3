package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// renderAddressText writes an address report for people.
func renderAddressText(r *result.AddressReport, o Options) ([]byte, error) {
	t := addressReport{AddressReport: r, page: newPage(o)}
	st := strong
	if len(r.Seen) == 0 {
		st = bad
	}
	t.hang("", addressAnswer(r), 0, st)
	for i, f := range t.Findings {
		if i > 0 {
			t.hang("", f.Text, 0, plain)
		}
		if f.Advice != "" {
			t.hang("  -> ", f.Advice, 0, plain)
		}
		t.blank()
	}
	t.title("Address report")
	t.blank()
	t.views()
	t.mappings()
	if o.Verbose {
		t.evidence()
	}
	t.fields(2, addressFacts(r))
	t.blank()
	t.hang("", addressAnswer(r), 0, st)
	return []byte(t.b.String()), nil
}

// addressFacts are who asked, and when, labelled.
func addressFacts(r *result.AddressReport) [][2]string {
	fields := [][2]string{
		{"From", strings.TrimPrefix(endName(result.End{Host: r.Host, Addresses: result.ParseAddrs(r.Own...)}), "at ")},
		{"Started", startLine(r.Started.Time, r.ElapsedMS)},
		{"By", r.Tool},
	}
	if r.Interrupted {
		fields[1][1] += ", then interrupted"
	}
	return fields
}

// An addressReport is an address report on its way to a page.
type addressReport struct {
	*result.AddressReport
	*page
}

// views writes who saw what.
func (t *addressReport) views() {
	if len(t.Views) == 0 {
		return
	}
	rows := viewRows(t.Views)
	for i := range rows[0] {
		rows[0][i].style = faint
	}
	if lines := t.grid(rows); t.fits(lines) {
		t.lines(lines)
		t.blank()
		return
	}
	for _, row := range rows[1:] {
		seen, times := row[0].s, "times"
		if row[4].s == "1" {
			times = "time"
		}
		s := fmt.Sprintf("%s %s %s %s %s", row[1].s, row[2].s, row[3].s, row[4].s, times)
		switch {
		case len(row) <= 5:
		case strings.HasPrefix(row[5].s, "("):
			s += ", " + strings.Trim(row[5].s, "()")
		default:
			s += ", port " + row[5].s
		}
		t.hang("  "+seen+"  ", s, 0, plain)
	}
	t.blank()
}

// viewRows are who saw what, after a row of headers: a row for all that is equal.
func viewRows(views []result.View) [][]cell {
	type key struct {
		observer, over, at, seen string
		outcome                  result.ViewOutcome
	}
	var order []key
	first, count := map[key]result.View{}, map[key]int{}
	for _, v := range views {
		k := key{observer: v.Observer, over: string(v.Transport), at: "-", outcome: v.Outcome}
		if v.Target.IsValid() {
			k.at = v.Target.String()
		}
		if v.SeenAs.IsValid() {
			k.seen = v.SeenAs.Addr().String()
		}
		if count[k]++; count[k] == 1 {
			order, first[k] = append(order, k), v
		}
	}
	rows := [][]cell{{{s: "seen as"}, {s: "by"}, {s: "asked at"}, {s: "over"}, {s: "times"}, {s: "port here -> port seen"}}}
	for _, k := range order {
		v := first[k]
		row := []cell{{cmp.Or(k.seen, "-"), plain}, {k.observer, plain}, {k.at, plain}, {k.over, plain}, {fmt.Sprint(count[k]), plain}}
		switch {
		case v.Outcome != result.ViewAnswered:
			row = append(row, cell{"(" + string(v.Outcome) + ")", bad})
		case v.Source.IsValid():
			row = append(row, cell{fmt.Sprintf("%d -> %d", v.Source.Port(), v.SeenAs.Port()), plain})
		}
		rows = append(rows, row)
	}
	return rows
}

// evidence writes every question and every way in, one by one.
func (t *addressReport) evidence() {
	t.title("All evidence")
	t.blank()
	for _, v := range t.Views {
		s := fmt.Sprintf("%s: %s", v.Observer, v.Test)
		if v.Target.IsValid() {
			s += fmt.Sprintf(" at %s over %s", v.Target, v.Transport)
		}
		if v.Source.IsValid() {
			s += " from " + v.Source.String()
		}
		s += ": " + string(v.Outcome)
		if v.SeenAs.IsValid() {
			s += " as " + v.SeenAs.String()
		}
		s += milliseconds(", round trip ", v.RTTMS)
		if v.Error != "" {
			s += ", " + v.Error
		}
		t.hang("  * ", s, 0, plain)
	}
	for _, in := range t.Inbound {
		s := in.Observer
		if in.Target.IsValid() {
			s += " dialed " + in.Target.String()
		}
		s += ": " + string(in.Outcome)
		if in.Error != "" {
			s += ", " + in.Error
		}
		t.hang("  * ", s, 0, plain)
	}
	t.blank()
}

// behaviourWords says what each behaviour means.
var behaviourWords = map[result.MappingBehaviour]string{
	result.MappingUnknown:     "whether the mapping depends on the destination is not known: ask two servers, or one with two addresses (RFC 5780)",
	result.MappingNone:        "not translated",
	result.MappingIndependent: "the same for every destination (endpoint-independent mapping)",
	result.MappingAddress:     "another one for each destination address (address-dependent mapping)",
	result.MappingAddressPort: "another one for each destination address and port (address-and-port-dependent mapping)",
	result.MappingDestination: "depends on the destination address; whether on its port too is not known",
}

// methodWords says how each behaviour was found.
var methodWords = map[result.MappingMethod]string{
	result.MethodRFC5780:      ", by the two addresses of one server (RFC 5780)",
	result.MethodDestinations: ", by comparing the destinations asked",
}

// portWords says what becomes of the port.
var portWords = map[result.PortMapping]string{
	result.PortsKept:    "keeps the source port; ",
	result.PortsChanged: "changes the source port, so that partners' rules must not name one; ",
	result.PortsMixed:   "changes the source port sometimes, so that partners' rules must not name one; ",
}

// mappings writes how the NAT maps.
func (t *addressReport) mappings() {
	if fields := mappingWords(t.Mappings); len(fields) > 0 {
		t.fields(2, fields)
		t.blank()
	}
}

// mappingWords are how the NAT maps, each way of it once.
func mappingWords(mappings []result.Mapping) [][2]string {
	var fields [][2]string
	for _, m := range mappings {
		ports := portWords[m.Ports]
		if m.Behaviour == result.MappingNone {
			ports = ""
		}
		over := strings.ToUpper(string(m.Transport)) + " over " + familyName(m.Family)
		words := ports + behaviourWords[m.Behaviour] + methodWords[m.Method]
		if i := slices.IndexFunc(fields, func(f [2]string) bool { return f[1] == words }); i >= 0 {
			fields[i][0] += ", " + over
			continue
		}
		fields = append(fields, [2]string{over, words})
	}
	return fields
}
