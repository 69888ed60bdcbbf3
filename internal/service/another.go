package service

import (
	"bytes"
	"fmt"
	"net"
	"regexp"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Which other service has a port. A server that speaks first, or answers in a
// language that no device on the way has a reason to speak, is simply there:
// neither a proxy nor a portal. HTTP is left out for that reason: portals speak
// it on every port.

// greetsInCodes finds a reply as FTP and SMTP greet with (RFC 959 section 4.2, RFC
// 5321 section 4.2); newsGreets NNTP's (RFC 3977 section 5.1.1).
var (
	greetsInCodes = regexp.MustCompile(`^(220|421|554|530)[- ]`)
	newsGreets    = regexp.MustCompile(`(?i)^(200|201|400|502) .*(news|nntp|\binn\b)`)
	isFTPs        = regexp.MustCompile(`(?i)ftp`)
	isSMTPs       = regexp.MustCompile(`(?i)\be?smtp\b`)
)

// servedBy names the service whose server begins like that; "": none of those
// known here. "SMTP or FTP" is what a greeting shows that tells no more.
func servedBy(b []byte) string {
	has := func(prefix string) bool { return bytes.HasPrefix(b, []byte(prefix)) }
	line, _, _ := bytes.Cut(b, []byte("\n"))
	switch {
	case has("SSH-"): // RFC 4253 section 4.2
		return "SSH"
	case has("+OK"), has("-ERR"): // RFC 1939
		return "POP3"
	case has("* OK"), has("* PREAUTH"), has("* BYE"): // RFC 9051 section 7.1
		return "IMAP"
	case has("RFB "): // RFC 6143 section 7.1.1
		return "VNC"
	case has("RTSP/"):
		return "RTSP"
	case has("SIP/"):
		return "SIP"
	case newsGreets.Match(line):
		return "NNTP"
	case greetsInCodes.Match(b) && isFTPs.Match(line):
		return nameOf(plan.FTP)
	case greetsInCodes.Match(b) && isSMTPs.Match(line):
		return nameOf(plan.SMTP)
	case greetsInCodes.Match(b):
		return nameOf(plan.SMTP) + " or " + nameOf(plan.FTP)
	case len(b) >= 3 && b[0] == 0xff && b[1] >= 0xfb && b[1] <= 0xfe: // IAC WILL, WONT, DO, DONT: RFC 854
		return "Telnet"
	case len(b) >= 5 && b[3] == 0 && (b[4] == 10 || b[4] == 0xff) && int(b[0])|int(b[1])<<8|int(b[2])<<16 >= len(b)-4 && b[2] == 0:
		return "MySQL" // its first packet: version 10 of its protocol, or an error
	case len(b) >= 8 && b[0] == 'E' && b[1] == 0 && b[5] == 'S' && bytes.ContainsAny(b[6:8], "FEP"):
		return "PostgreSQL" // an ErrorResponse
	case len(b) >= 8 && b[0] == 0 && (b[4] == 0xfe || b[4] == 0xff) && string(b[5:8]) == "SMB":
		return "SMB"
	case len(b) >= tdsHeader && b[0] == tdsReply && b[1]&^0x1f == 0 && (b[2] > 0 || b[3] >= tdsHeader):
		return nameOf(plan.TDS)
	case len(b) >= 6 && b[0] == 3 && b[1] == 0 && (b[5]&0xf0 == 0xd0 || b[5] == 0xf0 || b[5] == 0x80):
		return nameOf(plan.RDP)
	case isILLHead(b), len(b) >= 3 && isISOILL(b[0]) && b[2] == 0x80: // an IMPLICIT sequence, whose first part is the version
		return nameOf(plan.ISOILL)
	case len(b) >= 6 && isLDAP(b[0]) && bytes.Contains(b[:min(len(b), 9)], []byte{2, 1}) && bytes.ContainsAny(b[:min(len(b), 12)], "\x61\x65\x78"):
		return nameOf(plan.LDAP)
	case len(b) >= 4 && (b[0] == 0xa0+zInitResponse || b[0] == 0xbf && b[1] == zClose):
		return nameOf(plan.Z3950)
	}
	return ""
}

// anotherRefusal is what another service than the row's answered.
func anotherRefusal(code, words string) error {
	return refused(result.ReasonAnother, code, words)
}

// anotherService says that not the row's service has the port.
func anotherService(conn net.Conn, row plan.Protocol, who string) error {
	return anotherRefusal("", fmt.Sprintf("port %d speaks %s, and the row says %s", sock.AddrPortOf(conn.RemoteAddr()).Port(), who, nameOf(row)))
}
