package paste

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

const words = "brisk-walnut-harbor-quilt-mango"

// wide writes UTF-16.
func wide(s string, little, mark bool) string {
	if mark {
		s = "\ufeff" + s
	}
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		x, y := byte(u>>8), byte(u)
		if little {
			x, y = y, x
		}
		b.WriteByte(x)
		b.WriteByte(y)
	}
	return b.String()
}

// savedKeys are one key as programs save it and people type it.
var savedKeys = []string{
	words, words + "\r\n", " " + strings.ReplaceAll(words, "-", " ") + " \n",
	"\xef\xbb\xbf" + words + "\r\n",
	wide(words+"\r\n", true, true), wide(words+"\r\n", false, true), wide(words, true, false), wide(words, false, false),
	`"` + words + `"`, "“" + words + "”", "‘" + words + "’", "„" + words + "“", "«" + words + "»", "“ " + words + " ”", "`" + words + "`",
	"\u00a0" + strings.ReplaceAll(words, "-", "\u00a0"), strings.ReplaceAll(words, "-", "\u202f"), strings.ReplaceAll(words, "-", "\u3000"),
	"\u200b" + words + "\u200b", strings.ReplaceAll(words, "-", "\u200b-\u200b"), "bri\u00adsk" + words[len("brisk"):], "\u2060" + words + "\u200e",
	strings.ReplaceAll(words, "-", "\u2011"), strings.ReplaceAll(words, "-", "\u2010"), strings.ReplaceAll(words, "-", "\u2013"),
	strings.ReplaceAll(words, "-", "\u2014"), strings.ReplaceAll(words, "-", "\u2212"), strings.ReplaceAll(words, "-", " – "), strings.ReplaceAll(words, "-", "--"),
	strings.ToUpper(words), "Brisk-Walnut-Harbor-Quilt-Mango", "Brisk walnut harbor quilt mango.",
	"brisk, walnut, harbor, quilt, mango", strings.ReplaceAll(words, "-", "\n"), strings.ReplaceAll(words, "-", "-\r\n"), strings.ReplaceAll(words, "-", "\r"), "- " + words,
	"brisk_walnut_harbor_quilt_mango", words + "!", words + "…", words + "?\n", "**" + words + "**", "*Brisk walnut harbor quilt mango*", "```\n" + words + "\n```", "> " + words, "(" + words + ")", "[" + words + "]", "<" + words + ">", "• " + words, "_" + words + "_",
	"ｂｒｉｓｋ" + words[len("brisk"):], "“" + words + "”.",
	"\x93" + strings.ReplaceAll(words, "-", "\x96") + "\x94", "\xa0" + words, // Windows-1252
}

func TestOneKeyHoweverItWasSaved(t *testing.T) {
	for _, s := range savedKeys {
		text, err := Text([]byte(s))
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		if got, err := Key(text); err != nil || got != words {
			t.Errorf("%q: %q, %v", s, got, err)
		}
		if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 { // as an argument
			if got, err := Key(s); err != nil || got != words {
				t.Errorf("argument %q: %q, %v", s, got, err)
			}
		}
	}
}

func TestAnotherKeyIsNeverTakenForIt(t *testing.T) {
	for _, s := range []string{words + "s", "brisk-walnut-harbor-mango-quilt", strings.ReplaceAll(words, "-", ""), "brisk-walnut-harbor-quilt", words + "+", "brisk.walnut.harbor.quilt.mango", "brïsk" + words[5:]} {
		if got, err := Key(s); err != nil || got == words {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	// What would be another key unnoticed.
	for _, s := range []string{"brisk-wаlnut-harbor-quilt-mango", "brisk\x00walnut-harbor", "brisk-w\ufffdlnut-harbor", "brisk\u202ewalnut", "\xff" + words,
		"Key: " + words, "Schlüssel： " + words, "the key is: " + words, "key = " + words, "--key " + words, "–key " + words, "--key=" + words, "KEY=" + words, "key:" + words, "DIALTONE_KEY=" + words,
		"dial --key " + words + " 10.1.2.3", words + " (six words)", words + " [see below]", "# the key\n" + words, strings.ReplaceAll(words, "-", "=2D"), strings.ReplaceAll(words, "-", "%20"), strings.ReplaceAll(words, "-", "&#45;"), strings.ReplaceAll(words, "-", "&nbsp;")} {
		if got, err := Key(s); err == nil {
			t.Errorf("%q: taken as %q", s, got)
		}
	}
	// An apostrophe is an apostrophe, whichever was typed, and one letter is one, composed or not.
	for _, pair := range [][2]string{{"don't-tell-anybody", "don’t-tell-anybody"}, {"b\u00fccherei-am-markt", "bu\u0308cherei-am-markt"}, {"\ufb02oor-lamp-table", "floor-lamp-table"}} {
		a, _ := Key(pair[0])
		if b, err := Key(pair[1]); err != nil || a != b {
			t.Errorf("%q and %q: %q, %q, %v", pair[0], pair[1], a, b, err)
		}
	}
}

func TestWhatIsNoTextIsRefusedWithAdvice(t *testing.T) {
	for s, says := range map[string]string{
		"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 600): "Save As, Text Only",
		"PK\x03\x04rest":              "save a table as CSV UTF-8",
		"%PDF-1.7\n":                  "copy the text out of it",
		"{\\rtf1\\ansi dialtone}":     "plain text",
		"\x89PNG\r\n\x1a\n":           "as text",
		"B\xfccherei":                 "save the file as UTF-8",
		"one\ntwo\nB\xfccherei \x81x": "save the file as UTF-8",
	} {
		_, err := Text([]byte(s))
		var pe *Error
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20q: %v, want %q", s, err, says)
		}
	}
}

// hosts are what is meant by what was typed.
var hosts = map[string]string{
	"illiad.lib.example": "illiad.lib.example", "ILL_Server": "ILL_Server", "3com.example": "3com.example", "10-88-60-20.example": "10-88-60-20.example",
	"xn--bcherhaus-q9a.example": "xn--bcherhaus-q9a.example", "illiad.lib.example.": "illiad.lib.example.", "localhost": "localhost", "mrege": "mrege",
	" 10.88.60.20 ": "10.88.60.20", "[fd88:60::20]": "fd88:60::20", "FD88:60:0::20": "fd88:60::20", "::ffff:10.1.2.3": "10.1.2.3",
	"fe80::1%eth0": "fe80::1%eth0", "[fe80::1%25eth0]": "fe80::1%eth0", "fe80::1": "fe80::1",
	"fernleihe.b\u00fccherhaus.example": "fernleihe.xn--bcherhaus-q9a.example", "fernleihe.bu\u0308cherhaus.example": "fernleihe.xn--bcherhaus-q9a.example",
	"FERNLEIHE.B\u00dcCHERHAUS.example": "fernleihe.xn--bcherhaus-q9a.example", "straße.example": "xn--strae-oqa.example", "図書館。example": "xn--lcss68aj21b.example",
	"“10.88.58.20”": "10.88.58.20", "‘10.88.58.20’": "10.88.58.20", "\"illiad.example\"": "illiad.example", "`illiad.example`": "illiad.example",
	"10.88.58.20\u200b": "10.88.58.20", "\u00a010.88.58.20": "10.88.58.20", "\u202a10.88.58.20\u202c": "10.88.58.20", "\ufeffilliad.example\r\n": "illiad.example",
	"10.88.58.20.": "10.88.58.20", "10.88.58.20,": "10.88.58.20", "illiad.example;": "illiad.example", "<illiad.example>": "illiad.example",
	"ill\u2011server.example": "ill-server.example", "ill–server.example": "ill-server.example", "１０.８８.５８.２０": "10.88.58.20", "10。88。58。20": "10.88.58.20",
	"illiad\u00ad.example": "illiad.example",
	// A quote whose other half was not copied is none of the name's characters.
	"“illiad.example": "illiad.example", "illiad.example”": "illiad.example", "'illiad.example": "illiad.example", "illiad.example’,": "illiad.example", "“10.88.58.20": "10.88.58.20",
	"дом.example": "xn--d1aqf.example", "col·lecció.example": "xn--collecci-ioa91d.example",
}

// noHosts are none, and what the refusal says.
var noHosts = map[string]string{
	"": "give the name or address", " \u00a0": "give the name or address",
	"sql2.lib.example,1433": "sql2.lib.example;", "10.88.57.20,14330": "alone, 10.88.57.20; the plan has the ports", "10.88.57.20, 1433": "alone, 10.88.57.20;",
	`SQL2\ILLIAD`: "alone, SQL2; the instance \"ILLIAD\"", `10.88.57.20\MSSQLSERVER`: "alone, 10.88.57.20", `SQL2\ILLIAD,1433`: "alone, SQL2", `\\sql2\share`: "alone, sql2",
	"tcp:sql2.example,1433": "alone, sql2.example", `np:\\sql2\pipe\sql\query`: "is no host name", "staff@10.88.57.20": "alone, 10.88.57.20", "http://illiad.example/": "alone, illiad.example",
	"https://illiad.example:8443/illiad/logon.html?x=1": "alone, illiad.example", "illiad.example/illiad": "alone, illiad.example", "illiad.example:7968": "alone, illiad.example; the plan has the ports, and --port changes them",
	"127.0.0.1:1433": "alone, 127.0.0.1", "[fd88::1]:7968": "alone, fd88::1", "illiad.example:": "alone", "10.0.0.0/24": "one machine", "fd88::zz": "IPv6", "fe80::1::2": "IPv6",
	"10.87.0.256": "256 is more than 255", "10.88.300.7": "300 is more than 255", "10.87.0.l": "if 10.87.0.1 is meant", "10.88.57.I": "if 10.88.57.1 is meant", "10.88.5O.7": "if 10.88.50.7 is meant",
	"10.88.57": "it has 3 of the four numbers", "10.88.57.20.1": "it has 5 of the four numbers", "010.088.057.020": "if 10.88.57.20 is meant", "10.88.57.0x14": "no name ends in a number", "173539348": "more than 255", "illiad.123": "no name ends in a number",
	"10,88,57,20": "if 10.88.57.20 is meant", "10.88. 57.20": "without the space", "illiad example": "a space is in none", "a.example, b.example": "one name or address", "a;b": "but a list",
	"0.0.0.0": "none to dial", "::": "none to dial", "224.0.0.1": "one machine has", "255.255.255.255": "one machine has",
	"illiad.ex\u0430mple": "U+0430", "illiad.example’s": "U+2019", "½.example": "U+2044", "illiad→.example": "U+2192",
	"[fe80::1%eth0]:80": "alone, fe80::1%eth0;", "fe80::1%eth0]:80": "no host name",
	"10.88.57.20-30": "looks like an IPv4 address", "10.88.57.x": "looks like an IPv4 address", "10.88.57.20-10.88.57.30": "looks like", "10.88.57,20": "if 10.88.57.20 is meant", "10 88 57 20": "10.88.57.20", "10.88.57.20 /24": "a network",
	"http:illiad.example": "alone, illiad.example;", "http//illiad.example/x": "alone, illiad.example;", "http:/illiad.example": "alone, illiad.example;", `http:\\illiad.example\x`: "alone, illiad.example;", "ftp://illiad.example": "alone, illiad.example;",
	"//sql2/share": "alone, sql2", "[ILLiad](http://illiad.example)": "alone, illiad.example;", "jdbc:sqlserver://sql2.example:1433;databaseName=x": "alone, sql2.example;", "user@illiad.example:path": "alone, illiad.example", "mailto:a@illiad.example?subject=x": "alone, illiad.example",
	"Server=sql2.example;Database=ILLData": "alone, sql2.example;", "Data Source=tcp:sql2.example,1433;Initial Catalog=x": "alone, sql2.example;", "Driver={SQL Server};Server=SQL2\\INST;Database=x": "alone, SQL2;", "DSN=ILLiad": "an equals sign", "illiad.example=10.1.2.3": "an equals sign",
	".": "localhost if it is this one", `.\SQLEXPRESS`: "localhost if it is this one", "(local)": "localhost if it is this one", `(localdb)\x`: "localhost if it is this one", `SQL2\X,14330`: "alone, SQL2; the plan has the ports",
	"illiad.example 7968": "alone, illiad.example;", "illiad.example: 7968": "alone, illiad.example;", "Host: illiad.example": "alone, illiad.example;", "telnet illiad.example 7968": "alone, illiad.example;", "illiad. example": "if illiad.example is meant", "ill-\nserver.example": "if ill-server.example is meant",
	"(illiad.example)": "alone, illiad.example", "illiad.example?": "alone, illiad.example", "*.illiad.example": "it has '*'", "aa:bb:cc:dd:ee:ff": "network card",
	"-illiad.example": "hyphen", "illiad..example": "between two dots", "*.example": "it has", "illi\u202ead.example": "no host name", "a|b": "it has", strings.Repeat("a", 64) + ".example": "63",
}

func TestAHostIsTakenAsMeant(t *testing.T) {
	for text, want := range hosts {
		if got, err := Host(text); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestWhatIsNoHostIsRefusedWithWhatToWrite(t *testing.T) {
	for text, says := range noHosts {
		if got, err := Host(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, says)
		}
	}
}

func TestADashOfAWordProcessorIsKnown(t *testing.T) {
	for arg, want := range map[string]string{
		"–key": "--key", "—timeout": "--timeout", "−–for=2h": "--for=2h", "-–key": "--key", "--key": "", "-k": "", "-": "", "host": "", "ill–server": "", "\u200b--key": "--key", "–key‑file": "--key-file", "--key-file": "",
	} {
		got, is := Dashed(arg)
		if is != (want != "") || is && got != want {
			t.Errorf("%q: %q, %t", arg, got, is)
		}
	}
}

// line stands for an invitation's: long, and without white space.
var line = "dialtone-invitation-1:" + strings.Repeat("pmrg4ylnmurduisfpbqw24dmmuqfk3tj", 25) + ".g7z6aprjpic7fcqi.end"

// letters are mails as programs save them, all with the line.
func letters() map[string]string {
	head := "From: ill@north.example\r\nTo: ill@south.example\r\nSubject: Invitation\r\nMIME-Version: 1.0\r\n"
	text := "Dear colleague,\r\n\r\nplease run dial with this line:\r\n\r\n" + line + "\r\n\r\nThank you\r\n"
	cut := func(s string, n int, with string) string {
		var out []string
		for ; len(s) > n; s = s[n:] {
			out = append(out, s[:n])
		}
		return strings.Join(append(out, s), with)
	}
	coded := cut(base64.StdEncoding.EncodeToString([]byte(text)), 76, "\r\n") + "\r\n"
	b64 := head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + coded
	other := "From a@north.example Thu Nov 26 08:00:00 2026\n" + strings.ReplaceAll(head, "\r", "") + "\nHello.\n\n"
	qp := cut(strings.ReplaceAll(line, "-", "=2D"), 75, "= \r\n")
	qp = strings.ReplaceAll(strings.ReplaceAll(qp, "==", "="), "=\r\n", "=\r\n")
	html := "<html><head><style><!-- p {color:red} --></style></head><body><p>please run</p><p>" + line[:40] + `<span style="` +
		strings.Repeat("font-family:Calibri,sans-serif;", 150) + `" title='a > b'>` + line[40:90] + "<!-- a comment -->" + line[90:] + "</span></p></body></html>"
	long := strings.Repeat("x ", 300) + line
	wrapped := head + "Content-Type: multipart/mixed; boundary=\"b 1\"; boundary=x\r\n\r\n--b 1\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--b 1\r\n" +
		"Content-Type: application/octet-stream; name=invitation.txt\r\nContent-Transfer-Encoding: BASE64\r\n\r\n" + coded + "--b 1--\r\n"
	return map[string]string{
		"alone": line, "plain": head + "\r\n" + text, "base64": b64, "blank first": "\r\n" + b64, "several blank first, mark": "\ufeff\r\n \r\n" + b64,
		"utf16": wide(b64, true, true), "utf16 be": wide(b64, false, true), "utf16 without mark": wide(b64, true, false),
		"emlx":      fmt.Sprintf("%d     \n%s", len(b64), b64) + "<?xml version=\"1.0\"?>\n<plist version=\"1.0\"><dict/></plist>\n",
		"mbox one":  "From ill@north.example Thu Nov 26 09:00:00 2026\n" + strings.ReplaceAll(b64, "\r", ""),
		"mbox two":  other + "From ill@north.example Thu Nov 26 09:00:00 2026\n" + strings.ReplaceAll(b64, "\r", "") + "\n",
		"mbox many": strings.Repeat(other, 5) + "From ill@north.example Thu Nov 26 09:00:00 2026\n" + b64 + "\n" + other,
		"cut 990":   head + "Content-Type: text/plain\r\n\r\n" + cut(long, 990, "!\r\n ") + "\r\n",
		"cut base64": head + "Content-Transfer-Encoding: base64\r\n\r\n" +
			cut(base64.StdEncoding.EncodeToString([]byte(text)), 990, "!\r\n "),
		"base64 with a footer": b64 + "\r\n_______\r\nlist mailing list\r\n",
		"base64 of utf16":      head + "Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(wide(text, true, true))),
		"quoted-printable":     head + "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + qp,
		"html only":            head + "Content-Type: text/html; charset=utf-8\r\n\r\n" + html + "\r\n",
		"html in base64":       head + "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(html)),
		"attached":             wrapped, "attached, cut off": strings.TrimSuffix(wrapped, "--b 1--\r\n"),
		"a line that is no header": "From: a\r\n>From b\r\n" + strings.TrimPrefix(b64, "From: ill@north.example\r\n"),
		"forwarded":                head + "Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: message/rfc822\r\n\r\n" + wrapped + "\r\n--q--\r\n",
		"base64 alone":             coded,
		"latin-1":                  head + "\r\nGr\xfc\xdfe,\r\n" + line + "\r\n",
		"hyphens":                  strings.ReplaceAll(line, "-", "\u2011"),
		"source without header":    cut(strings.ReplaceAll(line, "-", "=2D"), 70, "=\r\n"),
		"in a link's address":      head + "\r\nhttps://nam02.safelinks.example/?url=" + strings.ReplaceAll(line, ":", "%3A") + "&data=05%7C01&reserved=0\r\n",
		"initials":                 head + "\r\nJD> " + cut(line, 60, "\r\nJD> ") + "\r\n",
		"escaped again":            head + "Content-Type: text/html\r\n\r\n<p>" + cut(line, 20, "&amp;nbsp;") + "</p>\r\n",
		"a mail as any file": head + "Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: application/octet-stream; name=x.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			cut(base64.StdEncoding.EncodeToString([]byte(b64)), 76, "\r\n") + "\r\n--q--\r\n",
		"quoted three times, flowed": head + "Content-Type: text/plain; format=flowed\r\n\r\n> > > " + cut(line, 60, " \r\n> > > ") + "\r\n> > > -- \r\n> > > Jane\r\n",
		"soft hyphens, wbr":          head + "Content-Type: text/html\r\n\r\n<p>" + cut(line, 20, "&shy;<wbr>") + "</p>\r\n",
		"comparisons in the text":    "if a <b then this:\r\n" + line + "\r\nelse c> d",
	}
}

func TestTheLineIsFoundInEverySavedMail(t *testing.T) {
	for name, saved := range letters() {
		l, err := Mail([]byte(saved))
		if err != nil || !slices.ContainsFunc(l.Texts, func(s string) bool { return strings.Contains(Joined(s), line) }) {
			t.Errorf("%s: not found, %v", name, err)
		}
	}
}

func TestAMailThatOnlyItsProgramCanOpen(t *testing.T) {
	for part, says := range map[string]string{
		"application/ms-tnef; name=winmail.dat": "plain text", "application/pkcs7-mime; smime-type=enveloped-data": "encrypted",
		"application/vnd.ms-outlook": "Text Only",
	} {
		l, err := Mail([]byte("From: a\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: " + part + "\nContent-Transfer-Encoding: base64\n\neJ8+Ig==\n--x--\n"))
		if err != nil || !strings.Contains(l.Advice, says) {
			t.Errorf("%s: %q, %v", part, l.Advice, err)
		}
	}
	if _, err := Mail([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + line)); err == nil || !strings.Contains(err.Error(), "Text Only") {
		t.Errorf("a .msg: %v", err)
	}
}

func TestNearestWordsFirst(t *testing.T) {
	all := []string{"odyssey", "egress", "merge", "address"}
	for got, want := range map[string]string{"mrege": "merge", "odysey": "odyssey", "adress": "address", "merg": "merge", "illiad": "", "": ""} {
		near := Nearest(got, all)
		if want == "" && near != nil || want != "" && (near == nil || near[0] != want) {
			t.Errorf("%s: %v", got, near)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range savedKeys {
		f.Add([]byte(s))
	}
	for _, s := range letters() {
		f.Add([]byte(s))
	}
	f.Add([]byte("sep=;\r\nname;host\r\nNorth;10.88.74.20\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := Text(data)
		if err != nil {
			if text != "" || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q, %q", text, err)
			}
			return
		}
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\u00a0\ufeff\u200b") || Clean(text) != text {
			t.Errorf("%q", text)
		}
		if v := Value(text); Value(v) != v || strings.ContainsAny(v, "\n\t") {
			t.Errorf("value %q", v)
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, s := range savedKeys {
		f.Add(s)
	}
	for _, s := range []string{"Key: " + words, "--key=" + words, words + " (six words)", "# the key\n" + words, "brisk=2Dwalnut", "brisk_walnut_harbor", "“key"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := Key(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("said %q", err)
			}
			return
		}
		again, err := Key(key)
		if err != nil || again != key || strings.ContainsAny(key, " \t\r\n\u00a0\"\u200b") || strings.Contains(key, "--") {
			t.Errorf("%q: %q, then %q, %v", text, key, again, err)
		}
		if upper, err := Key("\u201c" + text + "\u201d\r\n"); err != nil || upper != key {
			t.Errorf("%q: in quotes %q, %v", key, upper, err)
		}
	})
}

func FuzzHost(f *testing.F) {
	for s := range hosts {
		f.Add(s)
	}
	for s := range noHosts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, err := Host(text)
		if err != nil {
			if host != "" || strings.ContainsAny(err.Error(), "\n\x1b") || !utf8.ValidString(err.Error()) {
				t.Errorf("%q, %q", host, err)
			}
			return
		}
		if again, err := Host(host); err != nil || again != host || strings.ContainsAny(host, " ,\\/@\"\n") || len(host) > 300 {
			t.Errorf("%q: %q, then %q, %v", text, host, again, err)
		}
	})
}

func FuzzMail(f *testing.F) {
	for _, s := range letters() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Mail(data)
		if err != nil {
			return
		}
		total := 0
		for _, s := range l.Texts {
			total += len(s)
			if j := Joined(s); len(j) > 4*len(s)+16 || strings.ContainsAny(j, " \n>|\u200b") {
				t.Fatalf("%d bytes became %d: %.60q", len(s), len(j), j)
			}
		}
		if total > (2*maxNested+10)*(len(data)+16) {
			t.Fatalf("%d bytes became %d", len(data), total)
		}
	})
}
