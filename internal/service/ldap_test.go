package service

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// The library's goroutines end with the conversation, however it ends.
func TestLDAPLeavesNothingRunning(t *testing.T) {
	running := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, running) }) // after all that comes below
	a, _ := berAnswerer(t)
	berAsk(t, serve(t, a, "ldap"), "ldap", berStranger())
	berAsk(t, serve(t, a, "ldaps"), "ldaps", berQuestion(t))
	for _, says := range []func(net.Conn){
		func(net.Conn) {},
		func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		func(c net.Conn) { _, _ = io.Copy(c, c) },
		func(c net.Conn) {
			_, _ = c.Write(berHex(t, "30 0c 02 01 01 61 07 0a 01 00 04 00 04 00"))
			_, _ = io.Copy(io.Discard, c)
		},
	} {
		berAskFor(t, berFar(t, says), "ldap", berQuestion(t), 300*time.Millisecond)
	}
}

func TestLDAPReachesOurListenerUnchanged(t *testing.T) {
	a, print := berAnswerer(t)
	at := serve(t, a, "ldap")
	c := berAsk(t, at, "ldap", berQuestion(t))
	berWant(t, c)
	if berFact(c, "anonymous bind") != "accepted" || berFact(c, "LDAP versions") != "3" || berFact(c, "StartTLS") != "offered" {
		t.Errorf("got %+v", c.Facts)
	}
	at = serve(t, a, "ldaps")
	for _, known := range [][]byte{print, nil} {
		q := berQuestion(t)
		q.Fingerprint = known
		c = berAsk(t, at, "ldaps", q)
		berWant(t, c)
		if berFact(c, "subject") != "CN=Dialtone test listener" || berFact(c, "StartTLS") != "" {
			t.Errorf("got %+v", c.Facts)
		}
	}
}

func TestLDAPStrangerGetsTheRootEntryOnly(t *testing.T) {
	a, _ := berAnswerer(t)
	for _, speaks := range []plan.Protocol{"ldap", "ldaps"} {
		c := berAsk(t, serve(t, a, speaks), speaks, berStranger())
		if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 0 || c.Software != "Dialtone test listener" {
			t.Errorf("%s: got %+v", speaks, c)
		}
	}
}

func TestLDAPSendsNoTokenToAStranger(t *testing.T) {
	q, seen := berStranger(), make(chan []byte, 1)
	at := berFar(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		bind, _ := readBER(r, nil)
		// A success in an old server's form.
		_, _ = c.Write(berHex(t, "30 0c 02 01 01 61 07 0a 01 00 04 00 04 00"))
		search, _ := readBER(r, nil)
		seen <- append(bind, search...)
	})
	c := berAsk(t, at, "ldap", q)
	b := <-seen
	if c.Outcome != result.ConversationClosed || !bytes.Contains(b, []byte("objectClass")) || bytes.Contains(b, []byte("dialtone")) || bytes.Contains(b, []byte(hex.EncodeToString(q.Token[:8]))) {
		t.Errorf("%q, %+v", b, c)
	}
}

// ---- real clients ----

func TestLdapsearchReadsOurRootEntry(t *testing.T) {
	search := need(t, "ldapsearch", "ldap-utils")
	a, _ := berAnswerer(t)
	plain, secure := serve(t, a, "ldap"), serve(t, a, "ldaps")
	for name, args := range map[string][]string{
		"ldap":     {"-H", "ldap://" + plain.String()},
		"ldaps":    {"-H", "ldaps://" + secure.String()},
		"StartTLS": {"-ZZ", "-H", "ldap://" + plain.String()},
	} {
		out, exit := berRun(t, nil, search, append(args, "-x", "-o", "ldif-wrap=no", "-s", "base", "-b", "", "(objectClass=*)", "*", "+")...)
		for _, want := range []string{"\ndn:\n", "\nobjectClass: top\n", "\nvendorName: Dialtone\n", "\nvendorVersion: test listener\n", "\nsupportedLDAPVersion: 3\n", "result: 0 Success", "# numEntries: 1"} {
			if exit != 0 || !strings.Contains(out, want) {
				t.Errorf("%s: no %q, exit %d:\n%s", name, want, exit, out)
			}
		}
		if strings.Contains(out, "namingContexts") || strings.Contains(out, "dialtone") || strings.Contains(out, ldapStartTLS) != (name == "ldap") {
			t.Errorf("%s: too much:\n%s", name, out)
		}
	}
	out, exit := berRun(t, nil, search, "-x", "-o", "ldif-wrap=no", "-H", "ldap://"+plain.String(), "-s", "base", "-b", "", "-A", "(objectClass=*)", "VendorName")
	if exit != 0 || !strings.Contains(out, "\nvendorName:\n") || strings.Contains(out, "objectClass:") {
		t.Errorf("names only: exit %d:\n%s", exit, out)
	}
	out, exit = berRun(t, nil, search, "-x", "-o", "ldif-wrap=no", "-H", "ldap://"+plain.String(), "-b", "dc=example,dc=edu", "(uid=somebody)")
	if exit != ldap.LDAPResultNoSuchObject || !strings.Contains(out, "This is a Dialtone test listener, not a directory: it has the root entry only") {
		t.Errorf("another base: exit %d:\n%s", exit, out)
	}
	out, exit = berRun(t, nil, search, "-x", "-o", "ldif-wrap=no", "-H", "ldap://"+plain.String(), "-s", "base", "-b", "", "(uid=somebody)")
	if exit != ldap.LDAPResultUnwillingToPerform || !strings.Contains(out, "it knows the filter (objectClass=*) only") {
		t.Errorf("another filter: exit %d:\n%s", exit, out)
	}
	// A critical control that nobody knows.
	out, exit = berRun(t, nil, search, "-x", "-o", "ldif-wrap=no", "-H", "ldap://"+plain.String(), "-E", "!1.2.3.4.5", "-s", "base", "-b", "")
	if exit != ldap.LDAPResultUnavailableCriticalExtension || !strings.Contains(out, "no control is known") {
		t.Errorf("a critical control: exit %d:\n%s", exit, out)
	}
}

// TestLDAPSearchEndsInARecordOfItsOwn: curl waits for more to read while its TLS
// library holds the end of a search that came in one record with the entry.
func TestLDAPSearchEndsInARecordOfItsOwn(t *testing.T) {
	a, _ := berAnswerer(t)
	search := berHex(t, "30 25 02 01 02 63 20 04 00 0a 01 00 0a 01 00 02 01 00 02 01 00 01 01 00 87 0b 6f 62 6a 65 63 74 63 6c 61 73 73 30 00")
	for _, speaks := range []plan.Protocol{"ldap", "ldaps"} {
		near, away := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- a.Serve(t.Context(), near, speaks); near.Close() }()
		conn := away
		if speaks == "ldaps" {
			conn = tls.Client(away, &tls.Config{InsecureSkipVerify: true})
		}
		_ = away.SetDeadline(time.Now().Add(guardTime))
		if _, err := conn.Write(search); err != nil {
			t.Fatal(err)
		}
		for _, want := range []ber.Tag{ldap.ApplicationSearchResultEntry, ldap.ApplicationSearchResultDone} {
			b := make([]byte, 4096)
			n, err := conn.Read(b) // of what was written at once, or of a record
			if err != nil {
				t.Fatal(err)
			}
			if _, op, _, err := ldapMessage(b[:n]); err != nil || op.Tag != want {
				t.Errorf("%s: %x, %v", speaks, b[:n], err)
			}
		}
		away.Close()
		<-served
	}
}

func TestLDAPClientsAreRefusedPolitely(t *testing.T) {
	whoami := need(t, "ldapwhoami", "ldap-utils")
	a, _ := berAnswerer(t)
	url := "ldap://" + serve(t, a, "ldap").String()
	out, exit := berRun(t, nil, whoami, "-x", "-H", url)
	if exit != 0 || strings.TrimSpace(out) != "anonymous" {
		t.Errorf("exit %d: %s", exit, out)
	}
	for name, tc := range map[string]struct {
		program string
		args    []string
		stdin   string
		exit    int
		words   string
	}{
		"a password":       {"ldapwhoami", []string{"-x", "-D", "uid=somebody,dc=example,dc=edu", "-w", "a real password"}, "", ldap.LDAPResultInvalidCredentials, "it knows nobody. The name and the password were neither kept nor logged"},
		"a name only":      {"ldapwhoami", []string{"-x", "-D", "uid=somebody,dc=example,dc=edu", "-w", ""}, "", ldap.LDAPResultUnwillingToPerform, "it takes no name without a password"},
		"LDAP version 2":   {"ldapsearch", []string{"-x", "-P", "2", "-s", "base", "-b", ""}, "", ldap.LDAPResultProtocolError, "it speaks version 3 only"},
		"a comparison":     {"ldapcompare", []string{"-x", "dc=example,dc=edu", "dc:example"}, "", ldap.LDAPResultUnwillingToPerform, "there is nothing to read or change"},
		"a deletion":       {"ldapdelete", []string{"-x", "dc=example,dc=edu"}, "", ldap.LDAPResultUnwillingToPerform, "there is nothing to read or change"},
		"a renaming":       {"ldapmodrdn", []string{"-x", "dc=example,dc=edu", "dc=other"}, "", ldap.LDAPResultUnwillingToPerform, "there is nothing to read or change"},
		"an addition":      {"ldapadd", []string{"-x"}, "dn: dc=example,dc=edu\nobjectClass: domain\ndc: example\n", ldap.LDAPResultUnwillingToPerform, "there is nothing to read or change"},
		"a change":         {"ldapmodify", []string{"-x"}, "dn: dc=example,dc=edu\nchangetype: modify\nreplace: dc\ndc: x\n", ldap.LDAPResultUnwillingToPerform, "there is nothing to read or change"},
		"another password": {"ldappasswd", []string{"-x", "-s", "new", "dc=example,dc=edu"}, "", 1, "it does not know this operation"},
	} {
		out, exit := berRun(t, []byte(tc.stdin), need(t, tc.program, "ldap-utils"), append([]string{"-H", url}, tc.args...)...)
		if exit != tc.exit || !strings.Contains(out, "This is a Dialtone test listener, not a directory: "+tc.words) {
			t.Errorf("%s: exit %d:\n%s", name, exit, out)
		}
	}
}

// nmap prints what it reads of the root entry.
func TestNmapReadsOurRootEntry(t *testing.T) {
	t.Parallel()
	nmap := need(t, "nmap", "nmap")
	a, _ := berAnswerer(t)
	at := serve(t, a, "ldap")
	out, _ := berRun(t, nil, nmap, "-n", "-Pn", "-sT", "-p", fmt.Sprint(at.Port()), "--script", "+ldap-rootdse", "127.0.0.1")
	if !strings.Contains(out, "vendorName: Dialtone") {
		t.Error(out)
	}
}

// ---- a real server ----

const slapdConf = `include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
%[2]s
database mdb
suffix dc=example,dc=edu
directory %[1]s
`

func startSlapd(t *testing.T, settings string) netip.AddrPort {
	t.Helper()
	slapd := need(t, "slapd", "slapd")
	dir, at := t.TempDir(), prooftest.FreePort(t, loop)
	conf := filepath.Join(dir, "slapd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, slapdConf, dir, strings.ReplaceAll(settings, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	berStart(t, at, slapd, "-f", conf, "-h", "ldap://"+at.String(), "-d", "0")
	return at
}

func TestLDAPAgainstSlapd(t *testing.T) {
	at := startSlapd(t, "")
	c := berAsk(t, at, "ldap", berStranger())
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 0 || c.Software != "OpenLDAP" ||
		berFact(c, "naming contexts") != "dc=example,dc=edu" || berFact(c, "LDAP versions") != "3" || berFact(c, "anonymous bind") != "accepted" || berFact(c, "StartTLS") != "not offered" {
		t.Errorf("got %+v", c)
	}
	c = berAsk(t, at, "ldap", berQuestion(t))
	if c.Outcome != result.ConversationCompleted || c.Keyed || !berSays(c.Changed, "does not contain the listener's reply", "OpenLDAP") {
		t.Errorf("where our listener was expected: got %+v", c)
	}
}

func TestLDAPAgainstAServerThatRefusesStrangers(t *testing.T) {
	for settings, want := range map[string][2]string{
		"disallow bind_anon":                {"refused: Inappropriate Authentication (48): anonymous bind disallowed", ""},
		"disallow bind_anon\nrequire authc": {"refused: Inappropriate Authentication (48): anonymous bind disallowed", "refused: Unwilling To Perform (53): authentication required"},
		"security ssf=128":                  {"accepted", "refused: Confidentiality Required (13): confidentiality required"},
		"access to * by * none":             {"accepted", ""},
	} {
		at := startSlapd(t, settings)
		c := berAsk(t, at, "ldap", berStranger())
		outcome := result.ConversationCompleted // a login is all that is wanting
		if strings.Contains(want[1], "(13)") {
			outcome = result.ConversationRefused
		}
		if c.Outcome != outcome || len(c.Changed) != 0 || berFact(c, "anonymous bind") != want[0] || want[1] != "" && berFact(c, "root entry") != want[1] {
			t.Errorf("%s: got %+v", settings, c)
		}
		if c := berAsk(t, at, "ldap", berQuestion(t)); c.Outcome != outcome || c.Keyed || !berSays(c.Changed, "does not contain the listener's reply") {
			t.Errorf("%s: where our listener was expected: got %+v", settings, c)
		}
	}
}

// Active Directory's root entry as MS-ADTS section 3.1.1.3.2 has it, in part.
func TestLDAPNamesActiveDirectory(t *testing.T) {
	root := ldap.NewEntry("", map[string][]string{
		"supportedCapabilities": {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670"},
		"dnsHostName":           {"dc1.example.edu"},
	})
	if s := ldapSoftware(root); s != "Active Directory" {
		t.Error(s)
	}
}

// ---- a device on the way ----

func TestLDAPNamesWhatADeviceChanges(t *testing.T) {
	a, _ := berAnswerer(t)
	origin := serve(t, a, "ldap")
	nth := func(n int, change func([]byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte {
			if n--; n != 0 {
				return b
			}
			return change(b)
		}
	}
	// without takes an attribute out of the root entry, as a directory proxy does.
	without := func(name string) func([]byte) []byte {
		return func(raw []byte) []byte {
			id, op, _, err := ldapMessage(raw)
			if err != nil || op.Tag != ldap.ApplicationSearchResultEntry {
				return raw
			}
			list := berGroup(0, 0x10)
			for _, c := range op.Children[1].Children {
				if berText(c.Children[0]) != name {
					list.AppendChild(c)
				}
			}
			return ldapEnvelope(id, berGroup(0x40, op.Tag, op.Children[0], list))
		}
	}
	for name, tc := range map[string]struct {
		there, back func([]byte) []byte
		want        [][]string
	}{
		"nothing":              {nil, nil, nil},
		"StartTLS taken away":  {nil, without("supportedExtension"), [][]string{{"the listener's attribute supportedExtension", ldapStartTLS, "was taken away"}}},
		"StartTLS masked":      {nil, berReplace(ldapStartTLS, strings.Repeat("X", len(ldapStartTLS))), [][]string{{"the listener's value " + ldapStartTLS + " of the attribute supportedExtension was taken away"}, {"the value XXX", "was added to the listener's attribute supportedExtension"}}},
		"attribute renamed":    {nil, berReplace("vendorVersion", "vendorXersion"), [][]string{{"vendorVersion (test listener) was taken away"}, {"vendorXersion (test listener) was added"}}},
		"answer encoded anew":  {nil, nth(2, berAnew), [][]string{{"the answer was encoded anew on the way; the content is the same"}}},
		"answer unlimited":     {nil, nth(2, berUnlimited), [][]string{{"the answer was encoded anew"}}},
		"bind encoded anew":    {nth(1, berAnew), nil, [][]string{{"the request was encoded anew"}}},
		"search encoded anew":  {nth(2, berUnlimited), nil, [][]string{{"the request was encoded anew"}}},
		"filter's case":        {berReplace("objectClass", "OBJECTCLASS"), nil, [][]string{{"the request was changed on the way", "differ from byte", "OBJECTCLASS"}}},
		"end of search":        {nil, nth(3, berReplace("dialtone:", "dialtone-")), [][]string{{"the end of the answer is not as the listener sent it"}}},
		"time limit of search": {nth(2, berReplace("\x02\x01\x00", "\x02\x01\x05")), nil, [][]string{{"the request was changed on the way"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := berAsk(t, berMiddle(t, origin, tc.there, tc.back), "ldap", berQuestion(t))
			if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) != len(tc.want) {
				t.Errorf("got %+v", c)
			}
			for _, w := range tc.want {
				if !berSays(c.Changed, w...) {
					t.Errorf("no sentence has %q: %q", w, c.Changed)
				}
			}
		})
	}
}

func TestLDAPIsNotKeyedByAnAnswerToAnotherToken(t *testing.T) {
	a, _ := berAnswerer(t)
	origin := serve(t, a, "ldap")
	mine, other := berQuestion(t), berQuestion(t)
	is, was := hex.EncodeToString(mine.Token[:]), hex.EncodeToString(other.Token[:])
	// It asks for another token's answer, and gives that under the name of ours.
	c := berAsk(t, berMiddle(t, origin, berReplace(is, was), berReplace(was, is)), "ldap", mine)
	if c.Outcome != result.ConversationCompleted || c.Keyed || !berSays(c.Changed, "does not contain the listener's reply") {
		t.Errorf("got %+v", c)
	}
	// A recorded conversation, replayed.
	var record [][]byte
	berWant(t, berAsk(t, berMiddle(t, origin, nil, func(b []byte) []byte { record = append(record, b); return b }), "ldap", other))
	replay := berFar(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		_, _ = readBER(r, nil)
		_, _ = c.Write(record[0])
		_, _ = readBER(r, nil)
		_, _ = c.Write(slices.Concat(record[1:]...))
		_, _ = io.Copy(io.Discard, c)
	})
	if c := berAsk(t, replay, "ldap", mine); c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestLDAPSNamesADeviceThatEndsTLS(t *testing.T) {
	a, print := berAnswerer(t)
	device, _ := berAnswerer(t) // with a certificate of its own
	plain := serve(t, a, "ldaps")
	between := berFar(t, func(near net.Conn) {
		n, err := acceptTLS(t.Context(), near, device)
		if err != nil {
			return
		}
		raw, err := net.Dial("tcp", plain.String())
		if err != nil {
			return
		}
		defer raw.Close()
		away, _, _, err := dialTLS(raw, Question{Host: "127.0.0.1"})
		if err != nil {
			return
		}
		done := make(chan struct{})
		go func() { _, _ = io.Copy(away, n); close(done) }()
		_, _ = io.Copy(n, away)
		near.Close()
		<-done
	})
	for _, known := range [][]byte{print, nil} {
		q := berQuestion(t)
		q.Fingerprint = known
		c := berAsk(t, between, "ldaps", q)
		if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], "TLS was ended on the way") {
			t.Errorf("got %+v", c)
		}
	}
}

// ---- hostile far ends ----

func TestLDAPClassifiesStrangeServers(t *testing.T) { berStrange(t, "ldap", []byte{0x30}) }

func TestLDAPNoticeOfDisconnectionIsARefusal(t *testing.T) {
	// RFC 4511 section 4.4.1: message 0, [APPLICATION 24], result 8, the name 1.3.6.1.4.1.1466.20036.
	notice := append(berHex(t, "30 2b 02 01 00 78 26 0a 01 08 04 00 04 07"), "go away\x8a\x161.3.6.1.4.1.1466.20036"...)
	at := berFar(t, func(c net.Conn) {
		_, _ = readBER(bufio.NewReader(c), nil)
		_, _ = c.Write(notice)
	})
	c := berAsk(t, at, "ldap", berStranger())
	if c.Outcome != result.ConversationRefused || c.Refusal.Reply() != "Strong Auth Required (8) go away" || berFact(c, "disconnected") != "Strong Auth Required (8): go away" || len(c.Changed) != 0 {
		t.Errorf("got %+v", c)
	}
	if c := berAsk(t, at, "ldap", berQuestion(t)); c.Keyed || len(c.Changed) != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestLDAPEndlessEntriesAreNotUnderstood(t *testing.T) {
	at := berFar(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		_, _ = readBER(r, nil)
		_, _ = c.Write(berHex(t, "30 0c 02 01 01 61 07 0a 01 00 04 00 04 00"))
		_, _ = readBER(r, nil)
		for {
			if _, err := c.Write(berHex(t, "30 09 02 01 02 64 04 04 00 30 00")); err != nil {
				return
			}
		}
	})
	if c := berAsk(t, at, "ldap", berQuestion(t)); c.Outcome != result.ConversationUnread {
		t.Errorf("got %+v", c)
	}
}

func TestLDAPAnsweringEndsWhateverComes(t *testing.T) { berHostile(t, "ldap", []byte{0x30}) }

func TestLDAPAnswersNoMoreThanManyRequests(t *testing.T) {
	a, _ := berAnswerer(t)
	err := berEnds(t, a, "ldap", func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		for {
			if _, err := c.Write(berHex(t, "30 0c 02 01 01 60 07 02 01 03 04 00 80 00")); err != nil {
				return
			}
		}
	})
	if err != errBERMessages {
		t.Error(err)
	}
}

func TestLDAPObeysNothingInClearAfterStartTLS(t *testing.T) {
	t.Parallel()
	a, _ := berAnswerer(t)
	start := append(berHex(t, "30 1d 02 01 01 77 18 80 16"), ldapStartTLS...)
	err := berEnds(t, a, "ldap", func(c net.Conn) {
		_, _ = c.Write(append(start, berHex(t, "30 0c 02 01 02 60 07 02 01 03 04 00 80 00")...))
	})
	if err != errLDAPEarlyTLS {
		t.Error(err)
	}
}

func TestLDAPReceiptHasNoPassword(t *testing.T) {
	a, _ := berAnswerer(t)
	q := berQuestion(t)
	s := &ldapServer{a: a}
	bind := append(berHex(t, "30 15 02 01 01 60 10 02 01 03 04 03"), "cn=\x80\x06secret"...)
	if _, _, then := s.obey(bind); then != ldapThenMore {
		t.Fatal("the bind ended it")
	}
	req, err := ldapSearchBytes(hex.EncodeToString(q.Token[:]))
	if err != nil {
		t.Fatal(err)
	}
	entry, done, _ := s.obey(req)
	reply := append(entry, done...)
	if !bytes.Contains(reply, []byte(berProof(q.Answer, "ldap"))) || bytes.Count(reply, []byte(berMark)) != 1 {
		t.Errorf("%q", reply)
	}
}

// ldapSearchBytes is a search for the root entry with a token.
func ldapSearchBytes(token string) ([]byte, error) {
	filter, err := ldap.CompileFilter("(objectClass=*)")
	if err != nil {
		return nil, err
	}
	return ldapEnvelope(2, berGroup(0x40, 3, berString(0, 4, ""), berInteger(0, 10, 0), berInteger(0, 10, 0), berInteger(0, 2, 1), berInteger(0, 2, 0),
		berInteger(0, 1, 0), filter, berGroup(0, 0x10, berString(0, 4, "*"), berString(0, 4, ldapTokenPrefix+token)))), nil
}

// ---- decoders ----

func FuzzLDAPRequest(f *testing.F) {
	a, _ := berAnswerer(f)
	a.Answer = func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }
	search, err := ldapSearchBytes(strings.Repeat("0a", TokenSize))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(search)
	f.Add(berHex(f, "30 0c 02 01 01 60 07 02 01 03 04 00 80 00"))
	f.Add(berHex(f, "30 05 02 01 01 42 00"))
	f.Add(append(berHex(f, "30 1d 02 01 01 77 18 80 16"), ldapStartTLS...))
	f.Add(berHex(f, "30 0a 02 01 03 4a 00 a0 03 30 01 01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := readBER(bufio.NewReader(bytes.NewReader(b)), isLDAP)
		if err != nil {
			return
		}
		s := &ldapServer{a: a}
		for range 2 {
			reply, done, _ := s.obey(bytes.Clone(raw))
			reply = append(reply, done...)
			if len(reply) > 4*len(raw)+4*maxLDAPTold {
				t.Errorf("%d bytes for %d", len(reply), len(raw))
			}
			for r := bufio.NewReader(bytes.NewReader(reply)); ; {
				one, err := readBER(r, isLDAP)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, _, _, err := ldapMessage(one); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func FuzzLDAPAnswer(f *testing.F) {
	a, _ := berAnswerer(f)
	var q Question
	a.Answer = func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }
	q.Answer = q.Token[:AnswerSize]
	s := &ldapServer{a: a}
	bound, _, _ := s.obey(berHex(f, "30 0c 02 01 01 60 07 02 01 03 04 00 80 00"))
	search, err := ldapSearchBytes(hex.EncodeToString(q.Token[:]))
	if err != nil {
		f.Fatal(err)
	}
	found, done, _ := s.obey(search)
	f.Add(append(found, done...))
	f.Add(berHex(f, "30 0c 02 01 02 65 07 0a 01 20 04 00 04 00"))
	f.Add(berHex(f, "30 09 02 01 02 64 04 04 00 30 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := newLDAPCanned(bound, b)
		defer conn.Close()
		out, _ := askLDAP(t.Context(), conn, q)
		if len(out.Changed) > maxLDAPChanges+2 || len(out.Facts) > 10 {
			t.Errorf("%+v", out)
		}
		for _, s := range append(out.Changed, out.Software) {
			if strings.ContainsAny(s, "\r\n\x1b") {
				t.Errorf("%q", s)
			}
		}
	})
}

// newLDAPCanned answers each request with what was laid up for it, and then
// closes.
func newLDAPCanned(answers ...[]byte) net.Conn {
	near, away := net.Pipe()
	go func() {
		defer away.Close()
		r := bufio.NewReader(away)
		for _, b := range answers {
			if _, err := readBER(r, nil); err != nil {
				return
			}
			if _, err := away.Write(b); err != nil {
				return
			}
		}
	}()
	return near
}
