package sock

import "golang.org/x/sys/windows/registry"

const internetSettings = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`

// systemProxies are those of this user's and the machine's Internet Settings,
// which programs on .NET and browsers go by, and of WinHTTP, which services do.
func systemProxies() []Proxy {
	var out []Proxy
	for _, of := range []struct {
		root  registry.Key
		path  string
		where string
	}{
		{registry.CURRENT_USER, internetSettings, "Windows' Internet Settings of this user"},
		{registry.CURRENT_USER, `Software\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`, "a Windows policy for this user"},
		{registry.LOCAL_MACHINE, internetSettings, "Windows' Internet Settings of this machine"},
		{registry.LOCAL_MACHINE, `Software\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`, "a Windows policy for this machine"},
	} {
		key, err := registry.OpenKey(of.root, of.path, registry.QUERY_VALUE)
		if err != nil {
			continue // nobody set anything there, or this user may not read it
		}
		enabled, _, err := key.GetIntegerValue("ProxyEnable")
		server, _, serverErr := key.GetStringValue("ProxyServer")
		except, _, _ := key.GetStringValue("ProxyOverride") // "": for nobody
		if err == nil && enabled == 1 && serverErr == nil && server != "" {
			out = append(out, Proxy{of.where, withoutLogin(server), withoutLogin(except), true})
		}
		if script, _, err := key.GetStringValue("AutoConfigURL"); err == nil && script != "" {
			out = append(out, Proxy{of.where, "script " + withoutLogin(script), "", true})
		}
		key.Close()
	}
	if key, err := registry.OpenKey(registry.LOCAL_MACHINE, internetSettings+`\Connections`, registry.QUERY_VALUE); err == nil {
		if b, _, err := key.GetBinaryValue("WinHttpSettings"); err == nil {
			out = append(out, parseWindowsConnection("WinHTTP's settings (netsh winhttp show proxy)", b)...)
		}
		key.Close()
	}
	return out
}
