package result

// A Refusal is the far end's "no", in its own words: it understood, answered in
// its own language, and does not serve. The path carried that answer, so no
// firewall that drops or resets is the cause.
type Refusal struct {
	By     Refuser `json:"by"`
	Reason Reason  `json:"reason"`
	// Code is the reply code as the protocol writes it: "421", "503", "busy (51)",
	// "alert 116"; "": it has none.
	Code string `json:"code,omitempty"`
	// Words are the far end's own beside the code, bounded and escaped, or say what it
	// did; "": none.
	Words string `json:"words,omitempty"`
}

// Reply is what the far end said: code and words; "" if r is nil, as in a report
// from elsewhere.
func (r *Refusal) Reply() string {
	switch {
	case r == nil:
		return ""
	case r.Code == "":
		return r.Words
	case r.Words == "":
		return r.Code
	}
	return r.Code + " " + r.Words
}

// Refuser is who said no.
type Refuser string

const (
	RefuserService Refuser = "service" // the service, or what stands in front of it as the service
	RefuserTLS     Refuser = "tls"     // the TLS layer, before the service had a say
	RefuserBetween Refuser = "between" // what no server of the service says, but only a device on the way
)

// Reason is why, as far as the answer tells. It is the code of the finding as
// well.
type Reason string

const (
	ReasonUnavailable Reason = "service-unavailable" // not now: too busy, shutting down, paused
	ReasonTurnedAway  Reason = "turned-away"         // not this machine, or nobody
	ReasonNeedsTLS    Reason = "needs-tls"           // not without TLS
	ReasonSecurity    Reason = "security-mismatch"   // no agreement on how to protect the session
	ReasonNoBackend   Reason = "no-backend"          // a gateway or load balancer without a working server
	ReasonStatus      Reason = "unexpected-status"   // not the status that the plan's row expects
	ReasonPortal      Reason = "portal"              // a login page of somebody else's
	ReasonProxyLogin  Reason = "proxy-login"         // a proxy wants to know who asks
	ReasonAnother     Reason = "another-service"     // another service than the row's has the port
)

// Reasons of TLS itself, before the service has a say.
const (
	ReasonCertificate Reason = "client-certificate"      // not without a certificate of the client
	ReasonTLSVersion  Reason = "tls-version"             // no version of TLS in common
	ReasonCipher      Reason = "tls-no-common-cipher"    // no cipher, or nothing else, in common
	ReasonTLSName     Reason = "tls-name-unknown"        // nobody has that name there
	ReasonTLS         Reason = "tls-refused"             // another alert
	ReasonChain       Reason = "tls-chain-incomplete"    // the server leaves out a certificate of its issuers
	ReasonTLSFirst    Reason = "tls-from-the-first-byte" // the row says plain
	ReasonNoTLS       Reason = "no-tls"                  // the row says TLS
)

// Reasons lists them.
var Reasons = []Reason{
	ReasonCertificate, ReasonTLSVersion, ReasonCipher, ReasonTLSName, ReasonTLS, ReasonChain, ReasonTLSFirst, ReasonNoTLS,
	ReasonUnavailable, ReasonTurnedAway, ReasonNeedsTLS, ReasonSecurity, ReasonNoBackend, ReasonStatus, ReasonPortal, ReasonProxyLogin, ReasonAnother,
}

// Stage is a point that a Conversation came to.
type Stage string

const (
	// StageBegun: an answer, or a greeting, began and was not completed.
	StageBegun Stage = "begun"
	// StageGreeted: the far end spoke the protocol, in its greeting or in its
	// answer to our first message.
	StageGreeted Stage = "greeted"
	// StageTLSBegun: the far end answered the TLS hello, and the handshake broke off.
	StageTLSBegun Stage = "tls-begun"
	StageTLS      Stage = "tls"      // the TLS handshake was completed
	StageAccepted Stage = "accepted" // it accepted what a client begins with: EHLO, bind, login, Init
)
