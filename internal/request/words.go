package request

// A Sighting is what a firewall on the way knows of a connection that did not work.
type Sighting int

// What a firewall may have seen.
const (
	_               Sighting = iota
	SawDenied                // a rule turned the first packet away
	SawUnanswered            // the first packet passed, and no answer came through
	SawNoData                // the connection opened, and no data passed
	SawUnrecognised          // data passed that the firewall takes for no application that it allows
	SawIdle                  // the connection was forgotten without traffic
	SawReset                 // a reset (RST) ended it
	SawThreat                // intrusion prevention ended it
)

// Words are what a Sighting is called in the logs of some firewalls, to be searched
// for. A field that is "" is not known.
type Words struct {
	Saw       Sighting
	Means     string
	PaloAlto  string // traffic log: application, action or session end reason
	ASA       string // syslog: message number and reason
	Elsewhere string // other makers
}

// logWords has one for each Sighting. The vendors' words are those of their public
// documentation: Palo Alto Networks, "Session End Reason" and the applications
// incomplete, insufficient-data and unknown-tcp; Cisco, "Secure Firewall ASA Series
// Syslog Messages" 106023, 106100 and 302014 with its table of teardown reasons; Fortinet, "FortiOS Log
// Message Reference", type traffic; Azure's and AWS' pages on flow logs.
var logWords = []Words{
	{SawDenied, "turned away by a rule", "action deny or drop, application not-applicable", "106023 Deny, or 106100 denied", "FortiGate: action=deny. Azure flow log: decision D. AWS flow log: REJECT. Windows pfirewall.log: DROP"},
	{SawUnanswered, "let through, and nothing answered", "application incomplete, session end reason aged-out", "302014 Teardown, bytes 0, SYN Timeout", "FortiGate: action=timeout. Linux: conntrack -L shows SYN_SENT"},
	{SawNoData, "opened, and no data passed", "application incomplete", "302014 Teardown, bytes 0, TCP FINs", ""},
	{SawUnrecognised, "data passed that it takes for nothing that is allowed", "application insufficient-data or unknown-tcp; session end reason policy-deny", "302014 Teardown, Flow closed by inspection", ""},
	{SawIdle, "forgotten without traffic", "session end reason aged-out", "302014 Teardown, Conn-timeout or Idle Timeout", "FortiGate: action=timeout"},
	{SawReset, "ended by a reset", "session end reason tcp-rst-from-client or tcp-rst-from-server", "302014 Teardown, TCP Reset-I (from inside) or TCP Reset-O (from outside)", "FortiGate: action=client-rst or server-rst"},
	{SawThreat, "ended by intrusion prevention", "session end reason threat", "302014 Teardown, Flow terminated by IPS or Flow reset by IPS", ""},
}

// wordsOf are the words for what a log shows, in order.
func wordsOf(saw []Sighting) []Words {
	var out []Words
	for _, s := range saw {
		for _, w := range logWords {
			if w.Saw == s {
				out = append(out, w)
			}
		}
	}
	return out
}
