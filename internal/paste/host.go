package paste

import (
	"errors"
	"net/netip"
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
	s := norm.NFKC.String(Hyphens(Value(text)))
	s = strings.TrimRight(strings.TrimSpace(s), ",;")
	if t, ok := strings.CutPrefix(s, "<"); ok {
		s = strings.TrimSuffix(t, ">")
	}
	if s = Value(s); s == "" {
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
	if err == nil && strings.IndexFunc(a.Zone(), func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(" /\\,@\"", r) }) >= 0 {
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

// notAlone refuses a host with something beside it.
func notAlone(s string) error {
	is := func(what string) string { return quote(s) + " is no host name" + what }
	if _, rest, ok := strings.Cut(s, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		return refuse(alone(hostOf(rest))+"; "+noPort, "%s", is(", but the address of a page"))
	}
	if lead, rest, ok := strings.Cut(s, ":"); ok && isSQLProtocol(lead) && rest != "" {
		return refuse(alone(hostOf(strings.Trim(rest, `\`)))+"; "+noPort, "%s", is(", but SQL Server's notation of one"))
	}
	if host, instance, ok := strings.Cut(strings.TrimLeft(s, `\`), `\`); ok || strings.Contains(s, `\`) {
		port := "; the instance " + quote(instance) + " has a port of its own, which SQL Server Browser tells (sql-browser in the plan) and --port sql-client=N gives"
		if instance == "" || strings.HasPrefix(s, `\`) {
			port = ""
		}
		return refuse(alone(host)+port, "%s", is(": a backslash is in none"))
	}
	if i := strings.LastIndex(s, "@"); i >= 0 {
		return refuse(alone(hostOf(s[i+1:])), "%s", is(", but a user's name and one"))
	}
	if host, _, ok := strings.Cut(s, "/"); ok {
		if _, err := netip.ParsePrefix(s); err == nil {
			return refuse("give the address of one machine in it", "%s", is(", but a network"))
		}
		return refuse(alone(hostOf(host)), "%s", is(": a slash is in none"))
	}
	if dotted := strings.ReplaceAll(s, ",", "."); strings.Count(s, ",") > 1 {
		if _, err := netip.ParseAddr(dotted); err == nil {
			return refuse("if "+dotted+" is meant, write that", "%s", is(": a comma is in none"))
		}
		return refuse("give one name or address", "%s", is(", but a list"))
	}
	if host, port, ok := strings.Cut(s, ","); ok {
		if !isNumber(strings.TrimSpace(port)) {
			return refuse("give one name or address", "%s", is(": a comma is in none"))
		}
		return refuse(alone(host)+"; "+noPort, "%s", is(", but SQL Server's notation of a host and its port"))
	}
	if strings.Contains(s, ":") {
		if h := hostOf(s); h != s {
			return refuse(alone(h)+"; "+noPort, "%s", is(", but a host and a port"))
		}
		if strings.HasPrefix(s, "[") || strings.Count(s, ":") > 1 {
			return refuse("an IPv6 address is up to eight groups of hexadecimal digits, with :: in it once at most", "%s looks like an IPv6 address, and is none", quote(s))
		}
		return refuse(alone("")+"; "+noPort, "%s", is(": a colon is in none"))
	}
	if fields := strings.Fields(s); len(fields) > 1 {
		if joined := strings.Join(fields, ""); isAddr(joined) {
			return refuse("if "+joined+" is meant, write it without the space", "%s", is(": a space is in none"))
		}
		return refuse("give one name or address", "%s", is(": a space is in none"))
	}
	return nil
}

// hostOf takes a user's name, a port and brackets off.
func hostOf(s string) string {
	s = s[strings.LastIndex(s, "@")+1:]
	for _, sep := range []string{",", `\`} {
		s, _, _ = strings.Cut(s, sep)
	}
	if t, ok := strings.CutPrefix(s, "["); ok {
		t, _, _ = strings.Cut(t, "]")
		return t
	}
	if host, port, ok := strings.Cut(s, ":"); ok && (isNumber(port) || port == "") {
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
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	digits, numbers := 0, 0
	for _, l := range labels {
		if isNumber(l) {
			numbers++
		}
		digits += len(strings.Map(likeDigit, l))
	}
	if endsInNumber := isNumber(last) || strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == ""; !endsInNumber &&
		(len(labels) != 4 || numbers < 2 || digits != len(strings.Join(labels, ""))) {
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
		return refuse("it has "+strconv.Itoa(len(labels))+" octets in place of four", looks, quote(s))
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
			return "", refuse(what, "%s is no host name: it has %s", quote(s), character(r))
		case len(label) > 63:
			return "", refuse("a part between dots has at most 63 characters", "%s is no host name", quote(s))
		case label[0] == '-' || label[len(label)-1] == '-':
			return "", refuse("no part between dots begins or ends with a hyphen", "%s is no host name", quote(s))
		}
	}
	return out, nil
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
