package sock

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// firewallPolicy is where Windows keeps what its firewall does.
const firewallPolicy = `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy`

// FirewallOf tells what Windows' own firewall does for a program, whose whole name is
// given; false if Windows does not tell within seconds which networks it is on.
func FirewallOf(ctx context.Context, program string) (f Firewall, known bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	dir, err := windows.GetSystemDirectory() // not one that PATH names
	if err != nil {
		return f, false
	}
	show := func(profile string) string {
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "netsh.exe"), "advfirewall", "show", strings.ToLower(profile)+"profile", "state").Output()
		if err != nil {
			return ""
		}
		return string(out)
	}
	of := map[string]string{}
	for _, name := range []string{"Domain", "Private", "Public"} {
		of[name] = show(name)
	}
	// The registry calls the private profile standard (MS-FASP section 2.2.2). What a
	// policy sets goes before it.
	keys := map[string]string{"Domain": "DomainProfile", "Private": "StandardProfile", "Public": "PublicProfile"}
	for _, name := range currentProfiles(show("Current"), of) {
		on, ok := enabled(`SOFTWARE\Policies\Microsoft\WindowsFirewall\` + keys[name])
		if !ok {
			on, ok = enabled(firewallPolicy + `\` + keys[name])
		}
		if ok {
			f.Profiles = append(f.Profiles, FirewallProfile{name, on})
		}
	}
	for _, at := range []string{firewallPolicy + `\FirewallRules`, `SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules`} {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, at, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		names, _ := k.ReadValueNames(0) // those that were read
		for _, n := range names {
			value, _, err := k.GetStringValue(n)
			if err != nil {
				continue
			}
			if r, ok := parseProgramRule(value, program, isSamePath); ok {
				f.Rules = append(f.Rules, r)
			}
		}
		k.Close()
	}
	return f, len(f.Profiles) > 0
}

// enabled reads whether a profile is on; false: it is not set there.
func enabled(path string) (on, ok bool) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if err != nil {
		return false, false
	}
	defer k.Close()
	v, _, err := k.GetIntegerValue("EnableFirewall")
	return v == 1, err == nil
}

// isSamePath compares the names of files, of which the first may have variables.
func isSamePath(a, b string) bool {
	if whole, err := registry.ExpandString(a); err == nil {
		a = whole
	}
	return strings.EqualFold(filepath.Clean(a), filepath.Clean(b))
}
