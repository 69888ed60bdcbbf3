package result

import (
	"time"

	"dialtone/internal/plan"
)

// Listened is what the accepting end of a run watched by itself, so that the
// other end's report can be joined with it later (dial merge).
type Listened struct {
	Instance  string         `json:"instance"`
	Since     time.Time      `json:"since"` // UTC by this machine's clock; it answered and watched from here
	Until     time.Time      `json:"until"`
	Witness   WitnessState   `json:"witness"`
	Blind     string         `json:"blind"` // why it may have missed something; "" if it cannot have
	Ports     []ListenedPort `json:"ports"`
	Arrivals  []Arrival      `json:"arrivals"`  // what reached those ports
	Truncated bool           `json:"truncated"` // more arrived than is listed
}

// A ListenedPort is a port that the accepting end wanted, in one address
// family.
type ListenedPort struct {
	Port      int            `json:"port"`
	Transport plan.Transport `json:"transport"`
	Family    Family         `json:"family"`
	State     PortState      `json:"state"`
	Holder    *Holder        `json:"holder"` // when State is busy; null: not known
}

// An Arrival is what came from one source address and port to one port: a
// connection, a half-open one, or datagrams.
type Arrival struct {
	Transport plan.Transport `json:"transport"`
	Port      int            `json:"port"` // at which it arrived
	Source    Endpoint       `json:"source"`
	Local     Endpoint       `json:"local"`
	First     time.Time      `json:"first"` // UTC by the accepting machine's clock
	Last      time.Time      `json:"last"`
	// Saw is half-open or accepted. "nothing": the SYN was seen at the network
	// interface, and the TCP stack never got it.
	Saw    Sighting `json:"saw"`
	Kind   string   `json:"kind"`   // what it amounted to, as in the listener's ledger; "" if it was not accepted or lasts
	Proved bool     `json:"proved"` // it carried the keyed proof
	Run    string   `json:"run"`    // of whoever proved the key; ""
	Detail string   `json:"detail"`
	Count  int      `json:"count"` // how often that came
}
