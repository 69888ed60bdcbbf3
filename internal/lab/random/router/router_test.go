package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A wire is a device of which a test is the other side.
type wire struct {
	in  chan []byte
	mu  sync.Mutex
	out [][]byte
	at  []time.Duration
	t0  time.Time
}

func (w *wire) Read(b []byte) (int, error) {
	p, ok := <-w.in
	if !ok {
		return 0, io.EOF
	}
	return copy(b, p), nil
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = append(w.out, slices.Clone(b))
	w.at = append(w.at, time.Since(w.t0))
	return len(b), nil
}

var near, far = netip.MustParseAddr("10.1.0.10"), netip.MustParseAddr("10.2.0.10")

// syn is a SYN with MSS, window scale and a no-operation, numbered by its source port.
func syn(src, dst netip.Addr, n uint16) []byte {
	segment := make([]byte, 28)
	binary.BigEndian.PutUint16(segment, n)
	binary.BigEndian.PutUint16(segment[2:], 1433)
	segment[12], segment[13] = 7<<4, 2
	copy(segment[20:], []byte{2, 4, 5, 180, 3, 3, 7, 1})
	pseudo := sum(src.AsSlice()) + sum(dst.AsSlice()) + protoTCP + uint32(len(segment))
	binary.BigEndian.PutUint16(segment[16:], ^fold(pseudo+sum(segment)))
	p := make([]byte, 20, 48)
	p[0], p[8], p[9] = 0x45, 9, protoTCP
	binary.BigEndian.PutUint16(p[2:], 48)
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p)))
	return append(p, segment...)
}

// through sends n packets each way, a millisecond apart.
func through(t *testing.T, cfg Config, n int) (*wire, Counts) {
	t.Helper()
	cfg.Near = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}
	w := &wire{in: make(chan []byte), t0: time.Now()}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan Counts)
	go func() { done <- Run(ctx, cfg, w) }()
	for i := range n {
		w.in <- syn(near, far, uint16(i))
		w.in <- syn(far, near, uint16(i))
		time.Sleep(time.Millisecond)
	}
	time.Sleep(5 * time.Second)
	close(w.in)
	stop()
	counts := <-done
	w.mu.Lock() // what was written under it is seen from here on
	defer w.mu.Unlock()
	return w, counts
}

func of(w *wire, src netip.Addr) (ports []int) {
	for _, p := range w.out {
		if h, _ := header(p); h.src == src {
			ports = append(ports, h.sport)
		}
	}
	return ports
}

func TestPacketsPassWholeAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, counts := through(t, Config{There: Treatment{Delay: 40 * time.Millisecond}}, 50)
		if counts.Passed != 100 || len(w.out) != 100 {
			t.Fatalf("%d of 100 packets: %+v", len(w.out), counts)
		}
		if got := of(w, near); !slices.IsSorted(got) {
			t.Errorf("there, in the order %v", got)
		}
		for i, p := range w.out {
			h, _ := header(p)
			if p[8] != 10 || fold(sum(p[:20])) != 0xffff {
				t.Fatalf("packet %d: TTL %d, checksum %x", i, p[8], fold(sum(p[:20])))
			}
			late := w.at[i] >= time.Duration(h.sport)*time.Millisecond+40*time.Millisecond
			if late != (h.src == near) {
				t.Errorf("packet %d from %s passed after %v", h.sport, h.src, w.at[i])
			}
		}
	})
}

func TestTheLargestTTLStaysThat(t *testing.T) {
	four, six := make([]byte, 20), make([]byte, 40)
	four[0], four[8], six[0], six[7] = 0x45, 255, 0x60, 255
	giveBackTTL(four)
	giveBackTTL(six)
	if four[8] != 255 || six[7] != 255 || fold(sum(four)) != 0xffff {
		t.Errorf("%d and %d, checksum %x", four[8], six[7], fold(sum(four)))
	}
}

func TestAShareIsLostOneWayOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, counts := through(t, Config{Back: Treatment{Loss: 0.3}}, 1000)
		if n := len(of(w, near)); n != 1000 {
			t.Errorf("there, %d of 1000", n)
		}
		if n := len(of(w, far)); n < 640 || n > 760 || counts.Lost != 1000-n {
			t.Errorf("back, %d of 1000: %+v", n, counts)
		}
	})
}

func TestPacketsAreReorderedAndDoubled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := through(t, Config{There: Treatment{Reorder: 0.3, ReorderBy: 10 * time.Millisecond}, Back: Treatment{Duplicate: 1}}, 200)
		if got := of(w, near); slices.IsSorted(got) || len(got) != 200 {
			t.Errorf("%d there, in order: %v", len(got), slices.IsSorted(got))
		}
		if got := of(w, far); len(got) != 400 {
			t.Errorf("%d of 400 back", len(got))
		}
	})
}

func TestOnlySYNACKsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late = 2 * time.Second
		ack := syn(far, near, 2)
		ack[20+13] = 0x12
		w := &wire{in: make(chan []byte), t0: time.Now()}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan Counts)
		go func() {
			done <- Run(ctx, Config{Near: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}, Back: Treatment{Late: late}}, w)
		}()
		w.in <- ack
		w.in <- syn(far, near, 1)
		time.Sleep(2 * late)
		close(w.in)
		stop()
		<-done
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.at) != 2 || w.at[0] != 0 || w.at[1] != late {
			t.Errorf("packets were written after %v, want the SYN at once and the SYN-ACK after %v", w.at, late)
		}
	})
}

func TestAnOptionIsTakenOutAndTheChecksumHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, counts := through(t, Config{There: Treatment{Strip: 3}}, 1)
		if counts.Stripped != 1 {
			t.Errorf("%+v", counts)
		}
		for _, p := range w.out {
			h, _ := header(p)
			segment := p[h.at:]
			want := []byte{2, 4, 5, 180, 3, 3, 7, 1}
			if h.src == near {
				want = []byte{2, 4, 5, 180, 1, 1, 1, 1}
			}
			if !bytes.Equal(segment[20:28], want) {
				t.Errorf("from %s: options %v", h.src, segment[20:28])
			}
			if s := fold(sum(h.src.AsSlice()) + sum(h.dst.AsSlice()) + protoTCP + uint32(len(segment)) + sum(segment)); s != 0xffff {
				t.Errorf("from %s: the checksum is off: %x", h.src, s)
			}
		}
	})
}

func TestAPortThatIsNotMeantIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := through(t, Config{There: Treatment{Loss: 1, Ports: []int{443}}, Back: Treatment{Loss: 1, Ports: []int{1433}}}, 10)
		if there, back := len(of(w, near)), len(of(w, far)); there != 10 || back != 0 {
			t.Errorf("%d there and %d back", there, back)
		}
	})
}
