package invite

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dialtone/internal/echo"
)

// version is that of the form of the line.
const version = "1"

// A line is begin, the version, ":", the content, ".", the signature, and end.
const (
	begin = "dialtone-invitation-"
	end   = ".end"
)

// maxToken bounds a line without what a mail program put into it, in bytes.
const maxToken = 8192

// alphabet has no character that a shell, a markup language, a mail program or
// a person dictating it would treat as special, and no two cases (RFC 4648
// section 6, in lower case, without padding).
const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

var encoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// content is what a line carries, as JSON. Keys may be added.
type content struct {
	Name    string         `json:"name,omitempty"`
	Hosts   []string       `json:"hosts"`
	Key     string         `json:"key"`
	Plan    string         `json:"plan"`
	Digest  string         `json:"digest"`
	Shift   int            `json:"shift,omitempty"`
	Ports   map[string]int `json:"ports,omitempty"`
	Rows    []string       `json:"rows,omitempty"`
	Issued  time.Time      `json:"issued"`
	Expires time.Time      `json:"expires"`
	By      string         `json:"by,omitempty"`
}

// Make writes an invitation as its line, without a line break. The error is
// something in it that no invitation may have, or too much of it.
func Make(i Invitation) (string, error) {
	i.Issued, i.Expires = i.Issued.UTC().Truncate(time.Second), i.Expires.UTC().Truncate(time.Second)
	i.Hosts = hosts(i.Hosts)
	if err := i.check(); err != nil {
		return "", fmt.Errorf("make an invitation: %w", err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(content{i.Name, i.Hosts, i.KeyText, i.Plan, i.PlanDigest, i.Shift, i.Ports, i.Rows, i.Issued, i.Expires, i.By}); err != nil {
		return "", fmt.Errorf("make an invitation: %w", err)
	}
	signed := begin + version + ":" + encoding.EncodeToString(bytes.TrimSpace(b.Bytes()))
	mac, err := sign(i.KeyText, signed)
	if err != nil {
		return "", fmt.Errorf("make an invitation: %w", err)
	}
	line := signed + "." + mac + end
	if len(line) > maxToken {
		return "", fmt.Errorf("make an invitation: %d characters, more than %d: leave some names, ports or rows out", len(line), maxToken)
	}
	return line, nil
}

// sign returns the signature of a line's text before its last dot. It is made
// under a key of its own, so that no line can pass for a message of the wire.
func sign(keyText, signed string) (string, error) {
	key, err := echo.ParseKey(keyText)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key.Derive("invitation"))
	h.Write([]byte(signed))
	return encoding.EncodeToString(h.Sum(nil)), nil
}

// read reads what stands behind a line's beginning up to the next one's, with
// nothing left of what a mail program put into it.
func read(f found) (Invitation, error) {
	const again = "ask for it again, as an attached file"
	if f.version != version {
		return Invitation{}, fmt.Errorf("%w: its version is %s, and this program reads %s: install the release of Dialtone that made it, or ask for the dial command that listen printed", ErrNewer, f.version, version)
	}
	text, _, whole := strings.Cut(f.text, end)
	if !whole {
		return Invitation{}, fmt.Errorf("%w: it does not end with %s: copy the whole line, or %s", ErrCutOff, end, again)
	}
	body, mac, _ := strings.Cut(text, ".")
	if i := strings.IndexFunc(body+mac, func(r rune) bool { return !strings.ContainsRune(alphabet, r) }); i >= 0 {
		r := []rune((body + mac)[i:])[0]
		return Invitation{}, fmt.Errorf("%w: it has %q, which no invitation has there: %s", ErrAltered, r, again)
	}
	if len(text) > maxToken || body == "" || mac == "" {
		return Invitation{}, fmt.Errorf("%w: a part of it is missing or too much: %s", ErrAltered, again)
	}
	var c content
	b, err := encoding.DecodeString(body)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: its content cannot be read: %s", ErrAltered, again)
	}
	// Whatever the key is read as: with another one the signature differs.
	want, err := sign(c.Key, begin+version+":"+body)
	if err != nil || !hmac.Equal([]byte(want), []byte(mac)) {
		return Invitation{}, fmt.Errorf("%w: its content does not match its signature: %s", ErrAltered, again)
	}
	i := Invitation{c.Name, hosts(c.Hosts), c.Key, c.Plan, c.Digest, c.Shift, c.Ports, c.Rows, c.Issued.UTC(), c.Expires.UTC(), c.By}
	if err := i.check(); err != nil {
		return Invitation{}, fmt.Errorf("%w: %w: ask for one made by listen --invite (this one is by %.100q)", ErrInvalid, err, c.By)
	}
	return i, nil
}
