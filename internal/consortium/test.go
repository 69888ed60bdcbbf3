package consortium

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"
)

// A Test is what a report depends on, beside the network: with the same Test, a
// partner need not be tested again.
type Test struct {
	Hosts   []string // names and addresses, the preferred first
	Plan    string   // digest
	Flows   []Flow   // in the plan's order
	Shift   int      // of ports
	Bind    []netip.Addr
	Timeout time.Duration // of each step
	Hold    time.Duration // of idle connections
	// Key are two bytes that follow from the key: enough to notice another one,
	// and too little to find it by trying.
	Key []byte
}

// A Flow is a row in one direction.
type Flow struct {
	Row, Direction string
	Port           int
	Counted        bool
}

// Digest is the same for the same test.
func (t Test) Digest() string {
	b, err := json.Marshal(t)
	if err != nil {
		panic("consortium: " + err.Error()) // no value of these types fails
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
