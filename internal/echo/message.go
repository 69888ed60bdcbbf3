package echo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"github.com/pion/stun/v3"
)

// Looks reports whether the first bytes of a conversation are a STUN message:
// two zero bits, and the magic cookie (RFC 8489 section 5). With fewer than
// eight bytes it reports whether they still could be: a line's end could not,
// which a person sends by pressing Enter and no method begins with.
func Looks(b []byte) bool {
	if len(b) > 0 && (b[0]&0xC0 != 0 || b[0] == '\r' || b[0] == '\n') {
		return false
	}
	var cookie [4]byte
	binary.BigEndian.PutUint32(cookie[:], 0x2112A442)
	for i := 4; i < len(b) && i < 8; i++ {
		if b[i] != cookie[i-4] {
			return false
		}
	}
	return true
}

// errNotSTUN says that the bytes read are no STUN message.
var errNotSTUN = errors.New("not a STUN message")

// narrow is how many bytes of a message are given to the system at once: TCP
// sends them as a segment that every path carries (RFC 9293 section 3.7.1), so
// that what is asked and told crosses where large packets vanish.
const narrow = 512

// writeNarrow writes a message in pieces that no hole for large packets swallows.
func writeNarrow(w io.Writer, b []byte) error {
	for piece := range slices.Chunk(b, narrow) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// readMessage reads one message from a stream, framed by the header's length.
// The bytes read so far are returned with any error, errNotSTUN among them.
func readMessage(r io.Reader, limit int) (*stun.Message, []byte, error) {
	buf := make([]byte, headerSize, 256)
	for n := 0; n < headerSize; {
		k, err := r.Read(buf[n:])
		n += k
		if !Looks(buf[:n]) {
			return nil, buf[:n], errNotSTUN
		}
		if err != nil && n < headerSize {
			if n > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, buf[:n], err
		}
	}
	size := headerSize + int(binary.BigEndian.Uint16(buf[2:4]))
	if size > limit || size%4 != 0 {
		return nil, buf, errNotSTUN
	}
	buf = append(buf, make([]byte, size-headerSize)...)
	if n, err := io.ReadFull(r, buf[headerSize:]); err != nil {
		return nil, buf[:headerSize+n], err
	}
	m, err := decode(buf)
	if err != nil {
		return nil, buf, err
	}
	return m, buf, nil
}

// decode parses one whole message.
func decode(b []byte) (*stun.Message, error) {
	if len(b) < headerSize || !Looks(b) || len(b) != headerSize+int(binary.BigEndian.Uint16(b[2:4])) {
		return nil, errNotSTUN
	}
	m := stun.NewWithOptions(stun.WithStrict(true)) // what follows MESSAGE-INTEGRITY is anybody's
	m.Raw = append(m.Raw[:0], b...)
	if err := m.Decode(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSTUN, err)
	}
	return m, nil
}

// check verifies FINGERPRINT (RFC 8489 section 14.7) and MESSAGE-INTEGRITY
// (section 14.5) under the key.
func (k Key) check(m *stun.Message) error {
	if err := stun.Fingerprint.Check(m); err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if err := stun.MessageIntegrity(k.b[:]).Check(m); err != nil {
		return fmt.Errorf("message integrity: %w", err)
	}
	return nil
}

// seal closes a message: MESSAGE-INTEGRITY, then FINGERPRINT, as the last two
// attributes (RFC 8489 sections 14.5 and 14.7).
func (k Key) seal(m *stun.Message) error {
	if err := stun.MessageIntegrity(k.b[:]).AddTo(m); err != nil {
		return err
	}
	return stun.Fingerprint.AddTo(m)
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func getU32(m *stun.Message, t stun.AttrType) (uint32, bool) {
	v, err := m.Get(t)
	if err != nil || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

func getID(m *stun.Message, t stun.AttrType) (ID, bool) {
	v, err := m.Get(t)
	if err != nil || len(v) != len(ID{}) {
		return ID{}, false
	}
	return ID(v), true
}

func addXORMapped(m *stun.Message, ap netip.AddrPort) error {
	a := stun.XORMappedAddress{IP: net.IP(ap.Addr().Unmap().AsSlice()), Port: int(ap.Port())}
	return a.AddTo(m)
}

func getXORMapped(m *stun.Message) (netip.AddrPort, bool) {
	var a stun.XORMappedAddress
	if a.GetFrom(m) != nil {
		return netip.AddrPort{}, false
	}
	return addrPort(a.IP, a.Port)
}

// addOrigin adds RESPONSE-ORIGIN (RFC 5780 section 7.3), which has the form of
// MAPPED-ADDRESS.
func addOrigin(m *stun.Message, ap netip.AddrPort) error {
	a := stun.MappedAddress{IP: net.IP(ap.Addr().Unmap().AsSlice()), Port: int(ap.Port())}
	return a.AddToAs(m, stun.AttrResponseOrigin)
}

func getOrigin(m *stun.Message) (netip.AddrPort, bool) {
	var a stun.MappedAddress
	if a.GetFromAs(m, stun.AttrResponseOrigin) != nil {
		return netip.AddrPort{}, false
	}
	return addrPort(a.IP, a.Port)
}

func addrPort(ip net.IP, port int) (netip.AddrPort, bool) {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || port < 0 || port > 0xFFFF {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), true
}
