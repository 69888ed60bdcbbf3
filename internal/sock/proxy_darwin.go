package sock

// systemProxies are those of the network settings.
func systemProxies() []Proxy { return parseScutil(settingsOf("/usr/sbin/scutil", "--proxy")) }
