package invite

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// Bounds of what is unpacked of an e-mail.
const (
	maxParts  = 64
	maxNested = 8 // a mail that was forwarded as an attachment, and again
)

// bodies returns the decoded parts of a saved e-mail (RFC 5322, RFC 2045), none
// if the text is none. Decoding never makes a text longer, so MaxInput bounds
// each of them.
func bodies(text string) []string {
	if strings.HasPrefix(text, "From ") { // a mailbox file's first line
		_, text, _ = strings.Cut(text, "\n")
	}
	u := &unpacking{}
	u.message(strings.NewReader(text), 0)
	return u.out
}

// unpacking collects the parts of an e-mail.
type unpacking struct{ out []string }

func (u *unpacking) message(r io.Reader, nested int) {
	if m, err := mail.ReadMessage(r); err == nil {
		u.part(m.Header.Get, m.Body, nested)
	}
}

func (u *unpacking) part(header func(string) string, body io.Reader, nested int) {
	if nested > maxNested || len(u.out) >= maxParts {
		return
	}
	switch strings.ToLower(strings.TrimSpace(header("Content-Transfer-Encoding"))) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	switch {
	case err == nil && strings.HasPrefix(kind, "multipart/"):
		for m := multipart.NewReader(body, params["boundary"]); ; {
			// The raw part: its own encoding is decoded above.
			p, err := m.NextRawPart()
			if err != nil || len(u.out) >= maxParts {
				return
			}
			u.part(p.Header.Get, p, nested+1)
		}
	case err == nil && kind == "message/rfc822":
		u.message(body, nested+1)
	default:
		b, _ := io.ReadAll(body) // what was read of a damaged part may do
		u.out = append(u.out, string(b))
	}
}
