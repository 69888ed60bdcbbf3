package merge

import (
	"cmp"
	"net/netip"
	"slices"

	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// Tabulate lays reports side by side, a row for each in the order given. tool
// is the name and version of the program that does. An input without a name has
// that of the machine that dialed.
func Tabulate(tool string, in []Input) *result.Matrix {
	t := tabulator{
		m: &result.Matrix{
			Schema: result.MatrixSchema, Tool: tool,
			Reports: []result.ReportSummary{}, Columns: []result.MatrixColumn{}, Rows: []result.MatrixRow{},
			Requests: []result.Request{}, Findings: []result.Finding{},
			Summary: result.Summary{OK: true, Verdicts: map[result.Verdict]int{}},
		},
	}
	var reports []*result.Report
	for _, i := range in {
		reports = append(reports, Sound(i.Report))
	}
	t.m.Whole = reports
	t.columns(reports)
	for n, r := range reports {
		t.row(n, orElse(in[n].Name, who(r)), r)
	}
	t.number()
	t.m.Summary.OK = t.m.Summary.OK && len(reports) > 0
	return t.m
}

// ExitCode is the exit code that the contract gives a matrix: 0 every counted
// path of every report is ok, 1 at least one is not, 3 no report made any
// attempt.
func ExitCode(m *result.Matrix) int {
	attempted := slices.ContainsFunc(m.Rows, func(r result.MatrixRow) bool {
		return slices.ContainsFunc(r.Cells, func(c *result.MatrixCell) bool {
			return c != nil && c.Verdict != result.Untested && c.Verdict != result.Unresolved
		})
	})
	switch {
	case !attempted:
		return 3
	case m.Summary.OK:
		return 0
	}
	return 1
}

// tabulator is a matrix in the making.
type tabulator struct {
	m      *result.Matrix
	index  map[result.MatrixColumn]int
	wanted requests
}

// columnOf is the column of a path; the service's name is that of the first
// report that has it.
func columnOf(p *result.Path) result.MatrixColumn {
	c := result.MatrixColumn{Flow: p.Flow, Port: p.Port, Transport: p.Transport, Direction: p.Direction, Family: p.Family}
	if p.PlanPort == 0 {
		c.Port = 0 // a high port that is another one in each run
	}
	return c
}

// columns finds every column, forward ones first and each direction in the
// order in which the reports have them.
func (t *tabulator) columns(reports []*result.Report) {
	seen := map[result.MatrixColumn]bool{}
	for _, r := range reports {
		for i := range r.Paths {
			p := &r.Paths[i]
			if c := columnOf(p); !seen[c] {
				seen[c] = true
				c.Service = p.Service
				t.m.Columns = append(t.m.Columns, c)
			}
		}
	}
	slices.SortStableFunc(t.m.Columns, func(a, b result.MatrixColumn) int { return cmp.Compare(a.Direction, b.Direction) })
	t.index = map[result.MatrixColumn]int{}
	for n, c := range t.m.Columns {
		c.Service = ""
		t.index[c] = n
	}
}

func (t *tabulator) row(n int, name string, r *result.Report) {
	row := result.MatrixRow{
		Name: name, Role: r.From.Role, Addresses: sources(r), To: r.To.Host,
		OK: r.Summary.OK, Cells: make([]*result.MatrixCell, len(t.m.Columns)),
	}
	paths := make([]*result.Path, len(t.m.Columns))
	for i := range r.Paths {
		p := &r.Paths[i]
		at := t.index[columnOf(p)]
		// A row that goes to several hosts of its own is as good as the worst.
		if paths[at] == nil || isWorse(p, paths[at]) {
			paths[at] = p
			row.Cells[at] = &result.MatrixCell{Verdict: p.Verdict, OK: p.OK, Counted: p.Counted, Proof: p.Proof}
			if p.Finding != nil {
				row.Cells[at].Code = p.Finding.Code
			}
		}
	}
	for i := range r.Paths {
		p := &r.Paths[i]
		if wanted, ends := wants(r, p); wanted {
			asked := t.wanted.add(r, p, n, ends)
			if at := t.index[columnOf(p)]; paths[at] == p {
				t.wanted.cells = append(t.wanted.cells, cellRequest{row.Cells[at], asked})
			}
		}
	}
	t.m.Rows = append(t.m.Rows, row)
	t.m.Reports = append(t.m.Reports, result.ReportSummary{
		Run: r.Run, Tool: r.Tool, Started: r.Started, ElapsedMS: r.ElapsedMS, Interrupted: r.Interrupted,
		Plan: r.Plan, Mode: r.Mode, From: r.From, To: r.To, Contact: r.Contact != nil, Summary: r.Summary,
	})
	if r.Interrupted {
		t.m.Findings = append(t.m.Findings, interrupted(r))
	}
	for _, f := range slices.Concat(r.Findings, ownFindings(r)) {
		f.Text = name + ": " + f.Text
		t.m.Findings = append(t.m.Findings, f)
	}
	s := &t.m.Summary
	s.OK = s.OK && r.Summary.OK
	s.Counted += r.Summary.Counted
	s.Failed += r.Summary.Failed
	for v, count := range r.Summary.Verdicts {
		s.Verdicts[v] += count
	}
}

// wants reports whether a path needs something that stands as a request of its own:
// of a firewall's people, or of those at the two ends where it counts. What is a matter
// of the run, and not of that path, is not.
func wants(r *result.Report, p *result.Path) (wanted, ends bool) {
	if !p.IsBroken() || p.Finding.Advice == "" {
		return false, false
	}
	ends = !request.Asks(r, p)
	return !ends || p.Counted && !p.Finding.IsOwn(), ends
}

// ownFindings are what the paths of a report say of the whole run, each once, unless
// the report says it itself.
func ownFindings(r *result.Report) []result.Finding {
	var out []result.Finding
	for i := range r.Paths {
		p := &r.Paths[i]
		f := p.Finding
		if !p.IsBroken() || !f.IsOwn() {
			continue
		}
		if is := func(known result.Finding) bool { return known.Code == f.Code }; !slices.ContainsFunc(r.Findings, is) && !slices.ContainsFunc(out, is) {
			out = append(out, *f)
		}
	}
	return out
}

// sources are the addresses that a report speaks for.
func sources(r *result.Report) []string {
	out := []string{}
	for i := range r.Paths {
		if p := &r.Paths[i]; p.Direction == plan.Forward && p.Source.IsValid() {
			out = append(out, p.Source.Addr().String())
		}
	}
	if len(out) == 0 {
		out = append(out, r.From.Addresses.Words()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// number puts the requests in order, part by part, and
// tells each cell which is its own.
func (t *tabulator) number() {
	all := t.wanted.list
	slices.SortStableFunc(all, func(a, b *result.Request) int { return int(a.Part()) - int(b.Part()) })
	for n, r := range all {
		r.Number = n + 1
		sortSubnets(r)
		t.m.Requests = append(t.m.Requests, *r)
	}
	for _, c := range t.wanted.cells {
		c.cell.Request = c.request.Number
	}
}

// requests are what to ask for, each once.
type requests struct {
	list  []*result.Request
	index map[requestKey]*result.Request
	cells []cellRequest
}

type cellRequest struct {
	cell    *result.MatrixCell
	request *result.Request
}

// requestKey is what makes the requests of two machines one.
type requestKey struct {
	advice    string
	port      int
	transport plan.Transport
	direction plan.Direction
	ends      bool
}

// maxLog bounds the attempts that a request lists; one per machine is enough to
// find its rule in a log.
const maxLog = 64

// add adds a path of row n to its request; ends: of those at the two ends.
func (q *requests) add(r *result.Report, p *result.Path, n int, ends bool) *result.Request {
	k := requestKey{commonAdvice(r, p), p.Port, p.Transport, p.Direction, ends}
	if q.index == nil {
		q.index = map[requestKey]*result.Request{}
	}
	out := q.index[k]
	if out == nil {
		out = &result.Request{
			Code: p.Finding.Code, Advice: k.advice, Port: p.Port, Transport: p.Transport, Direction: p.Direction, Ends: k.ends,
			Flows: []string{}, Rows: []int{}, Subnets: []result.Subnet{}, Log: []result.LogEntry{},
		}
		q.index[k] = out
		q.list = append(q.list, out)
	}
	out.Counted = out.Counted || p.Counted
	out.Flows = addOnce(out.Flows, p.Flow)
	out.Rows = addOnce(out.Rows, n)
	if a := outside(p); a.IsValid() {
		out.Subnets = inSubnet(out.Subnets, a)
	}
	for _, e := range request.LogOf(p) {
		if len(out.Log) < maxLog {
			out.Log = append(out.Log, e)
		}
	}
	return out
}

// outside is the address of the machine that ran dial as a firewall on a path
// sees it: as the accepting end saw it, or other paths of the run show it, behind
// a NAT; else its own.
func outside(p *result.Path) netip.Addr {
	if p.Direction == plan.Reverse {
		return p.Target.Addr()
	}
	if p.SeenAs.IsValid() {
		return p.SeenAs.Addr()
	}
	if p.OthersSeenAs.IsValid() {
		return p.OthersSeenAs.Addr
	}
	return p.Source.Addr()
}

// commonAdvice is a path's advice without the address of the machine that ran
// dial, so that what several machines need is one request. Where that cannot be
// said, the report's own words stand.
func commonAdvice(r *result.Report, p *result.Path) string {
	common := *p
	if p.Direction == plan.Forward {
		common.Source, common.SeenAs, common.OthersSeenAs = result.Endpoint{}, result.Endpoint{}, result.Addr{}
	} else {
		common.Target = result.Endpoint{}
	}
	if f, ok := verdict.Retell(common, verdict.ContextOf(r, p, "")); ok && f != nil && f.Code == p.Finding.Code {
		return f.Advice
	}
	return p.Finding.Advice
}
