package result

import (
	"dialtone/internal/plan"
)

// AddressSchema names the JSON form of an AddressReport.
const AddressSchema = "dialtone.address/1"

// An AddressReport is what one run of dial address found: the addresses as which
// others see this machine, and whether they lead back to it.
type AddressReport struct {
	Schema      string `json:"schema"`
	Tool        string `json:"tool"` // name and version of the program that wrote it
	Started     Time   `json:"started"`
	ElapsedMS   int64  `json:"elapsed_ms"`
	Interrupted bool   `json:"interrupted"`
	Host        string `json:"host"` // this machine's name
	AddressEvidence
	AddressConclusion
}

// AddressEvidence is what was observed, without judgement.
type AddressEvidence struct {
	Own       []string    `json:"own"`       // this machine's addresses
	Port      int         `json:"port"`      // that partners dial, the plan's Odyssey port; 0: the plan has none
	Published []Published `json:"published"` // what partners are told, as the user says
	Views     []View      `json:"views"`
	Inbound   []Inbound   `json:"inbound"`
}

// AddressConclusion is what follows from the evidence.
type AddressConclusion struct {
	Seen     []string  `json:"seen"` // addresses as which others see this machine, the first one first
	Mappings []Mapping `json:"mappings"`
	Findings []Finding `json:"findings"`
}

// A Published is a name or address that partners are told.
type Published struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"` // that it resolves to
	Error     string   `json:"error"`     // why it does not
}

// A View is one question put to somebody outside, and the answer.
type View struct {
	Observer  string         `json:"observer"`      // who was asked, as the user wrote it
	Keyed     bool           `json:"keyed"`         // it holds the key: its answer is proved
	Own       bool           `json:"own,omitempty"` // it is this machine itself, so it says nothing of the outside
	Test      ViewTest       `json:"test"`
	Transport plan.Transport `json:"transport"`
	Family    Family         `json:"family"` // of Target; "" if it did not resolve
	Source    Endpoint       `json:"source"` // as this machine knows it
	Target    Endpoint       `json:"target"`
	Outcome   ViewOutcome    `json:"outcome"`
	SeenAs    Endpoint       `json:"seen_as"`  // Source, as the observer sees it
	Origin    Endpoint       `json:"origin"`   // Target, as the observer knows it
	Other     Endpoint       `json:"other"`    // where it answers as well (RFC 5780 OTHER-ADDRESS)
	Software  string         `json:"software"` // "": not told
	Attempts  int            `json:"attempts"` // datagrams sent, or connections attempted
	RTTMS     *float64       `json:"rtt_ms"`   // null: not known
	From      string         `json:"from"`     // who answered or rejected instead; "": nobody
	Error     string         `json:"error"`
}

// ViewTest is what a question is for.
type ViewTest string

const (
	TestFirst     ViewTest = "first"     // all observers, from one local port
	TestAlternate ViewTest = "alternate" // the observer's other address or port, from that same local port (RFC 5780 section 4.3)
	TestAgain     ViewTest = "again"     // the same question on a connection of its own, from another local port
)

// ViewOutcome is how a question ended.
type ViewOutcome string

const (
	ViewAnswered    ViewOutcome = "answered"
	ViewUnresolved  ViewOutcome = "unresolved"          // the observer's name has no address
	ViewUnreachable ViewOutcome = "unreachable"         // no route, or this machine forbids it
	ViewRefused     ViewOutcome = "refused"             // RST, or ICMP port unreachable
	ViewRejected    ViewOutcome = "rejected"            // another ICMP error, from From
	ViewSilent      ViewOutcome = "silent"              // no answer of any kind
	ViewMute        ViewOutcome = "mute"                // it accepted the connection and never answered
	ViewClosed      ViewOutcome = "closed"              // it accepted the connection and ended it
	ViewNotSTUN     ViewOutcome = "not-stun"            // other bytes came
	ViewTransaction ViewOutcome = "foreign-transaction" // a STUN message that does not answer the question
	ViewElsewhere   ViewOutcome = "answered-elsewhere"  // the answer came from From
	ViewAltered     ViewOutcome = "altered"             // FINGERPRINT wrong
	ViewUnmapped    ViewOutcome = "unmapped"            // a STUN answer without the address
	ViewImplausible ViewOutcome = "implausible"         // SeenAs cannot be anybody's outside address
	ViewError       ViewOutcome = "stun-error"          // a STUN error
	ViewWrongKey    ViewOutcome = "wrong-key"
	ViewForbidden   ViewOutcome = "forbidden" // the key is right, the address not allowed
	ViewUnkeyed     ViewOutcome = "unkeyed"   // a STUN server without the key answered in the listener's place
	ViewFailed      ViewOutcome = "failed"    // any other error
)

// A Mapping is how a NAT maps one transport and family.
type Mapping struct {
	Transport    plan.Transport   `json:"transport"`
	Family       Family           `json:"family"`
	Behaviour    MappingBehaviour `json:"behaviour"`
	Method       MappingMethod    `json:"method"`
	Ports        PortMapping      `json:"ports"`
	Destinations []Endpoint       `json:"destinations"` // from which Behaviour follows
}

// MappingBehaviour says on what the address and port that others see depend,
// for one local address and port (RFC 4787 section 4.1, RFC 5780 section 4.3).
type MappingBehaviour string

const (
	MappingUnknown     MappingBehaviour = "unknown"
	MappingNone        MappingBehaviour = "none" // nothing is translated
	MappingIndependent MappingBehaviour = "endpoint-independent"
	MappingAddress     MappingBehaviour = "address-dependent"
	MappingAddressPort MappingBehaviour = "address-and-port-dependent"
	MappingDestination MappingBehaviour = "destination-dependent" // on the destination's address; whether on its port too is not known
)

// MappingMethod is how a MappingBehaviour was found.
type MappingMethod string

const (
	MethodNone         MappingMethod = "none"         // it was not
	MethodRFC5780      MappingMethod = "rfc5780"      // the two addresses and ports of one server
	MethodDestinations MappingMethod = "destinations" // several observers, or several ports of one
)

// PortMapping says whether others see the port that this machine uses.
type PortMapping string

const (
	PortsUnknown PortMapping = "unknown"
	PortsKept    PortMapping = "kept"
	PortsChanged PortMapping = "changed"
	PortsMixed   PortMapping = "mixed" // kept sometimes
)

// An Inbound is an observer's attempt to reach this machine, at the address as
// which it sees it or at a published one.
type Inbound struct {
	Observer string         `json:"observer"`
	Family   Family         `json:"family"`
	Source   Endpoint       `json:"source"` // from which it dialed, as it knows it
	Target   Endpoint       `json:"target"` // that it dialed
	Outcome  InboundOutcome `json:"outcome"`
	Software string         `json:"software"` // that answered instead; "": not known
	Error    string         `json:"error"`    // why it was not tried, or the system's words
}

// InboundOutcome is how an attempt to reach this machine ended.
type InboundOutcome string

const (
	InboundReached       InboundOutcome = "reached"        // proved by key: it led here
	InboundOtherListener InboundOutcome = "other-listener" // proved by key: it led to another machine's listener
	InboundArrived       InboundOutcome = "arrived"        // it arrived here, and did not get through the proof
	InboundAnswered      InboundOutcome = "answered"       // something else answered, and nothing arrived here
	InboundRefused       InboundOutcome = "refused"        // RST, and nothing arrived here
	InboundRejected      InboundOutcome = "rejected"       // an ICMP error, and nothing arrived here
	InboundSilent        InboundOutcome = "silent"         // no answer, and nothing arrived here
	InboundUntried       InboundOutcome = "untried"
)
