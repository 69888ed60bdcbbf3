package sock

import (
	"bufio"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strings"

	"dialtone/internal/clean"
)

// A Proxy is a setting of this machine that sends programs to a proxy, or leaves
// them to find one.
type Proxy struct {
	Where   string // for people: "HTTPS_PROXY in the environment"
	Setting string // what it says, without a login
	Except  string // for whom it is not used; "": the setting names nobody
	System  bool   // it is the system's, not this program's environment
}

// proxyVariables are those that programs heed, in both spellings.
var proxyVariables = []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "FTP_PROXY"}

// Proxies are the proxies that this machine is set to use: by this program's
// environment, and by the system. Settings are read and never changed, and none
// is used.
func Proxies() []Proxy {
	out := environmentProxies("in the environment", os.Getenv, false)
	for _, p := range systemProxies() {
		if !slices.ContainsFunc(out, func(o Proxy) bool { return o.Where == p.Where && o.Setting == p.Setting }) {
			out = append(out, p)
		}
	}
	return out
}

// environmentProxies are the proxies that variables name.
func environmentProxies(where string, get func(string) string, system bool) []Proxy {
	except := withoutLogin(firstOf(get("NO_PROXY"), get("no_proxy")))
	var out []Proxy
	for _, name := range proxyVariables {
		upper, lower := get(name), get(strings.ToLower(name))
		if runtime.GOOS == "windows" && !system {
			lower = "" // its names of variables have no case
		}
		if upper != "" {
			out = append(out, Proxy{name + " " + where, withoutLogin(upper), except, system})
		}
		if lower != "" && lower != upper {
			out = append(out, Proxy{strings.ToLower(name) + " " + where, withoutLogin(lower), except, system})
		}
	}
	return out
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// maxProxyText bounds what is shown of a setting, bytes.
const maxProxyText = 200

// withoutLogin is what may be shown of a setting that names a proxy: nothing
// before the last "@", where a name and a password stand (RFC 3986 section
// 3.2.1), whatever characters they have, nor after a "?" or "#".
func withoutLogin(s string) string {
	scheme := ""
	if at := strings.LastIndex(s, "@"); at >= 0 {
		if i := strings.Index(s, "://"); i >= 0 && i < at && isScheme(s[:i]) {
			scheme = s[:i+3]
		}
		s = s[at+1:]
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(clean.Bytes(scheme+s, maxProxyText))
}

// isScheme reports whether s can be a URL's scheme (RFC 3986 section 3.1): a name
// with a password before it cannot.
func isScheme(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" && len(s) <= 10
}

// parseEnvironmentFile reads a file such as /etc/environment: lines of NAME=VALUE,
// with or without "export" and quotes.
func parseEnvironmentFile(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export "))
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[strings.TrimSpace(name)] = value
	}
	return out
}

// Flags of a connection's settings in Windows' registry.
const (
	winProxy      = 2 // a proxy is named
	winScript     = 4 // a script says which (PAC)
	winAutoDetect = 8 // WPAD
)

// parseWindowsConnection reads the value WinHttpSettings or
// DefaultConnectionSettings of the registry: four bytes of version, four of a
// counter, four of flags, then texts, each after four bytes of its length: the
// proxy, whom it is not for, and the script's address. The form is not
// documented; what does not fit it is read as nothing.
func parseWindowsConnection(where string, b []byte) []Proxy {
	const head = 12
	if len(b) < head {
		return nil
	}
	flags := binary.LittleEndian.Uint32(b[8:])
	b = b[head:]
	var texts [3]string
	for i := range texts {
		if len(b) < 4 {
			break
		}
		n := binary.LittleEndian.Uint32(b)
		if b = b[4:]; uint64(n) > uint64(len(b)) {
			break
		}
		texts[i], b = string(b[:n]), b[n:]
	}
	var out []Proxy
	if flags&winProxy != 0 && texts[0] != "" {
		out = append(out, Proxy{where, withoutLogin(texts[0]), withoutLogin(texts[1]), true})
	}
	if flags&winScript != 0 && texts[2] != "" {
		out = append(out, Proxy{where, "script " + withoutLogin(texts[2]), "", true})
	}
	if flags&winAutoDetect != 0 {
		out = append(out, Proxy{where, "found automatically (WPAD), if the network offers one", "", true})
	}
	return out
}

// parseScutil reads what macOS' "scutil --proxy" prints.
func parseScutil(text string) []Proxy {
	values := map[string]string{}
	var except []string
	inList := false
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), " : ")
		switch {
		case strings.TrimSpace(lines.Text()) == "}":
			inList = false
		case ok && inList:
			except = append(except, value)
		case ok && key == "ExceptionsList":
			inList = true
		case ok && !strings.HasSuffix(value, "{"):
			values[key] = value
		}
	}
	var out []Proxy
	const where = "macOS' network settings"
	for _, kind := range []string{"HTTPS", "HTTP", "SOCKS", "FTP"} {
		if values[kind+"Enable"] != "1" || values[kind+"Proxy"] == "" {
			continue
		}
		at := strings.ToLower(kind) + "://" + withoutLogin(values[kind+"Proxy"])
		if port := values[kind+"Port"]; port != "" {
			at += ":" + withoutLogin(port)
		}
		out = append(out, Proxy{where, at, withoutLogin(strings.Join(except, ", ")), true})
	}
	if values["ProxyAutoConfigEnable"] == "1" && values["ProxyAutoConfigURLString"] != "" {
		out = append(out, Proxy{where, "script " + withoutLogin(values["ProxyAutoConfigURLString"]), "", true})
	}
	if values["ProxyAutoDiscoveryEnable"] == "1" {
		out = append(out, Proxy{where, "found automatically (WPAD), if the network offers one", "", true})
	}
	return out
}

// parseGNOME reads what "gsettings list-recursively org.gnome.system.proxy"
// prints.
func parseGNOME(text string) []Proxy {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(fields) == 3 && strings.HasPrefix(fields[0], "org.gnome.system.proxy") {
			values[strings.TrimPrefix(strings.TrimPrefix(fields[0], "org.gnome.system.proxy"), ".")+" "+fields[1]] = strings.Trim(fields[2], "'")
		}
	}
	const where = "GNOME's network settings"
	var out []Proxy
	switch values[" mode"] {
	case "auto":
		setting := "found automatically (WPAD), if the network offers one"
		if url := values[" autoconfig-url"]; url != "" {
			setting = "script " + withoutLogin(url)
		}
		out = append(out, Proxy{where, setting, "", true})
	case "manual":
		for _, kind := range []string{"https", "http", "socks", "ftp"} {
			if host, port := values[kind+" host"], values[kind+" port"]; host != "" && port != "0" {
				out = append(out, Proxy{where, kind + "://" + withoutLogin(host) + ":" + withoutLogin(port), withoutLogin(values[" ignore-hosts"]), true})
			}
		}
	}
	return out
}
