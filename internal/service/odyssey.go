package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Odyssey has no public specification, and nothing of it is imitated here. What
// is known of its port is that it says nothing until spoken to: OCLC's test is
// a blank screen in telnet. So a real Odyssey server is connected to, listened to
// for a moment, and never sent a byte.
//
// Between our own two sides a document as large as a scanned article travels each
// way, in a protocol of our own that says so in its first line:
//
//	asking     DIALTONE document transfer test/1
//	           token HEX, size N
//	answering  DIALTONE document transfer test/1
//	           ready SEAL
//	asking     the document, N bytes
//	answering  DIALTONE document transfer test/1
//	           received N, sha256 HEX, difference COUNT OFFSET HEX HEX, seal HEX
//	answering  another document, N bytes
//
// Each line ends with CR LF, each block with an empty line; "difference" is there
// if the document arrived changed. Both documents follow from the token, so each
// end knows what ought to arrive.
//
// What it proves: the listener answers on this port, what goes there may be as
// large as what Odyssey carries, and arrives as it was sent, both ways. A device
// that lets a handshake or the first packets pass but not the payload, that
// stalls large transfers or changes a byte is named with the place. Nothing can
// be changed unnoticed but how the bytes are cut into segments, and their pace.
// What is not proven: that a device which knows Odyssey's own format and passes
// nothing else lets that through; or which lets this through, and not that.

// odysseyLabel begins each block, and the documents bear it.
const odysseyLabel = "DIALTONE document transfer test/1"

// Bounds.
const (
	odysseyMaxBlock = 1 << 10 // bytes
	odysseySize     = 8 << 20 // bytes of the document where none is asked for
	odysseyMaxSize  = 16 << 20
	odysseyChunk    = 8 << 10 // bytes that have to move within the time for that
	odysseySession  = 40      // times the patience for one message: all of a session
	odysseyThinking = 4       // times the patience: a person at a blank screen
)

// How long the asking side listens to a real server, and how long both sides wait
// for bytes to move: the asking side longer, since the other tells what came. In
// that time a segment that got lost is sent again some five times (RFC 6298
// section 5.5, from 200 ms on).
const (
	odysseyQuiet = 2 * time.Second
	odysseyMoves = 8 * time.Second
	odysseyStall = 10 * time.Second
)

// ---- the document ----

// What odysseyDocument is for, and where it goes.
const (
	odysseyThere = "to the listener"
	odysseyBack  = "from the listener"
)

// odysseyDocument reads as an uncompressed TIFF image (TIFF 6.0 section 2) that
// says what it is, with AES-256-CTR under SHA-256(way ‖ token) as its pixels.
func odysseyDocument(token []byte, way string, size int) io.Reader {
	key := sha256.Sum256(append([]byte("dialtone document "+way), token...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("service: a SHA-256 sum is a valid AES-256 key: " + err.Error())
	}
	pixels := cipher.StreamReader{S: cipher.NewCTR(block, make([]byte, aes.BlockSize)), R: odysseyZeros{}}
	return io.LimitReader(io.MultiReader(bytes.NewReader(odysseyHeader(size)), pixels), int64(size))
}

// odysseyZeros is an endless source of zeros.
type odysseyZeros struct{}

func (odysseyZeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// odysseyHeader is the head of a grey TIFF image as large as fits into size.
func odysseyHeader(size int) []byte {
	const (
		width, head       = 1024, 512
		short, long, text = 3, 4, 2 // field types
		fields            = 10
		textAt            = 8 + 2 + 12*fields + 4
	)
	description := odysseyLabel + ": random pixels, not a scanned document\x00"
	rows := max(size-head, 0) / width
	b := append([]byte("II*\x00"), 8, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, fields)
	for _, f := range [fields][4]int{
		{256, long, 1, width}, {257, long, 1, rows}, {258, short, 1, 8}, {259, short, 1, 1}, {262, short, 1, 1},
		{270, text, len(description), textAt}, {273, long, 1, head}, {277, short, 1, 1}, {278, long, 1, rows}, {279, long, 1, rows * width},
	} {
		b = binary.LittleEndian.AppendUint16(b, uint16(f[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(f[1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(f[2]))
		b = binary.LittleEndian.AppendUint32(b, uint32(f[3]))
	}
	b = append(b, 0, 0, 0, 0) // no further image
	b = append(b, description...)
	return append(b, make([]byte, head-len(b))...)
}

// An odysseyArrival holds what arrives against what ought to.
type odysseyArrival struct {
	want          io.Reader
	buf           []byte // what ought to arrive next
	hash          hash.Hash
	n             int64 // bytes that arrived
	differing     int64 // bytes that differ
	first         int64 // offset of the first of them
	sent, arrived []byte
}

func newOdysseyArrival(want io.Reader) *odysseyArrival {
	return &odysseyArrival{want: want, hash: sha256.New()}
}

// take takes the next bytes, of which there are no more than the document has.
func (a *odysseyArrival) take(b []byte) {
	a.hash.Write(b)
	a.buf = slices.Grow(a.buf[:0], len(b))[:len(b)]
	want := a.buf
	if _, err := io.ReadFull(a.want, want); err != nil {
		panic("service: more was read than the document has: " + err.Error())
	}
	for i := range b {
		if b[i] == want[i] {
			continue
		}
		if a.differing == 0 {
			end := min(i+16, len(b))
			a.first, a.sent, a.arrived = a.n+int64(i), bytes.Clone(want[i:end]), bytes.Clone(b[i:end])
		}
		a.differing++
	}
	a.n += int64(len(b))
}

// receive reads n bytes; before each read it calls step.
func (a *odysseyArrival) receive(r io.Reader, n int, step func()) error {
	buf := make([]byte, odysseyChunk)
	for a.n < int64(n) {
		step()
		k, err := r.Read(buf[:min(int64(len(buf)), int64(n)-a.n)])
		a.take(buf[:k])
		if err != nil && a.n < int64(n) {
			return err
		}
	}
	return nil
}

func odysseyChanged(way string, differing, first int64, sent, arrived []byte) string {
	what := "1 byte differs, byte"
	if differing != 1 {
		what = fmt.Sprintf("%d bytes differ, the first is byte", differing)
	}
	return fmt.Sprintf("The document %s arrived changed: %s %d: sent %x, arrived %x.", way, what, first, sent, arrived)
}

// ---- blocks ----

// An odysseyBlock is a block's lines without the label: key and value.
type odysseyBlock [][2]string

func (b odysseyBlock) get(key string) string {
	for _, l := range b {
		if l[0] == key {
			return l[1]
		}
	}
	return ""
}

func (b odysseyBlock) String() string {
	var s strings.Builder
	s.WriteString(odysseyLabel + "\r\n")
	for _, l := range b {
		s.WriteString(l[0] + " " + l[1] + "\r\n")
	}
	return s.String() + "\r\n"
}

// sealed adds a seal over the lines so far, and what tells its use.
func (b odysseyBlock) sealed(answer []byte, what string) odysseyBlock {
	return append(b, [2]string{"seal", hex.EncodeToString(sealOf(answer, what, []byte(b.String())))})
}

// isSealed reports whether the last line is the seal over the others.
func (b odysseyBlock) isSealed(answer []byte, what string) bool {
	n := len(b) - 1
	if n < 0 || len(answer) == 0 || b[n][0] != "seal" {
		return false
	}
	seal, err := hex.DecodeString(b[n][1])
	return err == nil && hmac.Equal(seal, sealOf(answer, what, []byte(b[:n].String())))
}

// number reads a decimal number up to limit.
func (b odysseyBlock) number(key string, limit int) (int, bool) {
	n, err := strconv.Atoi(b.get(key))
	return n, err == nil && n >= 0 && n <= limit
}

// readOdysseyBlock reads a block of at most odysseyMaxBlock bytes. It returns the
// first bytes too, for an error's sake.
func readOdysseyBlock(r *bufio.Reader) (odysseyBlock, []byte, error) {
	var b odysseyBlock
	var first []byte
	for left := odysseyMaxBlock; ; {
		line, err := r.ReadSlice('\n')
		left -= len(line)
		if first == nil {
			first = bytes.Clone(line)
		}
		text := string(bytes.TrimRight(line, "\r\n"))
		switch {
		case errors.Is(err, io.EOF) && len(first) > 0:
			return nil, first, io.ErrUnexpectedEOF
		case errors.Is(err, bufio.ErrBufferFull), left < 0:
			return nil, first, fmt.Errorf("%w: a block of more than %d bytes", errForeign, odysseyMaxBlock)
		case err != nil:
			return nil, first, err
		case b == nil && text != odysseyLabel:
			return nil, first, fmt.Errorf("%w: it begins with \"%s\"", errForeign, shown(text))
		case b == nil:
			b = odysseyBlock{}
			continue
		case text == "":
			return b, first, nil
		}
		key, value, _ := strings.Cut(text, " ")
		b = append(b, [2]string{key, value})
	}
}

// What the seals of the two blocks are for.
const (
	odysseyReady    = "document ready"
	odysseyReceived = "document received"
)

// ---- the asking side ----

// errOdysseyStalled says that bytes no longer moved.
var errOdysseyStalled = errors.New("the document stalled")

func askOdyssey(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	if !q.isOurs() {
		return askRealOdyssey(ctx, conn)
	}
	var out result.Conversation
	size := q.DocumentSize
	if size <= 0 {
		size = odysseySize
	}
	size = min(size, odysseyMaxSize)
	in := bufio.NewReaderSize(conn, odysseyMaxBlock)

	odysseyWithin(ctx, conn.SetDeadline, odysseyStall)
	hello := odysseyBlock{{"token", hex.EncodeToString(q.Token[:])}, {"size", strconv.Itoa(size)}}
	if _, err := io.WriteString(conn, hello.String()); err != nil {
		return out, err
	}
	b, first, err := readOdysseyBlock(in)
	if err != nil {
		out.Software = shown(Software(first))
		return out, err
	}
	if why := b.get("refused"); why != "" {
		out.Changed = append(out.Changed, fmt.Sprintf("The far end does not know our key: \"%s\".", shown(why)))
		return out, nil
	}
	if n, ok := b.number("size", odysseyMaxSize); !ok || n != size || !b.isSealed(q.Answer, odysseyReady) {
		out.Changed = append(out.Changed, "What came back is not our own listener's answer to this question: it is changed, or was recorded before.")
		return out, nil
	}
	out.Keyed = true
	out.Software = shown(b.get("software"))

	if err := odysseySend(ctx, conn, in, q, size, &out); err != nil {
		return out, err
	}
	return out, odysseyFetch(ctx, conn, in, q, size, &out)
}

// odysseyWithin gives the next step its time, unless ctx is over.
func odysseyWithin(ctx context.Context, set func(time.Time) error, d time.Duration) {
	_ = set(time.Now().Add(d))
	if ctx.Err() != nil {
		_ = set(time.Unix(1, 0))
	}
}

// odysseySend sends the document and takes the listener's word on what arrived,
// which may come early: if no more does.
func odysseySend(ctx context.Context, conn net.Conn, in *bufio.Reader, q Question, size int, out *result.Conversation) error {
	start := time.Now()
	var sent int
	var werr error
	hashed := sha256.New()
	wanted, enough := context.WithCancel(ctx)
	defer enough()
	done := make(chan struct{})
	odysseyWithin(ctx, conn.SetReadDeadline, odysseySession*odysseyStall)
	go func() {
		defer close(done)
		document := odysseyDocument(q.Token[:], odysseyThere, size)
		buf := make([]byte, odysseyChunk)
		for sent < size && werr == nil {
			b := buf[:min(len(buf), size-sent)]
			_, _ = io.ReadFull(document, b) // it is as long as that
			hashed.Write(b)
			odysseyWithin(wanted, conn.SetWriteDeadline, odysseyStall)
			var n int
			n, werr = conn.Write(b)
			sent += n
		}
		odysseyWithin(ctx, conn.SetReadDeadline, odysseyStall)
	}()
	b, _, err := readOdysseyBlock(in)
	elapsed := time.Since(start)
	if err == nil || errors.Is(err, errForeign) {
		enough()
		_ = conn.SetWriteDeadline(time.Unix(1, 0))
	}
	<-done
	odysseyWithin(ctx, conn.SetWriteDeadline, odysseyStall)
	fact := func(format string, args ...any) {
		out.Facts = append(out.Facts, result.Fact{Name: odysseyThere, Value: fmt.Sprintf(format, args...)})
	}
	if err != nil {
		// The system had taken these bytes; what of them arrived is not known.
		fact("%s after at most %d of %d bytes", odysseyEnd(err), sent, size)
		return fmt.Errorf("sending the document: %w", err)
	}
	n, ok := b.number("received", size)
	if !ok || !b.isSealed(q.Answer, odysseyReceived) {
		fact("the listener's word on what arrived did not come as it was sent")
		out.Changed = append(out.Changed, "The listener's word on the document that it received arrived changed.")
		return nil
	}
	if f := strings.Fields(b.get("difference")); len(f) == 4 {
		differing, _ := strconv.ParseInt(f[0], 10, 64)
		first, _ := strconv.ParseInt(f[1], 10, 64)
		was, _ := hex.DecodeString(f[2])
		is, _ := hex.DecodeString(f[3])
		out.Changed = append(out.Changed, odysseyChanged(odysseyThere, differing, first, was, is))
	} else if n == size && b.get("sha256") != hex.EncodeToString(hashed.Sum(nil)) {
		out.Changed = append(out.Changed, fmt.Sprintf("The document %s arrived changed: its SHA-256 is %s.", odysseyThere, shown(b.get("sha256"))))
	}
	if n < size {
		fact("stalled after %d of %d bytes", n, size)
		return fmt.Errorf("%w after %d of %d bytes %s", errOdysseyStalled, n, size, odysseyThere)
	}
	fact("%s", odysseyPace(size, elapsed))
	return nil
}

// odysseyFetch receives the listener's document.
func odysseyFetch(ctx context.Context, conn net.Conn, in *bufio.Reader, q Question, size int, out *result.Conversation) error {
	start := time.Now()
	a := newOdysseyArrival(odysseyDocument(q.Token[:], odysseyBack, size))
	err := a.receive(in, size, func() { odysseyWithin(ctx, conn.SetReadDeadline, odysseyStall) })
	if a.differing > 0 {
		out.Changed = append(out.Changed, odysseyChanged(odysseyBack, a.differing, a.first, a.sent, a.arrived))
	}
	words := odysseyPace(size, time.Since(start))
	if err != nil {
		words = fmt.Sprintf("%s after %d of %d bytes", odysseyEnd(err), a.n, size)
		err = fmt.Errorf("receiving the document: %w", err)
	}
	out.Facts = append(out.Facts, result.Fact{Name: odysseyBack, Value: words})
	return err
}

func odysseyPace(size int, d time.Duration) string {
	return fmt.Sprintf("%d bytes at %.1f MB/s", size, float64(size)/1e6/max(d, time.Microsecond).Seconds())
}

// odysseyEnd says how an error ended a document.
func odysseyEnd(err error) string {
	switch {
	case errors.Is(err, errForeign):
		return "other bytes came"
	case sock.IsReset(err):
		return "reset"
	case sock.IsClosed(err):
		return "closed"
	}
	return "stalled"
}

// askRealOdyssey listens for a moment.
func askRealOdyssey(ctx context.Context, conn net.Conn) (result.Conversation, error) {
	var out result.Conversation
	odysseyWithin(ctx, conn.SetReadDeadline, odysseyQuiet)
	b := make([]byte, odysseyMaxBlock)
	n, err := conn.Read(b)
	switch {
	case n > 0:
		out.Software = shown(Software(b[:n]))
		return out, fmt.Errorf("%w: Odyssey says nothing until spoken to, and \"%s\" came", errForeign, shown(string(b[:n])))
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
		out.Facts = append(out.Facts, result.Fact{Name: "greeting", Value: "none, as is right: Odyssey says nothing until spoken to"})
		return out, nil
	}
	return out, err
}

// ---- the answering side ----

func answerOdyssey(ctx context.Context, conn net.Conn, a *Answerer) error {
	ctx, cancel := context.WithTimeout(ctx, odysseySession*a.patience())
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReaderSize(conn, odysseyMaxBlock)

	// Not a byte before one comes: a person at the other end sees a blank screen.
	odysseyWithin(ctx, conn.SetDeadline, odysseyThinking*a.patience())
	if _, err := in.Peek(1); err != nil {
		return err
	}
	a.step(ctx, conn)
	b, _, err := readOdysseyBlock(in)
	switch {
	case errors.Is(err, errForeign):
		a.came("a line that is no question of dial's")
		a.ended(inWords)
		a.say(ctx, conn, odysseyForPeople(a))
		return err
	case err != nil:
		return err
	}
	token, terr := hex.DecodeString(b.get("token"))
	size, ok := b.number("size", odysseyMaxSize)
	if terr != nil || len(token) != TokenSize || !ok || size == 0 {
		a.came("a question of dial's that makes no sense")
		a.say(ctx, conn, odysseyBlock{{"refused", "that is no question"}}.String())
		return errForeign
	}
	var answer []byte
	if ok = a.Answer != nil; ok {
		answer, ok = a.Answer(token)
	}
	if !ok {
		a.came("a question of dial's under another key")
		a.ended(asMeant)
		a.say(ctx, conn, odysseyBlock{{"refused", "this listener sends and accepts documents only where the key is known"}}.String())
		return errors.New("the token was not made with the key")
	}
	ready := odysseyBlock{{"software", a.Software}, {"size", strconv.Itoa(size)}}.sealed(answer, odysseyReady)
	if _, err := io.WriteString(conn, ready.String()); err != nil {
		return err
	}

	there := newOdysseyArrival(odysseyDocument(token, odysseyThere, size))
	moving := func() { odysseyWithin(ctx, conn.SetDeadline, min(a.patience(), odysseyMoves)) }
	rerr := there.receive(in, size, moving)
	if rerr != nil && !errors.Is(rerr, os.ErrDeadlineExceeded) {
		return fmt.Errorf("after %d of %d bytes: %w", there.n, size, rerr)
	}
	received := odysseyBlock{{"received", strconv.FormatInt(there.n, 10)}, {"sha256", hex.EncodeToString(there.hash.Sum(nil))}}
	if there.differing > 0 {
		received = append(received, [2]string{"difference", fmt.Sprintf("%d %d %x %x", there.differing, there.first, there.sent, there.arrived)})
	}
	a.step(ctx, conn)
	if _, err := io.WriteString(conn, received.sealed(answer, odysseyReceived).String()); err != nil || rerr != nil {
		return errors.Join(rerr, err)
	}

	back := odysseyDocument(token, odysseyBack, size)
	buf := make([]byte, odysseyChunk)
	for left := size; left > 0; {
		b := buf[:min(len(buf), left)]
		_, _ = io.ReadFull(back, b) // it is as long as that
		moving()
		n, err := conn.Write(b)
		if left -= n; err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", size-left, size, err)
		}
	}
	// The asking side closes once it has all; closing first could lose the rest.
	a.step(ctx, conn)
	_, _ = io.CopyN(io.Discard, in, odysseyMaxBlock)
	return nil
}

// odysseyForPeople is what somebody gets who types a line.
func odysseyForPeople(a *Answerer) string {
	return strings.Join(slices.Concat([]string{
		"This is the " + a.Software + " test listener on the port that Odyssey uses, not Odyssey itself.",
		"You have reached it. It says nothing until spoken to, as Odyssey does.",
	}, a.Lines, []string{""}), "\r\n")
}
