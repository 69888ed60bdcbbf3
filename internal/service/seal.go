package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"dialtone/internal/clean"
)

// sealOf authenticates text with the keyed answer to a token, for protocols
// where the answering side can say what it received and sent. Only the holders
// of the key can make it, as the answer itself never travels beside a seal.
// what tells one use from another. AnswerSize bytes.
func sealOf(answer []byte, what string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, answer)
	for _, p := range append([][]byte{[]byte("dialtone " + what)}, parts...) {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p)))) // no part runs into the next
		m.Write(p)
	}
	return m.Sum(nil)[:AnswerSize]
}

// maxShown is how much of a stranger's text goes into one fact or sentence.
const maxShown = 200

// shown makes a stranger's text fit to stand in a sentence.
func shown(s string) string { return clean.Line(s, maxShown) }
