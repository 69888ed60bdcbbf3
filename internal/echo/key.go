package echo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sethvargo/go-diceware/diceware"
	"golang.org/x/crypto/argon2"

	"dialtone/internal/paste"
)

// A Key is a pairing key, stretched. It is secret, and prints as such.
type Key struct{ b [32]byte }

// String hides the key.
func (Key) String() string { return "(key)" }

// GoString hides the key.
func (Key) GoString() string { return "(key)" }

// MinKeyLength is how many characters a key's text must have.
const MinKeyLength = 12

// maxKeyLength keeps a file given by mistake from being taken for a key.
const maxKeyLength = 1024

// NewKeyText returns six random words of a list of 7,776 (EFF's long list):
// 77 bits, easy to read out over the telephone. Words of which by chance so many are
// common ones that whoever guesses would try them early are drawn anew.
func NewKeyText() (string, error) {
	for {
		w, err := diceware.Generate(6)
		if err != nil {
			return "", fmt.Errorf("make a key: %w", err)
		}
		if text := strings.Join(w, "-"); KeyBits(text) >= WeakKey {
			return text, nil
		}
	}
}

// ParseKey stretches a key's text with argon2id (salt "dialtone/1", one pass,
// 19 MiB, one lane), which takes about 11 ms: call it once per process. All
// spellings that paste.Key takes for one are the same key.
func ParseKey(text string) (Key, error) {
	if len(text) > maxKeyLength {
		return Key{}, errors.New("key: not a line of text; give the words that listen printed")
	}
	text, err := paste.Key(text)
	switch n := utf8.RuneCountInString(text); {
	case err != nil:
		return Key{}, err
	case n == 0:
		return Key{}, errors.New("key: empty; give the words that listen printed")
	case n < MinKeyLength:
		return Key{}, fmt.Errorf("key: %d characters are too few; use at least %d, or the words that listen printed", n, MinKeyLength)
	}
	var k Key
	copy(k.b[:], argon2.IDKey([]byte(text), []byte("dialtone/1"), 1, 19<<10, 1, uint32(len(k.b))))
	return k, nil
}

// Derive returns 32 bytes that follow from the key and a purpose, and tell
// nothing of it: HMAC-SHA256(key, "dialtone/1 " ‖ purpose). Purposes other than
// those of the wire (docs/wire.md) keep a use of the key beside it apart from
// it.
func (k Key) Derive(purpose string) []byte {
	h := hmac.New(sha256.New, k.b[:])
	h.Write([]byte("dialtone/1 " + purpose))
	return h.Sum(nil)
}

// tagBytes is how much of a tag a report shows: enough to tell two sites' reports
// apart, and too little to find out a key by trying likely ones.
const tagBytes = 2

// Tag marks what was made with the key, so that two reports show that they were
// made with the same one. It does not depend on anything else.
func (k Key) Tag() string { return hex.EncodeToString(k.Derive("tag")[:tagBytes]) }
