package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// The responses of MC-SQLR section 4.1 and 4.2.
const (
	browserYukonStd = "ServerName;ILSUNG1;InstanceName;YUKONSTD;IsClustered;No;Version;9.00.1399.06;tcp;57137;;"
	browserYukonDev = `ServerName;ILSUNG1;InstanceName;YUKONDEV;IsClustered;No;Version;9.00.1399.06;np;\\ILSUNG1\pipe\MSSQL$YUKONDEV\sql\query;;`
	browserDefault  = `ServerName;ILSUNG1;InstanceName;MSSQLSERVER;IsClustered;No;Version;9.00.1399.06;tcp;1433;np;\\ILSUNG1\pipe\sql\query;;`
)

func TestBrowserReadsTheResponsesOfTheSpecification(t *testing.T) {
	all := append([]byte{5, 0x47, 0x01}, browserYukonStd+browserYukonDev+browserDefault...)
	c, err := readBrowser(all, Question{})
	if err != nil {
		t.Fatal(err)
	}
	want := []result.Fact{
		{Name: "instance YUKONSTD", Value: "version 9.00.1399.06, TCP port 57137"},
		{Name: "instance YUKONDEV", Value: "version 9.00.1399.06, no TCP port"},
		{Name: "instance MSSQLSERVER", Value: "version 9.00.1399.06, TCP port 1433"},
	}
	for i, f := range want {
		if len(c.Facts) != len(want) || c.Facts[i] != f {
			t.Fatalf("%+v", c.Facts)
		}
	}
	one := append([]byte{5, 0x58, 0x00}, browserYukonStd...)
	if c, err := readBrowser(one, Question{}); err != nil || len(c.Facts) != 1 || c.Facts[0] != want[0] || len(c.Changed) > 0 {
		t.Errorf("%+v %v", c, err)
	}
	// In place of our listener it is another's.
	if c, err := readBrowser(one, Question{Answer: []byte{1}}); err != nil || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], "ILSUNG1") {
		t.Errorf("%+v %v", c, err)
	}
}

func TestBrowserAnswersTheRequestsOfTheSpecification(t *testing.T) {
	a := &Answerer{Instances: []Instance{{"YUKONSTD", 57137, "9.00.1399.06"}, {"ILLIAD", 1433, ""}}}
	std := strings.Replace(browserYukonStd, "ILSUNG1", "DIALTONE", 1)
	illiad := "ServerName;DIALTONE;InstanceName;ILLIAD;IsClustered;No;Version;15.0.2000.0;tcp;1433;;"
	for name, test := range map[string]struct{ request, want string }{
		"CLNT_UCAST_EX":              {"03", "05 ae 00" + hex.EncodeToString([]byte(std+illiad))},
		"CLNT_BCAST_EX":              {"02", "05 ae 00" + hex.EncodeToString([]byte(std+illiad))},
		"CLNT_UCAST_INST":            {"04 59 55 4b 4f 4e 53 54 44 00", "05 59 00" + hex.EncodeToString([]byte(std))},
		"in small letters, no zero":  {"04 79 75 6b 6f 6e 73 74 64", "05 59 00" + hex.EncodeToString([]byte(std))},
		"an instance that is not":    {"04 59 55 4b 4f 4e 44 45 56 00", ""},
		"no name":                    {"04 00", ""},
		"a name that is too long":    {"04" + strings.Repeat("41", 33) + "00", ""},
		"CLNT_UCAST_DAC":             {"0f 01 59 55 4b 4f 4e 53 54 44 00", ""},
		"CLNT_UCAST_EX and more":     {"03 00", ""},
		"a response":                 {"05 01 00 41", ""},
		"the overflow of MS02-039":   {"04" + strings.Repeat("01", 375), ""},
		"nothing, as nmap may do it": {"", ""},
	} {
		if got := a.AnswerPacket("sql-browser", sqlHex(t, test.request)); !bytes.Equal(got, sqlHex(t, test.want)) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := new(Answerer).AnswerPacket("sql-browser", []byte{3}); got != nil {
		t.Errorf("without instances: %q", got)
	}
	if got := a.AnswerPacket("no such thing", []byte{3}); got != nil || Knows("no such thing", plan.UDP) || !Knows("sql-browser", plan.UDP) {
		t.Errorf("another protocol: %q", got)
	}
}

func TestBrowserLeavesOutWhatCannotStandThere(t *testing.T) {
	a := &Answerer{}
	for _, i := range []Instance{
		{"A;tcp;1", 1433, ""}, {"A", 0, ""}, {"A", 65536, ""}, {"", 1433, ""}, {"A", 1433, "9;9"}, {"A", 1433, strings.Repeat("9", 17)},
		{strings.Repeat("A", 33), 1433, ""},
	} {
		a.Instances = []Instance{i}
		if got := a.AnswerPacket("sql-browser", []byte{3}); got != nil {
			t.Errorf("%+v: %q", i, got)
		}
	}
	a.Instances = nil
	for range 100 {
		a.Instances = append(a.Instances, Instance{"A", 1433, ""})
	}
	if got := a.AnswerPacket("sql-browser", []byte{3}); len(got) > 3+1024 || len(got) < 900 {
		t.Errorf("%d bytes", len(got))
	}
}

// browserServe answers on a UDP socket what a function makes of a request.
func browserServe(t *testing.T, at string, answer func(b []byte) [][]byte) *net.UDPAddr {
	t.Helper()
	addr, err := net.ResolveUDPAddr("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUDP("udp4", addr)
	if err != nil {
		t.Skipf("the port is somebody else's: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := l.ReadFromUDP(b)
			if err != nil {
				return
			}
			for _, r := range answer(bytes.Clone(b[:n])) {
				_, _ = l.WriteToUDP(r, from)
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.LocalAddr().(*net.UDPAddr)
}

func browserAsk(t *testing.T, to *net.UDPAddr, timeout time.Duration, q Question) result.Conversation {
	t.Helper()
	c, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return AskPacket(ctx, c, "sql-browser", q)
}

func TestBrowserConversationSurvivesLoss(t *testing.T) {
	a := &Answerer{Instances: []Instance{{"ILLIAD", 50123, ""}}}
	var requests atomic.Int32
	to := browserServe(t, "127.0.0.1:0", func(b []byte) [][]byte {
		switch requests.Add(1) {
		case 1:
			return nil
		case 2:
			return [][]byte{{}} // an empty datagram is no answer
		}
		return [][]byte{a.AnswerPacket("sql-browser", b)}
	})
	c := browserAsk(t, to, guardTime, sqlQuestion(t))
	if c.Speaks != "sql-browser" || c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) > 0 || c.Software != "SQL Server Browser" ||
		sqlFact(c, "instance ILLIAD") != "version 15.0.2000.0, TCP port 50123" {
		t.Fatalf("%+v", c)
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// Bytes of another kind are somebody else's; what begins as SQL Browser's answer may
// be one, and accuses nobody.
func TestBrowserOtherBytesAreForeign(t *testing.T) {
	for name, b := range map[string][]byte{
		"cut in an instance": append([]byte{5, 84, 0}, browserYukonStd[:84]...),
		"dns":                {0, 1, 0x81, 0x80, 0, 1},
		"half a header":      {5, 0},
		"a wrong length":     append([]byte{5, 0x58, 0x01}, browserYukonStd...),
		"nothing in it":      {5, 0, 0},
		"not about servers":  append([]byte{5, 7, 0}, "a;b;c;;"...),
		"the DAC's answer":   {5, 6, 0, 1, 0x32, 0xdf},
	} {
		to := browserServe(t, "127.0.0.1:0", func([]byte) [][]byte { return [][]byte{b} })
		if c := browserAsk(t, to, guardTime, Question{}); c.Outcome != map[bool]result.ConversationOutcome{true: result.ConversationUnread, false: result.ConversationForeign}[len(b) > 2 && b[0] == browserResponse] || c.Error == "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestBrowserSilenceIsSilent(t *testing.T) {
	t.Parallel()
	to := browserServe(t, "127.0.0.1:0", func([]byte) [][]byte { return nil })
	if c := browserAsk(t, to, 700*time.Millisecond, Question{}); c.Outcome != result.ConversationSilent || !strings.Contains(c.Error, "no answer to ") {
		t.Errorf("%+v", c)
	}
	// Nobody has the port: the system says so, and it is asked once more.
	closed := net.UDPAddrFromAddrPort(prooftest.FreePort(t, loop))
	if c := browserAsk(t, closed, guardTime, Question{}); c.Outcome == result.ConversationCompleted || c.Error == "" {
		t.Errorf("%+v", c)
	}
	c, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c := AskPacket(t.Context(), c, "tds", Question{}); c.Outcome != result.ConversationNotHeld {
		t.Errorf("%+v", c)
	}
}

// FreeTDS asks port 1434 and no other.
func TestFreeTDSListsOurInstances(t *testing.T) {
	tsql := need(t, "tsql", "freetds-bin")
	a := &Answerer{Instances: []Instance{{"ILLIAD", 50123, "15.0.2000.5"}, {"MSSQLSERVER", 1433, ""}}}
	browserServe(t, "127.0.14.34:1434", func(b []byte) [][]byte { return [][]byte{a.AnswerPacket("sql-browser", b)} })
	out := sqlRun(t, nil, tsql, "-L", "-H", "127.0.14.34")
	if f := strings.Join(strings.Fields(out), " "); !strings.Contains(f, "ServerName DIALTONE InstanceName ILLIAD IsClustered No Version 15.0.2000.5 tcp 50123") ||
		!strings.Contains(f, "InstanceName MSSQLSERVER IsClustered No Version 15.0.2000.0 tcp 1433") {
		t.Error(out)
	}
}

func TestNmapTakesUsForSQLBrowser(t *testing.T) {
	t.Parallel()
	nmap := need(t, "nmap", "nmap")
	a := &Answerer{Instances: []Instance{{"ILLIAD", 50123, "15.0.2000.5"}}}
	browserServe(t, "127.0.14.35:1434", func(b []byte) [][]byte { return [][]byte{a.AnswerPacket("sql-browser", b)} })
	out := sqlRun(t, nil, nmap, "-n", "-Pn", "-sU", "-sV", "-p", "1434", "127.0.14.35")
	if strings.Contains(out, "requires root") {
		t.Skip(out)
	}
	if !strings.Contains(out, "ms-sql-m Microsoft SQL Server 15.0.2000.5 (ServerName: DIALTONE; TCPPort: 50123)") {
		t.Error(out)
	}
}

func TestBrowserAnswersRandomBytesWithNothing(t *testing.T) {
	a := &Answerer{Instances: []Instance{{"ILLIAD", 50123, ""}}}
	for range 2000 {
		b := make([]byte, 600)
		_, _ = rand.Read(b)
		if got := a.AnswerPacket("sql-browser", b); got != nil {
			t.Errorf("% x: %q", b[:40], got)
		}
	}
}

func FuzzBrowserResponse(f *testing.F) {
	f.Add(append([]byte{5, 0x58, 0x00}, browserYukonStd...))
	f.Add(append([]byte{5, 0x47, 0x01}, browserYukonStd+browserYukonDev+browserDefault...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readBrowser(b, Question{Answer: []byte{1}})
		if err != nil && !errors.Is(err, errForeign) {
			t.Errorf("%v is not foreign", err)
		}
		if len(c.Facts) > maxBrowserFacts+1 {
			t.Errorf("%d facts", len(c.Facts))
		}
		for _, fact := range c.Facts {
			if strings.ContainsAny(fact.Name+fact.Value, "\n\r\x00\x1b") {
				t.Errorf("%q", fact)
			}
		}
	})
}

func FuzzBrowserRequest(f *testing.F) {
	f.Add([]byte{3})
	f.Add([]byte("\x04YUKONSTD\x00"))
	a := &Answerer{Instances: []Instance{{"YUKONSTD", 57137, ""}, {"ILLIAD", 1433, ""}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := a.AnswerPacket("sql-browser", b)
		if got == nil {
			return
		}
		if _, err := parseBrowser(got); err != nil || len(got) > 3+maxBrowserData {
			t.Errorf("%q: %v", got, err)
		}
	})
}
