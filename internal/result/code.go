package result

import "slices"

// Code names a kind of Finding: programs may rely on it, whatever the words beside
// it say.
type Code string

// Nothing was sent, or it did not leave this machine.
const (
	CodeUntested       Code = "untested"
	CodeNoEvidence     Code = "no-evidence"
	CodeNotBorneOut    Code = "not-borne-out"
	CodeNoRoute        Code = "no-route"
	CodeNoNeighbour    Code = "no-neighbour"
	CodeNotReached     Code = "not-reached"
	CodeBlockedLocally Code = "blocked-locally"
	CodeNoLocalPort    Code = "no-local-port"
	CodeNoDescriptor   Code = "no-descriptor"
	CodeOwnAnswer      Code = "own-answer"
	CodeOwnAddress     Code = "own-address"
	CodeNameNotFound   Code = "name-not-found"
	CodeNameServers    Code = "name-servers"
)

// It was turned away.
const (
	CodeRejected                 Code = "rejected"
	CodeRejectedByHost           Code = "rejected-by-host"
	CodeRejectedOrNothingListens Code = "rejected-or-nothing-listens"
	CodeNothingListens           Code = "nothing-listens"
	CodeRefused                  Code = "refused"
	CodeRefusedByHost            Code = "refused-by-host"
	CodeRefusedOnTheWay          Code = "refused-on-the-way"
	CodeRefusedBusy              Code = "refused-busy"
	CodeNATNoForward             Code = "nat-no-forward"
	CodeNATLeadsElsewhere        Code = "nat-leads-elsewhere"
	CodeNATLeadsNowhere          Code = "nat-leads-nowhere"
	CodeRoutingLoop              Code = "routing-loop"
	CodeOwnTTL                   Code = "own-ttl"
)

// Nothing came back.
const (
	CodeFiltered       Code = "filtered"
	CodeFilteredByHost Code = "filtered-by-host"
	CodeReplyLost      Code = "reply-lost"
	CodeReversePath    Code = "reverse-path"
	CodeConntrackFull  Code = "conntrack-full"
	CodeListenerBusy   Code = "listener-busy"
	CodeSilent         Code = "silent"
	CodeClosedOrOff    Code = "closed-or-off"
	CodeShouldBeClosed Code = "should-be-closed"
)

// A browser made the attempt.
const (
	CodeBrowserAnswered Code = "browser-answered"
	CodeBrowserProxy    Code = "browser-proxy"
	CodeBrowserRule     Code = "browser-rule"
	CodeBrowserTLS      Code = "browser-tls"
	CodeBrowserUnknown  Code = "browser-unknown"
	CodeBrowserNoAnswer Code = "browser-no-answer"
	CodeBrowserChanged  Code = "browser-changed"
)

// It connected, and failed then.
const (
	CodeReset              Code = "reset"
	CodeResetListener      Code = "reset-listener"
	CodeResetHalfOpen      Code = "reset-half-open"
	CodeResetSomeoneElse   Code = "reset-someone-else"
	CodeResetHolder        Code = "reset-holder"
	CodeResetUnknown       Code = "reset-unknown"
	CodeResetPayload       Code = "reset-payload"
	CodeResetMidway        Code = "reset-midway"
	CodeStalled            Code = "stalled"
	CodeStalledListener    Code = "stalled-listener"
	CodeStalledHalfOpen    Code = "stalled-half-open"
	CodeStalledSomeoneElse Code = "stalled-someone-else"
	CodeStalledHolder      Code = "stalled-holder"
	CodeStalledUnknown     Code = "stalled-unknown"
	CodeStalledUncounted   Code = "stalled-uncounted"
	CodeNotAccepted        Code = "not-accepted"
	CodeStalledPayload     Code = "stalled-payload"
	CodeStalledMidway      Code = "stalled-midway"
	CodeAcceptedSilently   Code = "accepted-silently"
	CodeAnswersForAll      Code = "answers-for-all"
	CodeNoGreeting         Code = "no-greeting"
	CodeWindowScale        Code = "window-scale"
	CodeMTUHole            Code = "mtu-hole"
	CodeCorrupted          Code = "corrupted"
	CodeIdleDropped        Code = "idle-dropped"
	CodeSessionAge         Code = "session-age"
)

// It works in part.
const (
	CodeUnsteady         Code = "unsteady"
	CodeUnsteadyPorts    Code = "unsteady-ports"
	CodeUnsteadyAtOnce   Code = "unsteady-at-once"
	CodeUnsteadyInTurn   Code = "unsteady-in-turn"
	CodeUnsteadyNumber   Code = "unsteady-number"
	CodeUnsteadyFirst    Code = "unsteady-first"
	CodeUnsteadyBanned   Code = "unsteady-banned"
	CodeCutOffLater      Code = "cut-off-later"
	CodeSomeAddresses    Code = "some-addresses"
	CodeAddressesLeftOut Code = "addresses-left-out"
)

// Something else answered.
const (
	CodeRedirectedPort      Code = "redirected-port"
	CodeRedirectedHost      Code = "redirected-host"
	CodeRedirectedInTurn    Code = "redirected-in-turn"
	CodeSeveralListeners    Code = "several-listeners"
	CodeReached             Code = "reached"
	CodeOccupied            Code = "occupied"
	CodeIntercepted         Code = "intercepted"
	CodeProxyHeader         Code = "proxy-header"
	CodeTLSIntercepted      Code = "tls-intercepted"
	CodeAnswered            Code = "answered"
	CodeWrongKey            Code = "wrong-key"
	CodeNotAllowed          Code = "not-allowed"
	CodeOtherVersion        Code = "other-version"
	CodeNotTheService       Code = "not-the-service"
	CodeNotUnderstood       Code = "not-understood"
	CodeInstancePort        Code = "instance-port"
	CodeApplicationFirewall Code = "application-firewall"
)

// The service said no.
const (
	CodeServiceUnavailable  Code = "service-unavailable"
	CodeTurnedAway          Code = "turned-away"
	CodeNeedsTLS            Code = "needs-tls"
	CodeSecurityMismatch    Code = "security-mismatch"
	CodeNoBackend           Code = "no-backend"
	CodeUnexpectedStatus    Code = "unexpected-status"
	CodePortal              Code = "portal"
	CodeProxyLogin          Code = "proxy-login"
	CodeAnotherService      Code = "another-service"
	CodeClientCertificate   Code = "client-certificate"
	CodeTLSVersion          Code = "tls-version"
	CodeTLSNoCommonCipher   Code = "tls-no-common-cipher"
	CodeTLSNameUnknown      Code = "tls-name-unknown"
	CodeTLSRefused          Code = "tls-refused"
	CodeTLSChainIncomplete  Code = "tls-chain-incomplete"
	CodeTLSFromTheFirstByte Code = "tls-from-the-first-byte"
	CodeNoTLS               Code = "no-tls"
)

// About the whole run.
const (
	CodeNoContact         Code = "no-contact"
	CodeContactElsewhere  Code = "contact-elsewhere"
	CodeContactLost       Code = "contact-lost"
	CodeProvedOverUDPOnly Code = "proved-over-udp-only"
	CodeIP4BlackHole      Code = "ip4-black-hole"
	CodeIP6BlackHole      Code = "ip6-black-hole"
	CodePortBans          Code = "port-bans"
	CodeSlowPath          Code = "slow-path"
	CodeCutOff            Code = "cut-off"
	CodeListenerGone      Code = "listener-gone"
	CodeListenerRestarted Code = "listener-restarted"
	CodeListenerPaused    Code = "listener-paused"
	CodeListenerLate      Code = "listener-late"
	CodeListenerCrowded   Code = "listener-crowded"
	CodeDialPaused        Code = "dial-paused"
	CodeInterfaceDown     Code = "interface-down"
	CodeRouteChanged      Code = "route-changed"
	CodeRunLimit          Code = "run-limit"
	CodeNoRow             Code = "no-row"
	CodeOtherPlan         Code = "other-plan"
	CodeOtherShift        Code = "other-shift"
	CodeOtherAddress      Code = "other-address"
	CodeProxyEnvironment  Code = "proxy-environment"
	CodeInterrupted       Code = "interrupted"
)

// About several reports.
const (
	CodeContradiction      Code = "contradiction"
	CodeEndsAssumed        Code = "ends-assumed"
	CodeNotListened        Code = "not-listened"
	CodeListensUnpaired    Code = "listens-unpaired"
	CodeOtherKey           Code = "other-key"
	CodeSameRun            Code = "same-run"
	CodeNotDialed          Code = "not-dialed"
	CodeOnlySends          Code = "only-sends"
	CodeSendsFrom          Code = "sends-from"
	CodeSendsFromElsewhere Code = "sends-from-elsewhere"
	CodeComparedElsewhere  Code = "compared-elsewhere"
	CodeComparedTarget     Code = "compared-target"
	CodeComparedModes      Code = "compared-modes"
)

// About this machine's address.
const (
	CodeNothingLearned       Code = "nothing-learned"
	CodeSeen                 Code = "seen"
	CodeSeenPrivate          Code = "seen-private"
	CodeAskedItself          Code = "asked-itself"
	CodeInnerObserver        Code = "inner-observer"
	CodeUDPOnly              Code = "udp-only"
	CodeNoNAT                Code = "no-nat"
	CodeNAT                  Code = "nat"
	CodeDoubleNAT            Code = "double-nat"
	CodeCGNAT                Code = "cgnat"
	CodeNAT64                Code = "nat64"
	CodeNAT66                Code = "nat66"
	CodeNPTv6                Code = "nptv6"
	CodeIPv6NoNAT            Code = "ipv6-no-nat"
	CodeAddressPool          Code = "address-pool"
	CodeAddressByDestination Code = "address-by-destination"
	CodeAddressByTransport   Code = "address-by-transport"
	CodeOwnPrivate           Code = "own-private"
	CodePublish              Code = "publish"
	CodePublishedConfirmed   Code = "published-confirmed"
	CodePublishedSeen        Code = "published-seen"
	CodePublishedDiffers     Code = "published-differs"
	CodePublishedPrivate     Code = "published-private"
	CodePublishedUnresolved  Code = "published-unresolved"
	CodeInboundSame          Code = "inbound-same"
	CodeInboundElsewhere     Code = "inbound-elsewhere"
	CodeInboundBlocked       Code = "inbound-blocked"
	CodeInboundBroken        Code = "inbound-broken"
	CodeInboundIntercepted   Code = "inbound-intercepted"
	CodeServerUnresolved     Code = "server-unresolved"
	CodeServerUnreachable    Code = "server-unreachable"
	CodeServerRefused        Code = "server-refused"
	CodeServerRejected       Code = "server-rejected"
	CodeServerSilent         Code = "server-silent"
	CodeServerFailed         Code = "server-failed"
	CodeNotSTUN              Code = "not-stun"
	CodeSTUNError            Code = "stun-error"
	CodeForeignTransaction   Code = "foreign-transaction"
	CodeAnsweredElsewhere    Code = "answered-elsewhere"
	CodeAnswerAltered        Code = "answer-altered"
	CodeImplausibleAddress   Code = "implausible-address"
	CodeForbidden            Code = "forbidden"
	CodeUnkeyed              Code = "unkeyed"
)

// A CodeRow is what there is to say of a Code for all its findings.
type CodeRow struct {
	Code  Code
	Means string
	// Own says that what the finding tells is for the people at the two ends to mend: how
	// they started the two programs, what they gave them, that the test did not come to
	// its end, what their machines lack or do by themselves, or that the service itself
	// said no. No firewall has anything to do with it.
	Own bool
}

// A CodeGroup holds codes that belong together.
type CodeGroup struct {
	About string
	Codes []CodeRow
}

// Codes holds every code that a finding can have. The page docs/verdicts.md shows it.
var Codes = []CodeGroup{
	{"Nothing was sent, or it did not leave this machine", []CodeRow{
		{CodeUntested, "the path was not tested, and why", true},
		{CodeNoEvidence, "a report calls the path something and holds nothing that bears it out", true},
		{CodeNotBorneOut, "the other end's report claims more of the path than its evidence shows", false},
		{CodeNoRoute, "the machine that dials has no route to the address", false},
		{CodeNoNeighbour, "nobody on the machine's own network answers for the address, or for the gateway to it", false},
		{CodeNotReached, "the address cannot be reached, and the system of the machine that dials does not tell whether it found so itself or a device on the way said so", false},
		{CodeBlockedLocally, "the machine that dials does not let the packets out: its own firewall or a policy", false},
		{CodeNoLocalPort, "the machine that dials has no source port left", true},
		{CodeNoDescriptor, "the machine that dials, or dial itself, may open no more files and connections", true},
		{CodeOwnAnswer, "the name or address leads back to the machine that dials", true},
		{CodeOwnAddress, "the address is the dialing machine's own, and no listener of the other end is there", true},
		{CodeNameNotFound, "a name does not exist, or has no address", true},
		{CodeNameServers, "the name servers did not answer, so nothing is known of the name", true},
	}},
	{"It was turned away", []CodeRow{
		{CodeRejected, "a firewall sent an ICMP error back, or who did is not known", false},
		{CodeRejectedByHost, "the target machine's own firewall, or a device in its name, sent an ICMP error", false},
		{CodeRejectedOrNothingListens, "port unreachable from the target itself: nothing listens there, or its firewall says so", false},
		{CodeNothingListens, "the target machine itself says that nothing listens on that port", false},
		{CodeRefused, "RST came back, and there was nobody to ask whose it was", false},
		{CodeRefusedByHost, "RST came back from the target machine, although the listener holds the port", false},
		{CodeRefusedOnTheWay, "RST came back from something on the way, in the target's name", false},
		{CodeRefusedBusy, "RST came back from a port that other software held when listen began", false},
		{CodeNATNoForward, "a NAT answers for the server instead of forwarding the port", false},
		{CodeNATLeadsElsewhere, "a NAT forwards the port to another machine, on which nothing listens", false},
		{CodeNATLeadsNowhere, "a NAT forwards the port to an address at which nobody answers", false},
		{CodeRoutingLoop, "packets use up their TTL on the way: two devices send them to each other, or one lowers it", false},
		{CodeOwnTTL, "packets of the machine that dials, or answers of the one that listens, start with a TTL too small for the way", true},
	}},
	{"Nothing came back", []CodeRow{
		{CodeFiltered, "nothing arrived at the listener: a firewall on the way dropped it", false},
		{CodeFilteredByHost, "it arrived at the machine's network interface, and that machine's own firewall dropped it", false},
		{CodeReplyLost, "it arrived, and the answer did not come back", false},
		{CodeReversePath, "it arrived by another interface than the answer would take, and the system dropped it", true},
		{CodeConntrackFull, "it arrived at a machine whose table of connections is full", true},
		{CodeListenerBusy, "it waits at the listener's machine until the program there takes it", true},
		{CodeSilent, "nothing came back, and there was nobody to ask whether it arrived", false},
		{CodeClosedOrOff, "a port that must be closed did not answer, and nothing shows that the machine was on", true},
		{CodeShouldBeClosed, "a port that must be closed is not", false},
	}},
	{"A browser made the attempt", []CodeRow{
		{CodeBrowserAnswered, "HTTP went through on the port, data unchanged both ways: all that a browser can show", false},
		{CodeBrowserProxy, "HTTP went through on the port, and a proxy may have carried it: whose way that shows is not known", false},
		{CodeBrowserRule, "a rule of the browser's own forbids the request: nothing was sent", true},
		{CodeBrowserTLS, "the browser spoke TLS where the page asked for plain HTTP, by a rule of its own (HSTS, HTTPS only)", true},
		{CodeBrowserUnknown, "the browser got no answer and does not tell why, and what the listener saw does not settle it", false},
		{CodeBrowserNoAnswer, "the browser's request arrived, and the answer, or the data after it, did not come back whole", false},
		{CodeBrowserChanged, "data arrived changed", false},
	}},
	{"It connected, and failed then", []CodeRow{
		{CodeReset, "the connection opened and was ended before the service had its say", false},
		{CodeResetListener, "the connection was ended before the proof; the listener had accepted it", false},
		{CodeResetHalfOpen, "the connection was ended before the proof; nobody had accepted it", false},
		{CodeResetSomeoneElse, "the connection was ended before the proof; something else than the listener had accepted it", false},
		{CodeResetHolder, "the connection was ended before the proof; other software holds the port", false},
		{CodeResetUnknown, "the connection was ended before the proof; who accepted it is not known", false},
		{CodeResetPayload, "the proof passed, and the connection was ended while data went over it", false},
		{CodeResetMidway, "the service spoke, and then the connection was ended", false},
		{CodeStalled, "the connection opened and the service's answer did not come", false},
		{CodeStalledListener, "no byte came back; the listener had accepted the connection", false},
		{CodeStalledHalfOpen, "no byte came back; nobody had accepted the connection", false},
		{CodeStalledSomeoneElse, "no byte came back; something else than the listener had accepted the connection", false},
		{CodeStalledHolder, "no byte came back; other software holds the port", false},
		{CodeStalledUnknown, "no byte came back; who accepted the connection is not known", false},
		{CodeStalledUncounted, "live software accepted the connection, and not all that was sent to it was counted there", false},
		{CodeNotAccepted, "the connection came to the machine, and the software that holds the port did not accept it", true},
		{CodeStalledPayload, "the proof passed, and the data after it did not", false},
		{CodeStalledMidway, "the service spoke, and then nothing more came", false},
		{CodeAcceptedSilently, "something accepted the connection, and nobody knows what: not a word was said on it", false},
		{CodeAnswersForAll, "ports that nobody uses open as well: something accepts everything", false},
		{CodeNoGreeting, "the service's greeting did not come in the time there was", false},
		{CodeWindowScale, "the window's scale is taken out of TCP's options, so that data crawls or stops", false},
		{CodeMTUHole, "large packets vanish: the proof passes and more data does not", false},
		{CodeCorrupted, "data arrived changed", false},
		{CodeIdleDropped, "a connection that is idle for some time is forgotten on the way", false},
		{CodeSessionAge, "connections are ended at some age, whatever goes over them", false},
	}},
	{"It works in part", []CodeRow{
		{CodeUnsteady, "some connections pass and some fail, with nothing in common", false},
		{CodeUnsteadyPorts, "the source port decides which connections pass: one of several equal ways is dead, or a rule names source ports", false},
		{CodeUnsteadyAtOnce, "connections fail that are opened while others are", false},
		{CodeUnsteadyInTurn, "every n-th connection fails: a member of a load balancer does not work", false},
		{CodeUnsteadyNumber, "the first connections pass and none after them", false},
		{CodeUnsteadyFirst, "the first connection is reset and all later ones pass: SYN authentication", false},
		{CodeUnsteadyBanned, "connections fail while a device bans this machine for having touched another port", false},
		{CodeCutOffLater, "the service's own conversation stopped, and not for what it says", false},
		{CodeSomeAddresses, "not every address of the name works", false},
		{CodeAddressesLeftOut, "not every address of the name was tried", false},
	}},
	{"Something else answered", []CodeRow{
		{CodeRedirectedPort, "another port answered than was dialed", false},
		{CodeRedirectedHost, "another listener answered than on the other paths", false},
		{CodeRedirectedInTurn, "connections to one port do not all lead to the same listener", false},
		{CodeSeveralListeners, "paths lead to more than one listener with this key", false},
		{CodeReached, "live software that holds the port accepted the connection; nothing was sent over it", true},
		{CodeOccupied, "other software holds the port where listen runs", false},
		{CodeIntercepted, "something on the way answered in the listener's place", false},
		{CodeProxyHeader, "a proxy in between puts a PROXY protocol header before what is said", false},
		{CodeTLSIntercepted, "TLS ends on the way, or the certificate is not that host's", false},
		{CodeAnswered, "something answered that is no listener of this key", false},
		{CodeWrongKey, "a listener answered that has another key", true},
		{CodeNotAllowed, "the listener has this key and does not allow this address", true},
		{CodeOtherVersion, "the listener speaks another version of the wire format", true},
		{CodeNotTheService, "what answered does not speak the service's language", false},
		{CodeNotUnderstood, "what answered is not understood by this program", true},
		{CodeInstancePort, "SQL Server listens on another port than the plan says", false},
		{CodeApplicationFirewall, "a device that looks into the data treats the service differently from the proof", false},
	}},
	{"The service said no", []CodeRow{
		{CodeServiceUnavailable, "the service does not serve now: too busy, shutting down, paused", true},
		{CodeTurnedAway, "the service does not want this machine, or anybody", true},
		{CodeNeedsTLS, "the service wants TLS first", true},
		{CodeSecurityMismatch, "no agreement on how to protect the session", true},
		{CodeNoBackend, "a gateway or load balancer has no working server behind it", true},
		{CodeUnexpectedStatus, "another status came than the plan expects", true},
		{CodePortal, "a login page of somebody else's came", false},
		{CodeProxyLogin, "a proxy wants to know who asks", false},
		{CodeAnotherService, "another service than the plan's has the port", true},
		{CodeClientCertificate, "TLS wants a certificate of the client", true},
		{CodeTLSVersion, "no version of TLS in common", true},
		{CodeTLSNoCommonCipher, "no cipher in common", true},
		{CodeTLSNameUnknown, "nobody has that name there", true},
		{CodeTLSRefused, "TLS ended with another alert", true},
		{CodeTLSChainIncomplete, "the server leaves out a certificate of its issuers", true},
		{CodeTLSFromTheFirstByte, "the port speaks TLS from the first byte, and the plan says plain", true},
		{CodeNoTLS, "the port speaks without TLS, and the plan says TLS", true},
	}},
	{"About the whole run", []CodeRow{
		{CodeNoContact, "nobody at the host proved the key", false},
		{CodeContactElsewhere, "the only listener that answered is another one than was dialed", false},
		{CodeContactLost, "the listener could not be asked any more what arrived", false},
		{CodeProvedOverUDPOnly, "the key was proved over UDP alone, which can carry no questions", false},
		{CodeIP4BlackHole, "nothing gets through to the IPv4 address, and IPv6 works", false},
		{CodeIP6BlackHole, "nothing gets through to the IPv6 address, and IPv4 works", false},
		{CodePortBans, "whoever touches one port gets no answer from any for a while", false},
		{CodeSlowPath, "a round trip takes longer than the run gave a connection to open", true},
		{CodeCutOff, "from some moment on nothing passed any more", false},
		{CodeListenerGone, "the listener ended in the middle of the run", false},
		{CodeListenerRestarted, "the listener was started anew in the middle of the run", true},
		{CodeListenerPaused, "the listener stood still for a while", true},
		{CodeListenerLate, "the listener was started only after the run began", true},
		{CodeListenerCrowded, "the listener ended connections of strangers to keep within its limits, or its machine turned some away since more came than may wait", true},
		{CodeDialPaused, "the program that dialed stood still for a while", true},
		{CodeInterfaceDown, "an address of the dialing machine could not be used for a while", true},
		{CodeRouteChanged, "the dialing machine's own route to the far end changed in the middle of the run", true},
		{CodeRunLimit, "the run reached the time that it may take", false},
		{CodeNoRow, "no row of the plan is for these two machines", false},
		{CodeOtherPlan, "the far end has another plan", true},
		{CodeOtherShift, "the far end's ports are shifted otherwise", true},
		{CodeOtherAddress, "the far end comes from another address than was dialed", false},
		{CodeProxyEnvironment, "this machine is set to use a proxy, which was not used", false},
		{CodeInterrupted, "the run was interrupted", true},
	}},
	{"About several reports", []CodeRow{
		{CodeContradiction, "two reports say what cannot both be", false},
		{CodeEndsAssumed, "which end is which was taken from the addresses", false},
		{CodeNotListened, "the other end did not listen, so nobody can say what arrived", false},
		{CodeListensUnpaired, "no run is known to have dialed the listen whose report was given", false},
		{CodeOtherKey, "the two reports are of tests with different keys", true},
		{CodeSameRun, "a report was given twice", false},
		{CodeNotDialed, "a partner was not dialed", true},
		{CodeOnlySends, "a partner only sends, and is not dialed", true},
		{CodeSendsFrom, "from which address a partner sends", false},
		{CodeSendsFromElsewhere, "a partner sends from another address than its server's", true},
		{CodeComparedElsewhere, "two reports that are compared come from two machines", false},
		{CodeComparedTarget, "two reports that are compared are about two far ends", false},
		{CodeComparedModes, "of two reports that are compared one asked real software, and one proved by key", false},
	}},
	{"About this machine's address", []CodeRow{
		{CodeNothingLearned, "no outside address was learned", false},
		{CodeSeen, "others see this machine as this address", false},
		{CodeSeenPrivate, "who was asked sees a private address", false},
		{CodeAskedItself, "the machine asked itself", false},
		{CodeInnerObserver, "who was asked is inside the same network", false},
		{CodeUDPOnly, "the address was learned over UDP only", false},
		{CodeNoNAT, "no address translation", false},
		{CodeNAT, "an address translation", false},
		{CodeDoubleNAT, "two address translations, one behind the other", false},
		{CodeCGNAT, "a carrier's address translation", false},
		{CodeNAT64, "a translation from IPv6 to IPv4", false},
		{CodeNAT66, "a translation between IPv6 addresses", false},
		{CodeNPTv6, "a translation of IPv6 prefixes", false},
		{CodeIPv6NoNAT, "IPv6 without translation", false},
		{CodeAddressPool, "several outside addresses, in turn", false},
		{CodeAddressByDestination, "the outside address depends on who is asked", false},
		{CodeAddressByTransport, "the outside address is another one over UDP", false},
		{CodeOwnPrivate, "this machine's own address is private", false},
		{CodePublish, "which address to give to partners", false},
		{CodePublishedConfirmed, "the published address leads to this machine", false},
		{CodePublishedSeen, "the published address is the one that others see", false},
		{CodePublishedDiffers, "others see another address than the published one", false},
		{CodePublishedPrivate, "the published address is private", false},
		{CodePublishedUnresolved, "the published name has no address", false},
		{CodeInboundSame, "a partner reached this machine at the address that others see", false},
		{CodeInboundElsewhere, "what a partner sent to that address came to somebody else", false},
		{CodeInboundBlocked, "a partner did not reach this machine at that address", false},
		{CodeInboundBroken, "a partner's connection arrived and did not work", false},
		{CodeInboundIntercepted, "something else answered a partner in this machine's place", false},
		{CodeServerUnresolved, "the server's name was not found", false},
		{CodeServerUnreachable, "there is no way to the server", false},
		{CodeServerRefused, "nothing listens at the server", false},
		{CodeServerRejected, "a firewall turned away what was sent to the server", false},
		{CodeServerSilent, "the server never answered", false},
		{CodeServerFailed, "the server could not be asked", false},
		{CodeNotSTUN, "what answered is no STUN server", false},
		{CodeSTUNError, "the STUN server refused to tell", false},
		{CodeForeignTransaction, "the answer belongs to another question", false},
		{CodeAnsweredElsewhere, "somebody else answered than was asked", false},
		{CodeAnswerAltered, "the answer was changed on the way", false},
		{CodeImplausibleAddress, "the address that was told cannot be", false},
		{CodeForbidden, "the listener does not allow this address", false},
		{CodeUnkeyed, "the listener did not prove the key", false},
	}},
}

// OwnCodes are the codes of findings that are for the people at the two ends to mend.
var OwnCodes = func() (own []Code) {
	for _, g := range Codes {
		for _, c := range g.Codes {
			if c.Own {
				own = append(own, c.Code)
			}
		}
	}
	return own
}()

// IsOwn reports whether what a finding says is for the people at the two ends to
// mend, and nothing to ask a firewall's for.
func (f Finding) IsOwn() bool { return slices.Contains(OwnCodes, f.Code) }
