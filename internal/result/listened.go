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
