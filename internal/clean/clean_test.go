package clean

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLineShowsWhatIsThere(t *testing.T) {
	for in, want := range map[string]string{
		"Bibliothèque 図書館 C:\\x":        "Bibliothèque 図書館 C:\\x",
		"\x1b[31m\x7f":                  `\x1b[31m\x7f`,
		"a\r\nb\tc":                     `a\r\nb\tc`,
		"\u009b\u0085\u2028":            `\u009b\u0085\u2028`,
		"\u202eexe":                     `\u202eexe`,
		"\ufeffa\u200bb\u2066c":         `\ufeffa\u200bb\u2066c`,
		"a\u3164b\u2800c\ufe0fd\u034fe": `a\u3164b\u2800c\ufe0fd\u034fe`,
		"\xff\x9b":                      `\xff\x9b`,
		"\ufffd":                        "\ufffd",
		"\U000e0041":                    `\U000e0041`,
		"a\u00a0b":                      "a b",
		"nga\u0301y e\u0302\u0301":      "nga\u0301y e\u0302\u0301",
		"z" + strings.Repeat("\u0335", 8) + "a\u0335": "z" + strings.Repeat("\u0335", maxMarks) + `\u0335\u0335a` + "\u0335",
		strings.Repeat("é", 50):                       strings.Repeat("é", 50),
		strings.Repeat("é", 51):                       strings.Repeat("é", 50) + "...",
		strings.Repeat("\x00", 13):                    strings.Repeat(`\x00`, 12) + "...",
	} {
		if got := Line(in, 50); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Bytes(strings.Repeat("é", 50), 21); got != strings.Repeat("é", 9)+"..." {
		t.Errorf("%q", got)
	}
	if got := string(Text([]byte("a\x1b\n\u2028b\r\n"))); got != "a\\x1b\n\\u2028b\\r\n" {
		t.Errorf("%q", got)
	}
}

func TestCellIsNoFormula(t *testing.T) {
	for in, want := range map[string]string{
		"=cmd|' /C calc'!A1": "'=cmd|' /C calc'!A1",
		"a;=1+1":             "a;'=1+1",
		"\t=1":               `\t=1`,
		" +1":                "' +1",
		"＝1":                 "'＝1",
		"\u200b=1":           `\u200b=1`,
		"a=1":                "a=1",
	} {
		if got := Cell(in, 100); got != want {
			t.Errorf("Cell(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[2J\u202e\u2028\xff\U000e0041=\u0335\u0335", 5)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = max(0, min(most, 1000))
		for _, got := range []string{Line(s, most), Cell(s, most)} {
			marks := 0
			for _, r := range got {
				if marks++; !unicode.Is(unicode.M, r) {
					marks = 0
				}
				if !utf8.ValidString(got) || !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) || marks > maxMarks {
					t.Fatalf("%U of %q", r, got)
				}
			}
		}
		if n := utf8.RuneCountInString(Line(s, most)); n > most+3 {
			t.Errorf("%d runes, want %d", n, most)
		}
		if n := len(Bytes(s, max(3, most))); n > max(3, most) {
			t.Errorf("%d bytes, want %d", n, most)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if json.Unmarshal(b, &before) != nil || json.Unmarshal(JSON(b), &after) != nil || before != after {
			t.Errorf("JSON made %q of %q", after, before)
		}
	})
}
