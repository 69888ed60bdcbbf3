// Package echo is the proof on the wire: STUN messages (RFC 8489) by which the
// holder of the key shows, on the very port in question, that it is there and
// that bytes cross unchanged in both directions.
//
// Prove asks and an Answerer answers; both ends of Dialtone contain both.
// docs/wire.md specifies every message, so that a second implementation can be
// written without reading this package.
package echo

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"
)

// Version is the version of the wire format (docs/wire.md). Two ends work
// together only if theirs are equal; the keyed Binding itself never changes, so
// that each can always learn the other's.
const Version = 1

// Attributes of our own. All are comprehension-optional (RFC 8489 section 14),
// so that any STUN server can ignore them.
const (
	attrRun        stun.AttrType = 0xDA10 // 16 random bytes, one run of dial
	attrFlow       stun.AttrType = 0xDA11 // UTF-8, id of the plan's row
	attrProbe      stun.AttrType = 0xDA12 // 16 random bytes, one attempt
	attrVersion    stun.AttrType = 0xDA13 // 32 bits, Version
	attrInstance   stun.AttrType = 0xDA14 // 16 random bytes, one listener process
	attrCounter    stun.AttrType = 0xDA15 // 32 bits, from 1 on each connection
	attrBody       stun.AttrType = 0xDA16 // JSON
	attrAnswerSize stun.AttrType = 0xDA17 // 32 bits, bytes that the answer to a datagram is to have
)

const (
	headerSize = 20 // RFC 8489 section 5
	// maxMessage is the largest message that the 16-bit length field allows.
	maxMessage = headerSize + 0xFFFC
	// maxFirst bounds messages of an end that has not proved the key yet.
	maxFirst = 2048
	maxFlow  = 64 // bytes of a flow id

	// PayloadSize is how many bytes a Transfer moves in each direction, unless
	// told otherwise. It is larger than any buffer that a device in between
	// would fill without passing bytes on.
	PayloadSize = 256 << 10
	// maxTransfer bounds what an answering end agrees to move.
	maxTransfer = 16 << 20

	// udpSize is the smallest size of a keyed request over UDP: the answer, which
	// must not be larger, fits into it.
	udpSize = 320
	// MaxPacket is the largest datagram that is read.
	MaxPacket = 2048
	// rto is the first retransmission timeout over UDP (RFC 8489 section 6.2.1).
	rto = 500 * time.Millisecond
)

// An ID is a random 128-bit name: of a run, a probe, or a listener's process.
type ID [16]byte

// NewID returns a random ID.
func NewID() ID {
	var id ID
	// crypto/rand.Read never fails (Go 1.24 and later abort the program instead).
	_, _ = rand.Read(id[:])
	return id
}

// String returns the ID in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes the ID in hex.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (id *ID) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(id) {
		return fmt.Errorf("id %q: want %d hex digits", b, 2*len(id))
	}
	_, err := hex.Decode(id[:], b)
	return err
}

// Errors that say what came back instead of a proof. ForeignError and OwnError
// are the others.
var (
	// ErrWrongKey: the far end speaks our language but has another key (STUN 401).
	ErrWrongKey = errors.New("the far end has another key")
	// ErrForbidden: the key is right and our address is not allowed (STUN 403).
	ErrForbidden = errors.New("the far end does not allow this address")
)

// A ForeignError says that bytes came back which are no proof.
type ForeignError struct {
	Data   []byte // the first of them, at most 512
	Echoed bool   // they are our own bytes
	Why    string // why bytes that look like STUN are no proof
}

func (e *ForeignError) Error() string {
	switch {
	case e.Echoed:
		return "our own bytes came back"
	case e.Why != "":
		return "the answer is no proof: " + e.Why
	}
	return fmt.Sprintf("%d bytes came back that are no proof", len(e.Data))
}

// An OwnError says that the asking process's own listener answered: the address
// leads back to where the question came from.
type OwnError struct {
	Origin netip.AddrPort // at which it answered (RESPONSE-ORIGIN)
}

func (e *OwnError) Error() string {
	return fmt.Sprintf("it leads back to this very program, which answered at %s", e.Origin)
}

// A RefusedError is the far end's refusal of a control request, in its words.
type RefusedError struct {
	Code   int // STUN error code
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the far end refused: %d %s", e.Code, e.Reason)
}
