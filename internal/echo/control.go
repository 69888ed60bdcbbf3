package echo

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// The bodies of control messages, JSON in the BODY attribute. Decoding ignores
// unknown keys, so that fields can be added within a Version.

// Hello is what an answering end says of itself.
type Hello struct {
	Software string   `json:"software"`
	Instance ID       `json:"instance"`
	Plan     string   `json:"plan"`
	Roles    []string `json:"roles"` // roles it was told to play; empty = not told
	Shift    int      `json:"shift"` // its --port-shift
	// Bound lists the ports it answers on, by transport and family ("tcp4",
	// "tcp6", "udp4", "udp6"). A port that is absent there is unbound, or busy
	// if Busy has it.
	Bound   map[string][]int    `json:"bound"`
	Busy    []result.BusyPort   `json:"busy"`
	High    map[string]int      `json:"high"`  // row id → the high port it named for FTP active data
	Clock   int64               `json:"clock"` // Unix time in milliseconds
	Witness result.WitnessState `json:"witness"`
	// Started is when it began (Unix time in milliseconds by its own clock), and
	// UptimeMS how long ago that was: another start is another process, even with
	// the same key. SleptMS is for how long in all since then it did not run,
	// since it was stopped or its machine asleep.
	Started  int64 `json:"started"`
	UptimeMS int64 `json:"uptime_ms"`
	SleptMS  int64 `json:"slept_ms"`
	// OtherRuns counts runs other than the asking one that proved themselves
	// from the same address in the last minute: a second dial on that machine, or
	// a neighbour behind the same NAT.
	OtherRuns int `json:"other_runs"`
	// Shed counts the connections that it ended in the last minute, since it had as
	// many as it may have: it is crowded by strangers.
	Shed int `json:"shed,omitempty"`
	// Ordinary: it makes ordinary connections when asked to (BackPath.Ordinary).
	Ordinary bool `json:"ordinary,omitempty"`
	// Board: whoever started it watches what each run reports, and is to get it
	// (Delivery.Board).
	Board bool `json:"board,omitempty"`
	// Neighbour: the asking end's address, as it arrives, is on a network that
	// this machine has an interface in.
	Neighbour bool `json:"neighbour"`
	// Certificate is the SHA-256 of its TLS certificate (DER), in hex.
	Certificate string `json:"certificate"`
	// Partners are the addresses by which its own configuration knows its
	// partner: it dials back to them when asked.
	Partners []netip.Addr `json:"partners"`
}

// A WitnessQuery asks what the answering end saw of one attempt. Times are
// relative to the moment of asking, so that clocks need not agree.
type WitnessQuery struct {
	Probe     ID              `json:"probe"`
	Transport plan.Transport  `json:"transport"`
	Port      int             `json:"port"`
	Source    result.Endpoint `json:"source"` // as the asking end knows it
	// SourceChanged: a device on the way changes our address or port, so Source
	// is not what the answering end sees, and it goes by its own view of our address.
	SourceChanged bool  `json:"source_changed"`
	BeganMS       int64 `json:"began_ms"` // milliseconds ago
	EndedMS       int64 `json:"ended_ms"` // milliseconds ago
	// Connect is how the attempt ended at the asking end, where BeganMS is the very
	// moment of its first packet; "": not told, or the moment is not known.
	Connect result.ConnectOutcome `json:"connect,omitempty"`
	// AlsoSilent are source ports of other connections that the asking end made to that
	// port in the same run, as it knows them, and to which nobody answered anything.
	AlsoSilent []uint16 `json:"also_silent,omitempty"`
	// PortsKept: what changes our address left us our source port wherever that was seen.
	PortsKept bool `json:"ports_kept,omitempty"`
	// Moment asks about an ordinary connection to a port that live software holds, as the
	// kernel sees it at this moment; "": about an attempt.
	Moment Moment `json:"moment,omitempty"`
}

// Moment is when a WitnessQuery asks about an ordinary connection.
type Moment string

const (
	// MomentBefore: before it is opened. What comes from the asking end's address is
	// remembered, so that the connection can be told from it where its own port is
	// not known here.
	MomentBefore Moment = "before"
	// MomentNow: while the asking end has it open.
	MomentNow Moment = "now"
)

// Witness asks about several attempts.
type Witness struct {
	Queries []WitnessQuery `json:"queries"`
}

// Witnessed answers, in the same order.
type Witnessed struct {
	// Paused are spans in which the answering end could not do its part: it was
	// stopped, its machine asleep, or it had no file descriptor left. Null: it
	// does not tell; the newest are told, MaxPaused at most.
	Paused  []Span            `json:"paused"`
	Shed    int               `json:"shed,omitempty"` // as in Hello
	Answers []result.Acceptor `json:"answers"`
}

// A Span is a span of time, as milliseconds before the moment of telling.
type Span struct {
	BeganMS int64 `json:"began_ms"`
	EndedMS int64 `json:"ended_ms"`
	// Shed: it could do its part, but had as many connections as it may have, and
	// ended some from the asking end's network that had not proved themselves.
	Shed bool `json:"shed,omitempty"`
	// Declined: it could do its part, but left datagrams without the key that came
	// in the asking end's name unanswered, since as much was sent there already as
	// that address proved itself for.
	Declined bool `json:"declined,omitempty"`
	// Full: it could do its part, but connections to these TCP ports were turned away
	// by its machine, since it had not taken yet as many as may wait.
	Full []int `json:"full,omitempty"`
}

// MaxPaused is how many spans one answer has at most.
const MaxPaused = 64

// MaxWitness is how many queries one message may carry.
const MaxWitness = 64

// A BackPath is one path that the answering end is asked to attempt.
type BackPath struct {
	Flow       string         `json:"flow"`
	Probe      ID             `json:"probe"`
	Transport  plan.Transport `json:"transport"`
	Port       int            `json:"port"`
	SourcePort int            `json:"source_port"` // 0 = any
	Trace      bool           `json:"trace"`       // find out where it stops, if it does not open
	// Samples is how many connections it gets at least if it proves itself.
	Samples int `json:"samples,omitempty"`
	// ProofOnly asks for a proof without payload, samples and trace.
	ProofOnly bool `json:"proof_only,omitempty"`
	// Study asks for no attempt, but for so many further connections one after
	// the other, and before them one from each of Ports. The half that comes back
	// holds these alone.
	Study int     `json:"study,omitempty"`
	Ports []int   `json:"ports,omitempty"`
	RTTMS float64 `json:"rtt_ms,omitempty"` // how long a round trip took before, for Study; 0: not known
	// Ordinary asks for ordinary connections, without a byte of the proof, since live
	// software holds the port at the asking end: by the service's own beginning, or with
	// Line one empty line where none is known. Only an end whose Hello says so does that.
	Ordinary bool `json:"ordinary,omitempty"`
	Line     bool `json:"line,omitempty"`
	// Address is to be dialed instead of the one that the request came from. It
	// has to be one that this run proved itself from, or that the answering end's
	// own configuration names. Invalid (""): the request's.
	Address netip.Addr `json:"address"`
	// RateKbits is how fast a payload moved on it before, in kilobits per second,
	// for ConverseBack; 0: not known.
	RateKbits float64 `json:"rate_kbits,omitempty"`
}

// DialBack asks the answering end to attempt paths towards the address that
// the request came from, or another one that is this run's own.
type DialBack struct {
	TimeoutMS int64      `json:"timeout_ms"` // per attempt
	Bytes     int64      `json:"bytes"`      // payload each way
	Paths     []BackPath `json:"paths"`
}

// DialedBack is the answering end's half of each attempt, in the same order.
type DialedBack struct {
	Halves []result.Initiator `json:"halves"`
}

// MaxSamples bounds what a BackPath may ask of Samples, of Study and of Ports.
const MaxSamples = 24

// MaxDialBack is how many paths one message may carry.
const MaxDialBack = 32

// A ConverseBack asks the answering end for the services' own conversations
// on paths towards the address that the request came from.
type ConverseBack struct {
	TimeoutMS   int64      `json:"timeout_ms"`  // per step
	Certificate string     `json:"certificate"` // SHA-256 of the asking end's certificate (DER), in hex
	Paths       []BackPath `json:"paths"`       // Probe names the conversation
}

// A ConversedBack is what came of them, in the same order.
type ConversedBack struct {
	Conversations []result.Conversation `json:"conversations"`
}

// A HoldBack asks the answering end to keep connections idle towards the
// address that the request came from. It is answered at once; HeldBack asks
// later what became of them, since the connection that asks may itself be one
// that a device on the way forgets.
type HoldBack struct {
	TimeoutMS int64    `json:"timeout_ms"` // of each step
	LongestMS int64    `json:"longest_ms"` // the longest time that a connection is kept idle
	Path      BackPath `json:"path"`
}

// A HeldBack asks what became of the connections of a HoldBack.
type HeldBack struct {
	Probe ID `json:"probe"` // of its path
}

// A HeldSoFar answers a HeldBack.
type HeldSoFar struct {
	Done bool   `json:"done"`
	Held []Held `json:"held"` // once done
}

// A Held is one connection that was kept idle, and the probe that names it to
// the accepting end.
type Held struct {
	result.Idle
	Source result.Endpoint `json:"source"`
	Probe  ID              `json:"probe"`
	// Opening is how it fared where it did not even come about.
	Opening *result.Connection `json:"opening,omitempty"`
	// Beside are others that did not come about: the busy one of that gap, and those
	// of its repetition.
	Beside []result.Connection `json:"beside,omitempty"`
}

// A Submission tells the answering end how the run ended.
type Submission struct {
	Host    string         `json:"host"`
	Roles   []string       `json:"roles,omitempty"` // that the asking end played, as the answering end calls them
	Summary result.Summary `json:"summary"`
	Broken  []string       `json:"broken"` // one line each
}

// These bound the lines, their length and the roles that are kept of a Submission.
const (
	maxBroken     = 64
	maxBrokenLine = 300
	maxRoles      = 16
	maxRole       = 64
)

// holdOrder asks for a connection to be kept idle.
type holdOrder struct {
	First string `json:"first"`  // who speaks after it: "asker" or "answerer"
	GapMS int64  `json:"gap_ms"` // how long neither end sends anything
}

// MaxHold bounds how long a connection may be kept idle.
const MaxHold = 24 * time.Hour

// transferOrder opens a Transfer.
type transferOrder struct {
	From       string `json:"from"` // "asker" or "answerer"
	Bytes      int64  `json:"bytes"`
	DeadlineMS int64  `json:"deadline_ms"` // how long the answering end may take
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("control body: %w", err)
	}
	// Leave room for the other attributes of the message.
	if len(b) > maxMessage-1024 {
		return nil, fmt.Errorf("control body: %d bytes do not fit into a STUN message", len(b))
	}
	return b, nil
}
