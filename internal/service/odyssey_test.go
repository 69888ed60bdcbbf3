package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/result"
)

const odysseyTestSize = 300_000

func odysseyTestAsk(t *testing.T, at netip.AddrPort, n byte, size int) result.Conversation {
	t.Helper()
	q := Question{Token: ftpTestToken(n), DocumentSize: size}
	q.Answer, _ = ftpTestAnswer(q.Token[:])
	return testAsk(t, at, "odyssey", q)
}

func TestOdysseyDocumentTravelsBothWays(t *testing.T) {
	at := serve(t, ftpTestAnswerer(), "odyssey")
	for _, size := range []int{1, 511, 512, odysseyChunk, odysseyTestSize, 0} {
		got := odysseyTestAsk(t, at, 1, size)
		if got.Outcome != result.ConversationCompleted || !got.Keyed || got.Changed != nil || got.Software != "Dialtone" {
			t.Errorf("%d bytes: got %+v", size, got)
		}
		if size == 0 {
			size = 8 << 20
		}
		for _, way := range []string{"to the listener", "from the listener"} {
			if f := testFact(got, way); !strings.HasPrefix(f, fmt.Sprintf("%d bytes at ", size)) || !strings.HasSuffix(f, " MB/s") {
				t.Errorf("%s: %q", way, f)
			}
		}
	}
}

func TestOdysseyDocumentIsBoundedInSize(t *testing.T) {
	got := odysseyTestAsk(t, serve(t, ftpTestAnswerer(), "odyssey"), 1, 1<<30)
	if got.Outcome != result.ConversationCompleted || !strings.HasPrefix(testFact(got, odysseyThere), "16777216 bytes at ") {
		t.Errorf("got %+v", got)
	}
}

// ---- devices in the middle ----

// odysseyMiddle relays connections; up and down copy each way until their end.
func odysseyMiddle(t *testing.T, server netip.AddrPort, up, down func(to io.Writer, from *bufio.Reader)) netip.AddrPort {
	t.Helper()
	return testServer(t, func(c net.Conn) {
		s, err := net.Dial("tcp", server.String())
		if err != nil {
			return
		}
		defer s.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			up(s, bufio.NewReader(c))
			s.Close()
			c.Close()
		}()
		down(c, bufio.NewReader(s))
		c.Close()
		s.Close()
		<-done
	})
}

func odysseyCopy(to io.Writer, from *bufio.Reader) { _, _ = io.Copy(to, from) }

// odysseyCopyBlocks copies n blocks.
func odysseyCopyBlocks(to io.Writer, from *bufio.Reader, n int) {
	for n > 0 {
		l, err := from.ReadString('\n')
		_, _ = io.WriteString(to, l)
		if err != nil {
			return
		}
		if l == "\r\n" {
			n--
		}
	}
}

func TestOdysseyOneChangedByteIsNamedWithItsPlace(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "odyssey")
	const place = 70_000
	was := make(chan byte, 1)
	change := func(blocks int) func(io.Writer, *bufio.Reader) {
		return func(to io.Writer, from *bufio.Reader) {
			odysseyCopyBlocks(to, from, blocks)
			_, _ = io.CopyN(to, from, place)
			b, err := from.ReadByte()
			if err != nil {
				return
			}
			was <- b
			_, _ = to.Write([]byte{b ^ 0x10})
			odysseyCopy(to, from)
		}
	}
	for way, at := range map[string]netip.AddrPort{
		"to the listener":   odysseyMiddle(t, server, change(1), odysseyCopy),
		"from the listener": odysseyMiddle(t, server, odysseyCopy, change(2)),
	} {
		got := odysseyTestAsk(t, at, 1, odysseyTestSize)
		if got.Outcome != result.ConversationCompleted || !got.Keyed || len(got.Changed) != 1 {
			t.Errorf("%s: got %+v", way, got)
		}
		b := <-was
		wantChanged(t, got, "The document "+way+" arrived changed: 1 byte differs, byte 70000:", fmt.Sprintf("sent %02x", b), fmt.Sprintf("arrived %02x", b^0x10))
	}
}

func TestOdysseyInsertedBytesAreNamed(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "odyssey")
	at := odysseyMiddle(t, server, odysseyCopy, func(to io.Writer, from *bufio.Reader) {
		odysseyCopyBlocks(to, from, 2)
		_, _ = io.CopyN(to, from, 1000)
		_, _ = io.WriteString(to, "<script>")
		odysseyCopy(to, from)
	})
	got := odysseyTestAsk(t, at, 1, odysseyTestSize)
	wantChanged(t, got, "the first is byte 1000:", "arrived 3c7363726970743e")
}

func TestOdysseyStallSaysHowMuchMoved(t *testing.T) {
	a := ftpTestAnswerer()
	a.Patience = 200 * time.Millisecond
	server := serve(t, a, "odyssey")
	stall := func(blocks, n int) func(io.Writer, *bufio.Reader) {
		return func(to io.Writer, from *bufio.Reader) {
			odysseyCopyBlocks(to, from, blocks)
			_, _ = io.CopyN(to, from, int64(n))
			odysseyCopy(io.Discard, from) // the rest is lost, and nobody told
		}
	}
	got := odysseyTestAsk(t, odysseyMiddle(t, server, stall(1, 100_000), odysseyCopy), 1, odysseyTestSize)
	if got.Outcome != result.ConversationSilent || !got.Keyed || got.Changed != nil || testFact(got, odysseyThere) != "stalled after 100000 of 300000 bytes" {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(got.Error, "100000 of 300000 bytes to the listener") {
		t.Errorf("error %q", got.Error)
	}

	conn, err := net.Dial("tcp", odysseyMiddle(t, server, odysseyCopy, func(to io.Writer, from *bufio.Reader) {
		odysseyCopyBlocks(to, from, 2)
		_, _ = io.CopyN(to, from, 100_000)
		odysseyCopy(io.Discard, from)
		<-t.Context().Done()
	}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	q := Question{Token: ftpTestToken(1), DocumentSize: odysseyTestSize}
	q.Answer, _ = ftpTestAnswer(q.Token[:])
	got = Ask(ctx, conn, "odyssey", q)
	if got.Outcome != result.ConversationSilent || !got.Keyed || testFact(got, odysseyBack) != "stalled after 100000 of 300000 bytes" {
		t.Errorf("got %+v", got)
	}
}

func TestOdysseyCutInTheMiddleIsClosed(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "odyssey")
	cut := func(blocks, n int) func(io.Writer, *bufio.Reader) {
		return func(to io.Writer, from *bufio.Reader) {
			odysseyCopyBlocks(to, from, blocks)
			_, _ = io.CopyN(to, from, int64(n))
		}
	}
	got := odysseyTestAsk(t, odysseyMiddle(t, server, odysseyCopy, cut(2, 5000)), 1, odysseyTestSize)
	if got.Outcome != result.ConversationClosed || !got.Keyed || testFact(got, odysseyBack) != "closed after 5000 of 300000 bytes" {
		t.Errorf("got %+v", got)
	}
	got = odysseyTestAsk(t, odysseyMiddle(t, server, cut(1, 5000), odysseyCopy), 1, odysseyTestSize)
	// A close with bytes unread resets the connection.
	if got.Outcome != result.ConversationClosed && got.Outcome != result.ConversationReset || !got.Keyed || !strings.Contains(testFact(got, odysseyThere), " after at most ") {
		t.Errorf("got %+v", got)
	}
}

func TestOdysseyReplayIsNoProof(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "odyssey")
	var mu sync.Mutex
	var recorded bytes.Buffer
	got := odysseyTestAsk(t, odysseyMiddle(t, server, odysseyCopy, func(to io.Writer, from *bufio.Reader) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(io.MultiWriter(to, &recorded), from)
	}), 1, 1000)
	if !got.Keyed {
		t.Fatalf("got %+v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	got = odysseyTestAsk(t, testServer(t, func(c net.Conn) {
		_, _ = c.Write(recorded.Bytes())
		_, _ = io.Copy(io.Discard, c)
	}), 2, 1000)
	if got.Outcome != result.ConversationCompleted || got.Keyed {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "not our own listener's answer")
}

func TestOdysseyForgedWordOnTheDocumentIsNamed(t *testing.T) {
	at := odysseyMiddle(t, serve(t, ftpTestAnswerer(), "odyssey"), odysseyCopy, func(to io.Writer, from *bufio.Reader) {
		odysseyCopyBlocks(to, from, 1)
		for {
			l, err := from.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(l, "sha256 ") {
				l = "sha256 " + strings.Repeat("0", 64) + "\r\n"
			}
			_, _ = io.WriteString(to, l)
			if l == "\r\n" {
				odysseyCopy(to, from)
				return
			}
		}
	})
	got := odysseyTestAsk(t, at, 1, 1000)
	wantChanged(t, got, "word on the document that it received arrived changed")
}

// ---- strangers ----

func TestOdysseyStrangerIsTurnedAwayBeforeADocument(t *testing.T) {
	at := serve(t, ftpTestAnswerer(), "odyssey")
	q := Question{Answer: make([]byte, AnswerSize), DocumentSize: odysseyTestSize} // a token made with another key
	got := testAsk(t, at, "odyssey", q)
	if got.Outcome != result.ConversationCompleted || got.Keyed || testFact(got, odysseyThere) != "" {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "does not know our key")
}

func TestOdysseyFarEndThatIsSomethingElse(t *testing.T) {
	for name, tc := range map[string]struct {
		says string
		want result.ConversationOutcome
	}{
		"HTTP":    {"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n", result.ConversationForeign},
		"flood":   {strings.Repeat("x", 1<<16), result.ConversationForeign},
		"nothing": {"", result.ConversationClosed},
		"half":    {odysseyLabel + "\r\nready", result.ConversationClosed},
	} {
		t.Run(name, func(t *testing.T) {
			took := make(chan int64, 1)
			at := testServer(t, func(c net.Conn) {
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				_, _ = io.WriteString(c, tc.says)
				_ = c.(*net.TCPConn).CloseWrite()
				m, _ := io.Copy(io.Discard, c)
				took <- int64(n) + m
			})
			if got := odysseyTestAsk(t, at, 1, odysseyTestSize); got.Outcome != tc.want || got.Keyed {
				t.Errorf("got %+v", got)
			}
			if n := <-took; n > odysseyMaxBlock {
				t.Errorf("somebody who proved nothing was sent %d bytes", n)
			}
		})
	}
}

func TestOdysseyRealServerIsSentNothing(t *testing.T) {
	t.Parallel()
	took := make(chan []byte, 1)
	at := testServer(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		took <- b
	})
	got := testAsk(t, at, "odyssey", Question{})
	if got.Outcome != result.ConversationCompleted || got.Keyed || !strings.HasPrefix(testFact(got, "greeting"), "none") {
		t.Errorf("got %+v", got)
	}
	if b := <-took; len(b) != 0 {
		t.Errorf("it was sent %q", b)
	}
	for says, want := range map[string]result.ConversationOutcome{"": result.ConversationClosed, "SSH-2.0-x\r\n": result.ConversationForeign} {
		at := testServer(t, func(c net.Conn) { _, _ = io.WriteString(c, says) })
		if got := testAsk(t, at, "odyssey", Question{}); got.Outcome != want {
			t.Errorf("%q: got %+v", says, got)
		}
	}
}

// odysseyTestPerson runs a client, types a line after a while and returns what
// the client had printed before it, and in the end.
func odysseyTestPerson(t *testing.T, program string, args ...string) (before, all string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guardTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var b bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1024)
		for {
			n, err := out.Read(buf)
			mu.Lock()
			b.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	time.Sleep(300 * time.Millisecond) // so long is the screen looked at
	mu.Lock()
	before = b.String()
	mu.Unlock()
	_, _ = io.WriteString(in, "hello?\r\n")
	wg.Wait()
	in.Close()
	_ = cmd.Wait()
	return before, b.String()
}

func TestOdysseyPersonSeesABlankScreenUntilALineIsTyped(t *testing.T) {
	t.Parallel()
	at := serve(t, ftpTestAnswerer(), "odyssey")
	port := fmt.Sprint(at.Port())
	for name, tc := range map[string]struct {
		pkg   string
		blank string
		args  []string
	}{
		"ncat":             {"ncat", "", []string{"127.0.0.1", port}},
		"inetutils-telnet": {"inetutils-telnet", "Trying 127.0.0.1...\nConnected to 127.0.0.1.\nEscape character is '^]'.\n", []string{"127.0.0.1", port}},
	} {
		t.Run(name, func(t *testing.T) {
			before, all := odysseyTestPerson(t, need(t, name, tc.pkg), tc.args...)
			t.Logf("%s", all)
			if before != tc.blank {
				t.Errorf("before anything was typed came %q", before)
			}
			for _, want := range []string{"Dialtone test listener on the port that Odyssey uses, not Odyssey itself", "The next step is dial."} {
				if !strings.Contains(all, want) {
					t.Errorf("%q is missing in %q", want, all)
				}
			}
		})
	}
}

func TestOdysseyAnsweringSideEndsWithinBounds(t *testing.T) {
	token := ftpTestToken(1)
	hello := odysseyLabel + "\r\ntoken " + hex.EncodeToString(token[:]) + "\r\nsize 1000000\r\n\r\n"
	const short = 50 * time.Millisecond
	for name, tc := range map[string]struct {
		patience time.Duration
		send     func(c net.Conn)
	}{
		"silence":              {short, func(net.Conn) {}},
		"half a line":          {short, func(c net.Conn) { _, _ = io.WriteString(c, "DIAL") }},
		"endless line":         {guardTime / 4, func(c net.Conn) { testPour(c, []byte(strings.Repeat("A", 4096))) }},
		"endless block":        {guardTime / 4, func(c net.Conn) { _, _ = io.WriteString(c, odysseyLabel); testPour(c, []byte("\r\nx y")) }},
		"random bytes":         {short, func(c net.Conn) { _, _ = c.Write(testNoise(64 << 10)) }},
		"no token":             {short, func(c net.Conn) { _, _ = io.WriteString(c, odysseyLabel+"\r\nsize 1\r\n\r\n") }},
		"a size beyond bounds": {short, func(c net.Conn) { _, _ = io.WriteString(c, strings.Replace(hello, "size 1", "size 99", 1)) }},
		"half a document":      {short, func(c net.Conn) { _, _ = io.WriteString(c, hello); _, _ = c.Write(testNoise(100)) }},
		"more than a document": {guardTime / 4, func(c net.Conn) { _, _ = io.WriteString(c, hello); testPour(c, testNoise(1<<16)) }},
	} {
		t.Run(name, func(t *testing.T) {
			a := ftpTestAnswerer()
			a.Patience = tc.patience
			testEnds(t, a, "odyssey", tc.send)
		})
	}
}

// ---- the document ----

func TestOdysseyDocumentIsATIFFThatSaysWhatItIs(t *testing.T) {
	program := need(t, "file", "file")
	token := ftpTestToken(1)
	cmd := exec.Command(program, "-b", "-")
	cmd.Stdin = odysseyDocument(token[:], odysseyThere, odysseyTestSize)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	for _, want := range []string{"TIFF image data, little-endian", "description=DIALTONE document transfer test", "width=1024", "height=292", "compression=none"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%q is missing: %v", want, err)
		}
	}
}

// The other implementation is OpenSSL's.
func TestOdysseyPixelsAreWhatTheCommentSays(t *testing.T) {
	program := need(t, "openssl", "openssl")
	token := ftpTestToken(1)
	key := sha256.Sum256(append([]byte("dialtone document to the listener"), token[:]...))
	cmd := exec.Command(program, "enc", "-aes-256-ctr", "-K", hex.EncodeToString(key[:]), "-iv", strings.Repeat("0", 32))
	cmd.Stdin = bytes.NewReader(make([]byte, odysseyTestSize-512))
	want, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(odysseyDocument(token[:], odysseyThere, odysseyTestSize))
	if err != nil || len(got) != odysseyTestSize || !bytes.Equal(got[512:], want) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// ---- decoders ----

func FuzzOdysseyBlock(f *testing.F) {
	f.Add([]byte(odysseyBlock{{"token", "00"}, {"size", "1000"}}.String()))
	f.Add([]byte(odysseyBlock{{"received", "1"}}.sealed(make([]byte, AnswerSize), odysseyReceived).String()))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte(odysseyLabel + "\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		block, _, err := readOdysseyBlock(bufio.NewReaderSize(bytes.NewReader(b), odysseyMaxBlock))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte(odysseyLabel)) {
			t.Errorf("%q is no block", b)
		}
		if n, ok := block.number("size", 100); ok && (n < 0 || n > 100) {
			t.Errorf("%q: size %d", b, n)
		}
		if block.isSealed([]byte("another answer.."), odysseyReady) {
			t.Errorf("%q has no seal of that answer", b)
		}
	})
}

func FuzzOdysseyAnswer(f *testing.F) {
	token := ftpTestToken(1)
	f.Add([]byte(odysseyBlock{{"token", hex.EncodeToString(token[:])}, {"size", "3"}}.String() + "II*more"))
	f.Add([]byte("hello?\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := ftpTestAnswerer()
		a.Patience = 20 * time.Millisecond
		testAnswersBytes(t, a, "odyssey", b)
	})
}
