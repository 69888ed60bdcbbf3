package plan

import "time"

// A Protocol is the language in which a row's service speaks, so that its own
// conversation can be had; "" is one that nobody here speaks.
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

// A Language is what a Protocol is like: all that those have to know of it who do
// not speak it. How it is spoken is package service's.
type Language struct {
	Protocol  Protocol
	Title     string // what people call its service
	Spoken    string // what is spoken there, in a sentence; "": the Title
	Transport Transport
	// Within is what is spoken inside TLS, where that comes first; "": it does not.
	Within Protocol
	// Greets: the server speaks first, before all else.
	Greets bool
	// Greeting is how long its greeting may take; 0: it does not greet, within TLS either. Servers look
	// the caller up first, and keep senders of spam waiting on purpose.
	Greeting time.Duration
	// Accepted is what a real server has accepted once its conversation is under way, in a sentence;
	// "": the first request.
	Accepted string
	// Web: what is asked for has a path, and the answer a status, which a row may give.
	Web bool
	// Instances: one machine may have several of it, on ports of which SQL Browser there tells.
	Instances bool
	// Mute: a real server says nothing, since nobody here knows its own protocol.
	Mute bool
	// Quiet: what live software makes of a beginning is not public, so that none is sent to it beside
	// its own work.
	Quiet bool
	// Bulk: it moves documents as large as scanned articles.
	Bulk bool
	// DataBeside: data, and with it the answer to our token, has connections of its own, which may
	// not come about.
	DataBeside bool
	// Crowded: where our token goes, real clients send as many bytes of their own, so that what is not
	// ours there is no guess at the key.
	Crowded bool
	// Steps is how many times as long as one step its conversation may take, beside the greeting; 0: twice.
	Steps int
	// AtLeast is what it may take however little a step may.
	AtLeast time.Duration
}

const (
	// GreetingTime is how long a greeting is waited for: longer than the 30 s for
	// which mail servers keep callers waiting, and shorter than the five minutes for
	// which a mail client waits (RFC 5321 section 4.5.3.2.1).
	GreetingTime = 35 * time.Second
	// ftpSteps: up to four ways to open a data connection, each with a wait.
	ftpSteps = 8
	// BulkTime is what a conversation may take at least that is Bulk: a document each way.
	BulkTime = time.Minute
)

// Languages has every Protocol.
var Languages = []Language{
	{Protocol: HTTP, Title: "HTTP", Transport: TCP, Web: true},
	{Protocol: HTTPS, Title: "HTTPS", Transport: TCP, Within: HTTP, Web: true},
	{Protocol: FTP, Title: "FTP", Transport: TCP, Greets: true, Greeting: GreetingTime, Accepted: "the login", DataBeside: true, Steps: ftpSteps},
	{Protocol: SMTP, Title: "SMTP", Transport: TCP, Greets: true, Greeting: GreetingTime, Accepted: "EHLO"},
	{Protocol: SMTPS, Title: "SMTP in TLS", Transport: TCP, Within: SMTP, Greeting: GreetingTime, Accepted: "EHLO"},
	{Protocol: TDS, Title: "SQL Server", Spoken: "SQL Server's TDS", Transport: TCP, Instances: true, Crowded: true},
	{Protocol: SQLBrowser, Title: "SQL Server Browser", Spoken: "SQL Browser", Transport: UDP},
	{Protocol: LDAP, Title: "LDAP", Transport: TCP, Accepted: "the bind"},
	{Protocol: LDAPS, Title: "LDAPS", Spoken: "LDAP in TLS", Transport: TCP, Within: LDAP, Accepted: "the bind"},
	{Protocol: RDP, Title: "Remote Desktop", Spoken: "RDP", Transport: TCP},
	{Protocol: Z3950, Title: "Z39.50", Transport: TCP, Accepted: "Init", Crowded: true},
	{Protocol: ISOILL, Title: "ISO ILL", Transport: TCP, Quiet: true},
	{Protocol: Odyssey, Title: "Odyssey", Spoken: "a document transfer", Transport: TCP, Mute: true, Quiet: true, Bulk: true, AtLeast: BulkTime},
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
var Protocols = those(func(Language) bool { return true })

// those are the protocols whose language is such a one.
func those(is func(Language) bool) []Protocol {
	var some []Protocol
	for _, l := range Languages {
		if is(l) {
			some = append(some, l.Protocol)
		}
	}
	return some
}

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
