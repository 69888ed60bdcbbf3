package invite

import (
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"mime/quotedprintable"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func TestALineCarriesEverything(t *testing.T) {
	for _, want := range []Invitation{sample(), plain()} {
		line := mustMake(t, want)
		if strings.ContainsAny(line, " \n\t'\"\\&<>=/+_") {
			t.Errorf("a shell or a mail program may change %s", line)
		}
		got, err := Parse(line, issued)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestAnInvitationPrintsWithoutItsKey(t *testing.T) {
	i := sample()
	if s := fmt.Sprintf("%v %+v %#v %s", i, i, i, i); strings.Contains(s, "horse") || strings.Count(s, "Example University Library (illiad.example.edu)") != 4 {
		t.Errorf("it prints as %s", s)
	}
}

// wrapped breaks a text into lines.
func wrapped(s string, width int, brk string) string {
	var out []string
	for len(s) > width {
		out, s = append(out, s[:width]), s[width:]
	}
	return strings.Join(append(out, s), brk)
}

func TestAnInvitationIsFoundInWhatMailMakesOfIt(t *testing.T) {
	line := mustMake(t, sample())
	letter := "Dear colleague,\n\nplease run dial odyssey with the line that begins with\ndialtone-invitation-1: and ends with .end:\n\n" + line + ".\n\nKind regards. The end.\n"
	var qp strings.Builder
	w := quotedprintable.NewWriter(&qp)
	_, _ = w.Write([]byte(letter))
	_ = w.Close()
	var wide strings.Builder
	for _, u := range utf16.Encode([]rune("\ufeff" + letter)) {
		wide.WriteByte(byte(u))
		wide.WriteByte(byte(u >> 8))
	}
	based := wrapped(base64.StdEncoding.EncodeToString([]byte(letter)), 76, "\r\n")
	page := "<html><body><p>Hello &amp; welcome</p><a href=\"" + line + "\">" + wrapped(line, 50, "<wbr>") + "</a>&nbsp;<br></body></html>"
	head := "From: a@example.edu\r\nTo: b@example.org\r\nSubject: Test\r\nMIME-Version: 1.0\r\n"
	plainPart := head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + based + "\r\n"
	for name, text := range map[string]string{
		"alone":                      line,
		"with a line break":          line + "\r\n",
		"in quotes":                  `"` + line + `"`,
		"with punctuation":           "(" + line + ").",
		"in a letter":                letter,
		"wrapped":                    wrapped(line, 72, "\n"),
		"wrapped often":              wrapped(line, 1, "\r\n"),
		"quoted":                     "On Monday Bob <bob@example.edu> wrote:\n> " + wrapped(line, 60, "\n> ") + "\n> Bye\n",
		"quoted again":               ">> " + wrapped(line, 60, "\n> > "),
		"quoted with bars":           "| " + wrapped(line, 60, "\n| "),
		"flowed":                     wrapped(line, 66, " \r\n"),
		"indented":                   "\t" + wrapped(line, 40, "\n\t\u00a0\u00a0"),
		"broken at hyphens":          strings.ReplaceAll(line, "-", "-\n"),
		"with unseen characters":     "\ufeff" + wrapped(line, 20, "\u200b") + "\u00ad",
		"escaped for HTML":           html.EscapeString("> " + wrapped(line, 60, "\n> ")),
		"as HTML":                    page,
		"as several arguments":       strings.Join(strings.Fields(wrapped(line, 70, " ")), " "),
		"as UTF-16":                  wide.String(),
		"quoted-printable":           qp.String(),
		"twice":                      line + "\n" + letter,
		"beside one that is cut off": line[:200] + "\n" + line,
		"a mail in base64":           plainPart,
		"a blank line first":         "\r\n" + plainPart,
		"from Apple Mail":            fmt.Sprintf("%d  \n%s<?xml version=\"1.0\"?>\n<plist/>\n", len(plainPart), plainPart),
		"the second of a mailbox":    "From a@example.edu Mon Nov 23 09:00:00 2026\n" + head + "\nHello.\n\nFrom a@example.edu Mon Nov 23 10:00:00 2026\n" + plainPart,
		"cut by a mail server":       head + "\r\n" + wrapped(strings.Repeat("x ", 300)+line, 990, "!\r\n "),
		"with a long tag in it":      "<p>" + line[:40] + "<span style=\"" + strings.Repeat("font-family:Calibri;", 200) + "\">" + line[40:] + "</span></p>",
		"as the first of a sentence": "D" + line[1:],
		"in capitals":                strings.ToUpper(line),
		"with other hyphens":         strings.ReplaceAll(line, "-", "\u2011"),
		"from a mailbox file":        "From a@example.edu Mon Nov 23 10:00:00 2026\r\n" + plainPart,
		"a mail in quoted-printable": head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + qp.String(),
		"attached": head + "Content-Type: multipart/mixed; boundary=\"xx\"\r\n\r\n--xx\r\nContent-Type: text/plain\r\n\r\nAs attached.\r\n" +
			"--xx\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + based + "\r\n--xx--\r\n",
		"two forms, forwarded": head + "Content-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\nContent-Type: message/rfc822\r\n\r\n" +
			head + "Content-Type: multipart/alternative; boundary=yy\r\n\r\n--yy\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + based +
			"\r\n--yy\r\nContent-Type: text/html\r\n\r\n" + page + "\r\n--yy--\r\n\r\n--xx--\r\n",
	} {
		got, err := Parse(text, issued)
		if err != nil || !reflect.DeepEqual(got, sample()) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		if !strings.Contains(text, "base64") && !Mentions(text) {
			t.Errorf("%s: not taken for an invitation", name)
		}
	}
}

func TestEveryRefusalSaysWhichAndWhatToDo(t *testing.T) {
	line := mustMake(t, sample())
	other := sample()
	other.Name, other.Hosts = "", []string{"198.51.100.7"}
	old := sample()
	old.Issued, old.Expires = issued.Add(-8*time.Hour), issued.Add(-time.Hour)
	at := strings.LastIndex(line[:len(line)-len(end)], ".")
	for _, c := range []struct {
		text string
		is   error
		says string
	}{
		{"", ErrNone, "give the line that listen --invite printed"},
		{"illiad.example.edu", ErrNone, "nothing in it begins with dialtone-invitation-1"},
		{"dialtone-invitation", ErrNone, ""},
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + line, ErrNone, "Save As, Text Only"},
		{"From: a\nContent-Type: application/pkcs7-mime\n\nMII\n", ErrNone, "the mail is encrypted: open it"},
		{strings.Repeat("x", MaxInput+1), ErrNone, "save the line alone"},
		{line[:len(line)-1], ErrCutOff, "copy the whole line, or ask for it again, as an attached file"},
		{line[:100] + "\n\nBest regards", ErrCutOff, ".end"},
		{"dialtone-invitation-1:", ErrCutOff, ""},
		{line[:60] + line[61:], ErrAltered, "ask for it again, as an attached file"},
		{line[:60] + "A" + line[61:], ErrAltered, "it has 'A'"},
		{strings.Replace(line, ".", "", 1), ErrAltered, "a part of it is missing"},
		{line[:at] + end, ErrAltered, "a part of it is missing"},
		{"dialtone-invitation-1:" + strings.Repeat("a", maxToken) + ".aa.end", ErrAltered, "too much"},
		{line[:at] + ".aa.end", ErrAltered, "does not match its signature"},
		{"dialtone-invitation-1:aaaa" + line[len("dialtone-invitation-1:"):], ErrAltered, "its content cannot be read"},
		{strings.Replace(line, "-1:", "-2:", 1), ErrNewer, "its version is 2, and this program reads 1: install"},
		{mustMake(t, old), ErrExpired, "it ended at 2026-11-24 08:00:00 UTC, 1h0m0s ago by this machine's clock (2026-11-24 09:00:00 UTC): ask Example University Library (illiad.example.edu) to start listen --invite again"},
		{line[:100] + mustMake(t, old), ErrExpired, ""},
		{line + mustMake(t, other), ErrSeveral, "from Example University Library (illiad.example.edu) until 2026-11-24 17:00:00 UTC, from 198.51.100.7 until"},
	} {
		_, err := Parse(c.text, issued)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s…: got %v, want %v with %q", c.text, err, c.is, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("the key is in %q", err)
		}
	}
	// In a thread of mails the newer one counts.
	if got, err := Parse(line+"\n> "+mustMake(t, old), issued); err != nil || !got.Expires.Equal(expires) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAnyChangedCharacterIsRefused(t *testing.T) {
	line := mustMake(t, plain())
	for i := range len(line) {
		// The last of them are another letter, no letter, and one too many.
		for _, c := range []string{".", ":", "-", "1", "A", "&", "<", "é", "\xff", string(rune(line[i] + 1)), "q", "", line[i:i+1] + "a"} {
			changed := line[:i] + c + line[i+1:]
			if changed == line || strings.Contains(changed, line) || i < len(begin) && strings.ToLower(changed) == line {
				continue // a program may have made it the beginning of a sentence
			}
			if got, err := Parse(changed, issued); err == nil {
				t.Errorf("%q in place of %q at %d: accepted as %v", c, line[i], i, got)
			}
		}
	}
}

func TestClocksMayDifferALittle(t *testing.T) {
	line := mustMake(t, sample())
	for _, c := range []struct {
		now   time.Time
		fine  bool
		doubt string
	}{
		{issued.Add(-time.Hour), true, "made at 2026-11-24 09:00:00 UTC, and by this machine's clock it is only 2026-11-24 08:00:00 UTC: one of the two clocks is wrong, by 1h0m0s at least"},
		{issued.Add(-Skew - time.Second), true, "by 5m1s at least"},
		{issued.Add(-Skew), true, ""},
		{issued, true, ""},
		{expires, true, ""},
		{expires.Add(Skew - time.Second), true, ""},
		{expires.Add(Skew), false, ""},
	} {
		i, err := Parse(line, c.now)
		if c.fine != (err == nil) || !c.fine && !errors.Is(err, ErrExpired) {
			t.Errorf("at %v: got %v", c.now, err)
		}
		if got := i.ClockDoubt(c.now); c.fine && (c.doubt == "") != (got == "") || !strings.Contains(got, c.doubt) {
			t.Errorf("at %v: doubt is %q, want %q", c.now, got, c.doubt)
		}
	}
}

func TestWhatNoInvitationMayHold(t *testing.T) {
	many := map[string]int{}
	for i := range maxRows + 1 {
		many[fmt.Sprint("row-", i)] = 1
	}
	for name, change := range map[string]func(*Invitation){
		"no host":             func(i *Invitation) { i.Hosts = nil },
		"too many hosts":      func(i *Invitation) { i.Hosts = make([]string, MaxHosts+1) },
		"a URL":               func(i *Invitation) { i.Hosts = []string{"http://illiad.example.edu"} },
		"a port":              func(i *Invitation) { i.Hosts = []string{"illiad.example.edu:7968"} },
		"a zone":              func(i *Invitation) { i.Hosts = []string{"fe80::1%eth0"} },
		"no address":          func(i *Invitation) { i.Hosts = []string{"0.0.0.0"} },
		"a group":             func(i *Invitation) { i.Hosts = []string{"224.0.0.1"} },
		"a control character": func(i *Invitation) { i.Hosts = []string{"a\u0085b"} },
		"a long name":         func(i *Invitation) { i.Name = strings.Repeat("x", maxWords+1) },
		"an escape sequence":  func(i *Invitation) { i.Name = "\x1b[2J" },
		"two lines":           func(i *Invitation) { i.By = "a\nb" },
		"a turned-round name": func(i *Invitation) { i.Name = "a\u202eb" },
		"not UTF-8":           func(i *Invitation) { i.Name = "\xff" },
		"no key":              func(i *Invitation) { i.KeyText = "" },
		"a short key":         func(i *Invitation) { i.KeyText = "short" },
		"no plan":             func(i *Invitation) { i.Plan = "" },
		"no digest":           func(i *Invitation) { i.PlanDigest = "" },
		"a row without name":  func(i *Invitation) { i.Rows = []string{""} },
		"a long row":          func(i *Invitation) { i.Rows = []string{strings.Repeat("x", maxText+1)} },
		"too many rows":       func(i *Invitation) { i.Rows = make([]string, maxRows+1) },
		"too many ports":      func(i *Invitation) { i.Ports = many },
		"port 0":              func(i *Invitation) { i.Ports = map[string]int{"a": 0} },
		"port 65536":          func(i *Invitation) { i.Ports = map[string]int{"a": 65536} },
		"a wild shift":        func(i *Invitation) { i.Shift = 1 << 40 },
		"no beginning":        func(i *Invitation) { i.Issued = time.Time{} },
		"no time":             func(i *Invitation) { i.Expires = i.Issued },
		"too much of it all": func(i *Invitation) {
			for range maxRows {
				i.Rows = append(i.Rows, strings.Repeat("x", maxText))
			}
			i.Rows = i.Rows[:maxRows]
		},
	} {
		i := sample()
		change(&i)
		if line, err := Make(i); err == nil {
			t.Errorf("%s: made %s", name, line)
		} else if strings.Contains(err.Error(), "horse") || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: said %q", name, err)
		}
	}
}

// signedLine makes a line of any content, as a holder of the key can.
func signedLine(t testing.TB, content string) string {
	t.Helper()
	signed := begin + version + ":" + encoding.EncodeToString([]byte(content))
	mac, err := sign("twelve-chars", signed)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + mac + end
}

func TestWhatAnotherProgramSigned(t *testing.T) {
	const rest = `"key":"twelve-chars","plan":"p","digest":"d","issued":"2026-11-24T09:00:00Z","expires":"2026-11-24T17:00:00Z"`
	for content, want := range map[string]error{
		`{"hosts":["a"],` + rest + `}`:                        nil,
		`{"hosts":["a"],"new":{"x":[1]},` + rest + `}`:        nil,
		`{"hosts":["a b"],"by":"other 1\u001b",` + rest + `}`: ErrInvalid,
		`{` + rest + `}`: ErrInvalid,
		`{"hosts":["a"],"ports":{"x":70000},` + rest + `}`:          ErrInvalid,
		`{"hosts":"a",` + rest + `}`:                                ErrAltered,
		`{"hosts":["a"],` + rest + `} trailing`:                     ErrAltered,
		`{"hosts":["a"],"shift":99999999999999999999,` + rest + `}`: ErrAltered,
		`null`: ErrAltered, `{}`: ErrAltered, `[]`: ErrAltered, ``: ErrAltered,
	} {
		_, err := Parse(signedLine(t, content), issued)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", content, err, want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: said %q", content, err)
		}
	}
}

// Letters that have more bytes in one case than in the other, within what is taken for an
// invitation, move its end by nothing.
func TestEndIsFoundBehindLettersOfTwoLengths(t *testing.T) {
	line := mustMake(t, sample())
	for _, odd := range []string{"\u0130", "\u2126", "\u212a", "\u023a", "\u1e9e"} {
		_, err := Parse(begin+"1:"+strings.Repeat(odd, 9)+end, issued)
		if err == nil {
			t.Errorf("%q: accepted", odd)
		}
		i, err := Parse(begin+"1:"+strings.Repeat(odd, 9)+end+"\n"+line, issued)
		if err != nil || i.String() != sample().String() {
			t.Errorf("%q beside an invitation: %v, %v", odd, i, err)
		}
	}
}

// FuzzParse: whatever a text holds, what is accepted could have been made here,
// and would be accepted again; and no error repeats what could harm a terminal.
func FuzzParse(f *testing.F) {
	v := readVectors(f)
	for _, s := range []string{
		mustMake(f, sample()), mustMake(f, plain()), v.Line, v.Other, signedLine(f, `{"hosts":["a"]}`),
		"> " + wrapped(v.Line, 60, "\n> "), v.Line + v.Other, strings.Replace(v.Line, "-1:", "-2:", 1),
		"From: a\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(v.Line)) + "\r\n--x--\r\n",
		"From: a\r\nContent-Type: message/rfc822\r\n\r\nFrom: b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + wrapped(v.Line, 70, "=\r\n"),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, err := Parse(text, issued)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("said %q", err)
			}
			return
		}
		again, err := Parse(mustMake(t, i), issued)
		if err != nil || !reflect.DeepEqual(again, i) && len(i.Rows)+len(i.Ports) > 0 {
			t.Errorf("read %#v, then %#v, %v", i, again, err)
		}
	})
}

// FuzzContent: the same of what a holder of the key may sign.
func FuzzContent(f *testing.F) {
	v := readVectors(f)
	body, _, _ := strings.Cut(strings.TrimPrefix(v.Line, begin+version+":"), ".")
	b, err := encoding.DecodeString(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(strings.Replace(string(b), v.Content.Key, "twelve-chars", 1))
	f.Add(`{"hosts":["a"],"key":"twelve-chars","plan":"p","digest":"d","issued":"2026-11-24T09:00:00+01:00","expires":"2027-11-24T17:00:00.5Z","rows":[],"ports":{}}`)
	f.Fuzz(func(t *testing.T, content string) {
		i, err := Parse(signedLine(t, content), issued)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("said %q", err)
			}
			return
		}
		again, err := Parse(mustMake(t, i), issued)
		if err != nil || again.String() != i.String() || !reflect.DeepEqual(again.Hosts, i.Hosts) || again.Shift != i.Shift {
			t.Errorf("read %#v, then %#v, %v", i, again, err)
		}
	})
}
