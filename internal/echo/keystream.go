package echo

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
)

// side says which end sends a payload.
type side byte

const (
	fromAsker    side = 'A'
	fromAnswerer side = 'B'
)

// keystream returns the bytes of a payload: AES-256-CTR with a zero counter
// block under HMAC-SHA256(key, "dialtone/1 payload" ‖ probe ‖ side). No two
// probes share a stream, so a recorded payload is of no use in another.
func (k Key) keystream(probe ID, s side) cipher.Stream {
	h := hmac.New(sha256.New, k.b[:])
	h.Write([]byte("dialtone/1 payload"))
	h.Write(probe[:])
	h.Write([]byte{byte(s)})
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic("echo: a SHA-256 sum is a valid AES-256 key: " + err.Error())
	}
	return cipher.NewCTR(block, make([]byte, aes.BlockSize))
}
