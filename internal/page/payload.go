package page

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"dialtone/internal/result"
)

const (
	// payloadSize is how many bytes go each way: as many as dial has cross.
	payloadSize = 256 << 10
	// payloadWithin is how long they may take.
	payloadWithin = 30 * time.Second
)

// A stream gives the bytes of a payload, which page.js makes alike: xorshift32
// (Marsaglia, "Xorshift RNGs", 2003), begun by the token and the direction. It is there
// to find what changes data on its way, and no secret.
type stream struct {
	x    uint32
	left []byte
	word [4]byte
}

const toListener, toBrowser = 1, 2

func newStream(t token, direction uint32) *stream {
	return &stream{x: (binary.BigEndian.Uint32(t[:]) ^ direction*0x9e3779b9) | 1}
}

// Read implements io.Reader. It never ends.
func (s *stream) Read(b []byte) (int, error) {
	for n := 0; n < len(b); {
		if len(s.left) == 0 {
			s.x ^= s.x << 13
			s.x ^= s.x >> 17
			s.x ^= s.x << 5
			binary.LittleEndian.PutUint32(s.word[:], s.x)
			s.left = s.word[:]
		}
		m := copy(b[n:], s.left)
		n, s.left = n+m, s.left[m:]
	}
	return len(b), nil
}

// takePayload reads what a browser sends, and says how much of it is as it was sent.
func takePayload(r *http.Request, t token) *result.Transfer {
	out := &result.Transfer{Want: payloadSize, Outcome: result.TransferIntact}
	want := newStream(t, toListener)
	got, is := make([]byte, 16<<10), make([]byte, 16<<10)
	for out.Intact < payloadSize {
		n, err := r.Body.Read(got[:min(int64(len(got)), payloadSize-out.Intact)])
		_, _ = want.Read(is[:n]) // it never fails
		if !bytes.Equal(got[:n], is[:n]) {
			for i := range n {
				if got[i] != is[i] {
					break
				}
				out.Intact++
			}
			out.Outcome = result.TransferCorrupted
			break
		}
		out.Intact += int64(n)
		if err != nil && out.Intact < payloadSize {
			out.Outcome = result.TransferClosed
			if errors.Is(err, os.ErrDeadlineExceeded) {
				out.Outcome = result.TransferStalled
			}
			break
		}
	}
	return out
}

// givePayload sends a browser its part.
func givePayload(w io.Writer, t token) {
	_, _ = io.CopyN(w, newStream(t, toBrowser), payloadSize) // the browser tells how much of it came
}
