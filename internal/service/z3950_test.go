package service

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

func TestZ3950ReachesOurListenerUnchanged(t *testing.T) {
	a, _ := berAnswerer(t)
	at := serve(t, a, "z3950")
	c := berAsk(t, at, "z3950", berQuestion(t))
	berWant(t, c)
	if berFact(c, "init") != "accepted" || berFact(c, "Z39.50 version") != "3" || berFact(c, "options") != "search, present" || berFact(c, "reference id") != "returned" {
		t.Errorf("got %+v", c.Facts)
	}
	c = berAsk(t, at, "z3950", berStranger())
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 0 || c.Software != "Dialtone test listener" || berFact(c, "reference id") != "returned" {
		t.Errorf("a stranger: got %+v", c)
	}
}

// ---- a real client ----

// yazClient runs yaz-client's commands; messages is its own rendering of all
// that travelled.
func yazClient(t *testing.T, commands string) (out, messages string) {
	t.Helper()
	program := need(t, "yaz-client", "yaz")
	dir := t.TempDir()
	script, log := filepath.Join(dir, "commands"), filepath.Join(dir, "messages")
	if err := os.WriteFile(script, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = berRun(t, nil, program, "-a", log, "-f", script)
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return out, string(b)
}

func TestYazClientPrintsOurName(t *testing.T) {
	a, _ := berAnswerer(t)
	at := serve(t, a, "z3950").String()
	out, messages := yazClient(t, "open "+at+"\nclose\nquit\n")
	for _, want := range []string{"Connection accepted by v3 target.", "Name   : Dialtone test listener", "Options: search present\n", "Target has closed the association.", "message: This is a Dialtone test listener, not a catalogue: goodbye"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q:\n%s\n%s", want, out, messages)
		}
	}
	out, messages = yazClient(t, "open "+at+"\nfind something\nquit\n")
	if !strings.Contains(out, "Reason: unspecified, message: This is a Dialtone test listener, not a catalogue: there is nothing to search or fetch") {
		t.Errorf("a search:\n%s\n%s", out, messages)
	}
	_, messages = yazClient(t, "refid our-reference\nopen "+at+"\nclose\nquit\n")
	if strings.Count(messages, "referenceId OCTETSTRING(len=13) our-reference") != 2 || strings.Contains(messages, "otherInfo") {
		t.Errorf("a reference:\n%s", messages)
	}
	// A name and a password change nothing.
	out, _ = yazClient(t, "authentication user/secret\nopen "+at+"\nclose\nquit\n")
	if !strings.Contains(out, "Connection accepted by v3 target.") || !strings.Contains(out, "not a catalogue: goodbye") {
		t.Errorf("with a password:\n%s", out)
	}
}

// YAZ decodes an answer to a token by the standard's own definitions.
func TestYazClientTakesOurKeyedAnswer(t *testing.T) {
	a, _ := berAnswerer(t)
	a.Answer = func(token []byte) ([]byte, bool) { return []byte("0123456789abcdef"), len(token) == TokenSize }
	out, messages := yazClient(t, "refid 0123456789abcdef0123456789abcdef\nopen "+serve(t, a, "z3950").String()+"\nclose\nquit\n")
	if !strings.Contains(out, "Connection accepted by v3 target.") || !strings.Contains(out, "Reason: finished, message: dialtone:") || !strings.Contains(messages, "characterInfo 'dialtone:") {
		t.Errorf("%s\n%s", out, messages)
	}
}

// ---- a real server ----

func TestZ3950AgainstYaz(t *testing.T) {
	ztest := need(t, "yaz-ztest", "yaz")
	at := prooftest.FreePort(t, loop)
	berStart(t, at, ztest, "-T", "tcp:"+at.String())
	c := berAsk(t, at, "z3950", berStranger())
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 0 || !strings.HasPrefix(c.Software, "GFS/YAZ 5.") ||
		berFact(c, "init") != "accepted" || berFact(c, "Z39.50 version") != "3" || berFact(c, "options") != "search, present" || berFact(c, "reference id") != "returned" {
		t.Errorf("got %+v", c)
	}
	c = berAsk(t, at, "z3950", berQuestion(t))
	if c.Outcome != result.ConversationCompleted || c.Keyed || berFact(c, "reference id") != "returned" || !berSays(c.Changed, "does not contain the listener's reply", "GFS/YAZ") {
		t.Errorf("where our listener was expected: got %+v", c)
	}
}

// The answers are by hand, after the standard's ASN.1.
func TestZ3950ServersOfOtherKinds(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		facts  map[string]string
	}{
		"version 2, no reference": {"b5 17 83 02 05 c0 84 02 06 c0 85 02 40 00 86 02 40 00 8c 01 01 9f 6f 01 61", map[string]string{"init": "accepted", "Z39.50 version": "2", "reference id": "not returned"}},
		"rejected":                {"b5 13 83 02 05 e0 84 02 06 c0 85 02 40 00 86 02 40 00 8c 01 00", map[string]string{"init": "rejected", "Z39.50 version": "3"}},
		"unlimited":               {"b5 80 83 02 05 e0 84 02 06 c0 85 02 40 00 86 02 40 00 8c 01 ff 00 00", map[string]string{"init": "accepted"}},
		"closed at once":          {"bf 30 0c 9f 81 53 01 05 83 05 67 6f 21 0a 00", map[string]string{"init": `refused: Close, reason 5 (security violation) go!\n\x00`}},
	} {
		at := berFar(t, func(c net.Conn) {
			r := bufio.NewReader(c)
			_, _ = readBER(r, nil)
			_, _ = c.Write(berHex(t, tc.answer))
			_, _ = readBER(r, nil)
		})
		c := berAsk(t, at, "z3950", berStranger())
		outcome := result.ConversationCompleted
		if tc.facts["init"] != "accepted" {
			outcome = result.ConversationRefused
		}
		if c.Outcome != outcome || len(c.Changed) != 0 {
			t.Errorf("%s: got %+v", name, c)
		}
		for k, v := range tc.facts {
			if got := berFact(c, k); got != v {
				t.Errorf("%s: %s is %q", name, k, got)
			}
		}
		if c := berAsk(t, at, "z3950", berQuestion(t)); c.Outcome != outcome || c.Keyed || len(c.Changed) != 1 {
			t.Errorf("%s, where our listener was expected: got %+v", name, c)
		}
	}
}

// ---- a device on the way ----

func TestZ3950NamesWhatADeviceChanges(t *testing.T) {
	a, _ := berAnswerer(t)
	origin := serve(t, a, "z3950")
	only := func(first byte, change func([]byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte {
			if b[0] == first {
				return change(b)
			}
			return b
		}
	}
	for name, tc := range map[string]struct {
		there, back func([]byte) []byte
		want        []string
	}{
		"nothing":             {nil, nil, nil},
		"client's name":       {berReplace("Dialtone connection", "Another  connection"), nil, []string{"the request was changed on the way", `"Dialtone connec`, `became "Another  connec`}},
		"options":             {berReplace("\x84\x02\x00\xc0", "\x84\x02\x00\xe0"), nil, []string{"the request was changed on the way"}},
		"request anew":        {only(0xb4, berAnew), nil, []string{"the request was encoded anew on the way"}},
		"close anew":          {only(0xbf, berUnlimited), nil, []string{"the request was encoded anew on the way"}},
		"server's name":       {nil, berReplace("test listener", "Test Listener"), []string{"the answer was changed on the way", `became "Test`}},
		"answer anew":         {nil, only(0xb5, berUnlimited), []string{"the answer was encoded anew on the way"}},
		"receipt changed":     {nil, only(0xbf, berReplace("dialtone:", "dialtone;")), []string{"the answer to Close is not as the listener sent it"}},
		"reference of answer": {nil, only(0xb5, func(b []byte) []byte { b[6] ^= 1; return b }), []string{"the answer's reference id is not the request's"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := berAsk(t, berMiddle(t, origin, tc.there, tc.back), "z3950", berQuestion(t))
			if c.Outcome != result.ConversationCompleted || !c.Keyed || (len(c.Changed) == 0) != (tc.want == nil) || tc.want != nil && !berSays(c.Changed, tc.want...) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestZ3950IsNotKeyedByAnAnswerToAnotherToken(t *testing.T) {
	a, _ := berAnswerer(t)
	origin := serve(t, a, "z3950")
	mine, other := berQuestion(t), berQuestion(t)
	is, was := string(mine.Token[:]), string(other.Token[:])
	c := berAsk(t, berMiddle(t, origin, berReplace(is, was), berReplace(was, is)), "z3950", mine)
	if c.Outcome != result.ConversationCompleted || c.Keyed || !berSays(c.Changed, "does not contain the listener's reply") {
		t.Errorf("got %+v", c)
	}
	var record []byte
	berWant(t, berAsk(t, berMiddle(t, origin, nil, func(b []byte) []byte { record = append(record, b...); return b }), "z3950", other))
	replay := berFar(t, func(c net.Conn) {
		_, _ = readBER(bufio.NewReader(c), nil)
		_, _ = c.Write(record)
		_, _ = io.Copy(io.Discard, c)
	})
	c = berAsk(t, replay, "z3950", mine)
	if c.Outcome != result.ConversationCompleted || c.Keyed || !berSays(c.Changed, "reference id is not the request's") || !berSays(c.Changed, "does not contain the listener's reply") {
		t.Errorf("got %+v", c)
	}
}

// ---- hostile far ends ----

func TestZ3950ClassifiesStrangeServers(t *testing.T) { berStrange(t, "z3950", []byte{0xb5}) }

func TestZ3950AnsweringEndsWhateverComes(t *testing.T) { berHostile(t, "z3950", []byte{0xb4}) }

func TestZ3950ReceiptHasNoPassword(t *testing.T) {
	a, _ := berAnswerer(t)
	q := berQuestion(t)
	s := &zServer{a: a}
	reply, more := s.obey(berGroup(0x80, 20, berString(0x80, 2, string(q.Token[:])), zBits(3, 3, 0xe0), zBits(4, 2, 0xc0),
		berGroup(0x80, 7, berString(0, 0x1a, "user/secret"))).Bytes())
	if !more || !bytes.Contains(reply, []byte(berProof(q.Answer, "z3950"))) {
		t.Errorf("%q", reply)
	}
	if reply, more = s.obey(zCloseMessage("", 0, "")); more || bytes.Contains(reply, []byte(berMark)) {
		t.Errorf("%q", reply)
	}
}

// OpenSSL reads what both sides say.
func TestZ3950IsBEROpenSSLReads(t *testing.T) {
	openssl := need(t, "openssl", "openssl")
	a, _ := berAnswerer(t)
	var all [][]byte
	note := func(b []byte) []byte { all = append(all, bytes.Clone(b)); return b }
	q := berQuestion(t)
	berWant(t, berAsk(t, berMiddle(t, serve(t, a, "z3950"), note, note), "z3950", q))
	if len(all) != 4 {
		t.Fatalf("%d messages", len(all))
	}
	for i, want := range []string{"cont [ 20 ]", "cont [ 21 ]", "cont [ 48 ]", "cont [ 48 ]"} {
		out, exit := berRun(t, all[i], openssl, "asn1parse", "-inform", "DER")
		if exit != 0 || !strings.Contains(strings.SplitN(out, "\n", 2)[0], want) {
			t.Errorf("exit %d:\n%s", exit, out)
		}
	}
}

// ---- decoders ----

func FuzzZ3950Request(f *testing.F) {
	a, _ := berAnswerer(f)
	a.Answer = func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }
	f.Add(berGroup(0x80, 20, berString(0x80, 2, strings.Repeat("t", TokenSize)), zBits(3, 3, 0xe0), zBits(4, 2, 0xc0)).Bytes(), zCloseMessage("x", 0, ""))
	f.Add(berHex(f, "b4 0a 83 02 05 c0 84 02 00 ff 86 00"), berHex(f, "b6 00"))
	f.Add(berHex(f, "bf 30 00"), berHex(f, "b4 00"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		s := &zServer{a: a}
		for _, b := range [][]byte{one, two, one} {
			raw, err := readBER(bufio.NewReader(bytes.NewReader(b)), isZ3950)
			if err != nil {
				return
			}
			reply, more := s.obey(raw)
			if len(reply) > 4*len(raw)+4*maxZTold {
				t.Errorf("%d bytes for %d", len(reply), len(raw))
			}
			if reply != nil {
				if got, err := readBER(bufio.NewReader(bytes.NewReader(reply)), isZ3950); err != nil || len(got) != len(reply) {
					t.Fatalf("%x: %v", reply, err)
				}
			}
			if !more {
				return
			}
		}
	})
}

func FuzzZ3950Answer(f *testing.F) {
	a, _ := berAnswerer(f)
	a.Answer = func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }
	var q Question
	q.Answer = q.Token[:AnswerSize]
	s := &zServer{a: a}
	init, _ := s.obey(berGroup(0x80, 20, berString(0x80, 2, string(q.Token[:])), zBits(3, 3, 0xe0)).Bytes())
	bye, _ := s.obey(zCloseMessage("", 0, ""))
	f.Add(append(init, bye...))
	f.Add(berHex(f, "b5 17 83 02 05 c0 84 02 06 c0 85 02 40 00 86 02 40 00 8c 01 01 9f 6f 01 61"))
	f.Add(berHex(f, "bf 30 0c 9f 81 53 01 05 83 05 67 6f 21 0a 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, _ := askZ3950(t.Context(), newBERCanned(b), q)
		if len(out.Changed) > 5 || len(out.Facts) > 10 {
			t.Errorf("%+v", out)
		}
		for _, s := range append(out.Changed, out.Software) {
			if strings.ContainsAny(s, "\r\n\x1b") {
				t.Errorf("%q", s)
			}
		}
	})
}
