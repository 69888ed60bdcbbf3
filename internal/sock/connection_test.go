package sock

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
)

// The table is as Windows' documentation draws it (tcpmib.h), written out by hand: a
// connection from 203.0.113.7:50123 to 10.1.2.3:7968 that process 1234 has, and the
// socket that listens there.
func TestTableOfWindowsIsRead(t *testing.T) {
	port := func(n uint16) []byte { return []byte{byte(n >> 8), byte(n), 0xaa, 0xbb} } // the upper half may be anything
	word := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	b := slices.Concat(word(2),
		word(2), []byte{0, 0, 0, 0}, port(7968), []byte{0, 0, 0, 0}, port(0), word(1234),
		word(5), []byte{10, 1, 2, 3}, port(7968), []byte{203, 0, 113, 7}, port(50123), word(1234),
		[]byte("what is behind the rows"))
	rows, err := parseTCPTable(b, false)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	got := rows[1].seen()
	if got.Local != netip.MustParseAddrPort("10.1.2.3:7968") || got.Remote != netip.MustParseAddrPort("203.0.113.7:50123") ||
		got.State != ConnOpen || got.PID != 1234 {
		t.Errorf("%+v", got)
	}
	if got.Taken != nil || got.In != nil || got.Out != nil {
		t.Errorf("%+v: Windows tells neither whether it was accepted nor how many bytes came", got)
	}

	six := slices.Concat(word(1),
		netip.MustParseAddr("2001:db8::3").AsSlice(), word(0), port(1433),
		netip.MustParseAddr("2001:db8:7::1").AsSlice(), word(0), port(40000), word(3), word(4))
	rows, err = parseTCPTable(six, true)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	if got := rows[0].seen(); got.Local != netip.MustParseAddrPort("[2001:db8::3]:1433") || got.Remote != netip.MustParseAddrPort("[2001:db8:7::1]:40000") || got.PID != 4 {
		t.Errorf("%+v", got)
	}

	for _, cut := range []int{0, 3, 4, 27, 51} {
		if _, err := parseTCPTable(b[:cut], false); err == nil {
			t.Errorf("%d bytes of %s: no error", cut, hex.EncodeToString(b))
		}
	}
}

func TestStatesOfWindowsAreTold(t *testing.T) {
	for state, want := range map[uint32]ConnState{1: ConnGone, 3: ConnGone, 4: ConnHalfOpen, 5: ConnOpen, 6: ConnClosing, 8: ConnLeft, 10: ConnClosing, 11: ConnGone, 99: ConnGone} {
		if got := (tableRow{state: state}).seen().State; got != want {
			t.Errorf("%d: %s, want %s", state, got, want)
		}
	}
}

func FuzzTableOfWindows(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0}, true)
	f.Add(make([]byte, 60), true)
	f.Add(make([]byte, 28), false)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		rows, err := parseTCPTable(b, v6)
		if err == nil && len(rows) > len(b) {
			t.Errorf("%d rows of %d bytes", len(rows), len(b))
		}
	})
}
