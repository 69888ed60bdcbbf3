package echo

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sethvargo/go-diceware/diceware"
	"golang.org/x/crypto/argon2"
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
// 77 bits, easy to read out over the telephone.
func NewKeyText() (string, error) {
	w, err := diceware.Generate(6)
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	return strings.Join(w, "-"), nil
}

// ParseKey stretches a key's text with argon2id (salt "dialtone/1", one pass,
// 19 MiB, one lane), which takes about 11 ms: call it once per process. White
// space at the ends is ignored, inside it equals a hyphen, and case counts.
func ParseKey(text string) (Key, error) {
	text = strings.Join(strings.Fields(text), "-")
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text) || len(text) > maxKeyLength:
		return Key{}, errors.New("key: not a line of text; give the words that listen printed")
	case n == 0:
		return Key{}, errors.New("key: empty; give the words that listen printed")
	case n < MinKeyLength:
		return Key{}, fmt.Errorf("key: %d characters are too few; use at least %d, or the words that listen printed", n, MinKeyLength)
	}
	var k Key
	copy(k.b[:], argon2.IDKey([]byte(text), []byte("dialtone/1"), 1, 19<<10, 1, uint32(len(k.b))))
	return k, nil
}
