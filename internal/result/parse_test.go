package result

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

func example(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "merge", "testdata", "mixed-a.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	good := string(example(t))
	replaced := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %s in the example", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "it is empty"},
		{"blank", " \n", "it is empty"},
		{"a text report that begins with a number", "2 of 3 required paths do not work.\n", "line 1: it is not JSON"},
		{"a text report", "Path report\n\n  From     server", "line 1: it is not JSON"},
		{"half of it", good[:len(good)/2], "cut off"},
		{"all but the last brace", strings.TrimRight(good, "}\n"), "cut off"},
		{"twice", good + good, "something follows the end"},
		{"rubbish in the middle", replaced(`"elapsed_ms":`, `elapsed_ms:`), "line 6: it is not JSON"},
		{"other JSON", `{"a": 1}`, `no "schema"`},
		{"a list", `[1]`, "line 1: the whole is array"},
		{"another schema", replaced("dialtone.report/1", "nmap/7"), `its schema is "nmap/7"`},
		{"a newer schema", replaced("dialtone.report/1", "dialtone.report/2"), "form 2, and this release reads form 1; use a newer release"},
		{"a matrix", replaced("dialtone.report/1", "dialtone.matrix/1"), "it is a matrix"},
		{"a number for a word", replaced(`"plan": "illiad"`, `"plan": 7`), "line 8: plan is number"},
		{"an unknown verdict", replaced(`"verdict": "silent"`, `"verdict": "fine"`), `paths[0]: verdict is "fine"`},
		{"an unknown direction", replaced(`"direction": "forward"`, `"direction": "sideways"`), `direction is "sideways"`},
		{"no run", replaced(`"run": "`, `"ran": "`), "run is missing"},
		{"no port", replaced(`"port": 7968`, `"port": 79680`), "79680 is no port"},
		{"no address", replaced(`"target": "203.0.113.2:7968"`, `"target": "203.0.113.2"`), "endpoint"},
		{"no time", replaced(`"since": "2026`, `"since": "20x6`), "cannot parse"},
		{"a time that cannot be written again", replaced(`"started": "2026-`, `"started": "0001-`), "year 1"},
		{"too large", strings.Repeat(" ", MaxReport+1), "larger than 16 MiB"},
		{"too many paths", replaced(`"paths": [`, `"paths": [`+strings.Repeat(`{},`, maxOf["paths"])), "the most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseReport([]byte(c.in), MaxReport)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestParseReadsWhatPowerShellMakesOfIt(t *testing.T) {
	good := example(t)
	units := utf16.Encode([]rune("\ufeff" + string(good)))
	little := make([]byte, 2*len(units))
	big := make([]byte, 2*len(units))
	for i, u := range units {
		binary.LittleEndian.PutUint16(little[2*i:], u)
		binary.BigEndian.PutUint16(big[2*i:], u)
	}
	want, err := ParseReport(good, MaxReport)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"UTF-16LE": little, "UTF-16BE": big, "UTF-8 with a mark": append([]byte("\xef\xbb\xbf"), good...)} {
		r, err := ParseReport(b, MaxReport)
		if err != nil || r.Run != want.Run || len(r.Paths) != len(want.Paths) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseAllowsNewFields(t *testing.T) {
	b := bytes.Replace(example(t), []byte(`"mode":`), []byte(`"mood": "good", "mode":`), 1)
	if _, err := ParseReport(b, MaxReport); err != nil {
		t.Error(err)
	}
}
