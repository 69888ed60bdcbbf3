package echo

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Sizes of a token and of the answer to it, in bytes.
const (
	TokenSize  = 32
	AnswerSize = 16
)

// Token returns what a service's own conversation carries instead of a Binding:
// the probe, and the first half of HMAC-SHA256(key, "dialtone/1 token" ‖ probe),
// so that nobody without the key can make one.
func (k Key) Token(probe ID) [TokenSize]byte {
	var t [TokenSize]byte
	copy(t[:], probe[:])
	copy(t[len(probe):], k.mac("dialtone/1 token", probe))
	return t
}

// TokenProbe returns the probe of a token; false: it was not made with the key.
func (k Key) TokenProbe(token []byte) (ID, bool) {
	var probe ID
	if len(token) != TokenSize {
		return probe, false
	}
	copy(probe[:], token)
	return probe, hmac.Equal(token[len(probe):], k.mac("dialtone/1 token", probe)[:TokenSize-len(probe)])
}

// TokenAnswer returns the answer to a token of the probe, which nobody without
// the key can make either: the first half of HMAC-SHA256(key, "dialtone/1
// answer" ‖ probe).
func (k Key) TokenAnswer(probe ID) []byte { return k.mac("dialtone/1 answer", probe)[:AnswerSize] }

func (k Key) mac(label string, probe ID) []byte {
	h := hmac.New(sha256.New, k.b[:])
	h.Write([]byte(label))
	h.Write(probe[:])
	return h.Sum(nil)
}
