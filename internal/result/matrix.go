package result

import (
	"dialtone/internal/plan"
)

// MatrixSchema names the JSON form of a Matrix.
const MatrixSchema = "dialtone.matrix/1"

// A Matrix is several reports side by side: a row for each, such as a client or
// a partner, and a column for each flow in one direction and address family.
type Matrix struct {
	Schema   string          `json:"schema"`
	Tool     string          `json:"tool"` // name and version of the program that made it
	Reports  []ReportSummary `json:"reports"`
	Columns  []MatrixColumn  `json:"columns"`
	Rows     []MatrixRow     `json:"rows"`     // one for each report, in the same order
	Requests []Request       `json:"requests"` // what to ask for, each once for all rows that need it
	Findings []Finding       `json:"findings"` // about single reports, or all together
	Summary  Summary         `json:"summary"`  // counts the paths of all reports
	// Whole are the reports it was made of, for forms that tell more than a matrix
	// has; none: it was read from a file.
	Whole []*Report `json:"-"`
}

// A ReportSummary is a report without its paths.
type ReportSummary struct {
	Run         string  `json:"run"`
	Tool        string  `json:"tool"`
	Started     Time    `json:"started"`
	ElapsedMS   int64   `json:"elapsed_ms"`
	Interrupted bool    `json:"interrupted"`
	Plan        string  `json:"plan"`
	Mode        Mode    `json:"mode"`
	From        End     `json:"from"`
	To          End     `json:"to"`
	Contact     bool    `json:"contact"` // whether a path carried the control conversation
	Summary     Summary `json:"summary"`
}

// A MatrixColumn is a flow of the plan in one direction over one address
// family, on one port.
type MatrixColumn struct {
	Flow      string         `json:"flow"`
	Service   string         `json:"service"`
	Port      int            `json:"port"` // that was dialed; 0: it differs from run to run
	Transport plan.Transport `json:"transport"`
	Direction plan.Direction `json:"direction"`
	Family    Family         `json:"family"`
}

// A MatrixRow is one report.
type MatrixRow struct {
	Name      string   `json:"name"` // of the partner, or of the machine that ran dial
	Role      string   `json:"role"`
	Addresses []string `json:"addresses"` // of the machine that ran dial
	To        string   `json:"to"`        // host that was dialed
	OK        bool     `json:"ok"`        // every counted path is ok
	// Cells has an element for each column; null: that report has no such path.
	Cells []*MatrixCell `json:"cells"`
}

// A MatrixCell is one path.
type MatrixCell struct {
	Verdict Verdict `json:"verdict"`
	OK      bool    `json:"ok"`
	Counted bool    `json:"counted"`
	Proof   Proof   `json:"proof"`
	Code    Code    `json:"code"`    // of its finding; ""
	Request int     `json:"request"` // number of its request, from 1; 0: none
}

// A Request is what one party is asked for, for all rows that need the same.
type Request struct {
	Number    int            `json:"number"` // from 1
	Item      int            `json:"item"`   // its number for people, where what differs by the far end's address alone is one; 0: it has none yet
	Code      Code           `json:"code"`   // of the findings
	Advice    string         `json:"advice"`
	Counted   bool           `json:"counted"` // a required path depends on it
	Ends      bool           `json:"ends"`    // the people at the two ends can do it by themselves: no firewall's are asked
	Flows     []string       `json:"flows"`
	Port      int            `json:"port"`
	Transport plan.Transport `json:"transport"`
	Direction plan.Direction `json:"direction"`
	Rows      []int          `json:"rows"`    // of the matrix, from 0
	Subnets   []Subnet       `json:"subnets"` // the machines that it is asked for, as the firewalls see them
	Log       []LogEntry     `json:"log"`     // what to search a firewall's log for
}

// A RequestPart is where a request stands among those of a matrix.
type RequestPart int

// The parts of the requests, in order.
const (
	AskedFor   RequestPart = iota // a required path depends on it
	AskedToo                      // none does
	DoneByEnds                    // no firewall's people are asked
	RequestParts
)

// Part returns where a request stands.
func (q *Request) Part() RequestPart {
	switch {
	case q.Ends:
		return DoneByEnds
	case q.Counted:
		return AskedFor
	}
	return AskedToo
}

// A Subnet is addresses that have the first 24 bits (IPv6: 64) in common. That
// is a way to list them: nobody knows from an address how large its network is.
type Subnet struct {
	Prefix    string   `json:"prefix"`
	Addresses []string `json:"addresses"`
}

// A LogEntry is one attempt, as a firewall's log has it.
type LogEntry struct {
	At     Time     `json:"at"`
	Source Endpoint `json:"source"`
	SeenAs Endpoint `json:"seen_as"`
	Target Endpoint `json:"target"`
}
