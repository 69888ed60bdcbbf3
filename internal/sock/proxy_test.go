package sock

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

func TestNoLoginOfAProxyIsShown(t *testing.T) {
	for in, want := range map[string]string{
		"http://proxy.example.edu:3128":                        "http://proxy.example.edu:3128",
		"proxy.example.edu:3128":                               "proxy.example.edu:3128",
		"http://user:secret@proxy.example.edu:3128/":           "http://proxy.example.edu:3128/",
		"user:secret@proxy.example.edu:3128":                   "proxy.example.edu:3128",
		"http://user:sec@ret@proxy.example.edu":                "http://proxy.example.edu",
		"http://user:sec/ret@proxy.example.edu":                "http://proxy.example.edu",
		"http://user:sec;ret,secret secret@proxy.example.edu":  "http://proxy.example.edu",
		"http://user:secret@a:1;https://user:secret@b:2":       "http://b:2",
		"secret://@proxy.example.edu":                          "secret://proxy.example.edu",
		"user:secret://x@proxy.example.edu":                    "proxy.example.edu",
		"http://DOMAIN\\user:secret@proxy.example.edu":         "http://proxy.example.edu",
		"http://wpad.example.edu/proxy.pac?token=secret":       "http://wpad.example.edu/proxy.pac",
		"http://wpad.example.edu/proxy.pac#secret":             "http://wpad.example.edu/proxy.pac",
		"http=proxy.example.edu:80;https=proxy.example.edu:81": "http=proxy.example.edu:80;https=proxy.example.edu:81",
		"proxy\x1b[31m.example.edu\r\n":                        `proxy\x1b[31m.example.edu\r\n`,
		"pro\xffxy":                                            `pro\xffxy`,
		"":                                                     "",
	} {
		if got := withoutLogin(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := withoutLogin(strings.Repeat("ä", 4000)); len(got) > maxProxyText+len("…") {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzWithoutLogin(f *testing.F) {
	f.Add("http://", "user:pa/ss@word", "proxy:1")
	f.Add("", "u;s", "a")
	f.Fuzz(func(t *testing.T, scheme, login, host string) {
		got := withoutLogin(scheme + "SECRET" + login + "@" + host)
		if strings.Contains(got, "SECRET") && !strings.Contains(host, "SECRET") {
			t.Errorf("%q", got)
		}
	})
}

// shownProxies are proxies in short.
func shownProxies(all []Proxy) string {
	var out []string
	for _, p := range all {
		s := p.Where + ": " + p.Setting
		if p.Except != "" {
			s += " except " + p.Except
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

func expectProxies(t *testing.T, got []Proxy, want ...string) {
	t.Helper()
	if shownProxies(got) != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", shownProxies(got), strings.Join(want, "\n"))
	}
}

func TestProxiesOfTheEnvironment(t *testing.T) {
	for _, name := range append([]string{"NO_PROXY"}, proxyVariables...) {
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
	own := func() []Proxy {
		var out []Proxy
		for _, p := range Proxies() {
			if !p.System {
				out = append(out, p)
			}
		}
		return out
	}
	expectProxies(t, own())
	t.Setenv("no_proxy", "localhost,.example.edu")
	expectProxies(t, own()) // nobody is sent anywhere
	t.Setenv("HTTPS_PROXY", "http://u:p@proxy:3128")
	expectProxies(t, own(), "HTTPS_PROXY in the environment: http://proxy:3128 except localhost,.example.edu")
	t.Setenv("all_proxy", "socks5://sox:1080")
	expectProxies(t, own(), "HTTPS_PROXY in the environment: http://proxy:3128 except localhost,.example.edu",
		"all_proxy in the environment: socks5://sox:1080 except localhost,.example.edu")
}

func TestProxiesOfAnEnvironmentFile(t *testing.T) {
	values := parseEnvironmentFile("# the proxy\nPATH=\"/usr/bin\"\nhttp_proxy=\"http://u:p@proxy:80\"\n  export HTTPS_PROXY='http://proxy:81' \nno_proxy=localhost\n#ftp_proxy=http://old:1\nrubbish\n=\n")
	expectProxies(t, environmentProxies("in /etc/environment", func(n string) string { return values[n] }, true),
		"HTTPS_PROXY in /etc/environment: http://proxy:81 except localhost",
		"http_proxy in /etc/environment: http://proxy:80 except localhost")
}

// connection is a value of Windows' registry.
func connection(flags uint32, texts ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x28)
	b = binary.LittleEndian.AppendUint32(b, 7)
	b = binary.LittleEndian.AppendUint32(b, flags)
	for _, s := range texts {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return append(b, make([]byte, 32)...)
}

func TestProxiesOfAWindowsConnection(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want []string
	}{
		{connection(1), nil},
		{connection(3, "proxy:8080", "*.example.edu;<local>"), []string{"W: proxy:8080 except *.example.edu;<local>"}},
		{connection(1, "proxy:8080"), nil}, // named, and switched off
		{connection(5, "", "", "http://wpad/x.pac?u=secret"), []string{"W: script http://wpad/x.pac"}},
		{connection(9), []string{"W: found automatically (WPAD), if the network offers one"}},
		{binary.LittleEndian.AppendUint32(connection(3)[:12], 1<<31), nil},
		{[]byte{1, 2, 3}, nil},
		{nil, nil},
	} {
		expectProxies(t, parseWindowsConnection("W", c.b), c.want...)
	}
}

func FuzzWindowsConnection(f *testing.F) {
	f.Add(connection(15, "a", "b", "c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range parseWindowsConnection("W", b) {
			if strings.Contains(p.Setting, "@") || len(p.Setting) > 300 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestProxiesOfMacOS(t *testing.T) {
	const text = `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  FTPPassive : 1
  HTTPEnable : 1
  HTTPPort : 8080
  HTTPProxy : proxy.example.edu
  HTTPSEnable : 0
  HTTPSProxy : old.example.edu
  ProxyAutoConfigEnable : 1
  ProxyAutoConfigURLString : http://u:p@wpad.example.edu/proxy.pac
}
`
	expectProxies(t, parseScutil(text), "macOS' network settings: http://proxy.example.edu:8080 except *.local, 169.254/16", "macOS' network settings: script http://wpad.example.edu/proxy.pac")
	expectProxies(t, parseScutil("<dictionary> {\n  FTPPassive : 1\n}\n"))
}

func TestProxiesOfGNOME(t *testing.T) {
	text := func(mode string) string {
		return fmt.Sprintf("org.gnome.system.proxy autoconfig-url ''\norg.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8']\norg.gnome.system.proxy mode '%s'\n"+
			"org.gnome.system.proxy.https host 'proxy.example.edu'\norg.gnome.system.proxy.https port 3128\norg.gnome.system.proxy.http host ''\norg.gnome.system.proxy.http port 8080\n", mode)
	}
	expectProxies(t, parseGNOME(text("none")))
	expectProxies(t, parseGNOME(text("manual")), "GNOME's network settings: https://proxy.example.edu:3128 except ['localhost', '127.0.0.0/8']")
	expectProxies(t, parseGNOME(text("auto")), "GNOME's network settings: found automatically (WPAD), if the network offers one")
	expectProxies(t, parseGNOME(strings.Replace(text("auto"), "url ''", "url 'http://wpad/p.pac'", 1)), "GNOME's network settings: script http://wpad/p.pac")
}
