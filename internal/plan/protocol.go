package plan

import "time"

// A Protocol is the language in which a row's service speaks, so that its own
// conversation can be held; "" is one that nobody here speaks.
type Protocol string

// The protocols that can be spoken.
const (
	HTTP       Protocol = "http"        // RFC 9112
	HTTPS      Protocol = "https"       // HTTP in TLS
	FTP        Protocol = "ftp"         // RFC 959
	SMTP       Protocol = "smtp"        // RFC 5321
	SMTPS      Protocol = "smtps"       // SMTP in TLS from the first byte, RFC 8314
	TDS        Protocol = "tds"         // MS-TDS, SQL Server
	SQLBrowser Protocol = "sql-browser" // MC-SQLR, over UDP
	LDAP       Protocol = "ldap"        // RFC 4511
	LDAPS      Protocol = "ldaps"       // LDAP in TLS
	RDP        Protocol = "rdp"         // MS-RDPBCGR
	Z3950      Protocol = "z3950"       // ISO 23950
	ISOILL     Protocol = "iso-ill"     // ISO 10161-1
	Odyssey    Protocol = "odyssey"     // a transfer of our own: Odyssey's is not public
)

// A Language is what a Protocol is like.
type Language struct {
	Protocol Protocol
	Title    string // what people call its service
	// Greets: the server speaks first, before all else.
	Greets bool
	// Greeting is how long its greeting may take; 0: it does not greet, within TLS either. Servers look
	// the caller up first, and keep senders of spam waiting on purpose.
	Greeting time.Duration
	// Within is what is spoken inside TLS, where that comes first; "": it does not.
	Within Protocol
}

// greetingTime is how long a greeting is waited for: longer than the 30 s for
// which mail servers keep callers waiting, and shorter than the five minutes for
// which a mail client waits (RFC 5321 section 4.5.3.2.1).
const greetingTime = 35 * time.Second

// Languages has every Protocol.
var Languages = []Language{
	{Protocol: HTTP, Title: "HTTP"},
	{Protocol: HTTPS, Title: "HTTPS", Within: HTTP},
	{Protocol: FTP, Title: "FTP", Greets: true, Greeting: greetingTime},
	{Protocol: SMTP, Title: "SMTP", Greets: true, Greeting: greetingTime},
	{Protocol: SMTPS, Title: "SMTP in TLS", Greeting: greetingTime, Within: SMTP},
	{Protocol: TDS, Title: "SQL Server"},
	{Protocol: SQLBrowser, Title: "SQL Server Browser"},
	{Protocol: LDAP, Title: "LDAP"},
	{Protocol: LDAPS, Title: "LDAPS", Within: LDAP},
	{Protocol: RDP, Title: "Remote Desktop"},
	{Protocol: Z3950, Title: "Z39.50"},
	{Protocol: ISOILL, Title: "ISO ILL"},
	{Protocol: Odyssey, Title: "Odyssey"},
}

// Language is what a protocol is like; the zero Language for one that nobody
// here speaks.
func (p Protocol) Language() Language {
	for _, l := range Languages {
		if l.Protocol == p {
			return l
		}
	}
	return Language{}
}

// Protocols lists them.
var Protocols = func() []Protocol {
	var all []Protocol
	for _, l := range Languages {
		all = append(all, l.Protocol)
	}
	return all
}()

// Speaks is the protocol of the rows that a binding serves, "" if they do not
// agree on one.
func (b Binding) Speaks() Protocol {
	var p Protocol
	for i, r := range b.Rows {
		if i > 0 && r.Speaks != p {
			return ""
		}
		p = r.Speaks
	}
	return p
}
