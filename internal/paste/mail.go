package paste

import (
	"encoding/base64"
	"html"
	"mime"
	"regexp"
	"strconv"
	"strings"
)

// Bounds of what is unpacked of a mail.
const (
	maxParts  = 64
	maxNested = 8 // a mail that was forwarded as an attachment, and again
	maxMails  = 256
)

// A Letter is what can be read of a saved mail, of several in a mailbox file, or
// of a text that is none.
type Letter struct {
	// Texts are those in which to look for a line, each more than once if it can
	// be read in more than one way: with markup, and without it.
	Texts []string
	// Advice says why some of it could not be read, and what to do; "" if all was.
	Advice string
}

// Mail reads what a mail program saved: one mail (RFC 5322, RFC 2045) or a
// mailbox file with many, Apple Mail's emlx, in UTF-8 or UTF-16; or any text. It
// is lenient: a damaged part is read as far as it goes. The error is a file that
// is no text.
func Mail(data []byte) (Letter, error) {
	if err := foreign(data); err != nil {
		return Letter{}, err
	}
	u := &unpacking{}
	text := loosely(data)
	u.add(text)
	for _, m := range mails(text) {
		u.message(m, 0)
	}
	u.blocks(text)
	u.source(text)
	return Letter{u.out, u.advice}, nil
}

// unpacking collects the parts of mails.
type unpacking struct {
	out    []string
	parts  int
	advice string
}

// add takes a part's text, and its words if it has markup.
func (u *unpacking) add(text string) {
	u.out = append(u.out, text)
	if strings.Contains(text, "<") {
		u.out = append(u.out, withoutMarkup(text))
	}
}

var emlx = regexp.MustCompile(`^([0-9]{1,9})[ \t]*\r?\n`)

// mails takes the mails of a file apart: those of a mailbox file (RFC 4155) begin
// with a line "From ", Apple's emlx has the mail's length before it and a property
// list behind it.
func mails(text string) []string {
	text = strings.TrimLeft(text, "\r\n\t \u00a0\u200b\ufeff")
	if at := emlx.FindStringSubmatchIndex(text); at != nil {
		n, _ := strconv.Atoi(text[at[2]:at[3]])
		text = text[at[1]:]
		return []string{text[:min(n, len(text))]}
	}
	var out []string
	for len(out) < maxMails {
		if strings.HasPrefix(text, "From ") {
			_, text, _ = strings.Cut(text, "\n")
		}
		i := strings.Index(text, "\nFrom ")
		if i < 0 {
			return append(out, text)
		}
		out = append(out, text[:i+1])
		text = text[i+1:]
	}
	return out
}

// header is the fields of a mail or of a part, by their names in small letters;
// of several with one name the first.
type header map[string]string

// cutHeader takes the header off. ok is false if the text does not begin with
// one: with a field. A line that is none, such as the lines that programs put
// between, is passed over.
func cutHeader(text string) (h header, body string, ok bool) {
	h = header{}
	last := ""
	for text != "" {
		var line string
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimRight(line, "\r")
		if strings.TrimSpace(line) == "" {
			return h, rest, len(h) > 0
		}
		name, value, colon := strings.Cut(line, ":")
		switch {
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				h[last] += " " + strings.TrimSpace(line)
			}
		case colon && isFieldName(name):
			if last = strings.ToLower(name); h[last] == "" {
				h[last] = strings.TrimSpace(value)
			} else {
				last = ""
			}
		case len(h) == 0:
			return nil, text, false
		default:
			last = ""
		}
		text = rest
	}
	return h, "", len(h) > 0
}

func isFieldName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// isMail knows a mail that is attached as a file of any kind by its header.
func isMail(text string) bool {
	h, _, ok := cutHeader(strings.TrimLeft(text, "\r\n\t \ufeff"))
	return ok && (h["mime-version"] != "" || h["content-type"] != "" || h["from"] != "" && h["date"] != "")
}

func (u *unpacking) message(text string, nested int) {
	if h, body, ok := cutHeader(strings.TrimLeft(text, "\r\n\t \ufeff")); ok {
		u.part(h, body, nested)
	}
}

// sealed are parts that only a mail program can open.
var sealed = map[string]string{
	"application/ms-tnef":          "the mail is in Outlook's own form (winmail.dat): ask the sender to send it as plain text",
	"application/vnd.ms-tnef":      "the mail is in Outlook's own form (winmail.dat): ask the sender to send it as plain text",
	"application/pkcs7-mime":       "the mail is encrypted: open it in your mail program, and copy the text out of it",
	"application/x-pkcs7-mime":     "the mail is encrypted: open it in your mail program, and copy the text out of it",
	"multipart/encrypted":          "the mail is encrypted: open it in your mail program, and copy the text out of it",
	"application/vnd.ms-outlook":   "the mail has another one attached in Outlook's own form (.msg): open that, and save it as Text Only (.txt)",
	"application/zip":              "the mail has an archive attached: unpack it, and give the file that was in it",
	"application/x-zip-compressed": "the mail has an archive attached: unpack it, and give the file that was in it",
	"application/pdf":              "the mail has a PDF file attached: open it, and copy the text out of it",
}

var boundaryOf = regexp.MustCompile(`(?i)boundary\s*=\s*(?:"([^"]+)"|([^\s;"]+))`)

// part reads a mail's or a part's body by its header.
func (u *unpacking) part(h header, body string, nested int) {
	if u.parts++; nested > maxNested || u.parts > maxParts*maxMails || len(u.out) > maxParts*maxMails {
		return
	}
	kind, _, err := mime.ParseMediaType(h["content-type"])
	if err != nil { // what stands before the first parameter will do
		kind, _, _ = strings.Cut(h["content-type"], ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	if advice := sealed[kind]; advice != "" && u.advice == "" {
		u.advice = advice
	}
	if strings.HasPrefix(kind, "multipart/") {
		if b := boundaryOf.FindStringSubmatch(h["content-type"]); b != nil {
			for n, p := range parted(body, b[1]+b[2]) {
				if n < maxParts {
					u.section(p, nested+1)
				}
			}
			return
		}
	}
	switch strings.ToLower(Value(h["content-transfer-encoding"])) {
	case "base64":
		body = loosely(fromBase64(body))
	case "quoted-printable":
		body = loosely([]byte(fromQuotedPrintable(body)))
	}
	if kind == "message/rfc822" || kind != "" && !strings.HasPrefix(kind, "text/") && isMail(body) {
		u.message(body, nested+1)
	}
	u.add(body)
}

// section reads a part of a mail, which may have no header of its own.
func (u *unpacking) section(text string, nested int) {
	h, body, ok := cutHeader(text)
	if !ok {
		h, body = header{}, text
	}
	u.part(h, body, nested)
}

// parted takes a body apart at the lines of its boundary.
func parted(body, boundary string) []string {
	var out []string
	at := -1 // where the part begins; -1: none has yet
	for pos := 0; pos <= len(body); {
		end := strings.IndexByte(body[pos:], '\n')
		next := pos + end + 1
		if end < 0 {
			next = len(body) + 1
		}
		line := strings.TrimRight(body[pos:min(next, len(body))], "\r\n\t ")
		if rest, ok := strings.CutPrefix(line, "--"+boundary); ok && (rest == "" || rest == "--") {
			if at >= 0 {
				out = append(out, body[at:pos])
			}
			at = min(next, len(body))
			if rest == "--" {
				return out
			}
		}
		pos = next
	}
	if at >= 0 { // cut off
		out = append(out, body[at:])
	}
	return out
}

// fromBase64 decodes what is base64 of a text, up to what is not: a line of a
// mailing list behind it, the mark of a line that was cut.
func fromBase64(text string) []byte {
	var b strings.Builder
	for _, r := range cutAgain.ReplaceAllLiteralString(text, "") {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '+', r == '/':
			b.WriteRune(r)
		case r == '=':
			for b.Len()%4 != 0 {
				b.WriteByte('=')
			}
		}
	}
	clean := b.String()
	out := make([]byte, 0, len(clean)/4*3)
	for i := 0; i < len(clean); i += 4 {
		four := clean[i:min(i+4, len(clean))]
		d, err := base64.StdEncoding.DecodeString(four + strings.Repeat("=", 4-len(four)))
		if err != nil {
			break
		}
		out = append(out, d...)
	}
	return out
}

var (
	softBreak = regexp.MustCompile(`=[ \t]*\r?\n`) // RFC 2045 section 6.7
	octet     = regexp.MustCompile(`=[0-9A-Fa-f]{2}`)
	// cutAgain is what a mail server put into a line that was longer than the 998
	// characters of RFC 5322 section 2.1.1: sendmail at 990.
	cutAgain = regexp.MustCompile(`!\r?\n[ \t]?`)
)

func fromQuotedPrintable(text string) string {
	text = softBreak.ReplaceAllLiteralString(text, "")
	return octet.ReplaceAllStringFunc(text, octetOf)
}

var (
	hidden = regexp.MustCompile(`(?is)<!--.*?-->|<(?:style|script)\b.*?</(?:style|script)\s*>`)
	tag    = regexp.MustCompile(`</?[a-zA-Z!?](?:"[^"]*"|'[^']*'|[^<>"'])*>`)
)

func withoutMarkup(text string) string {
	return tag.ReplaceAllLiteralString(hidden.ReplaceAllLiteralString(text, ""), "")
}

var base64Lines = regexp.MustCompile(`(?m)(?:^[ \t>]*[A-Za-z0-9+/]{40,}={0,2}[ \t]*\r?\n?){2,}`)

// blocks reads the base64 of a mail whose header was lost, as when its source was
// copied in part.
func (u *unpacking) blocks(text string) {
	for _, b := range base64Lines.FindAllString(text, maxParts) {
		u.add(loosely(fromBase64(b)))
	}
}

var (
	percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	// initials are how some programs mark each line of a quotation with who wrote it.
	initials = regexp.MustCompile(`(?m)^[ \t]*[A-Za-z]{1,4}>`)
)

// source reads a text of a mail's source that lost its header, or that a mail
// gateway put into the address of a link (RFC 3986 section 2.1).
func (u *unpacking) source(text string) {
	if low := strings.ToLower(text); strings.Contains(low, "=2d") || strings.Contains(low, "=3a") {
		u.add(loosely([]byte(fromQuotedPrintable(text))))
	}
	if percent.MatchString(text) {
		u.add(loosely([]byte(percent.ReplaceAllStringFunc(text, octetOf))))
	}
}

// octetOf is the byte whose two hexadecimal digits stand behind a sign.
func octetOf(s string) string {
	n, _ := strconv.ParseUint(s[1:], 16, 8)
	return string([]byte{byte(n)})
}

// Joined takes out of a text all that a mail program may have put into a line
// that has no white space of its own: breaks, the marks of a quotation, what is
// not seen, character references (HTML). Dashes become hyphens.
func Joined(text string) string {
	text = cutAgain.ReplaceAllLiteralString(softBreak.ReplaceAllLiteralString(text, ""), "")
	text = html.UnescapeString(html.UnescapeString(initials.ReplaceAllLiteralString(text, ""))) // a gateway may escape again
	return strings.Map(func(r rune) rune {
		switch {
		case r == 0, r == '>', r == '|', isSpace(r), isUnseen(r):
			return -1
		case isDash(r):
			return '-'
		}
		return r
	}, text)
}
