package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// The firewall between is Linux itself: conntrack's and NAT's own FTP helper.
const (
	ftpLabClient = "10.9.1.2"
	ftpLabOuter  = "192.0.2.1" // of the firewall, towards the server
	ftpLabServer = "192.0.2.2"
)

// ftpLabs counts them, for names of their own.
var ftpLabs atomic.Int32

// ftpLab builds client, firewall and server, each a namespace, loads rules into the
// firewall, answers in the server and asks from the client.
func ftpLab(t *testing.T, rules string) result.Conversation {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	ip, nft := need(t, "ip", "iproute2"), need(t, "nft", "nftables")
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	lab := ftpLabs.Add(1)
	name := func(node string) string { return fmt.Sprintf("dtftp%d-%d-%s", os.Getpid(), lab, node) }
	c, f, s := name("c"), name("f"), name("s")
	for _, n := range []string{c, f, s} {
		if out, err := exec.Command(ip, "netns", "add", n).CombinedOutput(); err != nil {
			t.Skipf("no namespaces here: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command(ip, "netns", "del", n).Run() })
		run(ip, "-n", n, "link", "set", "lo", "up")
	}
	for _, l := range []struct{ a, aAddr, b, bAddr, dev string }{
		{c, ftpLabClient + "/24", f, "10.9.1.1/24", "in"},
		{s, ftpLabServer + "/24", f, ftpLabOuter + "/24", "out"},
	} {
		run(ip, "-n", l.a, "link", "add", "eth0", "type", "veth", "peer", "name", l.dev, "netns", l.b)
		run(ip, "-n", l.a, "addr", "add", l.aAddr, "dev", "eth0")
		run(ip, "-n", l.b, "addr", "add", l.bAddr, "dev", l.dev)
		run(ip, "-n", l.a, "link", "set", "eth0", "up")
		run(ip, "-n", l.b, "link", "set", l.dev, "up")
	}
	run(ip, "-n", c, "route", "add", "default", "via", "10.9.1.1")
	run(ip, "-n", s, "route", "add", "default", "via", ftpLabOuter)
	run(ip, "netns", "exec", f, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	load := exec.Command(ip, "netns", "exec", f, nft, "-f", "-")
	load.Stdin = strings.NewReader(rules)
	if out, err := load.CombinedOutput(); err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatalf("%v: %s", err, out)
		}
		t.Skipf("no such firewall here: %s", out)
	}

	in := func(n, role string) *exec.Cmd {
		cmd := exec.Command(ip, "netns", "exec", n, os.Args[0], "-test.run=^TestFTPLabNode$")
		cmd.Env = append(os.Environ(), "DIALTONE_FTP_NODE="+role)
		return cmd
	}
	server := in(s, "server")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	end, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { end.Close(); _ = server.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says when it listens
		t.Fatal(err)
	}
	client := in(c, "client")
	said, err := client.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	var got result.Conversation
	if err := json.NewDecoder(strings.NewReader(string(said))).Decode(&got); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	t.Logf("%+v", got)
	return got
}

// TestFTPLabNode is what runs in a namespace.
func TestFTPLabNode(t *testing.T) {
	at := netip.AddrPortFrom(netip.MustParseAddr(ftpLabServer), 21)
	switch os.Getenv("DIALTONE_FTP_NODE") {
	case "":
		t.Skip("not a node")
	case "server":
		l, err := net.Listen("tcp4", at.String())
		if err != nil {
			t.Fatal(err)
		}
		a := ftpTestAnswerer()
		a.DialData = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(at.Addr(), 20), to)
			return d.Conn, d.Err
		}
		serveOn(t, l, a, "ftp")
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test closes it
	case "client":
		conn, err := net.Dial("tcp4", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		q := Question{Token: ftpTestToken(1), DataAddr: netip.MustParseAddr(ftpLabClient)}
		q.Answer, _ = ftpTestAnswer(q.Token[:])
		ctx, cancel := context.WithTimeout(t.Context(), 3*guardTime)
		defer cancel()
		if err := json.NewEncoder(os.Stdout).Encode(Ask(ctx, conn, "ftp", q)); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	ftpLabHelper = `
table ip h {
	ct helper ftp { type "ftp" protocol tcp; }
	chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp"; }
}`
	ftpLabStateful = `
table ip f {
	chain fw { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "in" ct state new accept; }
}`
	ftpLabOnlyControl = `
table ip f {
	chain fw { type filter hook forward priority 0; ct state established accept; tcp dport 21 accept; reject with icmp admin-prohibited; }
}`
	ftpLabNAT = `
table ip n {
	chain post { type nat hook postrouting priority srcnat; oifname "out" masquerade; }
}`
)

func TestFTPThroughAFirewallThatReadsIt(t *testing.T) {
	t.Parallel()
	got := ftpLab(t, ftpLabHelper+ftpLabStateful)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || got.Changed != nil {
		t.Errorf("got %+v", got)
	}
	wantFacts(t, got, map[string]string{"passive": "completed", "active": "completed", "PORT": "completed", "EPRT": "completed", "source port of active data": "20"})
}

func TestFTPThroughAFirewallThatDoesNotReadIt(t *testing.T) {
	t.Parallel()
	got := ftpLab(t, ftpLabStateful)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || got.Changed != nil {
		t.Errorf("got %+v", got)
	}
	const lost = `the data connection did not come back; the server says "425 The data connection did not open: nothing came back."`
	wantFacts(t, got, map[string]string{"passive": "completed", "active": lost, "PORT": lost, "EPRT": lost, "control connection": "reaches our own listener"})
}

func TestFTPThroughAFirewallThatRewritesItIsNamed(t *testing.T) {
	t.Parallel()
	got := ftpLab(t, ftpLabHelper+ftpLabStateful+ftpLabNAT)
	if got.Outcome != result.ConversationCompleted || !got.Keyed {
		t.Errorf("got %+v", got)
	}
	wantFacts(t, got, map[string]string{"passive": "completed", "active": "completed", "PORT": "completed", "EPRT": "completed"})
	wantAdapted(t, got, `PORT was sent as "10,9,1,2,`, `arrived as "192,0,2,1,`, "FTP helper")
	wantAdapted(t, got, `EPRT was sent as "|1|10.9.1.2|`, `arrived as "|1|192.0.2.1|`)
}

func TestFTPBehindNATThatDoesNotReadIt(t *testing.T) {
	t.Parallel()
	got := ftpLab(t, ftpLabStateful+ftpLabNAT)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || got.Changed != nil {
		t.Errorf("got %+v", got)
	}
	const refused = "refused by the server: 504 A data connection goes to 192.0.2.1, where you are, and nowhere else."
	wantFacts(t, got, map[string]string{"passive": "completed", "active": refused, "EPRT": refused, "control connection": "reaches our own listener"})
}

func TestFTPThroughAFirewallThatRefusesAllData(t *testing.T) {
	t.Parallel()
	got := ftpLab(t, ftpLabOnlyControl)
	if got.Outcome != result.ConversationCompleted || got.Keyed || got.Changed != nil {
		t.Errorf("got %+v", got)
	}
	for _, mode := range []string{"passive", "PASV", "EPSV"} {
		if f := testFact(got, mode); !strings.HasPrefix(f, "the data connection to 192.0.2.2:") || !strings.HasSuffix(f, " was rejected by 10.9.1.1 (ICMP type 3, code 13)") {
			t.Errorf("%s: %q", mode, f)
		}
	}
	wantFacts(t, got, map[string]string{"control connection": "reaches our own listener"})
	if f := testFact(got, "active"); !strings.HasPrefix(f, "the data connection did not come back") {
		t.Errorf("active: %q", f)
	}
}
