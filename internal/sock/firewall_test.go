package sock

import (
	"slices"
	"strings"
	"testing"
)

// Rules as Windows keeps them: the first two are what its question leaves, answered with
// Allow on a private network and with Cancel on a public one.
func TestRulesForAProgramAreRead(t *testing.T) {
	const program = `C:\Users\ann\dialtone\listen.exe`
	for _, c := range []struct {
		value string
		want  ProgramRule
		ours  bool
	}{
		{`v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|App=C:\users\ann\dialtone\listen.exe|Name=listen.exe|Desc=listen.exe|Defer=User|`,
			ProgramRule{Name: "listen.exe", Profiles: []string{"Private"}}, true},
		{`v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=17|Profile=Public|App=C:\users\ann\dialtone\listen.exe|Name=listen.exe|Desc=listen.exe|Defer=User|`,
			ProgramRule{Name: "listen.exe", Blocks: true, Profiles: []string{"Public"}}, true},
		{`v2.10|Action=Allow|Active=TRUE|Dir=In|Profile=Domain|Profile=Private|App=C:\Users\ann\dialtone\listen.exe|Name=By hand|`,
			ProgramRule{Name: "By hand", Profiles: []string{"Domain", "Private"}}, true},
		{`v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=1433|App=C:\Users\ann\dialtone\listen.exe|Name=One port|`,
			ProgramRule{Name: "One port", OnePort: true}, true},
		{`v2.31|Action=Allow|Active=FALSE|Dir=In|App=C:\Users\ann\dialtone\listen.exe|Name=Off|`, ProgramRule{}, false},
		{`v2.31|Action=Allow|Active=TRUE|Dir=Out|App=C:\Users\ann\dialtone\listen.exe|Name=Out|`, ProgramRule{}, false},
		{`v2.31|Action=Allow|Active=TRUE|Dir=In|App=C:\Program Files\ILLiad\OdysseyManager.exe|Name=Another|`, ProgramRule{}, false},
		{`v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=1|App=C:\Users\ann\dialtone\listen.exe|Name=ICMP|`, ProgramRule{}, false},
		{`v2.31|Action=Bypass|Active=TRUE|Dir=In|App=C:\Users\ann\dialtone\listen.exe|`, ProgramRule{}, false},
		{``, ProgramRule{}, false},
		{`||=|App|`, ProgramRule{}, false},
	} {
		got, ours := parseProgramRule(c.value, program, strings.EqualFold)
		if ours != c.ours || ours && (got.Name != c.want.Name || got.Blocks != c.want.Blocks || got.OnePort != c.want.OnePort || !slices.Equal(got.Profiles, c.want.Profiles)) {
			t.Errorf("%s\n%+v, %v", c.value, got, ours)
		}
	}
}

// What netsh prints is in Windows' language, whichever that is.
func TestProfilesInEffectAreToldInAnyLanguage(t *testing.T) {
	const line = "\n----------------------------------------------------------------------\n"
	for _, c := range []struct {
		domain, private, public, state string
	}{
		{"Domain Profile Settings:", "Private Profile Settings:", "Public Profile Settings:", "State                                 ON\nOk.\n"},
		{"Einstellungen für Domänenprofil:", "Einstellungen für Privates Profil:", "Einstellungen für Öffentliches Profil:", "Status                                EIN\nOK.\n"},
	} {
		of := map[string]string{}
		for name, title := range map[string]string{"Domain": c.domain, "Private": c.private, "Public": c.public} {
			of[name] = "\n" + title + " " + line + c.state
		}
		for current, want := range map[string][]string{
			"\n" + c.public + " " + line + c.state:                                       {"Public"},
			"\n" + c.domain + line + c.state + "\n\n" + c.public + line + c.state + "\n": {"Domain", "Public"},
			"":                          nil,
			"The service has not begun": nil,
		} {
			if got := currentProfiles(current, of); !slices.Equal(got, want) {
				t.Errorf("%q: %q", current, got)
			}
		}
	}
	if got := currentProfiles("\n\n", map[string]string{"Domain": "", "Private": "\n", "Public": ""}); got != nil {
		t.Errorf("of nothing: %q", got)
	}
}
