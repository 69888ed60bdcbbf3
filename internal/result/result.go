// Package result holds what a run of dial found, as plain data.
//
// Probes fill in the two halves of evidence (Initiator and Acceptor), package
// verdict joins them into a Verdict and a Finding, package report renders the
// whole. Nothing here measures, judges or prints. The JSON keys are a contract
// (docs/report.schema.json): fields may be added, never redefined.
//
// Throughout, "unknown" is a null or an empty string and differs from false
// and from zero.
package result

import (
	"net/netip"
	"strings"

	"dialtone/internal/plan"
)

// Schema names the JSON form of a Report.
const Schema = "dialtone.report/1"

// A Report is everything that one run of dial found. It speaks for the source
// addresses it names, and for paths: it says nothing about ILLiad itself.
type Report struct {
	Schema string `json:"schema"`
	Tool   string `json:"tool"` // name and version of the program that wrote it
	Run    string `json:"run"`  // random id of this run, as in the listener's ledger
	// Tag is the same in all reports of tests with one key, and tells nothing of
	// it; "": no key was needed, or an earlier release wrote the report.
	Tag       string `json:"tag,omitempty"`
	Started   Time   `json:"started"`
	ElapsedMS int64  `json:"elapsed_ms"`
	// Interrupted is true when the run was stopped before every path was judged.
	Interrupted bool         `json:"interrupted"`
	Plan        string       `json:"plan"`
	Mode        Mode         `json:"mode"`
	From        End          `json:"from"`
	To          End          `json:"to"`
	Contact     *Contact     `json:"contact"` // null: no path carried the control conversation
	Paths       []Path       `json:"paths"`
	OutOfScope  []OutOfScope `json:"out_of_scope"`
	// Findings are about the run as a whole, such as a wrong key.
	Findings []Finding `json:"findings"`
	// Listened is what this end's own listener watched; null: it accepted
	// nothing.
	Listened *Listened `json:"listened"`
	Summary  Summary   `json:"summary"`
	Joined   *Join     `json:"joined,omitempty"` // nil: this is one run's own report
	// Compared is what changed since an earlier report; nil: it was not compared
	// with one.
	Compared *Comparison `json:"compared,omitempty"`
}

// A Mode is what a run asks.
type Mode string

const (
	ModePaths     Mode = "paths"     // our own listener, by the keyed proof
	ModeInstalled Mode = "installed" // the real software of one host, in its own language
	ModeEgress    Mode = "egress"    // other people's hosts, in their services' own language
	ModeListen    Mode = "listen"    // nothing: it is listen's own report, of what reached it
	ModeBrowser   Mode = "browser"   // our own listener, by the requests of a browser, which has no key
)

// IsReal reports whether real software is meant to answer, and not our own listener.
func (m Mode) IsReal() bool { return m == ModeInstalled || m == ModeEgress }

// An End is one of the two machines of a run.
type End struct {
	Role      string `json:"role"` // roles played, joined by commas
	Host      string `json:"host"`
	Addresses Addrs  `json:"addresses"`
}

// A Contact is the path that carried the control conversation, and what the
// far end said of itself there.
type Contact struct {
	Flow string `json:"flow"`
	// Direction is forward if this end opened it. Reverse: the far end did, and
	// handed its report over; then it told nothing of itself.
	Direction plan.Direction `json:"direction"`
	Port      int            `json:"port"`
	Family    Family         `json:"family"`
	Target    Endpoint       `json:"target"`
	SeenAs    Endpoint       `json:"seen_as"`  // of the end that opened it, as the other saw it
	Instance  string         `json:"instance"` // random id of that listener process
	Software  string         `json:"software"`
	Plan      string         `json:"plan"`
	Roles     []string       `json:"roles"`
	ClockMS   *int64         `json:"clock_ms"` // its clock minus ours, in milliseconds; null if unknown
	Busy      []BusyPort     `json:"busy"`     // ports it could not bind
	Witness   WitnessState   `json:"witness"`
	// HidesSource: a translation at the far end's side gives connections an
	// address of that end's own network, or the dialed one, so SeenAs is not as which others see the
	// end that opened it.
	HidesSource bool `json:"hides_source,omitempty"`
	// Partners are the addresses that it dials for this end by its own
	// configuration.
	Partners []netip.Addr `json:"partners"`
}

// A BusyPort is a port that a listener wanted and could not bind.
type BusyPort struct {
	Port      int            `json:"port"`
	Transport plan.Transport `json:"transport"`
	Address   Addr           `json:"address"` // the local address it wanted
	InUse     bool           `json:"in_use"`  // other software has it; false: it could not be bound for another cause
	Holder    *Holder        `json:"holder"`  // null: not known
	// Software and Certificate (SHA-256 of its DER form, hex) are what the port
	// shows on that machine itself, in its service's own conversation; "": nothing.
	Software    string `json:"software,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Error       string `json:"error"`
}

// A Holder is the software that has a port.
type Holder struct {
	Name string `json:"name"`
	PID  int32  `json:"pid"`
}

// WitnessState says how well a listener can see connections that never
// complete.
type WitnessState string

const (
	WitnessNone    WitnessState = "none"    // it cannot: whatever it did not accept is unknown
	WitnessTable   WitnessState = "table"   // it polls the kernel's table of half-open connections
	WitnessCapture WitnessState = "capture" // it also sees each SYN and RST as a packet
)

// Family is an address family.
type Family string

const (
	IP4 Family = "ip4"
	IP6 Family = "ip6"
)

// A Path is one flow of the plan in one direction over one address family.
type Path struct {
	Flow       string         `json:"flow"`
	Service    string         `json:"service"` // for people: "SQL Server (TDS)"
	Port       int            `json:"port"`    // the port that was dialed; 0 if none was
	PlanPort   int            `json:"plan_port"`
	SourcePort int            `json:"source_port"` // fixed source port of the flow; 0 = any
	Transport  plan.Transport `json:"transport"`
	Direction  plan.Direction `json:"direction"`
	Family     Family         `json:"family"`
	From       string         `json:"from"` // role that initiates
	To         string         `json:"to"`
	Host       string         `json:"host"` // that was dialed, where each path has its own; "" is the report's
	Need       plan.Need      `json:"need"`
	Why        string         `json:"why"`      // why the product needs it
	Counted    bool           `json:"counted"`  // whether the exit code depends on it
	Opposite   bool           `json:"opposite"` // the row runs the other way; only --both-ways tried this one
	Expect     plan.Expect    `json:"expect"`
	// IdleS is how many seconds a connection has to survive without traffic, by the
	// plan; absent: the plan asks for nothing of the kind.
	IdleS   int64    `json:"idle_s,omitempty"`
	Verdict Verdict  `json:"verdict"`
	OK      bool     `json:"ok"`
	Proof   Proof    `json:"proof"`
	At      Time     `json:"at"`
	Source  Endpoint `json:"source"` // as the initiating machine knows it
	Target  Endpoint `json:"target"` // as it was dialed
	// Address is the far end's that this path is about, where its name has several
	// of that family, each with a path of its own; unknown where it has one.
	Address Addr     `json:"address,omitzero"`
	SeenAs  Endpoint `json:"seen_as"` // source as the accepting machine saw it
	// SourceTemporary: the source is a temporary IPv6 address of its machine's (RFC
	// 8981), of which there will be another tomorrow; TargetTemporary: so is the
	// target. false: it is none, or that is not known.
	SourceTemporary bool `json:"source_temporary,omitempty"`
	TargetTemporary bool `json:"target_temporary,omitempty"`
	// OthersSeenAs is the address as which other paths of this run, direction
	// and family are seen; unknown, too, if it is the source's own.
	OthersSeenAs Addr `json:"others_seen_as"`
	// OthersOrigin is the address of the machine that answered on other paths of
	// this run, direction and family where a NAT leads them to it; unknown if none
	// does, or this path was proved itself.
	OthersOrigin Addr `json:"others_origin"`
	// AddressAssumed: this end's connections come from the target's address, and nobody
	// told whether a partner dials that one or another.
	AddressAssumed bool     `json:"address_assumed,omitempty"`
	Attempts       int      `json:"attempts"`
	RTTMS          *float64 `json:"rtt_ms"`
	Stop           *Stop    `json:"stop"` // where it stops; null: not known
	// Instances are SQL Server's on that machine, as its SQL Browser tells them,
	// with their ports; absent: none is known.
	Instances []InstancePort `json:"instances,omitempty"`
	Initiator *Initiator     `json:"initiator"` // null: that end told nothing
	Acceptor  *Acceptor      `json:"acceptor"`  // null: that end told nothing
	Finding   *Finding       `json:"finding"`   // null: nothing to say
	Notes     []Note         `json:"notes"`
}

// An OutOfScope row is one of the plan that this run did not test, and why.
type OutOfScope struct {
	Flow string `json:"flow"`
	From string `json:"from"`
	To   string `json:"to"`
	Why  string `json:"why"`
	// TestedBy is the run that does test it, by Hosts where it says so; "": none,
	// or an earlier release wrote the report.
	TestedBy plan.TestedBy `json:"tested_by,omitempty"`
	Hosts    []string      `json:"hosts,omitempty"`
}

// NewOutOfScope is a row that a plan left out.
func NewOutOfScope(e plan.Excluded) OutOfScope {
	var from []string
	for _, r := range e.Row.From {
		from = append(from, string(r))
	}
	return OutOfScope{Flow: e.Row.ID, From: strings.Join(from, ","), To: string(e.Row.To), Why: e.Why, TestedBy: e.TestedBy, Hosts: e.Hosts}
}

// A Finding is what a verdict means here and what to do about it.
type Finding struct {
	Code   Code   `json:"code"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// A Note is a fact beside the verdict that does not change it.
type Note struct {
	Code NoteCode `json:"code"`
	Text string   `json:"text"`
}

// NoteCode names a kind of Note.
type NoteCode string

const (
	NoteNAT                 NoteCode = "nat"
	NoteRelayed             NoteCode = "relayed"
	NoteMatchedByTime       NoteCode = "matched-by-time"
	NoteNotFrom20           NoteCode = "not-from-20"
	NoteOneFamily           NoteCode = "one-family-only"
	NoteRetried             NoteCode = "retried"
	NoteLossy               NoteCode = "lossy"
	NoteSlow                NoteCode = "slow"
	NoteApplicationFirewall NoteCode = "application-firewall"
	NoteIdleSurvived        NoteCode = "idle-survived"
	NoteIdleUnknown         NoteCode = "idle-unknown"
	NoteAssumedPort         NoteCode = "assumed-port"
	NoteStandby             NoteCode = "standby-address"
	NoteLeadsElsewhere      NoteCode = "leads-elsewhere"
	NoteOldTLS              NoteCode = "old-tls"
	NoteChain               NoteCode = "certificate-chain"
	NoteInstancePort        NoteCode = "instance-port"
	NoteSeen                NoteCode = "seen"
	NoteOneLine             NoteCode = "one-line"
)

// A Summary counts verdicts.
type Summary struct {
	OK       bool            `json:"ok"` // every counted path is ok
	Counted  int             `json:"counted"`
	Failed   int             `json:"failed"` // counted paths that are not ok
	Verdicts map[Verdict]int `json:"verdicts"`
}
