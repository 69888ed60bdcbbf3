package result

import (
	"dialtone/internal/plan"
)

// Listened is what the accepting end of a run watched by itself, so that the
// other end's report can be joined with it later (dial merge). Times are this
// machine's own.
type Listened struct {
	Instance  string         `json:"instance"`      // listener process, as in the other end's evidence
	Tag       string         `json:"tag,omitempty"` // of its key, as a Report's
	Since     Time           `json:"since"`         // it answered and watched from here, UTC
	Until     Time           `json:"until"`
	Witness   WitnessState   `json:"witness"`
	Blind     string         `json:"blind"` // why it may have missed something in that time; "" if it cannot have
	Ports     []ListenedPort `json:"ports"`
	Arrivals  []Arrival      `json:"arrivals"`  // what reached those ports, oldest first
	Truncated bool           `json:"truncated"` // more arrived than is listed

	// What follows is in listen's own reports alone.

	// GoesOn: it listened on after this was written.
	GoesOn bool `json:"goes_on,omitempty"`
	// Expected are the ports that somebody has to reach by the plan who can run dial;
	// Waiting are the roles among them from which nobody came with the key.
	Expected []ExpectedPort `json:"expected,omitempty"`
	Waiting  []string       `json:"waiting,omitempty"`
	// Visitors are who came, those with the key first, each address once.
	Visitors []Visitor `json:"visitors,omitempty"`
	Unlisted int       `json:"unlisted,omitempty"` // contacts of visitors beyond those that are listed
	// Browsed are the newest tests of browsers, the oldest first. They prove nothing.
	Browsed []Browsed `json:"browsed,omitempty"`
}

// An ExpectedPort is a port that somebody is to reach by the plan.
type ExpectedPort struct {
	Port      int            `json:"port"`
	PlanPort  int            `json:"plan_port"`
	Transport plan.Transport `json:"transport"`
	Service   string         `json:"service"` // for people: "SQL Server (TDS)"
	Flows     []string       `json:"flows"`
	Must      []string       `json:"must"`    // roles for which a required row runs here
	May       []string       `json:"may"`     // further roles, that may not need it
	Missing   []string       `json:"missing"` // of Must: from which nobody reached it with the key
}

// A Visitor is an address from which something came.
type Visitor struct {
	Address string   `json:"address"`
	Roles   []string `json:"roles"` // that it played, as far as it said so under the key
	Keyed   bool     `json:"keyed"` // it proved the key
	First   Time     `json:"first"` // UTC
	Last    Time     `json:"last"`
	Visits  []Visit  `json:"visits"`
	Told    []Told   `json:"told"` // how its runs of dial ended, the newest of each machine
}

// A Visit is what was done at one port, however often.
type Visit struct {
	Port      int            `json:"port"`
	Transport plan.Transport `json:"transport"`
	Service   string         `json:"service"` // that the port is for, as people know it; "": not known
	Kind      string         `json:"kind"`    // what the contact amounted to, as in the ledger
	Words     string         `json:"words"`   // what a stranger did there, in this program's own words; ""
	Count     int            `json:"count"`
	First     Time           `json:"first"` // UTC
	Last      Time           `json:"last"`
}

// A Told is how a run of dial ended, as it said under the key.
type Told struct {
	At      Time     `json:"at"`   // UTC
	Host    string   `json:"host"` // that ran it, by its own name
	Roles   []string `json:"roles"`
	Counted int      `json:"counted"` // required paths
	Failed  int      `json:"failed"`  // of them, not ok
	Broken  []string `json:"broken"`  // each in a line
}

// A Browsed is what came of a browser's test.
type Browsed struct {
	At      Time   `json:"at"`      // UTC
	Address string `json:"address"` // as seen here
	Says    string `json:"says"`    // in a sentence, after the name that was typed there
}

// A ListenedPort is a port that the accepting end wanted.
type ListenedPort struct {
	Port      int            `json:"port"`
	Transport plan.Transport `json:"transport"`
	Family    Family         `json:"family"`
	State     PortState      `json:"state"`
	Holder    *Holder        `json:"holder"` // when State is busy; null: not known
}

// An Arrival is what came from one address and port to one of the ports.
type Arrival struct {
	Port      int            `json:"port"`
	Transport plan.Transport `json:"transport"`
	Source    Endpoint       `json:"source"` // as seen here
	Local     Endpoint       `json:"local"`
	First     Time           `json:"first"` // UTC
	Last      Time           `json:"last"`
	Saw       Sighting       `json:"saw"`    // accepted, or half-open; nothing: its SYN was seen at the interface only
	Kind      string         `json:"kind"`   // what the contact amounted to, as in the ledger; "" if not known
	Proved    bool           `json:"proved"` // it proved the key, by a message that cannot be a recording
	Run       string         `json:"run"`    // that it said under the key it belongs to; "": no keyed message came
	Detail    string         `json:"detail"`
	Count     int            `json:"count"` // how often
}
