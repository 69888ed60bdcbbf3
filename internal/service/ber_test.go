package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// berAnswer stands for the key that both of our ends have.
func berAnswer(token []byte) ([]byte, bool) {
	mac := func(what string) []byte {
		m := hmac.New(sha256.New, []byte("six words of a key"))
		m.Write([]byte(what))
		m.Write(token[:16])
		return m.Sum(nil)[:16]
	}
	return mac("answer"), hmac.Equal(token[16:], mac("token"))
}

// berQuestion asks our own listener.
func berQuestion(t *testing.T) Question {
	t.Helper()
	q := Question{Host: "127.0.0.1"}
	_, _ = rand.Read(q.Token[:16])
	m := hmac.New(sha256.New, []byte("six words of a key"))
	m.Write([]byte("token"))
	m.Write(q.Token[:16])
	copy(q.Token[16:], m.Sum(nil))
	var ok bool
	if q.Answer, ok = berAnswer(q.Token[:]); !ok {
		t.Fatal("the token is not the key's")
	}
	return q
}

// berStranger asks a real host.
func berStranger() (q Question) {
	_, _ = rand.Read(q.Token[:])
	return q
}

func berAnswerer(t testing.TB) (*Answerer, []byte) {
	t.Helper()
	c, print, err := NewCertificate([]string{"localhost"}, []netip.Addr{loop})
	if err != nil {
		t.Fatal(err)
	}
	return &Answerer{Software: "Dialtone", Certificate: c, Answer: berAnswer, Patience: 5 * time.Second}, print
}

func berAsk(t *testing.T, to netip.AddrPort, speaks plan.Protocol, q Question) result.Conversation {
	t.Helper()
	return berAskFor(t, to, speaks, q, guardTime)
}

func berAskFor(t *testing.T, to netip.AddrPort, speaks plan.Protocol, q Question, d time.Duration) result.Conversation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return Ask(ctx, c, speaks, q)
}

// berWant fails unless the conversation was held with our own listener, and
// every byte of it arrived as it was sent.
func berWant(t *testing.T, c result.Conversation) {
	t.Helper()
	if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) != 0 || c.Error != "" || c.Software != "Dialtone test listener" {
		t.Errorf("got %+v", c)
	}
}

func berFact(c result.Conversation, name string) string {
	for _, f := range c.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// berSays reports whether some sentence has all these words.
func berSays(sentences []string, words ...string) bool {
	for _, s := range sentences {
		all := true
		for _, w := range words {
			all = all && strings.Contains(s, w)
		}
		if all {
			return true
		}
	}
	return false
}

// berRun runs somebody else's program in a directory of its own and gives what
// it printed, whatever it ended with.
func berRun(t *testing.T, stdin []byte, program string, args ...string) (out string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guardTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.WaitDelay = t.TempDir(), time.Second
	cmd.Env = append(cmd.Environ(), "LDAPTLS_REQCERT=never")
	cmd.Stdin = bytes.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) || ctx.Err() != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, b)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// berStart runs somebody else's server until the test ends, and waits until it
// accepts a connection.
func berStart(t *testing.T, at netip.AddrPort, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for limit := time.Now().Add(guardTime); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, b.String())
		default:
		}
		if time.Now().After(limit) {
			t.Fatalf("%s does not listen", program)
		}
	}
}

// berFar is a far end of the test's own making, for every connection.
func berFar(t *testing.T, says func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(guardTime))
			all.Go(func() { defer c.Close(); says(c) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return sock.AddrPortOf(l.Addr())
}

// berMiddle relays whole messages to origin and changes them; nil leaves them,
// what comes back empty is dropped.
func berMiddle(t *testing.T, origin netip.AddrPort, there, back func([]byte) []byte) netip.AddrPort {
	t.Helper()
	return berFar(t, func(near net.Conn) {
		away, err := net.Dial("tcp", origin.String())
		if err != nil {
			return
		}
		defer away.Close()
		_ = away.SetDeadline(time.Now().Add(guardTime))
		relay := func(to, from net.Conn, change func([]byte) []byte) {
			defer to.(*net.TCPConn).CloseWrite()
			for r := bufio.NewReader(from); ; {
				raw, err := readBER(r, nil)
				if err != nil {
					return
				}
				if change != nil {
					raw = change(raw)
				}
				if _, err := to.Write(raw); err != nil {
					return
				}
			}
		}
		var both sync.WaitGroup
		both.Go(func() { relay(away, near, there) })
		both.Go(func() { relay(near, away, back) })
		both.Wait()
	})
}

// berReplace changes bytes for as many others.
func berReplace(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(from), []byte(to)) }
}

// berAnew encodes a message with a length of four bytes that needs fewer.
func berAnew(raw []byte) []byte {
	p, err := ber.DecodePacketErr(raw)
	if err != nil {
		return raw
	}
	n := p.Data.Len()
	head := 1
	if raw[0]&0x1f == 0x1f {
		head = 2
	}
	return append(append(bytes.Clone(raw[:head]), 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), p.Data.Bytes()...)
}

// berUnlimited encodes a message with an indefinite length.
func berUnlimited(raw []byte) []byte {
	p, err := ber.DecodePacketErr(raw)
	if err != nil {
		return raw
	}
	head := 1
	if raw[0]&0x1f == 0x1f {
		head = 2
	}
	return append(append(append(bytes.Clone(raw[:head]), 0x80), p.Data.Bytes()...), 0, 0)
}

// berEnds gives an answering side what sends sends, and what it returns once
// it ends.
func berEnds(t *testing.T, a *Answerer, speaks plan.Protocol, sends func(net.Conn)) error {
	t.Helper()
	near, away := berPair(t)
	served := make(chan error, 1)
	go func() { served <- a.Serve(t.Context(), near, speaks); near.Close() }()
	go sends(away)
	select {
	case err := <-served:
		return err
	case <-time.After(guardTime):
		t.Fatal("it never ends")
		return nil
	}
}

func berPair(t *testing.T) (near, away net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if away, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); away.Close() })
	return near, away
}

// berCanned is a far end that has said all it will ever say.
type berCanned struct {
	io.Reader
	net.Conn
}

func newBERCanned(b []byte) *berCanned { return &berCanned{Reader: bytes.NewReader(b)} }

func (c *berCanned) Read(b []byte) (int, error)       { return c.Reader.Read(b) }
func (c *berCanned) Write(b []byte) (int, error)      { return len(b), nil }
func (c *berCanned) SetDeadline(time.Time) error      { return nil }
func (c *berCanned) SetReadDeadline(time.Time) error  { return nil }
func (c *berCanned) SetWriteDeadline(time.Time) error { return nil }
func (c *berCanned) Close() error                     { return nil }

func berHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors are by hand, after X.690 sections 8.1.2 to 8.1.5.
func TestBERReadsOneElementAndNoMore(t *testing.T) {
	for in, want := range map[string]int{
		"05 00 ff":                                        2,
		"04 03 61 62 63 ff":                               5,
		"04 81 03 61 62 63 ff":                            6,
		"04 88 00 00 00 00 00 00 00 01 61":                11,
		"bf 30 03 83 01 61 ff":                            6,
		"9f 81 53 01 00 ff":                               5, // [211]
		"30 80 04 01 61 00 00 ff":                         7,
		"61 80 30 80 a0 80 02 01 01 00 00 00 00 00 00 ff": 15,
		"30 00 ff":                                        2,
	} {
		r := bufio.NewReader(bytes.NewReader(berHex(t, in)))
		raw, err := readBER(r, nil)
		if err != nil || !bytes.Equal(raw, berHex(t, in)[:want]) {
			t.Errorf("%s: %x, %v", in, raw, err)
		}
		if _, err := decodeBER(raw); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestBERRefusesWhatItWouldCostToRead(t *testing.T) {
	for name, in := range map[string][]byte{
		"nested, of indefinite length": bytes.Repeat([]byte{0x30, 0x80}, 100_000),
		"nested, of known length":      bytes.Repeat([]byte{0x30, 0x83, 0x00, 0xff, 0x00}, 10_000),
		"a length of gigabytes":        berHex(t, "04 84 7f ff ff ff"),
		"a length beyond all bounds":   berHex(t, "30 88 ff ff ff ff ff ff ff ff"),
		"a length of many bytes":       append([]byte{0x30, 0xfe}, make([]byte, 200)...),
		"many empty elements":          append([]byte{0x30, 0x80}, bytes.Repeat([]byte{5, 0}, 30_000)...),
		"endless contents":             append([]byte{0x30, 0x80}, bytes.Repeat(append([]byte{4, 0x82, 0x10, 0}, make([]byte, 4096)...), 100)...),
		"a child larger than its home": berHex(t, "30 03 04 05 61 62 63 64 65"),
		"a header beyond its home":     berHex(t, "30 01 04 00"),
		"a tag that never ends":        append([]byte{0xbf}, bytes.Repeat([]byte{0xff}, 100)...),
		"no length for a string":       berHex(t, "04 80 61 00 00"),
		"a stray end of contents":      berHex(t, "00 00"),
		"an end inside known length":   berHex(t, "30 02 00 00"),
	} {
		r := bufio.NewReader(bytes.NewReader(in))
		if raw, err := readBER(r, nil); !errors.Is(err, errForeign) || outcome(err) != result.ConversationUnread {
			t.Errorf("%s: %d bytes, %v", name, len(raw), err)
		}
	}
	for _, in := range []string{"30", "30 80 04", "04 05 61", "30 82 01", "bf"} {
		if _, err := readBER(bufio.NewReader(bytes.NewReader(berHex(t, in))), nil); err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestBERNamesWhoElseAnswers(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n": "from nginx",
		"220 mail.example.edu ESMTP\r\n":                    "from mail.example.edu ESMTP",
		"\x00\x01":                                          `they begin with "\\x00\\x01"`,
	} {
		_, err := readBER(bufio.NewReader(strings.NewReader(in)), isLDAP)
		if !errors.Is(err, errForeign) || !strings.Contains(shown(err.Error()), strings.ReplaceAll(want, `\\`, `\`)) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestBERTellsAnotherEncodingFromAnotherContent(t *testing.T) {
	sent := berHex(t, "30 08 02 01 01 04 03 61 62 63")
	for in, want := range map[string]string{
		"30 08 02 01 01 04 03 61 62 63":                "",
		"30 81 08 02 01 01 04 03 61 62 63":             "encoded anew",
		"30 80 02 01 01 04 82 00 03 61 62 63 00 00":    "encoded anew",
		"30 08 02 01 02 04 03 61 62 63":                "differ from byte 5 on",
		"30 08 02 01 01 04 03 61 62 63 05 00":          `(nothing became "\x05\x00")`,
		"30 08 02 01 01 04 03 61":                      "10 bytes were sent and 8 arrived",
		"31 08 02 01 01 04 03 61 62 63":                "differ from byte 1 on",
		"30 0a 02 01 01 04 03 61 62 63 05 00":          "differ from byte 2 on",
		"30 08 02 01 01 04 03 61 62 63 30 80 30 80 30": "differ from byte 11 on",
	} {
		got := berChange("it", sent, berHex(t, in))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func FuzzBER(f *testing.F) {
	for _, s := range []string{"0500", "bf3003830161", "618030800000 0000", "30080201010403616263", "0904c0000001", "1817323032", "0c02c3a4"} {
		f.Add(berHex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		raw, err := readBER(r, nil)
		if err != nil {
			return
		}
		if len(raw) > maxBERSize || !bytes.HasPrefix(b, raw) {
			t.Fatalf("%x of %x", raw, b)
		}
		p, err := decodeBER(raw)
		if err != nil {
			return
		}
		// Whatever the length's form, what the library makes of it is read again
		// as the same.
		if s := berChange("it", raw, p.Bytes()); s != "" && !strings.Contains(s, "encoded anew") {
			t.Errorf("%x: %s", b, s)
		}
		_ = berText(p)
		_, _ = berNumber(p)
	})
}

func FuzzBERReceipt(f *testing.F) {
	answer := []byte("0123456789abcdef")
	f.Add(berReceipt{Got: []byte("got"), Sent: []byte("sent"), Certificate: []byte("c")}.seal(answer, "x"))
	f.Add("dialtone:...")
	f.Fuzz(func(t *testing.T, s string) {
		if r, ok := openBERReceipt(answer, "x", s); ok && r.seal(answer, "x") != s {
			t.Errorf("%q", s)
		}
		if _, ok := openBERReceipt(answer, "y", s); ok {
			t.Errorf("%q is good for two uses", s)
		}
	})
}

// berHostile gives every answering side what hurts decoders, and watches what
// it costs.
func berHostile(t *testing.T, speaks plan.Protocol, opening []byte) {
	a, _ := berAnswerer(t)
	a.Patience = 300 * time.Millisecond
	forever := func(b []byte) func(net.Conn) {
		return func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}
	}
	t.Run("ends", func(t *testing.T) {
		for name, sends := range map[string]func(net.Conn){
			"nothing":       func(net.Conn) {},
			"leaves":        func(c net.Conn) { c.Close() },
			"HTTP":          func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
			"nested":        forever(append(bytes.Clone(opening), 0x80, 0x30, 0x80)),
			"large":         forever(append(bytes.Clone(opening), 0x84, 0x7f, 0xff, 0xff, 0xff)),
			"many":          forever([]byte{opening[0], 0x80, 5, 0, 5, 0, 5, 0, 5, 0}),
			"zeroes":        forever(make([]byte, 1000)),
			"empty":         forever(append(bytes.Clone(opening), 0)),
			"empty and off": func(c net.Conn) { _, _ = c.Write(append(bytes.Clone(opening), 0)); c.Close() },
			"half":          func(c net.Conn) { _, _ = c.Write(append(bytes.Clone(opening), 0x20, 2)) },
			"slow": func(c net.Conn) {
				for _, b := range append(append(bytes.Clone(opening), 0x82, 0x10, 4, 4, 0x82, 0x10, 0), make([]byte, 4096)...) {
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if err := berEnds(t, a, speaks, sends); err == nil && !strings.HasPrefix(name, "empty") {
					t.Error("it calls that a conversation")
				}
			})
		}
	})
	var before, after runtime.MemStats
	for _, begin := range [][]byte{nil, opening, append(bytes.Clone(opening), 0x83, 0, 0xff, 0xff), append(bytes.Clone(opening), 0x80)} {
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 20 {
			_ = berEnds(t, a, speaks, func(c net.Conn) {
				_, _ = c.Write(begin)
				_, _ = io.Copy(c, io.LimitReader(rand.Reader, 8<<20))
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c)
			})
		}
		runtime.ReadMemStats(&after)
		if total := after.TotalAlloc - before.TotalAlloc; total > 64<<20 {
			t.Errorf("%x: %d bytes were allocated for twenty times rubbish", begin, total)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	near, _ := berPair(t)
	a.Patience = 2 * guardTime
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, near, speaks) }()
	cancel()
	select {
	case err := <-served:
		if err == nil {
			t.Error("no error where the context ended it")
		}
	case <-time.After(guardTime):
		t.Error("it outlives its context")
	}
}

// berStrange gives an asking side far ends that are no such service.
func berStrange(t *testing.T, speaks plan.Protocol, opening []byte) {
	read := func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }
	flood := func(b []byte) func(net.Conn) {
		return func(c net.Conn) {
			read(c)
			for {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}
	}
	for name, tc := range map[string]struct {
		says func(net.Conn)
		want result.ConversationOutcome
	}{
		"closes":     {read, result.ConversationClosed},
		"closes mid": {func(c net.Conn) { read(c); _, _ = c.Write(append(bytes.Clone(opening), 0x20, 2)) }, result.ConversationClosed},
		"resets":     {func(c net.Conn) { read(c); _ = c.(*net.TCPConn).SetLinger(0) }, result.ConversationReset},
		"HTTP":       {func(c net.Conn) { read(c); _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, result.ConversationForeign},
		"SSH":        {func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n"); read(c) }, result.ConversationForeign},
		"TLS alert":  {func(c net.Conn) { read(c); _, _ = c.Write([]byte{0x15, 3, 1, 0, 2, 2, 0x46}) }, result.ConversationForeign},
		"echo":       {func(c net.Conn) { _, _ = io.Copy(c, c) }, result.ConversationForeign},
		"empty":      {func(c net.Conn) { read(c); _, _ = c.Write(append(bytes.Clone(opening), 0)); read(c) }, result.ConversationForeign},
		"flood":      {flood(bytes.Repeat([]byte{0xff}, 1000)), result.ConversationForeign},
		"nested":     {flood(append(bytes.Clone(opening), 0x80, 0x30, 0x80)), result.ConversationUnread},
		"silent":     {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, result.ConversationSilent},
		"slow": {func(c net.Conn) {
			read(c)
			for _, b := range append(append(bytes.Clone(opening), 0x82, 0x10, 4, 4, 0x82, 0x10, 0), make([]byte, 4096)...) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, result.ConversationSilent},
	} {
		for asked, q := range map[string]Question{"a stranger": berStranger(), "with the key": berQuestion(t)} {
			t.Run(name+", asked by "+asked, func(t *testing.T) {
				if tc.want == result.ConversationSilent {
					t.Parallel()
				}
				if c := berAskFor(t, berFar(t, tc.says), speaks, q, 500*time.Millisecond); c.Outcome != tc.want || c.Keyed || c.Error == "" {
					t.Errorf("got %+v", c)
				}
			})
		}
	}
}
