package plan

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"dialtone/internal/paste"
)

var partnersWanted = []Partner{
	{Name: "Example, University", Host: "illiad.example.edu", Line: 2},
	{Name: "Bücherei", Invitation: "@invitations/b.txt", Line: 3},
	{Name: "Third", Host: "192.0.2.7", Invitation: "dialtone-invitation-1:abc.def.end", Line: 4},
}

func TestAListOfPartnersAsPeopleSaveIt(t *testing.T) {
	comma := "name,host,invitation\n\"Example, University\",illiad.example.edu,\nBücherei,,@invitations/b.txt\nThird,192.0.2.7,dialtone-invitation-1:abc.def.end\n"
	semicolon := "name;host;invitation\nExample, University;illiad.example.edu;\nBücherei;;@invitations/b.txt\nThird;192.0.2.7;dialtone-invitation-1:abc.def.end\n"
	for name, text := range map[string]string{
		"a.csv":           comma,
		"bom.csv":         "\ufeff" + comma,
		"crlf.csv":        strings.ReplaceAll(comma, "\n", "\r\n"),
		"semicolon.csv":   "\ufeff" + strings.ReplaceAll(semicolon, "\n", "\r\n"),
		"tab.txt":         strings.ReplaceAll(semicolon, ";", "\t"),
		"spaces.csv":      "Name , HOST, Invitation\n \"Example,  University\", illiad.example.edu,\nBücherei,, \"@invitations/b.txt\"\nThird,192.0.2.7, dialtone-invitation-1:abc.def.end",
		"padded.csv":      strings.ReplaceAll(strings.TrimSuffix(semicolon, "\n"), "\n", ";;\n") + ";;\n;;;;\n;;;;\n",
		"order.csv":       "invitation,name,host\n,\"Example, University\",illiad.example.edu\n@invitations/b.txt,Bücherei\ndialtone-invitation-1:abc.def.end,Third,192.0.2.7\n",
		"sep.csv":         "sep=;\r\n" + strings.ReplaceAll(semicolon, "\n", "\r\n"),
		"seps.csv":        "\ufeff\"SEP=;\";;\r\n" + strings.ReplaceAll(semicolon, "\n", "\r\n"),
		"septab.csv":      "sep=\t\r\n" + strings.ReplaceAll(semicolon, ";", "\t"),
		"bar.csv":         "sep=|\n" + strings.ReplaceAll(semicolon, ";", "|"),
		"mac.csv":         strings.ReplaceAll(comma, "\n", "\r"),
		"wide.txt":        wide("\ufeff" + strings.ReplaceAll(strings.ReplaceAll(semicolon, ";", "\t"), "\n", "\r\n")), // "Unicode Text"
		"pasted.csv":      strings.NewReplacer("illiad.example.edu", "“illiad.example.edu”\u200b", "192.0.2.7", "\u00a0192.0.2.7", "Bücherei", "Bücherei\u200b").Replace(comma),
		"columns.csv":     "name,contact,host,invitation,phone,contact\n\"Example, University\",\"Desk, ILL\",illiad.example.edu,,555 0100\nBücherei,,,@invitations/b.txt\nThird,\x09x,192.0.2.7,dialtone-invitation-1:abc.def.end,1,2\n,someone,,,5\n",
		"sepspace.csv":    "sep= ;\r\n" + strings.ReplaceAll(semicolon, "\n", "\r\n"),
		"sep-comment.csv": "\n;;\n# partners, as of 2026\n" + strings.Replace(semicolon, "Bücherei", "#Old;10.0.0.9;\nBücherei", 1) + "\x1a",
		"list.yaml":       "\n- {name: 'Example, University', host: illiad.example.edu}\n- {name: Bücherei, host: , invitation: \"@invitations/b.txt\"}\n- {name: Third, host: 192.0.2.7, invitation: \"dialtone-invitation-1:abc.def.end\"}\n",
	} {
		got, _, err := decodePartners(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if want := slices.Clone(partnersWanted); !slices.Equal(sameLines(got), sameLines(want)) || !strings.HasPrefix(name, "sep") && name != "bar.csv" && !slices.Equal(got, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// sameLines leaves the lines out: one that announces the separator is one more.
func sameLines(list []Partner) []Partner {
	out := slices.Clone(list)
	for i := range out {
		out[i].Line = 0
	}
	return out
}

// wide writes UTF-16, as a spreadsheet program saves Unicode text.
func wide(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

func TestALongInvitationIsReadWhole(t *testing.T) {
	line := "dialtone-invitation-1:" + strings.Repeat("abcdefgh", 900) + ".end"
	file := filepath.Join(t.TempDir(), "p.csv")
	if err := os.WriteFile(file, []byte("name,invitation\nA,\""+line[:4000]+"\n> "+line[4000:]+"\"\nB,"+line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := LoadPartners(file)
	if err != nil || len(got) != 2 || got[1].Invitation != line || got[1].Line != 4 {
		t.Errorf("%.200v, %v", got, err)
	}
}

// All that is wrong is said at once, with line, value and the next step.
func TestAListOfPartnersWithMistakes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"several.csv", "name,host,invitation\nA,a.example.edu,\nA,b.example.edu,\n,c.example.edu,\nD,,\nE,e.example.edu:7968,\nF,f.example.edu,,extra\n", []string{
			`several.csv:3: name "A" is already on line 2: give each partner its own`,
			`several.csv:4: a partner without a name: give it one, by which the result names it`,
			`several.csv:5: "D" has neither host nor invitation: give one of them`,
			`several.csv:6: host "e.example.edu:7968": use one host name or IP address, without port or path`,
			`several.csv:7: "extra" is in a column without a name: put a value that contains the separator into quotes`,
		}},
		{"head.csv", "name,hots\nA,a\n", []string{`head.csv:1: unknown column "hots": use one of name, host, invitation, kind, port, sends (did you mean host?), and begin with the line name,host,invitation`}},
		{"rechner.csv", "# Partner\nName;Rechner\nA;a\nB;b\n", []string{`rechner.csv:2: there is no column "host" and none "invitation" ("Name, Rechner"): name the one with the hosts so`}},
		{"ip.csv", "name,ip address\nA,10.0.0.1\n", []string{`ip.csv:1: there is no column "host" and none "invitation"`}},
		{"slip.csv", "name,hostname,contact\nA,a,b\n", []string{`slip.csv:1: unknown column "hostname": use one of name, host, invitation, kind, port, sends (did you mean host?)`}},
		{"sheet.csv", "PK\x03\x04", []string{`sheet.csv: this is a compressed file (.zip, .xlsx, .docx), and no text: save a table as CSV UTF-8`}},
		{"address.csv", "name,host\nA,10.0.0.256\nB,\"b.example.edu,7968\"\n", []string{
			`address.csv:2: host "10.0.0.256": use one host name or IP address, without port or path (256 is more than 255`,
			`address.csv:3: host "b.example.edu,7968": use one host name or IP address, without port or path (give the name or address alone, b.example.edu`}},
		{"twice.csv", "name,host,Host\n", []string{`twice.csv:1: column "host" is there twice: keep one`}},
		{"noname.csv", "host\na\n", []string{`noname.csv:1: there is no column "name": begin with the line name,host,invitation`}},
		{"empty.csv", "", []string{`empty.csv:1: the file is empty: begin with the line name,host,invitation`}},
		{"headonly.csv", "name,host\n\n", []string{`headonly.csv: there is no partner in it: write one in each line, below name,host,invitation`}},
		{"quote.csv", "name,host\nA \"x\" y,a.example.edu\nB,\"b.example.edu\n", []string{
			`quote.csv:2: not CSV (bare " in non-quoted-field): put a value`, `quote.csv:3: not CSV (extraneous or missing " in quoted-field): put a value`}},
		{"latin.csv", "name,host\nA,a\nB\xfccherei,b\n", []string{`latin.csv:3: not UTF-8 text: save the file as UTF-8`}},
		{"long.csv", "name,host\n" + strings.Repeat("x", 201) + ",a\n", []string{`long.csv:2: name is longer than 200 bytes: shorten it`}},
		{"huge.csv", "name,host,invitation\nA,a," + strings.Repeat("x", 33<<10) + "\n", []string{`huge.csv:2: invitation is longer than 32768 bytes: shorten it`}},
		{"file.csv", "name,host\n" + strings.Repeat("x", 1<<20), []string{`file.csv: larger than 1048576 bytes: shorten it`}},
		{"escape.csv", "name,host\nA\x1b[2J,a\n", []string{`escape.csv:2: name contains the unprintable character U+001B: remove it`}},
		{"keys.yml", "name: A\nhost: a\n", []string{`keys.yml:1: not a list: begin each partner with "- name: …"`}},
		{"text.yaml", "- A\n- name: B\n  hots: b\n- name: [C]\n  host: c\n", []string{
			`text.yaml:1: a partner must be keys with values: write "- name: …" and the other keys below it`,
			`text.yaml:2: "B" has neither host nor invitation: give one of them`,
			`text.yaml:3: unknown key "hots" in a partner: use one of name, host, invitation, kind, port, sends (did you mean host?)`,
			`text.yaml:4: name must be one value, not a list or keys: write "name: value"`}},
	} {
		got, _, err := decodePartners(tt.name, []byte(tt.text))
		if err == nil {
			t.Errorf("%s: no error: %+v", tt.name, got)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(tt.want) {
			t.Errorf("%s: %d problems:\n%v", tt.name, len(lines), err)
			continue
		}
		for i, w := range tt.want {
			if !strings.HasPrefix(lines[i], w) {
				t.Errorf("got  %s\nwant %s", lines[i], w)
			}
		}
	}
}

func TestTooManyPartners(t *testing.T) {
	if _, _, err := decodePartners("p.csv", []byte("name,host\n"+strings.Repeat("x\n", maxRows+1))); err == nil || !strings.Contains(err.Error(), "4097 partners, more than 4096: split the list") {
		t.Error(err)
	}
	if _, _, err := LoadPartners(filepath.Join(t.TempDir(), "none.csv")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestAColumnThatMayBeAKnownOneIsTold(t *testing.T) {
	for head, want := range map[string]string{
		"name,host,Sends from":              `p.csv:1: the column "sends from" is not read; if it has the partners' sends, name it sends`,
		"name,host,Sending address":         "name it sends",
		"name,host,Sender address":          "name it sends",
		"name,host,Odyssey port":            "name it port",
		"name,host,Ports (inbound)":         "name it port",
		"name,host,port,Odyssey port":       "",
		"name,host,Kind of partner":         "name it kind",
		"name,host,Portal,Kindness":         "",
		"name,host,Symbol,Contact,Comments": "",
	} {
		list, doubts, err := decodePartners("p.csv", []byte(head+"\nA,a.example.edu\n"))
		if got := strings.Join(doubts, "; "); err != nil || len(list) != 1 || (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v; want %q", head, got, err, want)
		}
	}
}

func FuzzPartners(f *testing.F) {
	for _, s := range []string{
		"name,host,invitation\nA,a.example.edu,\nB,,@b.txt\n", "\ufeffname;host\r\n\"A;\"\"x\"\"\";a\r\n;;\r\n", "name\thost\nA\ta\n", "name,host\nA,\"a\n",
		"sep=;\r\nname;host\r\nNorth;10.88.74.20\r\n", "sep=\t\r\nname\thost\r\nNorth\t10.88.74.20\r\n", "name,host,contact,phone\nNorth,10.88.74.20,\"Desk, ILL\",555 0100\n",
		"\ufeffname;host\r\nNorth;10.88.75.20\r\n\r\n\r\n", "# x\n\n,,\nname,host\n#Old,a\nNorth,10.88.75.20\n\x1a", "name,ip\nA,a\n", "Name , Host\nNorth,10.88.75.20\n", wide("\ufeffname\thost\r\nA\ta\r\n"),
	} {
		f.Add([]byte(s), false)
	}
	f.Add([]byte("- {name: A, host: a}\n- name: B\n  invitation: '@b'\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, yaml bool) {
		file := "p.csv"
		if yaml {
			file = "p.yaml"
		}
		list, _, err := decodePartners(file, data)
		if (len(list) == 0) == (err == nil) {
			t.Fatalf("%d partners with error %v", len(list), err)
		}
		if err != nil {
			if list != nil || !strings.HasPrefix(err.Error(), file+":") {
				t.Errorf("%v with %d partners", err, len(list))
			}
			return
		}
		names := map[string]bool{}
		for _, p := range list {
			if p.Name == "" || names[p.Name] || p.Host == "" && p.Invitation == "" || p.Host != "" && !isUsual(p.Host) || p.Line < 1 {
				t.Errorf("%+v", p)
			}
			names[p.Name] = true
		}
	})
}

func isUsual(host string) bool {
	usual, err := paste.Host(host)
	return err == nil && usual == host
}
