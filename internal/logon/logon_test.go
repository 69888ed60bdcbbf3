package logon

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// A pc is what a test's PC has.
type pc struct {
	files         map[string]string
	user, machine string
}

func (p pc) system() system {
	return system{
		folders: []string{`C:\Program Files (x86)\ILLiad`, `C:\Program Files\ILLiad`}, legacy: `C:\ILLiad\Logon.dbc`,
		files: func(folder string) []string {
			var out []string
			for f := range p.files {
				if strings.HasPrefix(f, folder+`\`) {
					out = append(out, f)
				}
			}
			slices.Sort(out)
			return out
		},
		settings: []func() (string, string){func() (string, string) { return "user", p.user }, func() (string, string) { return "machine", p.machine }},
		read: func(file string, _ int) ([]byte, error) {
			text, ok := p.files[file]
			if !ok {
				return nil, os.ErrNotExist
			}
			return []byte(text), nil
		},
		exists: func(file string) bool { _, ok := p.files[file]; return ok },
	}
}

// The order is that of Atlas' article 360016045353.
func TestTheConnectionIsLookedForWhereTheClientDoes(t *testing.T) {
	const folder, own = `C:\Program Files (x86)\ILLiad\`, `D:\dbc\cc211.dbc`
	all := map[string]string{folder + "ILLiad.exe": "MZ", folder + "illiaddata.dbc": "", folder + "Logon.DBC": "", own: "", `C:\ILLiad\Logon.dbc`: ""}
	without := func(names ...string) map[string]string {
		out := map[string]string{}
		for f, text := range all {
			if !slices.Contains(names, f) {
				out[f] = text
			}
		}
		return out
	}
	for _, c := range []struct {
		name string
		p    pc
		want string
	}{
		{"everywhere", pc{all, own, `C:\machine.dbc`}, folder + "Logon.DBC"},
		{"another name in the folder", pc{without(folder + "Logon.DBC"), own, ""}, folder + "illiaddata.dbc"},
		{"the user's settings", pc{without(folder+"Logon.DBC", folder+"illiaddata.dbc"), own, `C:\machine.dbc`}, own},
		{"the machine's settings", pc{without(folder+"Logon.DBC", folder+"illiaddata.dbc"), "", own}, own},
		{"an old installation", pc{without(folder+"Logon.DBC", folder+"illiaddata.dbc"), "", ""}, `C:\ILLiad\Logon.dbc`},
		{"none", pc{map[string]string{folder + "ILLiad.exe": "MZ"}, "", ""}, ""},
	} {
		got, ok := c.p.system().find()
		if ok != (c.want != "") || got.File != c.want {
			t.Errorf("%s: %+v, %t; want %s", c.name, got, ok, c.want)
		}
	}
	// What the settings name is told even if it cannot be read.
	got, ok := pc{nil, `\\server\share\x.dbc`, ""}.system().find()
	if !ok || got.File != `\\server\share\x.dbc` || !errors.Is(got.Err, os.ErrNotExist) {
		t.Errorf("%+v, %t", got, ok)
	}
}

func TestServersAreReadWhereTheFileIsReadable(t *testing.T) {
	wide := func(s string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
			b.WriteString(string([]byte{byte(u), byte(u >> 8)}))
		}
		return b.String()
	}
	for text, want := range map[string][]string{
		"Provider=SQLOLEDB;Data Source=sql2.lib.example,14330;Initial Catalog=ILLData;User ID=x;Password=y": {"sql2.lib.example"},
		"Server=tcp:SQL2\\ILLIAD,1433;Database=ILLData":                                                     {"SQL2"},
		"[Connection]\r\nServerName = 192.0.2.40\r\nDatabase = ILLData\r\n":                                 {"192.0.2.40"},
		"<LogonSettings><Server>sql2.lib.example</Server><Database>x</Database></LogonSettings>":            {"sql2.lib.example"},
		`{"DataSource": "sql2.lib.example", "server": "SQL2.LIB.example"}`:                                  {"sql2.lib.example"},
		wide("Data Source=sql2.lib.example"):                                                                {"sql2.lib.example"},
		"AQAAANCMnd8BFdERjHoAwE/Cl+sBAAAA":                                                                  nil,
		"\x00\x01\x00\x00\x00\xff\xff\xff\xffserver=\x80":                                                   nil,
		"Password=server; Data Source=.;":                                                                   nil,
		"":                                                                                                  nil,
	} {
		if got := servers([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("%.60q: %q, want %q", text, got, want)
		}
	}
}

func FuzzServers(f *testing.F) {
	f.Add([]byte("Data Source=tcp:sql2.lib.example\\X,14330;Password=y"))
	f.Add([]byte("<Server>SQL2</Server>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range servers(data) {
			if s == "" || strings.ContainsAny(s, " ;=,\\\n") {
				t.Errorf("%q", s)
			}
		}
	})
}
