package echo

import (
	"bytes"
	"testing"
)

// pieces notes how much it was given at once.
type pieces struct {
	bytes.Buffer
	largest int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	return p.Buffer.Write(b)
}

// 576 bytes is what every IPv4 link carries of a packet that a host must take
// (RFC 791 section 3.2): two headers of 20 bytes and 12 of timestamps leave 524.
func TestMessagesAreWrittenInPiecesThatEveryPathCarries(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 100_000} {
		b := bytes.Repeat([]byte{7}, size)
		var p pieces
		if err := writeNarrow(&p, b); err != nil || !bytes.Equal(p.Bytes(), b) || p.largest > 524 {
			t.Errorf("%d bytes: %v, %d written, %d at once", size, err, p.Len(), p.largest)
		}
	}
}
