package paste

import (
	"regexp"
	"slices"
	"strings"
)

// named are the words for the server in the connection strings of Microsoft's
// clients (ADO.NET, ODBC, OLE DB), and in XML or INI files with such keys.
var named = regexp.MustCompile(`(?i)\b(?:data[ _]?source|server(?:[ _]?name)?|address|addr|network[ _]?address|host(?:[ _]?name)?)["']?\s*(?:=|>|:\s*["'])\s*["']?([^;"'<>\r\n]{1,300})`)

// Servers finds the hosts in a text that may be a connection to a database; none
// if it names none.
func Servers(text string) []string {
	var out []string
	for _, m := range named.FindAllStringSubmatch(text, 16) {
		if host := serverOf(m[1]); host != "" && !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, host) }) {
			out = append(out, host)
		}
	}
	return out
}

// serverOf takes the host from SQL Server's notation: protocol:host\instance,port.
func serverOf(text string) string {
	text = Value(text)
	if protocol, rest, ok := strings.Cut(text, ":"); ok && isSQLProtocol(protocol) {
		text = rest
	}
	text, _, _ = strings.Cut(strings.TrimLeft(text, `\ `), ",")
	text, _, _ = strings.Cut(text, `\`)
	host, err := Host(text)
	if err != nil {
		return ""
	}
	return host
}
