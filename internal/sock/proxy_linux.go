package sock

import (
	"os"
)

// systemProxies are those of files that set every session's environment, and of
// GNOME's settings.
func systemProxies() []Proxy {
	var out []Proxy
	for _, file := range []string{"/etc/environment", "/etc/profile.d/proxy.sh"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // most systems have none
		}
		values := parseEnvironmentFile(string(text))
		out = append(out, environmentProxies("in "+file, func(name string) string { return values[name] }, true)...)
	}
	return append(out, parseGNOME(settingsOf("gsettings", "list-recursively", "org.gnome.system.proxy"))...)
}
