package echo

import (
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// sendPayload writes n bytes of the stream.
func sendPayload(w io.Writer, s cipher.Stream, n int64) error {
	buf := make([]byte, 16<<10)
	for n > 0 {
		b := buf[:min(n, int64(len(buf)))]
		clear(b)
		s.XORKeyStream(b, b)
		if _, err := w.Write(b); err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// receivePayload reads n bytes and holds each against the stream. It reads on
// after a difference, so that the conversation stays in step, and reports the
// first.
func receivePayload(r io.Reader, s cipher.Stream, n int64) result.Transfer {
	t := result.Transfer{Want: n, Outcome: result.TransferIntact}
	got, want := make([]byte, 16<<10), make([]byte, 16<<10)
	start := time.Now()
	for at := int64(0); at < n; {
		k, err := r.Read(got[:min(n-at, int64(len(got)))])
		w := want[:k]
		clear(w)
		s.XORKeyStream(w, w)
		if t.Outcome == result.TransferIntact {
			if i := firstDifference(got[:k], w); i < k {
				t.Outcome = result.TransferCorrupted
				end := min(i+16, k)
				t.Changed = fmt.Sprintf("sent %s, arrived %s", hex.EncodeToString(w[i:end]), hex.EncodeToString(got[i:end]))
				t.Intact += int64(i)
			} else {
				t.Intact += int64(k)
			}
		}
		at += int64(k)
		if err != nil && at < n {
			if t.Outcome == result.TransferIntact {
				t.Outcome, t.Detail = transferOutcome(err), err.Error()
			}
			break
		}
	}
	t.ElapMS = result.Milliseconds(time.Since(start))
	return t
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// transferOutcome says how an error ended a payload.
func transferOutcome(err error) result.TransferOutcome {
	switch {
	case sock.IsClosed(err):
		return result.TransferClosed
	case sock.IsReset(err):
		return result.TransferReset
	}
	return result.TransferStalled
}
