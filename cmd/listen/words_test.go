package main

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

func TestTheAddressToDialIsOneThatOthersReach(t *testing.T) {
	a := netip.MustParseAddr
	lan := sock.Own{Addr: a("192.0.2.10"), Interface: "eth0", Kind: sock.OwnNetwork, HasDefault: true}
	lan6 := sock.Own{Addr: a("2001:db8::10"), Interface: "eth0", Kind: sock.OwnNetwork, HasDefault: true}
	vpn := sock.Own{Addr: a("10.8.0.2"), Interface: "tun0", Kind: sock.OwnVPN}
	docker := sock.Own{Addr: a("172.17.0.1"), Interface: "docker0", Kind: sock.OwnInside}
	down := sock.Own{Addr: a("10.9.9.9"), Interface: "eth1", Kind: sock.OwnDown}
	lo := sock.Own{Addr: a("127.0.0.1"), Interface: "lo", Kind: sock.OwnLoopback}
	for _, c := range []struct {
		name  string
		own   []sock.Own
		bind  []string
		want  []string
		words string
	}{
		{"everything", []sock.Own{lan, lan6, vpn, docker, down, lo}, nil, []string{"192.0.2.10", "2001:db8::10", "10.8.0.2"}, ""},
		{"a VPN alone", []sock.Own{vpn, docker, lo}, nil, []string{"10.8.0.2"}, "only who is in it"},
		{"containers alone", []sock.Own{docker, down, lo}, nil, []string{"172.17.0.1"}, "Only containers"},
		{"unplugged", []sock.Own{down, lo}, nil, []string{"10.9.9.9"}, "Nothing is plugged in"},
		{"loopback alone", []sock.Own{lo}, nil, []string{"127.0.0.1"}, "Only this machine itself"},
		{"nothing known", nil, nil, []string{"127.0.0.1"}, "Only this machine itself"},
		{"bound to all of IPv4", []sock.Own{lan, lan6, vpn, docker, lo}, []string{"0.0.0.0"}, []string{"192.0.2.10", "10.8.0.2"}, ""},
		{"bound to all of IPv6", []sock.Own{lan, lan6, docker, lo}, []string{"::"}, []string{"2001:db8::10"}, ""},
		{"bound to all", []sock.Own{lan, lan6, lo}, []string{"::", "0.0.0.0"}, []string{"192.0.2.10", "2001:db8::10"}, ""},
		{"bound to one", []sock.Own{lan, lan6, vpn, lo}, []string{"2001:db8::10"}, []string{"2001:db8::10"}, ""},
		{"bound to the bridge", []sock.Own{lan, docker, lo}, []string{"172.17.0.1"}, []string{"172.17.0.1"}, "Only containers"},
		{"bound to loopback", []sock.Own{lan, lo}, []string{"127.0.0.1"}, []string{"127.0.0.1"}, "loopback address alone"},
		{"bound to another loopback address", []sock.Own{lan, lo}, []string{"127.77.1.1"}, []string{"127.77.1.1"}, "loopback address alone"},
		{"bound to loopback and more", []sock.Own{lan, lo}, []string{"127.0.0.1", "192.0.2.10"}, []string{"192.0.2.10"}, ""},
		{"bound to a cable's address", []sock.Own{lan, lo}, []string{"fe80::1%eth0"}, []string{"fe80::1%eth0"}, ""},
	} {
		var bind []netip.Addr
		for _, b := range c.bind {
			bind = append(bind, a(b))
		}
		got := dialable(c.own, bind)
		var addrs []string
		for _, o := range got {
			addrs = append(addrs, o.Addr.String())
		}
		if words := reachWords(got[0], len(bind) > 0); !slices.Equal(addrs, c.want) || !strings.Contains(words, c.words) || c.words == "" && words != "" {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, addrs, words, c.want, c.words)
		}
	}
	if got := otherWords([]sock.Own{lan6, vpn}); got != "2001:db8::10, 10.8.0.2 (inside of a VPN, tun0: for who is in it)" {
		t.Error(got)
	}
}

func TestAPortThatIsTakenIsExplained(t *testing.T) {
	to := netip.MustParseAddrPort("192.0.2.20:9000")
	held := func(name string, pid int32) *listener.BindError {
		h := &result.Holder{Name: name, PID: pid}
		return &listener.BindError{BusyPort: result.BusyPort{Transport: plan.TCP, Port: 7968, Holder: h}, Use: sock.PortUse{Holder: h, IsListening: true}, Err: errors.New("address already in use")}
	}
	unseen := held("", 0)
	unseen.Holder, unseen.Use = nil, sock.PortUse{}
	outgoing := held("", 0)
	outgoing.Holder, outgoing.Use = nil, sock.PortUse{Holder: &result.Holder{Name: "python3", PID: 12}, Remote: to}
	strangers := held("", 0)
	strangers.Holder, strangers.Use = nil, sock.PortUse{Remote: to}
	on := func(t plan.Transport, port int, e *listener.BindError) *listener.BindError {
		e = &listener.BindError{BusyPort: e.BusyPort, Use: e.Use, Err: e.Err}
		e.Transport, e.Port = t, port
		return e
	}
	for _, c := range []struct {
		name         string
		e            *listener.BindError
		isRoot       bool
		goos         string
		says, absent string
	}{
		{"a program", held("nginx", 77), false, "linux", `held by "nginx" (pid 77). It is left to it: dial is told so, and what of it comes there. To prove the port by key, stop that program and start listen again.`, ""},
		{"a socket unit", held("systemd", 1), true, "linux", "systemctl stop NAME.socket", "stop that program"},
		{"a user's socket unit", held("systemd", 801), false, "linux", "systemctl --user stop", "stop that program"},
		{"the first program", held("node", 1), false, "linux", "stop the container", "stop that program"},
		{"a container's proxy", held("docker-proxy", 9), true, "linux", "docker ps", ""},
		{"HTTP.sys", held("System", 4), true, "windows", "netsh http show servicestate", ""},
		{"a service", held("svchost.exe", 812), true, "windows", `tasklist /svc /fi "PID eq 812"`, ""},
		{"SQL Server", on(plan.TCP, 1433, held("sqlservr.exe", 2212)), true, "windows", `held by "sqlservr.exe" (pid 2212), SQL Server. It is left to it: dial is told so, and what of it comes there. To prove the port by key, stop its service (net stop MSSQLSERVER`, ""},
		{"Odyssey Manager, by its port", held("Manager.exe", 700), true, "windows", `held by "Manager.exe" (pid 700). Odyssey Manager has that port by default. It is left to it: dial is told so, and what of it comes there. To prove the port by key, stop that program (its service, in services.msc)`, ""},
		{"the same port elsewhere", held("Manager.exe", 700), true, "linux", "stop that program and start", "Odyssey"},
		{"not seen, by its port", on(plan.UDP, 1434, unseen), false, "windows", "SQL Server Browser has that port by default. Run listen as administrator", ""},
		{"an outgoing connection", outgoing, true, "linux", `the local port of a connection of "python3" (pid 12) to 192.0.2.20:9000`, "as root"},
		{"one of another user", strangers, false, "linux", "the local port of a connection to 192.0.2.20:9000", "as root"},
		{"one on Windows", outgoing, true, "windows", "netsh int ipv4 add excludedportrange", "sysctl"},
		{"not seen, by root", unseen, true, "linux", "another container or namespace", "as root"},
		{"not seen, by others", unseen, false, "linux", "Run listen as root to see which", ""},
		{"not seen, on Windows", unseen, false, "windows", "Run listen as administrator to see which", "root"},
	} {
		got := inUseWords(c.e, c.isRoot, toSee(false, c.goos), c.goos)
		if !strings.Contains(got, c.says) || c.absent != "" && strings.Contains(got, c.absent) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// Root that has become another user is no answer to give.
func TestWhoHasAPortIsSeenByRootThatStaysIt(t *testing.T) {
	e := &listener.BindError{BusyPort: result.BusyPort{Transport: plan.TCP, Port: 7968}, Err: errors.New("address already in use")}
	if got := inUseWords(e, false, toSee(true, "linux"), "linux"); !strings.Contains(got, "Run listen without --user to see which") {
		t.Error(got)
	}
}

func TestWhyAPortMayNotBeBound(t *testing.T) {
	for _, c := range []struct {
		name         string
		p            sock.Privilege
		ports        []int
		goos         string
		says, absent string
	}{
		{"an ordinary user", sock.Privilege{LacksCapability: true, From: 1024}, []int{80}, "linux", "Ports below 1024 need a privilege. Either run it with sudo", ""},
		{"another limit", sock.Privilege{LacksCapability: true, From: 2000}, []int{80, 1433}, "linux", "Ports below 2000 need a privilege here (net.ipv4.ip_unprivileged_port_start)", "1024"},
		{"root in a container", sock.Privilege{IsRoot: true, LacksCapability: true, From: 1024}, []int{80}, "linux", "--cap-add NET_BIND_SERVICE", "sudo"},
		{"root of a user namespace", sock.Privilege{IsRoot: true, InUserNamespace: true, From: 1024}, []int{80, 443}, "linux", "ip_unprivileged_port_start=80", "CAP_NET_BIND_SERVICE"},
		{"a policy", sock.Privilege{IsRoot: true, From: 1024}, []int{80}, "linux", "SELinux", "sudo"},
		{"a policy on a high port", sock.Privilege{LacksCapability: true, From: 1024}, []int{7968}, "linux", "SELinux", "sudo"},
		{"macOS", sock.Privilege{From: 1024}, []int{80}, "darwin", "sudo", "setcap"},
	} {
		got := permissionHint(c.p, c.ports, c.goos, "/opt/listen")
		if !strings.Contains(got, c.says) || c.absent != "" && strings.Contains(got, c.absent) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
