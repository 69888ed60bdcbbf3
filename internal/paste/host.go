package paste

import (
	"errors"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// noPort is said to those who gave a port with the host.
const noPort = "the plan has the ports, and --port changes them, such as --port sql-client=14330"

// Host returns the name or address that a text means: an address in its usual
// form, a name in the one that the DNS has (letters beyond ASCII as A-labels, RFC
// 5891), else as written. What it refuses is no host alone; the error says what is
// to be written, where it can be told.
func Host(text string) (string, error) {
	s := unwrapped(norm.NFKC.String(Hyphens(unwrapped(text))))
	if s == "" {
		return "", refuse("give the name or address of a machine", "no host")
	}
	if a, err := parseAddr(strings.TrimSuffix(s, ".")); err == nil {
		return checkAddr(a)
	}
	if err := notAlone(s); err != nil {
		return "", err
	}
	if err := noAddress(s); err != nil {
		return "", err
	}
	return name(s)
}

// unwrapped takes off what stands around a host in a text: quotes, also one whose
// other half was not copied, angle brackets, the comma of a list.
func unwrapped(text string) string {
	for s := Line(text); ; {
		before := s
		s = strings.TrimRight(strings.TrimFunc(s, func(r rune) bool { return r == ' ' || isQuote(r) }), ",;")
		if t, ok := strings.CutPrefix(s, "<"); ok {
			s = strings.TrimSuffix(t, ">")
		}
		if s == before {
			return s
		}
	}
}

// Addr returns the address that a text means, of this machine or another; every
// address of it (0.0.0.0, ::) among them.
func Addr(text string) (netip.Addr, error) {
	return parseAddr(Value(text))
}

var errZone = errors.New("no name of an interface")

// parseAddr reads an address, in brackets or not; a zone may be written as in a
// URI (RFC 6874).
func parseAddr(s string) (netip.Addr, error) {
	if t, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(t, "]")
	}
	a, err := netip.ParseAddr(s)
	if z, ok := strings.CutPrefix(a.Zone(), "25"); err == nil && ok && z != "" {
		a = a.WithZone(z)
	}
	if z, _, ok := strings.Cut(a.Zone(), "@"); err == nil && ok && z != "" { // as ip link lists an interface
		a = a.WithZone(z)
	}
	if err == nil && strings.IndexFunc(a.Zone(), func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(" /\\,@\"[]:", r) }) >= 0 {
		return netip.Addr{}, errZone
	}
	return a.Unmap(), err
}

func checkAddr(a netip.Addr) (string, error) {
	switch {
	case a.IsUnspecified():
		return "", refuse("give an address that the other machine has", "%v stands for every address of a machine, and is none to dial", a)
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", refuse("give an address that one machine has", "%v is the address of many machines at once", a)
	}
	return a.String(), nil
}

// alone says what to write in place of a text of which part may be meant.
func alone(part string) string {
	h, err := Host(part)
	if err != nil {
		h = "such as illiad.example.edu"
	}
	return "give the name or address alone, " + h
}

var (
	// page begins the address of a page or another service (RFC 3986), its slashes
	// as they are also typed.
	page = regexp.MustCompile(`^(?i:.*?://|(?:https?|ftps?|telnet|ssh|sftp|ldaps?|rdp|smtp|smb|file)(?::|//|\\\\))[/\\]*`)
	// command is a line for another program, of which the host is a part.
	command = regexp.MustCompile(`^(?i:telnet|ping6?|tracert|traceroute|nslookup|dig|ssh|ftp|nc|ncat|curl|tnc|test-netconnection)$`)
	besides = regexp.MustCompile(` ?([.-]) ?`)
)

// notAlone refuses a host with something beside it.
func notAlone(s string) error {
	is := func(what string) string { return quote(s) + " is no host name" + what }
	if lead := page.FindString(s); lead != "" {
		return refuse(alone(hostOf(s[len(lead):]))+"; "+noPort, "%s", is(", but the address of a page"))
	}
	if strings.Contains(s, "=") {
		if in := Servers(s); len(in) > 0 {
			return refuse(alone(in[0])+"; "+noPort, "%s", is(", but the text of a connection to a database"))
		}
	}
	if head, _, _ := strings.Cut(s, `\`); head == "." || strings.HasPrefix(strings.ToLower(s), "(local") {
		return refuse("give the name or address of the machine that has the database, or localhost if it is this one", "%s", is(": to SQL Server's clients it is the machine that they run on"))
	}
	if lead, rest, ok := strings.Cut(s, ":"); ok && isSQLProtocol(lead) && rest != "" {
		return refuse(alone(hostOf(strings.Trim(rest, `\ `)))+"; "+noPort, "%s", is(", but SQL Server's notation of one"))
	}
	if host, instance, ok := strings.Cut(strings.TrimLeft(s, `\`), `\`); ok || strings.Contains(s, `\`) {
		instance, port, _ := strings.Cut(instance, ",")
		then := ""
		switch {
		case strings.HasPrefix(s, `\`) || instance == "" || len(host) == 2 && host[1] == ':': // a share, a file
		case isNumber(strings.TrimSpace(port)):
			then = "; " + noPort
		default:
			then = "; the instance " + quote(instance) + " has a port of its own, which SQL Server Browser tells (sql-browser in the plan) and --port sql-client=N gives"
		}
		return refuse(alone(host)+then, "%s", is(": a backslash is in none"))
	}
	if strings.Contains(s, "@") {
		return refuse(alone(hostOf(s)), "%s", is(", but a user's name and one"))
	}
	if strings.Contains(s, "/") {
		if _, err := netip.ParsePrefix(strings.ReplaceAll(s, " ", "")); err == nil {
			return refuse("give the address of one machine in it", "%s", is(", but a network"))
		}
		return refuse(alone(hostOf(strings.TrimLeft(s, "/"))), "%s", is(": a slash is in none"))
	}
	if strings.Contains(s, "=") {
		return refuse("give one name or address", "%s", is(": an equals sign is in none"))
	}
	if strings.Contains(s, ";") {
		return refuse("give one name or address", "%s", is(", but a list"))
	}
	if dotted := strings.ReplaceAll(s, ",", "."); dotted != s && isAddr(dotted) {
		return refuse("if "+dotted+" is meant, write that", "%s", is(": a comma is in none"))
	}
	if host, port, ok := strings.Cut(s, ","); ok {
		switch {
		case strings.Contains(port, ","):
			return refuse("give one name or address", "%s", is(", but a list"))
		case !isNumber(strings.TrimSpace(port)):
			return refuse("give one name or address", "%s", is(": a comma is in none"))
		}
		return refuse(alone(host)+"; "+noPort, "%s", is(", but SQL Server's notation of a host and its port"))
	}
	if host, rest, ok := strings.Cut(s, ":"); ok {
		if _, err := net.ParseMAC(s); err == nil {
			return refuse("give the machine's name or IP address", "%s", is(", but the number of a network card"))
		}
		if h := hostOf(s); h != s && !strings.Contains(rest, " ") {
			return refuse(alone(h)+"; "+noPort, "%s", is(", but a host and a port"))
		}
		rest = strings.TrimSpace(rest)
		switch {
		case isNumber(rest):
			return refuse(alone(host)+"; "+noPort, "%s", is(", but a host and a port"))
		case strings.HasPrefix(s, "[") || strings.Count(s, ":") > 1:
			return refuse("an IPv6 address is up to eight groups of hexadecimal digits, with :: in it once at most", "%s looks like an IPv6 address, and is none", quote(s))
		}
		return refuse(alone(rest)+"; "+noPort, "%s", is(": a colon is in none"))
	}
	return notSpaced(s)
}

// notSpaced refuses a text with spaces, by what seems to be meant.
func notSpaced(s string) error {
	fields := strings.Fields(s)
	if len(fields) < 2 {
		return nil
	}
	is := func(what string) string { return quote(s) + " is no host name" + what }
	for _, meant := range []string{strings.Join(fields, ""), strings.Join(fields, ".")} {
		if isAddr(meant) {
			return refuse("if "+meant+" is meant, write it without the space", "%s", is(": a space is in none"))
		}
	}
	switch joined := besides.ReplaceAllString(s, "$1"); {
	case len(fields) == 2 && isNumber(fields[1]):
		return refuse(alone(fields[0])+"; "+noPort, "%s", is(", but a host and a port"))
	case !strings.Contains(joined, " ") && alone(joined) == "give the name or address alone, "+joined:
		return refuse("if "+joined+" is meant, write it without the space", "%s", is(": a space is in none"))
	case len(fields) <= 3 && command.MatchString(fields[0]):
		return refuse(alone(fields[1])+"; "+noPort, "%s", is(", but a command for another program"))
	}
	return refuse("give one name or address", "%s", is(": a space is in none"))
}

// hostOf takes a user's name, a path, a port and brackets off.
func hostOf(s string) string {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	s = s[strings.LastIndex(s, "@")+1:]
	if t, ok := strings.CutPrefix(s, "["); ok {
		t, _, _ = strings.Cut(t, "]")
		return t
	}
	if i := strings.IndexAny(s, `,;\)]>`); i >= 0 {
		s = s[:i]
	}
	if host, rest, ok := strings.Cut(s, ":"); ok && !strings.Contains(rest, ":") {
		return host
	}
	return s
}

// isSQLProtocol knows the prefixes of SQL Server's clients.
func isSQLProtocol(s string) bool {
	switch strings.ToLower(s) {
	case "tcp", "np", "lpc", "admin":
		return true
	}
	return false
}

func isAddr(s string) bool { _, err := netip.ParseAddr(s); return err == nil }

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// noAddress refuses what is meant as an IPv4 address and is none. A name whose
// last label is a number is no name: no top-level domain is one (RFC 3696 section
// 2), and programs read it as an address (WHATWG URL, "ends in a number").
func noAddress(s string) error {
	if strings.IndexFunc(s, func(r rune) bool { return !isNameRune(r) && r != '.' && r != '|' }) >= 0 {
		return nil // name says which character is in none
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	digits, numbers := 0, 0
	for _, l := range labels {
		if isNumber(l) {
			numbers++
		}
		digits += len(strings.Map(likeDigit, l))
	}
	endsInNumber := isNumber(last) || strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == ""
	likeFour := len(labels) == 4 && numbers >= 2 && digits == len(strings.Join(labels, ""))
	// Three numbers and what no top-level domain is: 10.1.2.x, 10.1.2.3-9.
	threeAndMore := len(labels) == 4 && numbers == 3 && last != "" && (len(last) == 1 || last[0] >= '0' && last[0] <= '9')
	if !endsInNumber && !likeFour && !threeAndMore {
		return nil
	}
	const looks = "%s looks like an IPv4 address, and is none"
	if meant := strings.Map(toDigit, s); meant != s && isAddr(meant) {
		return refuse("a letter stands in place of a digit: if "+meant+" is meant, write that", looks, quote(s))
	}
	if numbers == len(labels) {
		for _, l := range labels {
			if n, err := strconv.Atoi(l); err != nil || n > 255 {
				return refuse(l+" is more than 255, which is the most that an octet can be", looks, quote(s))
			}
		}
		if len(labels) == 4 {
			var plain []string
			for _, l := range labels {
				n, _ := strconv.Atoi(l)
				plain = append(plain, strconv.Itoa(n))
			}
			return refuse("a leading zero makes it octal for some programs: if "+strings.Join(plain, ".")+" is meant, write that", looks, quote(s))
		}
		return refuse("it has "+strconv.Itoa(len(labels))+" of the four numbers that one has", looks, quote(s))
	}
	return refuse("an address is four numbers of 0 to 255, and no name ends in a number", looks, quote(s))
}

// likeDigit keeps digits and the letters that look like one.
func likeDigit(r rune) rune {
	if r >= '0' && r <= '9' || toDigit(r) != r {
		return r
	}
	return -1
}

func toDigit(r rune) rune {
	switch r {
	case 'l', 'I', 'i', '|':
		return '1'
	case 'O', 'o':
		return '0'
	}
	return r
}

// names converts a name to A-labels as browsers and the DNS' own tools do (UTS
// 46). Its check of ASCII is left out: machines' names have underscores.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.StrictDomainName(false))

// name returns the form of a name that the DNS has.
func name(s string) (string, error) {
	const what = "a name has letters, digits, hyphens and dots"
	out := s
	if strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		if r := foreignTo(s); r >= 0 {
			return "", refuse(what, "%s is no host name: it has %s", quote(s), character(r))
		}
		for label := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '.' || r == '\u3002' }) {
			if r := lookalike(label); r != 0 {
				return "", refuse("type it", "%s would be another name than it looks: it has the letter %s of another alphabet among Latin ones", quote(s), character(r))
			}
		}
		var err error
		if out, err = names.ToASCII(s); err != nil {
			return "", refuse(what, "%s is no host name (%v)", quote(s), err)
		}
		if a, err := parseAddr(out); err == nil { // of other scripts' digits or dots
			return checkAddr(a)
		}
		if err := noAddress(out); err != nil {
			return "", err
		}
	}
	bare := strings.TrimSuffix(out, ".")
	if bare == "" || len(bare) > 253 {
		return "", refuse("use at most 253 characters", "%s is no host name", quote(s))
	}
	for label := range strings.SplitSeq(bare, ".") {
		switch i := strings.IndexFunc(label, func(r rune) bool { return !isNameRune(r) }); {
		case label == "":
			return "", refuse("there is nothing between two dots", "%s is no host name", quote(s))
		case i >= 0:
			r, _ := utf8.DecodeRuneInString(label[i:])
			do := what
			if t := strings.Trim(bare, "?!()[]{}#"); t != bare && t != "" {
				do = alone(t)
			}
			return "", refuse(do, "%s is no host name: it has %s", quote(s), character(r))
		case len(label) > 63:
			return "", refuse("a part between dots has at most 63 characters", "%s is no host name", quote(s))
		case label[0] == '-' || label[len(label)-1] == '-':
			return "", refuse("no part between dots begins or ends with a hyphen", "%s is no host name", quote(s))
		}
	}
	return out, nil
}

// foreignTo returns the first character beyond ASCII that names in no script have
// (RFC 5892: letters, marks, digits, and a few signs between them); -1 if there is
// none. The mapping of UTS 46 lets symbols and punctuation pass.
func foreignTo(s string) rune {
	for _, r := range s {
		if r >= utf8.RuneSelf && !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune("\u3002\u00b7\u0375\u05f3\u05f4\u30fb", r) {
			return r
		}
	}
	return -1
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// quote quotes s for people, shortened if it is long.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s) + `"`
}
