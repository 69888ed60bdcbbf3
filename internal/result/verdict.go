package result

// A Verdict is what both halves of the evidence amount to. docs/verdicts.md
// says how each is reached.
type Verdict string

const (
	Unresolved     Verdict = "unresolved"      // the name does not resolve
	Unreachable    Verdict = "unreachable"     // no route
	BlockedLocally Verdict = "blocked-locally" // the dialing machine's own firewall or policy
	Rejected       Verdict = "rejected"        // ICMP unreachable or prohibited
	Refused        Verdict = "refused"         // RST to the SYN
	ReplyLost      Verdict = "reply-lost"      // silence here, half-open there
	Filtered       Verdict = "filtered"        // silence here, nothing there
	Silent         Verdict = "silent"          // silence here, and nobody to ask
	Redirected     Verdict = "redirected"      // proof came from another port or process
	Corrupted      Verdict = "corrupted"       // proof, but the payload changed
	MTUHole        Verdict = "mtu-hole"        // proof, but large segments vanish
	IdleDropped    Verdict = "idle-dropped"    // proof, but idle connections die
	Unsteady       Verdict = "unsteady"        // proof, and other connections of the same run failed
	Open           Verdict = "open"            // proof, and the payload crossed unchanged both ways
	Occupied       Verdict = "occupied"        // other software holds the port there
	Intercepted    Verdict = "intercepted"     // something else answered in the listener's place
	Answered       Verdict = "answered"        // something answered; nobody to say what
	Reset          Verdict = "reset"           // connected, then FIN or RST before proof
	Stalled        Verdict = "stalled"         // connected, then no byte came back
	Untested       Verdict = "untested"        // not attempted
)

// Verdicts lists every Verdict in order of precedence.
var Verdicts = []Verdict{
	Unresolved, Unreachable, BlockedLocally, Rejected, Refused, ReplyLost, Filtered, Silent, Redirected,
	Corrupted, MTUHole, IdleDropped, Unsteady, Open, Occupied, Intercepted, Answered, Reset, Stalled, Untested,
}

// Proof is what a verdict rests on.
type Proof string

const (
	ProofNone    Proof = "none"
	ProofPlain   Proof = "plain"   // something answered, without proving who it is
	ProofService Proof = "service" // the service's own conversation
	ProofKeyed   Proof = "keyed"   // a fresh transaction with the holder of the key
)
