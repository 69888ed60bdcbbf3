package service

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dialtone/internal/result"
)

func TestISOILLReachesOurListenerUnchanged(t *testing.T) {
	a, _ := berAnswerer(t)
	at := serve(t, a, "iso-ill")
	c := berAsk(t, at, "iso-ill", berQuestion(t))
	berWant(t, c)
	if berFact(c, "answer") != "Status-Or-Error-Report" || berFact(c, "report") != "unknown transaction id" || berFact(c, "transaction") != "returned" ||
		berFact(c, "note") != "This is a Dialtone test listener. ISO ILL is not running here yet: nothing was done, kept or passed on." {
		t.Errorf("got %+v", c.Facts)
	}
	c = berAsk(t, at, "iso-ill", berStranger())
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 0 || berFact(c, "responder") != "Dialtone test listener" || berFact(c, "transaction") != "returned" {
		t.Errorf("a stranger: got %+v", c)
	}
}

// ---- a real client ----

func TestYazIllclientPrintsOurNote(t *testing.T) {
	client := need(t, "yaz-illclient", "yaz-illclient")
	a, _ := berAnswerer(t)
	at := serve(t, a, "iso-ill").String()
	for _, version := range []string{"1", "2"} {
		out, exit := berRun(t, nil, client, "-v", "all", "-D", "ill,protocol-version-num="+version, "-D", "ill,transaction-id,transaction-group-qualifier=TG1", at)
		if exit != 7 || !strings.Contains(out, "This is a Dialtone test listener. ISO ILL is not running here yet: nothing was done, kept or passed on.") || strings.Contains(out, "dialtone:") {
			t.Errorf("version %s: exit %d:\n%s", version, exit, out)
		}
	}
}

// illPrinted compiles a program that reads a file with YAZ's own decoder and
// prints it, and gives what it prints.
func illPrinted(t *testing.T, apdu []byte) string {
	t.Helper()
	gcc := need(t, "gcc", "gcc libyaz-dev")
	if _, err := os.Stat("/usr/include/yaz/ill.h"); err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatalf("%v: apt-get install libyaz-dev", err)
		}
		t.Skipf("%v: apt-get install libyaz-dev", err)
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "print.c"), filepath.Join(dir, "print")
	err := os.WriteFile(source, []byte(`
#include <stdio.h>
#include <yaz/ill.h>
int main(void) {
	static char b[1 << 16];
	int n = fread(b, 1, sizeof b, stdin);
	ODR in = odr_createmem(ODR_DECODE), out = odr_createmem(ODR_PRINT);
	ILL_APDU *apdu = 0;
	odr_setbuf(in, b, n, 0);
	if (!ill_APDU(in, &apdu, 0, 0) || odr_offset(in) != n)
		return 1;
	odr_setprint(out, stdout);
	return !ill_APDU(out, &apdu, 0, 0);
}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := exec.Command(gcc, "-o", program, source, "-lyaz").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	out, exit := berRun(t, apdu, program)
	if exit != 0 {
		t.Fatalf("exit %d: %s, of %x", exit, out, apdu)
	}
	return out
}

func TestISOILLIsWhatYAZAndOpenSSLDecode(t *testing.T) {
	a, _ := berAnswerer(t)
	var query, report []byte
	keep := func(to *[]byte) func([]byte) []byte {
		return func(b []byte) []byte { *to = bytes.Clone(b); return b }
	}
	q := berQuestion(t)
	berWant(t, berAsk(t, berMiddle(t, serve(t, a, "iso-ill"), keep(&query), keep(&report)), "iso-ill", q))
	if out, exit := berRun(t, query, need(t, "openssl", "openssl"), "asn1parse", "-inform", "DER"); exit != 0 || !strings.Contains(out, "appl [ 18 ]") {
		t.Errorf("exit %d: %s", exit, out)
	}
	if out, exit := berRun(t, report, need(t, "openssl", "openssl"), "asn1parse", "-inform", "DER"); exit != 0 || !strings.Contains(out, "appl [ 19 ]") {
		t.Errorf("exit %d: %s", exit, out)
	}
	out := illPrinted(t, query)
	for _, want := range []string{"Status_Query", "DIALTONE-TEST", hex.EncodeToString(q.Token[:]), "Dialtone connection test", "There is no such transaction"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q: %s", want, out)
		}
	}
	out = illPrinted(t, report)
	for _, want := range []string{"Status_Or_Error_Report", "DIALTONE-TEST", hex.EncodeToString(q.Token[:]), "Dialtone test listener", "transaction_id_problem 3"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q: %s", want, out)
		}
	}
}

// YAZ takes an answer for HTTP if its first four bytes are printable.
func TestISOILLMessagesDoNotLookLikeText(t *testing.T) {
	a := &Answerer{Software: "D", Answer: berAnswer}
	printable := func(b []byte) bool {
		for _, c := range b[:4] {
			if c < ' ' || c > '~' {
				return false
			}
		}
		return true
	}
	queries := make(chan []byte, 1)
	at := berFar(t, func(c net.Conn) {
		b, _ := readBER(bufio.NewReader(c), nil)
		queries <- b
	})
	berAsk(t, at, "iso-ill", berStranger())
	query := <-queries
	for _, b := range [][]byte{query, illObey(a, query), illObey(a, berHex(t, "61 02 30 00")), illObey(a, berHex(t, "61 04 18 02 30 30"))} {
		if len(b) < 4 || printable(b) {
			t.Errorf("%q", b)
		}
	}
}

// The requests are by hand, after the standard's ASN.1.
func TestISOILLReportsOnEveryMessage(t *testing.T) {
	a, _ := berAnswerer(t)
	at := serve(t, a, "iso-ill")
	// Version 2; group G, qualifier Q; 2 January 2026.
	const head = "80 01 02 a1 0a a1 03 1b 01 47 a2 03 1b 01 51 a2 0c a0 0a 80 08 32 30 32 36 30 31 30 32"
	for name, tc := range map[string]struct{ message, report, group string }{
		"ILL-Request":            {"61 80 30 80 " + head + " 00 00 00 00", "unable to perform", "G"},
		"Shipped":                {"63 1f 30 1d " + head, "unknown transaction id", "G"},
		"Received, in pieces":    {"68 80 30 80 80 01 02 a1 80 a1 80 3b 80 1b 01 47 00 00 00 00 a2 80 3a 03 1a 01 51 00 00 00 00 00 00 00 00", "unknown transaction id", "G"},
		"without its SEQUENCE":   {"72 1d " + head, "unknown transaction id", "G"},
		"Status-Query":           {"72 1f 30 1d " + head, "unknown transaction id", "G"},
		"Expired":                {"74 1f 30 1d " + head, "unknown transaction id", "G"},
		"without a transaction":  {"72 03 80 01 02", "badly structured APDU", "DIALTONE-TEST"},
		"without anything":       {"71 00", "badly structured APDU", "DIALTONE-TEST"},
		"without BER in a value": {"71 04 18 02 30 30", "badly structured APDU", "DIALTONE-TEST"},
	} {
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		// A report has no report: the next message's is the first to come.
		_, _ = c.Write(append(berHex(t, "73 1f 30 1d "+head), berHex(t, tc.message)...))
		raw, err := readBER(bufio.NewReader(c), isISOILL)
		c.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p, err := decodeBER(raw)
		if err != nil || p.Tag != 19 || illProblem(berPart(p.Children[0], 0x80, 45)) != tc.report || illText(berPart(p.Children[0], 0x80, 1), 1) != tc.group {
			t.Errorf("%s: %v, %q", name, err, raw)
		}
	}
}

// The answers are by hand, after the standard's ASN.1.
func TestISOILLServersOfOtherKinds(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		want   result.ConversationOutcome
		facts  map[string]string
	}{
		"no report, of another transaction": {"73 2d 30 2b 80 01 01 a1 0a a1 03 1b 01 47 a2 03 1b 01 51 a2 0c a0 0a 80 08 32 30 32 36 30 31 30 32 9f 2b 01 02 bf 2e 07 1a 05 62 75 73 79 21", result.ConversationCompleted,
			map[string]string{"answer": "Status-Or-Error-Report", "report": "", "note": "busy!", "transaction": "not returned"}},
		"a message, unlimited": {"71 80 80 01 02 a1 80 a1 80 1b 01 47 00 00 a2 80 1b 01 51 00 00 00 00 a4 0c a0 06 a1 04 1b 02 4f 43 00 00 00 00 00 00", result.ConversationUnread, nil},
		"a symbol":             {"71 80 80 01 02 a1 80 a1 80 1b 01 47 00 00 a2 80 1b 01 51 00 00 00 00 a4 08 a0 06 a1 04 1b 02 4f 43 00 00", result.ConversationCompleted, map[string]string{"answer": "Message", "responder": "OC"}},
		"security":             {"73 16 80 01 02 a1 00 bd 00 bf 2d 0c a0 03 1b 01 63 81 01 01 a2 02 a2 00", result.ConversationRefused, map[string]string{"report": "a problem of another kind"}},
		"nothing in it":        {"73 02 05 00", result.ConversationForeign, nil},
		"tag 21":               {"75 05 80 01 02 a1 00", result.ConversationForeign, nil},
	} {
		at := berFar(t, func(c net.Conn) {
			_, _ = readBER(bufio.NewReader(c), nil)
			_, _ = c.Write(berHex(t, tc.answer))
		})
		c := berAsk(t, at, "iso-ill", berStranger())
		if c.Outcome != tc.want || len(c.Changed) != 0 {
			t.Errorf("%s: got %+v", name, c)
		}
		for k, v := range tc.facts {
			if got := berFact(c, k); got != v {
				t.Errorf("%s: %s is %q", name, k, got)
			}
		}
		if c := berAsk(t, at, "iso-ill", berQuestion(t)); c.Outcome != tc.want && c.Outcome != result.ConversationCompleted || c.Keyed || c.Outcome == result.ConversationCompleted && len(c.Changed) != 1 {
			t.Errorf("%s, where our listener was expected: got %+v", name, c)
		}
	}
}

// ---- a device on the way ----

func TestISOILLNamesWhatADeviceChanges(t *testing.T) {
	a, _ := berAnswerer(t)
	origin := serve(t, a, "iso-ill")
	for name, tc := range map[string]struct {
		there, back func([]byte) []byte
		want        []string
	}{
		"nothing":             {nil, nil, nil},
		"query's note":        {berReplace("network only", "Network Only"), nil, []string{"the request was changed on the way", `"network`, `"Network`}},
		"query anew":          {berUnlimited, nil, []string{"the request was encoded anew on the way"}},
		"report anew":         {nil, berUnlimited, nil}, // as the file says
		"report's problem":    {nil, berReplace("\xa3\x03\x81\x01\x03", "\xa3\x03\x81\x01\x01"), []string{"the answer was changed on the way"}},
		"report's note":       {nil, berReplace("not running", "now running"), []string{"the answer was changed on the way", `"t running`, `"w running`}},
		"group of the report": {nil, berReplace("DIALTONE-TEST", "DIALTONE-BEST"), []string{"the answer was changed on the way"}},
		"receipt": {nil, func(b []byte) []byte {
			b[len(b)-5] ^= 1
			return b
		}, []string{"the end of the answer's note is not as the listener sent it"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := berAsk(t, berMiddle(t, origin, tc.there, tc.back), "iso-ill", berQuestion(t))
			if c.Outcome != result.ConversationCompleted || !c.Keyed || (len(c.Changed) == 0) != (tc.want == nil) || tc.want != nil && !berSays(c.Changed, tc.want...) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestISOILLIsNotKeyedByAnAnswerToAnotherToken(t *testing.T) {
	a, _ := berAnswerer(t)
	origin := serve(t, a, "iso-ill")
	mine, other := berQuestion(t), berQuestion(t)
	is, was := hex.EncodeToString(mine.Token[:]), hex.EncodeToString(other.Token[:])
	c := berAsk(t, berMiddle(t, origin, berReplace(is, was), berReplace(was, is)), "iso-ill", mine)
	if c.Outcome != result.ConversationCompleted || c.Keyed || !berSays(c.Changed, "does not contain the listener's reply") {
		t.Errorf("got %+v", c)
	}
	var record []byte
	berWant(t, berAsk(t, berMiddle(t, origin, nil, func(b []byte) []byte { record = bytes.Clone(b); return b }), "iso-ill", other))
	replay := berFar(t, func(c net.Conn) {
		_, _ = readBER(bufio.NewReader(c), nil)
		_, _ = c.Write(record)
		_, _ = io.Copy(io.Discard, c)
	})
	c = berAsk(t, replay, "iso-ill", mine)
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 1 || berFact(c, "transaction") != "not returned" {
		t.Errorf("got %+v", c)
	}
}

// ---- hostile far ends ----

func TestISOILLClassifiesStrangeServers(t *testing.T) { berStrange(t, "iso-ill", []byte{0x73}) }

func TestISOILLAnsweringEndsWhateverComes(t *testing.T) { berHostile(t, "iso-ill", []byte{0x72}) }

// ---- decoders ----

func FuzzISOILLRequest(f *testing.F) {
	a, _ := berAnswerer(f)
	a.Answer = func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }
	f.Add(illMessage(18, berInteger(0x80, 0, 2), illTransaction(illGroup, strings.Repeat("0a", TokenSize))).Bytes())
	f.Add(berHex(f, "61 80 80 01 02 a1 0a a1 03 1b 01 47 a2 03 1b 01 51 00 00"))
	f.Add(berHex(f, "68 80 30 80 80 01 02 a1 80 a1 80 3b 80 1b 01 47 00 00 00 00 a2 80 3a 03 1a 01 51 00 00 00 00 00 00 00 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := readBER(bufio.NewReader(bytes.NewReader(b)), isISOILL)
		if err != nil {
			return
		}
		reply := illObey(a, raw)
		if len(reply) > 2*maxILLTold {
			t.Errorf("%d bytes for %d", len(reply), len(raw))
		}
		if raw[0] == 0x73 {
			return
		}
		if got, err := readBER(bufio.NewReader(bytes.NewReader(reply)), isISOILL); err != nil || len(got) != len(reply) || reply[1] < 0x80 {
			t.Fatalf("%x: %v", reply, err)
		}
	})
}

func FuzzISOILLAnswer(f *testing.F) {
	a, _ := berAnswerer(f)
	a.Answer = func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }
	var q Question
	q.Answer = q.Token[:AnswerSize]
	f.Add(illObey(a, illMessage(18, berInteger(0x80, 0, 2), illTransaction(illGroup, hex.EncodeToString(q.Token[:]))).Bytes()))
	f.Add(berHex(f, "71 80 80 01 02 a1 80 a1 80 1b 01 47 00 00 a2 80 1b 01 51 00 00 00 00 a4 08 a0 06 a1 04 1b 02 4f 43 00 00"))
	f.Add(berHex(f, "73 16 80 01 02 a1 00 bd 00 bf 2d 0c a0 03 1b 01 63 81 01 01 a2 02 a2 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, _ := askISOILL(t.Context(), newBERCanned(b), q)
		if len(out.Changed) > 3 || len(out.Facts) > 10 {
			t.Errorf("%+v", out)
		}
		for _, s := range append(out.Changed, out.Software) {
			if strings.ContainsAny(s, "\r\n\x1b") {
				t.Errorf("%q", s)
			}
		}
	})
}
