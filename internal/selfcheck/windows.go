//go:build windows

package selfcheck

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// systems are the points of this system alone.
var systems = []try{
	{"system", "which system this is", system},
	{"exclusive", "no other socket gets a port of ours, nor by SO_REUSEADDR: error 10013 (WSAEACCES)", exclusive},
	{"excluded-tcp", "of each range that Windows keeps, a port cannot be bound (10013); of one that an administrator reserved (*), it can", func(ctx context.Context, _ Config) (State, []string) { return excluded(ctx, plan.TCP) }},
	{"excluded-udp", "the same for UDP", func(ctx context.Context, _ Config) (State, []string) { return excluded(ctx, plan.UDP) }},
	{"table", "GetExtendedTcpTable gives the connections of both families to this user", table},
	{"http.sys", "what HTTP.SYS has (netsh http show servicestate; names of hosts are not told)", httpSys},
	{"firewall-profile", "which profile the own firewall goes by, and whether it is on", firewallProfile},
	{"firewall-rules", "which rules name this folder's programs", firewallRules},
	{"services", "whether this user may install a service", services},
	{"pktmon", "whether pktmon is there, which shows what arrives", pktmon},
}

// byEye are what no program can find out.
var byEye = []string{
	"SmartScreen or Defender said nothing when the program was started (or: what it said)",
	"the first listen.exe brought the question of Windows Defender Firewall (or: it did not)",
	"a double-click on dial.exe asks for the line of listen, and the window stays open until Enter",
	"Ctrl-C in the window of listen.exe ends it, and it says how many contacts there were",
	"closing the window of listen.exe ends it (tasklist shows no listen.exe)",
	"listen.exe shows colours and a table that changes in place, without rubbish such as ←[31m, in cmd.exe",
	"the same in Windows Terminal",
	"the same in PowerShell, and the dial command that it prints can be pasted there",
	"these stand here as an arrow, dots and an accent in the window: → … é",
}

var ntdll = windows.NewLazySystemDLL("ntdll.dll")

func system(context.Context, Config) (State, []string) {
	v := windows.RtlGetVersion()
	seen := []string{
		fmt.Sprintf("Windows %d.%d, build %d, product type %d, suite %#x", v.MajorVersion, v.MinorVersion, v.BuildNumber, v.ProductType, v.SuiteMask),
		fmt.Sprintf("%d processors, program for %s, elevated: %v, %s", runtime.NumCPU(), runtime.GOARCH, windows.GetCurrentProcessToken().IsElevated(), runtime.Version()),
	}
	var process, native uint16
	if err := windows.IsWow64Process2(windows.CurrentProcess(), &process, &native); err == nil {
		seen = append(seen, fmt.Sprintf("machine %#x, process %#x (IMAGE_FILE_MACHINE)", native, process))
	}
	if p := ntdll.NewProc("wine_get_version"); p.Find() == nil {
		at, _, _ := p.Call()
		seen = append(seen, "it is wine "+windows.BytePtrToString((*byte)(unsafe.Add(unsafe.Pointer(nil), at))))
	}
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Windows NT\CurrentVersion`, registry.QUERY_VALUE); err == nil {
		name, _, _ := k.GetStringValue("ProductName")
		display, _, _ := k.GetStringValue("DisplayVersion")
		seen = append(seen, fmt.Sprintf("%s %s", name, display))
		k.Close()
	}
	return Told, seen
}

func exclusive(ctx context.Context, _ Config) (State, []string) {
	var seen []string
	state := Expected
	for _, at := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		l, err := sock.ListenTCP(ctx, netip.MustParseAddrPort(at), false)
		if err != nil {
			return Unknown, []string{errorWords(err)}
		}
		lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
			return rc.Control(func(fd uintptr) {
				_ = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
			})
		}}
		second, err := lc.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", sock.AddrPortOf(l.Addr()).Port()))
		if err == nil {
			_ = second.Close()
			state = Differs
		}
		_ = l.Close()
		seen = append(seen, fmt.Sprintf("ours on %s, another on 127.0.0.1 with SO_REUSEADDR: %s", strings.TrimSuffix(at, ":0"), errorWords(err)))
	}
	return state, seen
}

// tool runs a program of Windows' own, and gives the lines it says.
func tool(ctx context.Context, name string, args ...string) ([]string, error) {
	dir, err := windows.GetSystemDirectory() // not one that PATH names
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, name), args...).CombinedOutput()
	var lines []string
	for l := range strings.Lines(string(out)) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return lines, err
}

func excluded(ctx context.Context, t plan.Transport) (State, []string) {
	lines, err := tool(ctx, "netsh.exe", "int", "ipv4", "show", "excludedportrange", "protocol="+string(t))
	if err != nil || len(lines) == 0 {
		return Unknown, append(lines, "netsh says nothing, "+errorWords(err))
	}
	state := Expected
	seen := append([]string{"netsh says:"}, lines...)
	ranges := sock.ExcludedPorts(ctx, t)
	seen = append(seen, fmt.Sprintf("read as %d ranges", len(ranges)))
	for _, r := range ranges {
		at := netip.AddrPortFrom(netip.IPv4Unspecified(), r.First)
		var err error
		if t == plan.UDP {
			var c *net.UDPConn
			if c, err = sock.ListenUDP(ctx, at); err == nil {
				_ = c.Close()
			}
		} else {
			var l net.Listener
			if l, err = sock.ListenTCP(ctx, at, false); err == nil {
				_ = l.Close()
			}
		}
		if sock.IsNoPermission(err) == r.IsAdministered && !sock.IsInUse(err) {
			state = Differs
		}
		seen = append(seen, fmt.Sprintf("%d-%d, by an administrator: %v; port %d: %s", r.First, r.Last, r.IsAdministered, r.First, errorWords(err)))
	}
	if len(ranges) == 0 {
		return Told, append(seen, "there is none to try")
	}
	return state, seen
}

func table(ctx context.Context, _ Config) (State, []string) {
	var seen []string
	state := Expected
	for _, at := range []netip.AddrPort{loopback4, loopback6} {
		dialed, accepted, err := pair(ctx, at)
		if err != nil {
			state = Unknown
			seen = append(seen, at.Addr().String()+": "+errorWords(err))
			continue
		}
		s, ok, err := sock.LookUp(sock.AddrPortOf(accepted.LocalAddr()).Port(), sock.AddrPortOf(accepted.RemoteAddr()))
		if !ok || err != nil || s.PID != int32(os.Getpid()) {
			state = Differs
		}
		seen = append(seen, fmt.Sprintf("%s: found %v, %s, state %s, process %d (this one is %d)", at.Addr(), ok, errorWords(err), s.State, s.PID, os.Getpid()))
		_ = dialed.Close()
		_ = accepted.Close()
	}
	return state, seen
}

// httpSys tells of what is registered only the ports: the names are the institution's.
func httpSys(ctx context.Context, _ Config) (State, []string) {
	lines, err := tool(ctx, "netsh.exe", "http", "show", "servicestate", "view=requestq")
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	found := map[string]int{}
	for _, l := range lines {
		// HTTP://HOST:80/PATH, as the console prints what is registered.
		scheme, rest, ok := strings.Cut(strings.ToLower(l), "://")
		host, _, _ := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(host, ':'); ok && i >= 0 {
			found[scheme+" port "+host[i+1:]]++
		}
	}
	var seen []string
	for what, n := range found {
		seen = append(seen, fmt.Sprintf("%s: %d registered", what, n))
	}
	slices.Sort(seen)
	return Told, append(seen, fmt.Sprintf("%d lines", len(lines)))
}

const policyPath = `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy`

func firewallProfile(ctx context.Context, _ Config) (State, []string) {
	var seen []string
	// The registry calls the private profile standard (MS-FASP 2.2.2).
	for _, p := range []struct{ key, name string }{{"DomainProfile", "domain"}, {"StandardProfile", "private"}, {"PublicProfile", "public"}} {
		words := p.name + ": not told"
		if k, err := registry.OpenKey(registry.LOCAL_MACHINE, policyPath+`\`+p.key, registry.QUERY_VALUE); err == nil {
			on, _, err := k.GetIntegerValue("EnableFirewall")
			silent, _, _ := k.GetIntegerValue("DisableNotifications")
			if err == nil {
				words = fmt.Sprintf("%s: on: %v, asks nobody: %v", p.name, on == 1, silent == 1)
			}
			k.Close()
		}
		seen = append(seen, words)
	}
	lines, err := tool(ctx, "netsh.exe", "advfirewall", "show", "currentprofile", "state")
	if err != nil {
		lines = append(lines, errorWords(err))
	}
	return Told, append(append(seen, "netsh advfirewall show currentprofile state says:"), lines...)
}

// firewallRules are the rules that name a program of the folder this one is in, or of
// one of that name, without the folder.
func firewallRules(context.Context, Config) (State, []string) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, policyPath+`\FirewallRules`, registry.QUERY_VALUE)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	defer k.Close()
	names, err := k.ReadValueNames(0)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	seen := []string{fmt.Sprintf("%d rules in all", len(names))}
	for _, n := range names {
		value, _, err := k.GetStringValue(n)
		if err != nil {
			continue
		}
		var kept []string
		ours := false
		// v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public|App=C:\…\listen.exe|Name=…| (MS-FASP 2.2.19)
		for f := range strings.SplitSeq(value, "|") {
			key, v, _ := strings.Cut(f, "=")
			if key == "App" {
				v = strings.ToLower(v[strings.LastIndexByte(v, '\\')+1:])
				ours = v == "listen.exe" || v == "dial.exe"
				f = "App=" + v
			}
			if slices.Contains([]string{"Action", "Active", "Dir", "Protocol", "Profile", "LPort", "App", "Edge"}, key) {
				kept = append(kept, f)
			}
		}
		if ours {
			seen = append(seen, strings.Join(kept, " "))
		}
	}
	return Told, seen
}

func services(context.Context, Config) (State, []string) {
	is, err := svc.IsWindowsService()
	seen := []string{fmt.Sprintf("this runs as a service: %v, %s", is, errorWords(err))}
	m, err := mgr.Connect()
	if err != nil {
		return Told, append(seen, "the service manager, to install: "+errorWords(err))
	}
	_ = m.Disconnect()
	return Told, append(seen, "the service manager, to install: it may")
}

func pktmon(context.Context, Config) (State, []string) {
	dir, err := windows.GetSystemDirectory()
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "PktMon.exe"))
	}
	return Told, []string{errorWords(err)}
}

// isPrivate looks whether a file is its owner's alone: this user's, beside the system,
// which has every file anyway.
func isPrivate(name string) (State, []string) {
	sd, err := windows.GetNamedSecurityInfo(name, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	acl, _, err := sd.DACL()
	if err != nil || acl == nil {
		return Differs, []string{"no access list: " + errorWords(err)}
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return Unknown, []string{errorWords(err)}
	}
	state, mine := Expected, 0
	seen := []string{sd.String()}
	for i := range uint32(acl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(acl, i, &ace); err != nil {
			return Unknown, append(seen, errorWords(err))
		}
		sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart))
		switch {
		case sid.Equals(user.User.Sid):
			mine++
		case !sid.IsWellKnown(windows.WinLocalSystemSid):
			state = Differs
		}
	}
	if mine != 1 {
		state = Differs
	}
	return state, append(seen, fmt.Sprintf("%d entries, of which this user's are %d", acl.AceCount, mine))
}

var kernel32 = windows.NewLazySystemDLL("kernel32.dll")

// consoleWords are what this system alone tells of a console.
func consoleWords() []string {
	in, _, _ := kernel32.NewProc("GetConsoleCP").Call()
	out, _, _ := kernel32.NewProc("GetConsoleOutputCP").Call()
	var ids [16]uint32
	n, _, _ := kernel32.NewProc("GetConsoleProcessList").Call(uintptr(unsafe.Pointer(&ids[0])), uintptr(len(ids)))
	var mode uint32
	err := windows.GetConsoleMode(windows.Handle(os.Stdout.Fd()), &mode)
	return []string{
		fmt.Sprintf("code page in %d, out %d, of the system %d; programs in this console: %d", in, out, windows.GetACP(), n),
		fmt.Sprintf("mode of standard output %#x, %s", mode, errorWords(err)),
	}
}
