package plan

// A Protocol is the language in which a row's service speaks, so that its own
// conversation can be held; "" is one that nobody here speaks.
type Protocol string

// The protocols that can be spoken.
const (
	HTTP       Protocol = "http"        // RFC 9112
	HTTPS      Protocol = "https"       // HTTP in TLS
	FTP        Protocol = "ftp"         // RFC 959
	SMTP       Protocol = "smtp"        // RFC 5321
	TDS        Protocol = "tds"         // MS-TDS, SQL Server
	SQLBrowser Protocol = "sql-browser" // MC-SQLR, over UDP
	LDAP       Protocol = "ldap"        // RFC 4511
	LDAPS      Protocol = "ldaps"       // LDAP in TLS
	RDP        Protocol = "rdp"         // MS-RDPBCGR
	Z3950      Protocol = "z3950"       // ISO 23950
	ISOILL     Protocol = "iso-ill"     // ISO 10161-1
	Odyssey    Protocol = "odyssey"     // a transfer of our own: Odyssey's is not public
)

// Protocols lists them.
var Protocols = []Protocol{HTTP, HTTPS, FTP, SMTP, TDS, SQLBrowser, LDAP, LDAPS, RDP, Z3950, ISOILL, Odyssey}

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
