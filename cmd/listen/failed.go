package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// sayFailed says which ports could not be had, who has them, and what to do.
func (s *serving) sayFailed(failed []*listener.BindError) {
	var denied []string
	var ports []int
	var kept []*listener.BindError
	here := sock.BindPrivilege()
	for _, e := range failed {
		name := fmt.Sprintf("%s/%d", e.Transport, e.Port)
		if e.Port == 0 {
			name = string(e.Transport) + "/(any high port)"
		}
		switch {
		case e.NoPermission:
			if !slices.Contains(denied, name) {
				denied, ports, kept = append(denied, name), append(ports, e.Port), append(kept, e)
			}
		case e.InUse:
			fmt.Fprintf(s.errs, "listen: %s on %s is %s\n", name, e.Address, inUseWords(e, here.IsRoot, toSee(s.user != nil, runtime.GOOS), runtime.GOOS))
		default:
			fmt.Fprintf(s.errs, "listen: %s on %s cannot be bound: %v\n", name, e.Address, e.Err)
		}
	}
	if len(denied) > 0 {
		program, err := os.Executable()
		if err != nil {
			program = "listen"
		}
		hint := permissionHint(here, ports, runtime.GOOS, program)
		if runtime.GOOS == "windows" {
			hint = keptHint(here, kept, func(t plan.Transport) []sock.PortRange { return sock.ExcludedPorts(context.Background(), t) })
		}
		fmt.Fprintf(s.errs, "listen: no permission to bind %s.\n%s  To try without: --port-shift 10000, here and for dial.\n", strings.Join(denied, ", "), hint)
	}
}

// toSee is how listen is run for the system to show it which program has a port.
func toSee(became bool, goos string) string {
	switch {
	case became:
		return "without --user"
	case goos == "windows":
		return "as administrator"
	}
	return "as root"
}

// inUseWords say who has a port, and how to get it, on a system that goos names.
func inUseWords(e *listener.BindError, isRoot bool, toSee, goos string) string {
	const own = "It is left to it: dial is told so, and what of it comes there. To prove the port by key, %s and start listen again."
	if to := e.Use.Remote; to.IsValid() && e.Holder == nil {
		by := ""
		if h := e.Use.Holder; h != nil {
			by = fmt.Sprintf(" of %s (pid %d)", orUnnamed(h.Name), h.PID)
		}
		return fmt.Sprintf("the local port of a connection%s to %s: no program listens there, and the port is free once that connection ends. Start listen again then.%s",
			by, to, reserveWords(e.Transport, e.Port, goos))
	}
	h := e.Holder
	switch {
	case h != nil:
		about, stop := aboutHolder(h.Name, h.PID, goos), stopWords(h.Name, h.PID, goos)
		if u, ok := usualOf(e.Transport, e.Port, goos); ok && about == "." {
			about, stop = fmt.Sprintf(". %s has that port by default.", u.who), "stop that program ("+u.stop+")"
		}
		return fmt.Sprintf("held by %s (pid %d)%s "+own, orUnnamed(h.Name), h.PID, about, stop)
	case e.Use.IsListening && isRoot:
		return fmt.Sprintf("held by a program that this system does not show, as one of another container or namespace, or to a unit without CAP_SYS_PTRACE (%v). "+own, e.Err, "stop that program")
	case isRoot:
		return fmt.Sprintf("held by another program (%v): by a socket that neither listens nor is connected, or is of another container or namespace. "+own, e.Err, "stop that program")
	}
	guess := ""
	if u, ok := usualOf(e.Transport, e.Port, goos); ok {
		guess = fmt.Sprintf(" %s has that port by default.", u.who)
	}
	return fmt.Sprintf("held by another program (%v).%s Run listen %s to see which. To test the port itself, stop that program and start listen again.", e.Err, guess, toSee)
}

// reserveWords say how to keep a port from being drawn for connections.
func reserveWords(t plan.Transport, port int, goos string) string {
	switch goos {
	case "linux":
		return fmt.Sprintf(" To keep the port from being taken so: sysctl -w net.ipv4.ip_local_reserved_ports=%d", port)
	case "windows":
		return fmt.Sprintf(" To keep the port from being taken so: netsh int ipv4 add excludedportrange protocol=%s startport=%d numberofports=1", t, port)
	}
	return ""
}

// holders are programs that hold ports in the name of others.
var holders = []struct {
	goos, name  string
	pid         int32 // 0: any
	about, stop string
}{
	{"linux", "systemd", 1, " for a socket unit, whose service it starts when somebody connects: systemctl list-sockets shows which.", "run systemctl stop NAME.socket"},
	{"linux", "systemd", 0, " for a user's socket unit: systemctl --user list-sockets shows which.", "run systemctl --user stop NAME.socket"},
	{"linux", "docker-proxy", 0, " for a container: docker ps shows which.", "stop that container"},
	{"linux", "inetd", 0, " for a service in its configuration.", "take the service out of it"},
	{"linux", "xinetd", 0, " for a service in its configuration.", "take the service out of it"},
	{"darwin", "launchd", 1, " for a service that it starts when somebody connects: sudo launchctl list shows which.", "unload that service with launchctl"},
	{"windows", "System", 4, ", Windows itself: for a web page it is HTTP.sys, for IIS or another program; netsh http show servicestate shows which.", "stop that program (iisreset /stop for IIS)"},
	{"windows", "sqlservr.exe", 0, ", SQL Server.", "stop its service (net stop MSSQLSERVER, for a named instance net stop MSSQL$NAME)"},
	{"windows", "sqlbrowser.exe", 0, ", SQL Server Browser.", "stop its service (net stop SQLBrowser)"},
	{"windows", "inetinfo.exe", 0, ", IIS.", "stop it (iisreset /stop)"},
	{"windows", "svchost.exe", 0, " for a service: tasklist /svc /fi \"PID eq %d\" shows which.", "stop that service"},
}

func aboutHolder(name string, pid int32, goos string) string {
	for _, h := range holders {
		if h.goos == goos && h.name == name && (h.pid == 0 || h.pid == pid) {
			return strings.Replace(h.about, "%d", strconv.Itoa(int(pid)), 1)
		}
	}
	return "."
}

func stopWords(name string, pid int32, goos string) string {
	for _, h := range holders {
		if h.goos == goos && h.name == name && (h.pid == 0 || h.pid == pid) {
			return h.stop
		}
	}
	if pid == 1 && goos != "windows" {
		return "stop the container or machine whose first program it is"
	}
	return "stop that program"
}

func orUnnamed(name string) string {
	if name == "" {
		return "a program"
	}
	return strconv.QuoteToGraphic(name)
}

// permissionHint says what is missing to bind these ports, where numbers need a
// privilege.
func permissionHint(p sock.Privilege, ports []int, goos, program string) string {
	low := fmt.Sprintf("Ports below %d need a privilege", p.From)
	byNumber := slices.ContainsFunc(ports, func(port int) bool { return port != 0 && port < p.From })
	switch {
	case goos != "linux":
		if p.IsRoot || !byNumber {
			return "  Its number is not the reason: a security policy of this system is.\n"
		}
		return "  " + low + ". Run it with sudo.\n"
	case byNumber && p.LacksCapability && p.IsRoot:
		return "  " + low + " here. It runs as root already, but without the capability\n" +
			"  CAP_NET_BIND_SERVICE: add it in the container's settings (docker run --cap-add NET_BIND_SERVICE;\n" +
			"  Kubernetes: securityContext.capabilities.add) or those of the systemd unit (CapabilityBoundingSet=).\n"
	case byNumber && p.LacksCapability:
		if p.From != 1024 {
			low += " here (net.ipv4.ip_unprivileged_port_start)"
		}
		return "  " + low + ". Either run it with sudo, or once\n" +
			"    sudo setcap cap_net_bind_service,cap_net_raw=+ep " + program + "\n"
	case byNumber && p.InUserNamespace:
		return "  " + low + " here, over the network's own user namespace: this one's root has none there\n" +
			"  (a container without root that uses its host's network). Start it outside of the container, or run on the host\n" +
			fmt.Sprintf("    sudo sysctl -w net.ipv4.ip_unprivileged_port_start=%d\n", slices.Min(ports))
	}
	return "  It has the privilege, or the ports need none: something else forbids it, such as SELinux or AppArmor\n" +
		"  (journalctl -k shows what they denied), or SocketBindDeny= of a systemd unit.\n"
}
