package result

import "dialtone/internal/plan"

// ComparisonSchema names the JSON form of a Comparison.
const ComparisonSchema = "dialtone.comparison/1"

// A Comparison is what differs between two reports. It says what was seen, and
// accuses nobody: that two things changed together shows no cause.
type Comparison struct {
	Schema   string   `json:"schema"`
	Tool     string   `json:"tool"` // name and version of the program that made it
	Relation Relation `json:"relation"`
	Old      Compared `json:"old"`
	New      Compared `json:"new"`
	// Differs is what differs between the runs as a whole, the way of their packets
	// among it.
	Differs  []Difference      `json:"differs"`
	Paths    []PathChange      `json:"paths"` // in the order of New, then those that only Old has
	Findings []Finding         `json:"findings"`
	Summary  ComparisonSummary `json:"summary"`
}

// A Relation is what two reports are to each other.
type Relation string

const (
	RelationLater       Relation = "later"        // the same machine tested the same far end again
	RelationElsewhere   Relation = "elsewhere"    // another machine tested the same far end
	RelationOtherTarget Relation = "other-target" // another far end was tested
)

// A Compared is one of the two reports, without its paths.
type Compared struct {
	Run         string `json:"run"`
	Tool        string `json:"tool"`
	Started     Time   `json:"started"`
	Plan        string `json:"plan"`
	Mode        Mode   `json:"mode"`
	From        End    `json:"from"`
	To          End    `json:"to"`
	Interrupted bool   `json:"interrupted"`
	Contact     bool   `json:"contact"` // the far end told what it saw
	OK          bool   `json:"ok"`
	Counted     int    `json:"counted"`
	Failed      int    `json:"failed"`
}

// An Aspect is what two reports, or two paths, can differ in.
type Aspect string

const (
	AspectPlan        Aspect = "plan"
	AspectMode        Aspect = "mode"
	AspectTool        Aspect = "tool"
	AspectFrom        Aspect = "from" // the dialing machine's addresses
	AspectTo          Aspect = "to"   // the far end's
	AspectContact     Aspect = "contact"
	AspectHops        Aspect = "hops" // devices on the way, as traces show them
	AspectStops       Aspect = "stops"
	AspectPort        Aspect = "port"
	AspectSource      Aspect = "source"
	AspectTarget      Aspect = "target"
	AspectSeenAs      Aspect = "seen-as"
	AspectHolder      Aspect = "holder"   // the software that has the port there
	AspectSoftware    Aspect = "software" // what answers says it is
	AspectCertificate Aspect = "certificate"
	AspectTLS         Aspect = "tls"
	AspectRTT         Aspect = "rtt"
	AspectMTU         Aspect = "mtu"
	AspectNote        Aspect = "note"
)

// Aspects lists every Aspect, in the order in which they are told.
var Aspects = []Aspect{
	AspectPlan, AspectMode, AspectTool, AspectFrom, AspectTo, AspectContact, AspectHops, AspectStops, AspectPort, AspectSource, AspectTarget, AspectSeenAs,
	AspectHolder, AspectSoftware, AspectCertificate, AspectTLS, AspectRTT, AspectMTU, AspectNote,
}

// A Difference is one thing that is not as it was. "" is: nothing was known of
// it, or there was none.
type Difference struct {
	What Aspect `json:"what"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// A Change is what became of a path.
type Change string

const (
	ChangeWorse   Change = "worse"   // it was ok, and is not
	ChangeBetter  Change = "better"  // it was not ok, and is
	ChangeStill   Change = "still"   // ok in both
	ChangeBroken  Change = "broken"  // ok in neither
	ChangeUnknown Change = "unknown" // New does not tell: it was not tested, or something answered that proves nothing
	ChangeFirst   Change = "first"   // New tells, and Old does not
)

// A PathChange is one path in both reports.
type PathChange struct {
	Flow      string         `json:"flow"`
	Service   string         `json:"service"`
	Port      int            `json:"port"`
	Transport plan.Transport `json:"transport"`
	Direction plan.Direction `json:"direction"`
	Family    Family         `json:"family"`
	From      string         `json:"from"`
	To        string         `json:"to"`
	Address   Addr           `json:"address,omitzero"` // as a Path's
	Host      string         `json:"host,omitempty"`   // as a Path's
	Counted   bool           `json:"counted"`          // by New, where that has it
	Change    Change         `json:"change"`
	Old       *PathState     `json:"old"` // null: that report does not have it
	New       *PathState     `json:"new"`
	Differs   []Difference   `json:"differs"`
}

// A PathState is how a path was found.
type PathState struct {
	Verdict Verdict  `json:"verdict"`
	OK      bool     `json:"ok"`
	Proof   Proof    `json:"proof"`
	At      Time     `json:"at"`
	Source  Endpoint `json:"source"`
	Target  Endpoint `json:"target"`
	Finding *Finding `json:"finding"`
}

// A ComparisonSummary counts paths that count for the result.
type ComparisonSummary struct {
	// OK: every one that worked in Old works in New.
	OK      bool `json:"ok"`
	Worked  int  `json:"worked"` // in Old
	Worse   int  `json:"worse"`
	Unknown int  `json:"unknown"` // of those that worked
	Still   int  `json:"still"`
	Better  int  `json:"better"`
	Broken  int  `json:"broken"` // in both
	First   int  `json:"first"`
}
