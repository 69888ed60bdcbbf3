package main

import (
	"fmt"
	"strings"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// A usual is software that has a port by default on Windows.
type usual struct {
	transport plan.Transport
	port      int
	who, stop string
}

var usuals = []usual{
	{plan.TCP, 21, "The FTP service of IIS", "net stop FTPSVC"},
	{plan.TCP, 25, "The SMTP service of IIS", "net stop SMTPSVC"},
	{plan.TCP, 80, "HTTP.SYS, the web server in Windows (for IIS, SQL Server Reporting Services and others)", "iisreset /stop for IIS"},
	{plan.TCP, 389, "Active Directory", "this is a domain controller: leave it"},
	{plan.TCP, 443, "HTTP.SYS, the web server in Windows (for IIS, SQL Server Reporting Services and others)", "iisreset /stop for IIS"},
	{plan.TCP, 636, "Active Directory", "this is a domain controller: leave it"},
	{plan.TCP, 1433, "SQL Server", "net stop MSSQLSERVER"},
	{plan.UDP, 1434, "SQL Server Browser", "net stop SQLBrowser"},
	{plan.TCP, 1611, "ILLiad's ISO Manager", "its service, in services.msc"},
	{plan.TCP, 3389, "Remote Desktop", "not while you are connected by it"},
	{plan.TCP, 7968, "Odyssey Manager", "its service, in services.msc"},
}

// usualOf finds what has a port by default.
func usualOf(t plan.Transport, port int, goos string) (usual, bool) {
	for _, u := range usuals {
		if goos == "windows" && u.transport == t && u.port == port {
			return u, true
		}
	}
	return usual{}, false
}

// keptHint says why Windows denies ports (WSAEACCES), for which it has several
// reasons, and what to do for each. ranges tells what Windows keeps from programs.
func keptHint(p sock.Privilege, kept []*listener.BindError, ranges func(plan.Transport) []sock.PortRange) string {
	var out strings.Builder
	known := map[plan.Transport][]sock.PortRange{}
	unknown := false
	for _, e := range kept {
		if _, ok := known[e.Transport]; !ok {
			known[e.Transport] = ranges(e.Transport)
		}
		name := fmt.Sprintf("%s/%d", e.Transport, e.Port)
		u, isUsual := usualOf(e.Transport, e.Port, "windows")
		switch r, ok := keeping(known[e.Transport], e.Port); {
		case ok && r.First == r.Last && e.Transport == plan.TCP:
			fmt.Fprintf(&out, "  %s is reserved alone, as HTTP.SYS does it, the web server in Windows: netsh http show servicestate shows\n"+
				"  for which program. Stop that one (iisreset /stop for IIS), and start listen again.\n", name)
		case ok:
			fmt.Fprintf(&out, "  %s is in the range %d-%d, which Windows keeps for Hyper-V, WSL or containers and draws anew when it starts.\n"+
				"  As administrator: net stop winnat, then start listen, then net start winnat. So that it is never drawn again, before the last:\n"+
				"    netsh int ipv4 add excludedportrange protocol=%s startport=%d numberofports=1 store=persistent\n",
				name, r.First, r.Last, e.Transport, e.Port)
		case isUsual:
			fmt.Fprintf(&out, "  %s: %s has it by default, and may hold it in a way that does not show (%s).\n", name, u.who, u.stop)
		default:
			unknown = true
		}
	}
	if unknown {
		out.WriteString("  No reserved range has the rest: a program that holds the port for itself alone, security software or a policy does.\n" +
			"    netsh int ipv4 show excludedportrange protocol=tcp   shows the ranges, netstat -abno the programs.\n")
	}
	if !p.IsRoot {
		out.WriteString("  Run listen as administrator to see more: no port needs that by its number.\n")
	}
	return out.String()
}

// keeping finds the range that keeps a port from programs. One that an administrator
// reserved does not.
func keeping(ranges []sock.PortRange, port int) (sock.PortRange, bool) {
	for _, r := range ranges {
		if !r.IsAdministered && r.Has(port) {
			return r, true
		}
	}
	return sock.PortRange{}, false
}
