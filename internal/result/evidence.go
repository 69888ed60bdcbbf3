package result

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"dialtone/internal/plan"
)

// An Initiator is the half of the truth that the end which opened the
// connection saw.
type Initiator struct {
	Probe        string         `json:"probe"` // random id that ties both halves together
	At           Time           `json:"at"`    // when the first attempt began, UTC
	ElapsedMS    float64        `json:"elapsed_ms"`
	ResolveError string         `json:"resolve_error,omitempty"`
	ResolveFault NameFault      `json:"resolve_fault,omitempty"` // why the name gave no address; "": it did, or that is not known
	Source       Endpoint       `json:"source"`
	Target       Endpoint       `json:"target"`
	Attempts     int            `json:"attempts"`
	Failed       []Failed       `json:"failed,omitempty"` // earlier attempts that failed: of a path that proved itself later, or while both ends waited for each other
	Connect      ConnectOutcome `json:"connect"`
	ConnectMS    float64        `json:"connect_ms,omitempty"`
	Error        string         `json:"error,omitempty"`       // the operating system's words
	ICMP         *ICMP          `json:"icmp,omitempty"`        // the error message that ended the attempt
	ICMPUntold   bool           `json:"icmp_untold,omitempty"` // one may have ended it, and this system does not tell
	// TTL is with how many hops to live its packets start by this machine's own setting
	// (IPv6: hop limit), where one died of that or that is few (IsFewHops); 0: neither, or
	// not known.
	TTL        int           `json:"ttl,omitempty"`
	Answer     AnswerOutcome `json:"answer,omitempty"`
	Reply      string        `json:"reply,omitempty"`      // first bytes of an answer that was no proof, escaped
	Software   string        `json:"software,omitempty"`   // what that answer says it is
	SeenAs     Endpoint      `json:"seen_as"`              // XOR-MAPPED-ADDRESS of the proof
	Origin     Endpoint      `json:"origin"`               // RESPONSE-ORIGIN of the proof
	Instance   string        `json:"instance,omitempty"`   // listener process that proved itself
	OwnOrigin  *Endpoint     `json:"own_origin,omitempty"` // where a listener of the initiating machine's own answered it; nil: none did
	FarVersion int           `json:"far_version,omitempty"`
	Sent       *Transfer     `json:"sent,omitempty"`     // payload from this end, as the far end counted it
	Received   *Transfer     `json:"received,omitempty"` // payload from the far end
	RTTMS      *float64      `json:"rtt_ms,omitempty"`
	TCP        *TCP          `json:"tcp,omitempty"` // of the connection that was proved; nil: not known
	// Connections are all that were opened to this port in this run, in order.
	Connections  []Connection  `json:"connections,omitempty"`
	Repeated     *Repeated     `json:"repeated,omitempty"`     // what Connections amount to, if not all fared alike; nil: they did
	Ban          *Ban          `json:"ban,omitempty"`          // that this port sets off, or that made its connections fail; nil: neither was found
	Relay        *Relay        `json:"relay,omitempty"`        // whether one connection reaches from end to end; nil: not known
	Datagrams    []Datagrams   `json:"datagrams,omitempty"`    // that were sent over UDP, by size; none over TCP
	Conversation *Conversation `json:"conversation,omitempty"` // of the row's service; nil: none was held
	Idle         []Idle        `json:"idle,omitempty"`         // connections that were kept idle, by gap
	Trace        *Trace        `json:"trace,omitempty"`        // where its packets get to; nil: not asked
	DecoysOpen   *bool         `json:"decoys_open,omitempty"`  // whether connections to ports of that address which nobody uses open as well; nil: not tried
	NotTried     string        `json:"not_tried,omitempty"`    // why no attempt was made
	WantedSource int           `json:"wanted_source_port,omitempty"`
	SourceError  string        `json:"source_error,omitempty"` // why the wanted source port was not used
	Lacks        Lack          `json:"lacks,omitempty"`        // what this machine had none left of for one of its connections; "": not that
	// Ordinary is what went over the connection that all the rest tells of, where that
	// is an ordinary one to live software and no attempt; nil: it is an attempt.
	Ordinary *Ordinary `json:"ordinary,omitempty"`
	// Fetch is what a browser told of its requests to the port, where that is what made
	// the attempt; nil: dial did.
	Fetch *Fetch `json:"fetch,omitempty"`
}

// An Ordinary connection is one as any program makes it, to a port that live
// software holds. Not a byte of the proof goes over it.
type Ordinary struct {
	// Sent and Received are bytes of payload, at the moment when the accepting end
	// was asked what it counted.
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
	// Line: what was sent is one empty line, as a person sends it who tries the port
	// by hand.
	Line bool `json:"line,omitempty"`
}

// A Lack is what a machine has run out of.
type Lack string

const (
	LackPort       Lack = "local-port" // every local port that it gives to outgoing connections is in use
	LackDescriptor Lack = "descriptor" // every file descriptor that the program, or the system, may have
)

// A Failed is an earlier attempt, and how it ended.
type Failed struct {
	At      Time           `json:"at"`
	Source  Endpoint       `json:"source"`
	Connect ConnectOutcome `json:"connect"`
	Answer  AnswerOutcome  `json:"answer,omitempty"`
}

// A Repeated says that connections to one port do not all fare alike, and how
// often each was seen.
type Repeated struct {
	Tried  int `json:"tried"`  // connections
	Proved int `json:"proved"` // that did all they were for
	// Origin and Instance are of another listener or port that proved itself, if
	// one did.
	Origin   Endpoint `json:"origin"`
	Instance string   `json:"instance,omitempty"`
}

// A Ban is what touching a port did: it was tried on purpose, after a pause in which
// other ports answered, and then none of them did for a while.
type Ban struct {
	Port      int            `json:"port"` // that was touched
	Transport plan.Transport `json:"transport"`
	At        Time           `json:"at"`     // when it was touched on purpose
	ForMS     float64        `json:"for_ms"` // how long nothing got an answer then
}

// Repeat sums up a path's connections; nil: all fared alike.
func (i *Initiator) Repeat() *Repeated {
	if i == nil {
		return nil
	}
	if len(i.Connections) == 0 {
		return i.Repeated // as an earlier release wrote it
	}
	passed, failed := Compare(i.Connections)
	r := Repeated{Tried: len(passed) + len(failed), Proved: len(passed)}
	for _, c := range i.Connections {
		if c.Ended == EndedElsewhere {
			r.Tried, r.Proved = r.Tried+1, r.Proved+1
			r.Origin, r.Instance = c.Origin, c.Instance
		}
	}
	if r.Instance == "" && (len(passed) == 0 || len(failed) == 0) {
		return nil
	}
	return &r
}

// ConnectOutcome is how the attempt to open a connection ended. UDP has no
// connection: there it is ConnectOpen unless an error came back.
type ConnectOutcome string

const (
	ConnectOpen    ConnectOutcome = "open"     // handshake complete here
	ConnectTimeout ConnectOutcome = "timeout"  // no answer of any kind
	ConnectRST     ConnectOutcome = "rst"      // RST to the SYN
	ConnectICMP    ConnectOutcome = "icmp"     // an ICMP error
	ConnectDenied  ConnectOutcome = "denied"   // this machine forbade it; no packet could have brought the error
	ConnectNoRoute ConnectOutcome = "no-route" // this machine has no route or no address of the family
	ConnectFailed  ConnectOutcome = "failed"   // any other local error, such as no free descriptor
)

// Ended says how a connection ended that did not open.
func (c ConnectOutcome) Ended() Ended {
	switch c {
	case ConnectTimeout:
		return EndedSilent
	case ConnectRST:
		return EndedReset
	case ConnectICMP:
		return EndedICMP
	}
	return EndedLocal
}

// AnswerOutcome is what came back on an open connection.
type AnswerOutcome string

const (
	AnswerKeyed     AnswerOutcome = "keyed"         // fresh proof by the holder of the key
	AnswerWrongKey  AnswerOutcome = "wrong-key"     // STUN error 401
	AnswerForbidden AnswerOutcome = "forbidden"     // STUN error 403: the key is right, our address is not allowed
	AnswerVersion   AnswerOutcome = "other-version" // keyed, but another version of the wire format
	AnswerOwn       AnswerOutcome = "own"           // a listener of the initiating machine's own: it proves nothing of a far end
	AnswerForeign   AnswerOutcome = "foreign"       // other bytes
	AnswerEchoed    AnswerOutcome = "echoed"        // our own bytes
	AnswerClosed    AnswerOutcome = "closed"        // FIN before proof
	AnswerReset     AnswerOutcome = "reset"         // RST before proof
	AnswerSilent    AnswerOutcome = "silent"        // nothing
	AnswerICMP      AnswerOutcome = "icmp"          // an ICMP error after connecting (UDP, or a path that broke)
)

// An ICMP is an ICMP or ICMPv6 error and the device that sent it.
type ICMP struct {
	Type  int        `json:"type"`
	Code  int        `json:"code"`
	From  netip.Addr `json:"from"`  // invalid (""): the system does not tell
	Local bool       `json:"local"` // From is an address of the machine that dialed
	V6    bool       `json:"v6"`
}

// IsExceeded reports whether a packet's hops to live were used up: ICMP time exceeded
// (RFC 792), ICMPv6 time exceeded (RFC 4443 section 3.3).
func (m ICMP) IsExceeded() bool {
	return m.Code == 0 && (!m.V6 && m.Type == 11 || m.V6 && m.Type == 3)
}

// fewHops is less than any system gives its packets by itself (RFC 1700: 64), and than
// ways through the internet may need.
const fewHops = 32

// IsFewHops reports whether packets that start with so many hops to live may not get
// everywhere. 0, which is not known, is not few.
func IsFewHops(ttl int) bool { return ttl > 0 && ttl < fewHops }

// IsRouting reports whether a router says that it has no way to the target, for now
// at least, rather than that it forbids it (RFC 792; RFC 4443 section 3.1, 3.3).
func (m ICMP) IsRouting() bool {
	if m.V6 {
		return m.Type == 3 || m.Type == 1 && (m.Code == 0 || m.Code == 3)
	}
	return m.Type == 11 || m.Type == 3 && m.Code <= 1
}

// A Transfer is a payload in one direction, every byte of it checked by the
// end that received it.
type Transfer struct {
	Outcome  TransferOutcome `json:"outcome"`
	Want     int64           `json:"want"`               // bytes
	Intact   int64           `json:"intact"`             // bytes that arrived unchanged before the first fault
	ElapMS   float64         `json:"elapsed_ms"`         // from first to last byte, as the asking end timed it
	Detail   string          `json:"detail,omitempty"`   // the error's words
	Changed  string          `json:"changed,omitempty"`  // at a corruption: expected and received bytes, in hex
	Hole     *Hole           `json:"hole,omitempty"`     // at a stall: the size that still passes, if size is the cause
	AnySize  bool            `json:"any_size,omitempty"` // at a stall: single packets of any size cross, so size is not the cause
	Attempts int             `json:"attempts,omitempty"` // how often it was tried; absent: once
}

// Rate is how fast the payload moved, in kilobits per second; 0: not known.
func (t *Transfer) Rate() float64 {
	if t == nil || t.Outcome != TransferIntact || t.ElapMS <= 0 {
		return 0
	}
	return float64(t.Want) * 8 / t.ElapMS
}

// A Hole says that packets above a size vanish in a direction.
type Hole struct {
	Passes int64 `json:"passes"` // payload bytes of the largest single packet that crosses
	Fails  int64 `json:"fails"`  // payload bytes of the smallest that never does
	Packet int   `json:"packet"` // bytes of the IP packet that carries Passes; 0 if not known

	// What it rests on: how often each was tried in the end, by itself. Fails never
	// crossed.
	FailsTried    int `json:"fails_tried,omitempty"`
	PassesTried   int `json:"passes_tried,omitempty"`
	PassesCrossed int `json:"passes_crossed,omitempty"`
}

// An Idle is a connection on which neither end sent anything for a while.
type Idle struct {
	GapMS   int64       `json:"gap_ms"`
	First   Speaker     `json:"first"` // who spoke after the gap
	Outcome IdleOutcome `json:"outcome"`
	Detail  string      `json:"detail,omitempty"` // the error's words
	// Busy is what became of a connection of the same age that was never idle for
	// long; "": none was kept.
	Busy IdleOutcome `json:"busy,omitempty"`
	// Again is what became of the same gap the second time, where the first was
	// deadly; nil: it was not repeated.
	Again *Idle `json:"again,omitempty"`
	// FarOpen is whether the accepting end still has it open after it died;
	// nil: not known.
	FarOpen *bool `json:"far_open,omitempty"`
}

// IsDead reports whether the connection did not survive.
func (o IdleOutcome) IsDead() bool {
	return o == IdleSilent || o == IdleReset || o == IdleClosed
}

// DeadlyGap returns the shortest gap from which on none survived where one end
// spoke first, nil if there is none. A gap that died while a longer one survived
// is none: it was lost for another cause.
func DeadlyGap(idle []Idle, first Speaker) *Idle {
	var longest int64 // gap that survived
	for _, i := range idle {
		if i.First == first && i.Outcome == IdleSurvived {
			longest = max(longest, i.GapMS)
		}
	}
	var died *Idle
	for n := range idle {
		if i := &idle[n]; i.First == first && i.GapMS > longest && i.Outcome.IsDead() && (died == nil || i.GapMS < died.GapMS) {
			died = i
		}
	}
	return died
}

// Speaker is an end of a connection.
type Speaker string

const (
	SpeakerInitiator Speaker = "initiator"
	SpeakerAcceptor  Speaker = "acceptor"
)

// IdleOutcome is what became of an idle connection.
type IdleOutcome string

const (
	IdleSurvived IdleOutcome = "survived"
	IdleSilent   IdleOutcome = "silent" // what was said after the gap never arrived
	IdleReset    IdleOutcome = "reset"
	IdleClosed   IdleOutcome = "closed"
	IdleNotHeld  IdleOutcome = "not-held" // there was no connection to keep idle
)

// A Relay is what both ends counted of a connection on which the accepting end
// did not read. One connection from end to end never acknowledges more bytes
// than arrived; a relay acknowledges what it still holds itself.
type Relay struct {
	Acknowledged int64 `json:"acknowledged"` // bytes, as the initiator's system counted them first
	Arrived      int64 `json:"arrived"`      // bytes, as the acceptor's system counted them afterwards
}

// relayMargin is more than systems count differently (SYN and FIN), and less
// than any relay holds.
const relayMargin = 1500

// Relayed reports whether the connection ended in the middle, at something that
// passes bytes on.
func (r *Relay) Relayed() bool { return r != nil && r.Acknowledged > r.Arrived+relayMargin }

// TransferOutcome is how a Transfer ended.
type TransferOutcome string

const (
	TransferIntact    TransferOutcome = "intact"
	TransferCorrupted TransferOutcome = "corrupted"
	TransferStalled   TransferOutcome = "stalled" // time ran out before all bytes had crossed
	TransferReset     TransferOutcome = "reset"
	TransferClosed    TransferOutcome = "closed"
	TransferUnknown   TransferOutcome = "unknown" // the receiving end did not report
)

// An Acceptor is the half of the truth that the end which was to accept the
// connection saw.
type Acceptor struct {
	Instance  string    `json:"instance"` // listener process that speaks
	Port      PortState `json:"port"`
	Holder    *Holder   `json:"holder,omitempty"` // when Port is busy, if known
	Saw       Sighting  `json:"saw"`
	Match     Match     `json:"match,omitempty"`  // how what was seen was tied to the attempt
	Reason    string    `json:"reason,omitempty"` // why Saw is unknown
	Source    Endpoint  `json:"source"`           // the initiator's address as seen here
	Local     Endpoint  `json:"local"`            // the address it arrived at
	Proved    bool      `json:"proved"`           // the keyed proof arrived here
	Conversed bool      `json:"conversed"`        // the keyed token of the service's own conversation arrived here, on that port
	TCP       *TCP      `json:"tcp,omitempty"`    // of the connection, as this end's system knows it; nil: not known
	BytesIn   int64     `json:"bytes_in"`         // bytes that arrived and were no proof
	Lasts     bool      `json:"lasts"`            // the connection is still open here
	Detail    string    `json:"detail,omitempty"` // such as "ended by RST"
	// Dropped is what kept a packet that arrived at this machine from the
	// program that listens; "": nothing is known to have.
	Dropped Drop `json:"dropped,omitempty"`
	// Counted is what this end's kernel counted of an ordinary connection to live
	// software; nil: it was not such a one, or the system does not tell.
	Counted *Counted `json:"counted,omitempty"`
	Joined  *Joined  `json:"joined,omitempty"` // nil: it was told while the run lasted
	// TTL is with how many hops to live this machine's answers start, where that is few
	// (IsFewHops); 0: it is not, or not known.
	TTL int `json:"ttl,omitempty"`
}

// A Counted is bytes of payload, without what SYN and FIN count for.
type Counted struct {
	In  int64 `json:"in"`  // that arrived
	Out int64 `json:"out"` // that were sent and acknowledged
}

// A Drop is what a machine itself did to a packet that reached it.
type Drop string

const (
	// DropFirewall: none of the others, so it was the machine's packet filter.
	DropFirewall Drop = "firewall"
	// DropReversePath: the reverse path filter (rp_filter, RFC 3704 section
	// 2.2), since the way back leaves by another interface.
	DropReversePath Drop = "reverse-path"
	// DropConntrack: its table of tracked connections was full.
	DropConntrack Drop = "conntrack-full"
	// DropQueue: the program had not taken earlier connections off the queue.
	DropQueue Drop = "accept-queue"
	// DropListener: the program was stopped, its machine asleep, it had no file
	// descriptor left at that time, or it ended the connection to keep within its
	// limits; whatever it saw or not, it did not answer.
	DropListener Drop = "listener"
)

// PortState is whether the accepting end had the port open.
type PortState string

const (
	PortUnknown PortState = "unknown"
	PortBound   PortState = "bound"
	PortBusy    PortState = "busy"    // other software holds it
	PortUnbound PortState = "unbound" // the listener was not asked to, or could not, bind it
)

// Sighting is the furthest that an attempt got, as the accepting end saw it.
type Sighting string

const (
	SawUnknown  Sighting = "unknown"
	SawNothing  Sighting = "nothing"   // watched throughout; no packet reached its TCP stack
	SawHalfOpen Sighting = "half-open" // the SYN arrived; the handshake never completed
	SawWaiting  Sighting = "waiting"   // the handshake completed; live software that holds the port has not accepted it
	SawAccepted Sighting = "accepted"  // the connection was accepted (UDP: a datagram arrived)
)

// Match is how a sighting was tied to an attempt.
type Match string

const (
	MatchProbe   Match = "probe"   // the probe's own id arrived
	MatchRun     Match = "run"     // the run's own id arrived, on that port
	MatchAddress Match = "address" // source address and port, as seen
	MatchTime    Match = "time"    // only the source address, and the time
)

// Milliseconds is d as evidence gives it: in milliseconds, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Words names the port that was touched.
func (b Ban) Words() string {
	return fmt.Sprintf("%s port %d", strings.ToUpper(string(b.Transport)), b.Port)
}
