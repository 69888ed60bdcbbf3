package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A mending is a firewall that drops all but HTTPS, and in whose words a request's
// rules are pasted into it.
type mending struct {
	dialect string
	node    string
	needs   string // program beside those of every lab, which is its Debian package, too
	closed  string // shell that closes the firewall
	// in runs a shell script, $1, where the firewall's own tools find what is theirs.
	in   string
	says string // what the requests say of where the rule goes
}

var mendings = map[string]mending{
	"nft on the way": {dialect: "nft", node: "fws", says: "on each firewall on the way", closed: `nft -f - <<'END'
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		tcp dport 443 accept
		tcp sport 443 accept
	}
}
END`},
	"nft on the server": {dialect: "nft", node: "server", says: "on the accepting machine itself", closed: `nft -f - <<'END'
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 443 accept
	}
	chain output {
		type filter hook output priority filter; policy drop;
		oif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp sport 443 accept
	}
}
END`},
	"iptables": {dialect: "iptables", node: "fws", needs: "iptables", says: "on each firewall on the way", closed: `for p in iptables ip6tables; do
	$p -P FORWARD DROP
	$p -A FORWARD -p tcp --dport 443 -j ACCEPT
	$p -A FORWARD -p tcp --sport 443 -j ACCEPT
	$p -A FORWARD -j DROP
done`},
	"ufw": {dialect: "ufw", node: "fws", needs: "ufw", says: "on each firewall on the way",
		in:     `mkdir -p ufw && { [ -e ufw/ufw.conf ] || cp -a /etc/ufw/. ufw/; } && exec unshare -m sh -ec 'mount --bind ufw /etc/ufw; eval "$1"' - "$1"`,
		closed: `ufw --force enable; ufw route allow proto tcp from any to any port 443; ufw route deny proto tcp from any to any`},
	"firewalld": {dialect: "firewalld", node: "fws", needs: "firewalld", says: "on each firewall on the way",
		in: `export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$PWD/bus; eval "$1"`,
		closed: `cat >bus.conf <<END
<busconfig><listen>unix:path=$PWD/bus</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
END
dbus-daemon --config-file="$PWD/bus.conf" --nofork >bus.log 2>&1 &
for i in $(seq 100); do [ -S bus ] && break; sleep 0.1; done
firewalld --nofork --nopid --system-config="$PWD/etc" --log-target=console >firewalld.log 2>&1 &
for i in $(seq 20); do firewall-cmd --state >/dev/null 2>&1 && break; sleep 0.5; done
firewall-cmd --permanent --zone=public --change-interface=wan
firewall-cmd --permanent --zone=internal --change-interface=lan
firewall-cmd --permanent --new-policy=web
firewall-cmd --permanent --policy=web --add-ingress-zone=ANY
firewall-cmd --permanent --policy=web --add-egress-zone=ANY
firewall-cmd --permanent --policy=web --add-port=443/tcp
firewall-cmd --reload`},
}

// pasteWithin bounds the firewall's own tools.
const pasteWithin = time.Minute

// What a request says is pasted as it stands, and then the same test passes; taken
// away again, it fails as before.
func TestPastedRequestsMend(t *testing.T) {
	needLab(t)
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range mendings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if m.needs != "" && find(m.needs) == m.needs {
				t.Fatalf("%s is not installed: apt-get install %s", m.needs, m.needs)
			}
			st := &stage{lab: up(t), dir: t.TempDir(), bin: filepath.Dir(bin.Listen)}
			paste := func(script string) {
				t.Helper()
				in := m.in
				if in == "" {
					in = `eval "$1"`
				}
				ctx, cancel := context.WithTimeout(t.Context(), pasteWithin)
				defer cancel()
				cmd := st.lab.Command(ctx, m.node, "sh", "-ec", in, "-", script)
				cmd.Dir = st.dir
				log, err := os.Create(filepath.Join(st.dir, "paste.log")) // no pipe: what it leaves running would hold it open
				if err != nil {
					t.Fatal(err)
				}
				defer log.Close()
				cmd.Stdout, cmd.Stderr = log, log
				if err := cmd.Run(); err != nil {
					t.Fatalf("%s: %v\n%s", script, err, read(t, log.Name()))
				}
			}
			paste(m.closed)
			listen := st.lab.Command(t.Context(), "server", bin.Listen, "--key", "six words that both know", "--ready-file", filepath.Join(st.dir, "ready"))
			if err := listen.Start(); err != nil {
				t.Fatal(err)
			}
			await(t, filepath.Join(st.dir, "ready"))
			dial := func() (string, int) {
				return st.says(t, "client", bin.Dial, "--key", "six words that both know", "--only", "sql-client,platform,odyssey-client",
					"--format", "requests", "--dialect", m.dialect, "--out", "last.txt", "server.lab")
			}
			before, exit := dial()
			if n := strings.Count(before, "\nRequest "); exit != 1 || n != 4 || !strings.Contains(before, m.says) {
				t.Fatalf("exit %d, %d requests (1433 and 7968 over each family are wanted), or not %q:\n%s", exit, n, m.says, before)
			}
			add, remove := pastedLines(before, "")
			paste(add)
			if after, exit := dial(); exit != 0 || !strings.HasPrefix(after, "Nothing to ask a firewall team for: ") {
				t.Fatalf("pasted:\n%s\nexit %d:\n%s\n%s", add, exit, after, read(t, filepath.Join(st.dir, "last.txt")))
			}
			paste(remove)
			if again, exit := dial(); exit != 1 || strings.Count(again, "\nRequest ") != 4 {
				t.Errorf("taken away:\n%s\nexit %d:\n%s", remove, exit, again)
			}
			t.Logf("%d lines pasted, %d to take them away", strings.Count(add, "\n"), strings.Count(remove, "\n"))
		})
	}
}

// pastedLines are the lines of all requests that add a rule, and those that take it
// away again; of whose side, unless that is "".
func pastedLines(requests, side string) (add, remove string) {
	to := (*string)(nil)
	for line := range strings.Lines(requests) {
		switch {
		case strings.HasPrefix(line, "  Rule (") && !strings.Contains(line, side):
			to = nil
		case strings.HasPrefix(line, "  Rule ("):
			to = &add
		case strings.HasPrefix(line, "  To take it away again:") && to != nil:
			to = &remove
		case strings.HasPrefix(line, "    ") && to != nil:
			*to += strings.TrimSpace(line) + "\n"
		case !strings.HasPrefix(line, "  "):
			to = nil
		}
	}
	return add, remove
}

// Where a NAT stands between two institutions, each pastes its own half, with the
// addresses that its firewall sees.
func TestEachSidePastesItsOwn(t *testing.T) {
	needLab(t)
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{lab: up(t), dir: t.TempDir(), bin: filepath.Dir(bin.Listen)}
	const closed = `table inet filter { chain forward { type filter hook forward priority filter; policy drop; tcp dport 7968 accept; tcp sport 7968 accept; }; }`
	plant(t, st.lab, "fws", closed)
	plant(t, st.lab, "fwp", "flush chain inet lab forward\ntable inet lab { chain forward { type filter hook forward priority filter; policy accept; }; }\n"+closed)
	write(t, filepath.Join(st.dir, "site.yaml"), "uses: [iso]\n")
	listen := st.lab.Command(t.Context(), "peer", bin.Listen, "--role", "server,peer", "--key", "six words that both know", "--ready-file", filepath.Join(st.dir, "ready"))
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, filepath.Join(st.dir, "ready"))
	dial := func() (string, int) {
		return st.says(t, "server", bin.Dial, "odyssey", "--key", "six words that both know", "--site", "site.yaml", "--format", "requests", "--dialect", "nft", "--out", "last.txt", "203.0.113.2")
	}
	before, exit := dial()
	if exit != 1 || strings.Count(before, "\nRequest ") != 2 {
		t.Fatalf("exit %d, and not one request for each direction of ISO ILL:\n%s", exit, before)
	}
	for node, side := range map[string]string{"fws": "on our side", "fwp": "on the other side"} {
		add, _ := pastedLines(before, side)
		if strings.Count(add, "\n") != 4 {
			t.Fatalf("%s:\n%s\nof\n%s", side, add, before)
		}
		if out, exit := st.says(t, node, "sh", "-ec", add); exit != 0 {
			t.Fatalf("exit %d:\n%s\n%s", exit, add, out)
		}
	}
	if after, exit := dial(); exit != 0 {
		t.Errorf("exit %d:\n%s\n%s", exit, after, read(t, filepath.Join(st.dir, "last.txt")))
	}
}

// The rules of the plan, pasted before anything was tested, let a staff PC through
// a firewall that passes nothing else.
func TestThePlansRulesAreEnough(t *testing.T) {
	needLab(t)
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{lab: up(t), dir: t.TempDir(), bin: filepath.Dir(bin.Listen)}
	plant(t, st.lab, "fws", `table inet filter { chain forward { type filter hook forward priority filter; policy drop; }; }`)
	server := "10.2.0.10,2001:db8:2::10"
	rules, exit := st.says(t, "server", bin.Listen, "rules", "--dialect", "nft", "--address", "client=10.1.0.0/24,2001:db8:1::/64",
		"--address", "server="+server, "--address", "web="+server, "--address", "database="+server)
	_, between, ok := strings.Cut(rules, "\n# On the firewalls on the way")
	if exit != 0 || !ok {
		t.Fatalf("exit %d:\n%s", exit, rules)
	}
	listen := st.lab.Command(t.Context(), "server", bin.Listen, "--key", "six words that both know", "--ready-file", filepath.Join(st.dir, "ready"))
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, filepath.Join(st.dir, "ready"))
	dial := func() (string, int) {
		return st.says(t, "client", bin.Dial, "--key", "six words that both know", "--only", "sql-client,platform,odyssey-client", "server.lab")
	}
	if before, exit := dial(); exit != 1 {
		t.Fatalf("nothing is let through, and dial ends with %d:\n%s", exit, before)
	}
	if out, exit := st.says(t, "fws", "sh", "-ec", "#"+between); exit != 0 {
		t.Fatalf("exit %d:\n%s\n%s", exit, between, out)
	}
	if after, exit := dial(); exit != 0 {
		t.Errorf("exit %d:\n%s\n%s", exit, between, after)
	}
}
