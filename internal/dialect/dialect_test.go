package dialect

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
			continue
		}
		a := netip.MustParseAddr(s)
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}

// sql is the rule of most examples.
var sql = Rule{At: Between, Transport: plan.TCP, From: prefixes("10.1.0.10"), To: prefixes("10.2.0.10"), Port: 1433}

// some are rules of every shape.
func some() []Rule {
	var out []Rule
	for _, at := range []Place{Between, Inbound, Outbound} {
		for _, block := range []bool{false, true} {
			for _, transport := range []plan.Transport{plan.TCP, plan.UDP} {
				for _, ends := range [][2][]netip.Prefix{
					{prefixes("10.1.0.10"), prefixes("10.2.0.10")},
					{prefixes("10.2.8.0/22", "10.1.0.10"), prefixes("10.2.0.10", "10.2.0.20")},
					{nil, prefixes("10.2.0.10")},
					{prefixes("10.2.0.10"), nil},
					{prefixes("2001:db8:1::10", "2001:db8:8::/48"), prefixes("2001:db8:2::10")},
					{nil, prefixes("2001:db8:2::10")},
					{nil, nil},
				} {
					for _, ports := range [][2]int{{1433, 0}, {0, 20}, {0, 0}, {7968, 20}} {
						out = append(out, Rule{At: at, Block: block, Transport: transport, From: ends[0], To: ends[1], Port: ports[0], SourcePort: ports[1]})
					}
				}
			}
		}
	}
	behind := sql
	behind.To, behind.Behind = prefixes("203.0.113.2"), prefixes("10.3.0.10")
	return append(out, behind)
}

// What each dialect writes of one rule, as it was read against the references that
// the grammar below names.
func TestOneRuleInEveryDialect(t *testing.T) {
	name := sql.Name()
	if name != "dialtone-tcp-1433-"+name[len(name)-8:] || !regexp.MustCompile(`^dialtone-tcp-1433-[0-9a-f]{8}$`).MatchString(name) {
		t.Fatal(name)
	}
	for dialect, want := range map[string]string{
		"text":     "Allow TCP from 10.1.0.10 to 10.2.0.10 port 1433; new connections that way only, and the answers to them",
		"windows":  "New-NetFirewallRule -Name 'NAME' -DisplayName 'NAME' -Profile Any -Direction Inbound -Action Allow -Protocol TCP -LocalAddress '10.2.0.10' -LocalPort 1433 -RemoteAddress '10.1.0.10'",
		"nft":      "nft 'insert rule inet filter forward ip saddr 10.1.0.10 ip daddr 10.2.0.10 tcp dport 1433 ct state new,established counter accept comment \"NAME\"'\nnft 'insert rule inet filter forward ip saddr 10.2.0.10 ip daddr 10.1.0.10 tcp sport 1433 ct state established,related counter accept comment \"NAME\"'",
		"iptables": "iptables -I FORWARD -s 10.1.0.10 -d 10.2.0.10 -p tcp --dport 1433 -m conntrack --ctstate NEW,ESTABLISHED -m comment --comment NAME -j ACCEPT\niptables -I FORWARD -s 10.2.0.10 -d 10.1.0.10 -p tcp --sport 1433 -m conntrack --ctstate ESTABLISHED,RELATED -m comment --comment NAME -j ACCEPT",
		"ufw":      "ufw route prepend allow proto tcp from 10.1.0.10 to 10.2.0.10 port 1433 comment NAME",
		"asa":      "access-list ACL_NAME line 1 extended permit tcp host 10.1.0.10 host 10.2.0.10 eq 1433\naccess-list ACL_NAME line 1 remark NAME",
		"paloalto": "set service NAME protocol tcp port 1433\nset rulebase security rules NAME from any to any source [ 10.1.0.10 ] destination [ 10.2.0.10 ] application any service NAME action allow\nmove rulebase security rules NAME top",
		"aws":      "aws ec2 authorize-security-group-ingress --group-id SECURITY_GROUP_ID --ip-permissions 'IpProtocol=tcp,FromPort=1433,ToPort=1433,IpRanges=[{CidrIp=10.1.0.10/32,Description=NAME}]'",
	} {
		d, err := Find(strings.ToUpper(dialect))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := d.Render(sql)
		if err != nil || len(lines) != 1 || lines[0].Name != name {
			t.Fatalf("%s: %+v, %v", dialect, lines, err)
		}
		if got := strings.ReplaceAll(strings.Join(lines[0].Add, "\n"), name, "NAME"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", dialect, got, want)
		}
	}
}

const (
	ip4  = `(?:\d{1,3}\.){3}\d{1,3}`
	ip6  = `[0-9a-f:]*:[0-9a-f:]*`
	ip   = `(?:` + ip4 + `|` + ip6 + `)`
	cidr = `(?:` + ip + `/\d{1,3})`
	end  = `(?:` + cidr + `|` + ip + `)`
	port = `\d{1,5}`
	name = `dialtone-(?:tcp|udp)-(?:\d{1,5}|high)-[0-9a-f]{8}`
)

// A grammar has, for each dialect that cannot be tried here, every line that its
// reference allows of what is used, and whether to add or to remove.
var grammars = map[string]struct{ add, remove []string }{
	// Microsoft Learn, module NetSecurity, New-NetFirewallRule: -Name, -DisplayName and
	// -Profile, -Direction {Inbound|Outbound}, -Action {Allow|Block}, -Protocol {TCP|UDP},
	// -LocalAddress and -RemoteAddress take a list of addresses and subnets, -LocalPort
	// and -RemotePort a port or range. Remove-NetFirewallRule -Name.
	"windows": {
		[]string{`New-NetFirewallRule -Name '` + name + `' -DisplayName '` + name + `' -Profile Any -Direction (?:Inbound|Outbound) -Action (?:Allow|Block) -Protocol (?:TCP|UDP)` +
			`(?: -LocalAddress '` + end + `'(?:,'` + end + `')*)?(?: -LocalPort ` + port + `(?:-` + port + `)?)?(?: -RemoteAddress '` + end + `'(?:,'` + end + `')*)?(?: -RemotePort ` + port + `(?:-` + port + `)?)?`},
		[]string{`Remove-NetFirewallRule -Name '` + name + `'`},
	},
	// Cisco ASA Series CLI Configuration Guide, "Adding an ACE for TCP or UDP-Based
	// Policy, with Ports": access-list NAME [line N] extended {deny|permit} {tcp|udp}
	// source [operator port] destination [operator port], where an address is host A,
	// A MASK, PREFIX/LENGTH, any4 or any6 and the operator eq or range; no and the same
	// without the line removes it; remark.
	"asa": {
		[]string{`access-list ACL_NAME line 1 ` + asaEntry, `access-list ACL_NAME line 1 remark ` + name},
		[]string{`no access-list ACL_NAME ` + asaEntry, `no access-list ACL_NAME remark ` + name},
	},
	// PAN-OS CLI Quick Start and the rule's components in the Administrator's Guide: a
	// name of 63 characters at most, from, to, source, destination, application,
	// service, action {allow|deny|…}; a list stands in brackets with spaces inside.
	"paloalto": {
		[]string{
			`set service ` + name + ` protocol (?:tcp|udp) port ` + port + `(?:-` + port + `)?(?: source-port ` + port + `)?`,
			`set rulebase security rules ` + name + ` from any to any source ` + panEnds + ` destination ` + panEnds + ` application any service ` + name + ` action (?:allow|deny)`,
			`move rulebase security rules ` + name + ` top`,
		},
		[]string{`delete rulebase security rules ` + name, `delete service ` + name},
	},
	// FortiOS 6.4.3 CLI Reference, config firewall policy (name of 35 characters at
	// most, srcaddr6 and dstaddr6 for IPv6, action accept|deny, schedule, service,
	// logtraffic), address (subnet A MASK), address6 (ip6 PREFIX), service custom
	// (tcp-portrange DESTINATION[:SOURCE]).
	"fortigate": {
		[]string{
			`config firewall (?:address|address6|service custom|policy)`, `    next`, `end`, `    edit 0`, `    edit "` + name + `(?:-(?:src|dst)\d+)?"`,
			`        set subnet ` + ip4 + ` ` + ip4, `        set ip6 ` + ip6 + `/\d{1,3}`, `        set (?:tcp|udp)-portrange ` + port + `(?:-` + port + `)?(?::` + port + `)?`,
			`        set name "` + name + `"`, `        set (?:src|dst)intf "any"`, `        set (?:src|dst)addr6?(?: "(?:all|` + name + `-(?:src|dst)\d+)")+`,
			`        set action (?:accept|deny)`, `        set schedule "always"`, `        set service "` + name + `"`, `        set logtraffic all`,
		},
		[]string{`# POLICY_ID is what show firewall policy gives for ` + name, `config firewall (?:address|address6|service custom|policy)`, `    delete POLICY_ID`, `    delete "` + name + `(?:-(?:src|dst)\d+)?"`, `end`},
	},
	// Azure CLI reference, az network nsg rule create: --priority 100 to 4096,
	// --direction {Inbound|Outbound}, --access {Allow|Deny}, --protocol {Tcp|Udp|…},
	// prefixes and ranges as lists with spaces between, '*' for any.
	"azure": {
		[]string{`az network nsg rule create --resource-group RESOURCE_GROUP --nsg-name NSG_NAME --name ` + name + ` --priority 1\d{3} --direction (?:Inbound|Outbound) --access (?:Allow|Deny) --protocol (?:Tcp|Udp)` +
			` --source-address-prefixes(?: '` + end + `')+ --source-port-ranges (?:'\*'|` + port + `) --destination-address-prefixes(?: '` + end + `')+ --destination-port-ranges ` + port + `(?:-` + port + `)?`},
		[]string{`az network nsg rule delete --resource-group RESOURCE_GROUP --nsg-name NSG_NAME --name ` + name},
	},
	// AWS CLI Command Reference, ec2 authorize-security-group-ingress and -egress,
	// revoke-…: --ip-permissions in shorthand, IpProtocol, FromPort, ToPort,
	// IpRanges=[{CidrIp=…,Description=…}], Ipv6Ranges=[{CidrIpv6=…}].
	"aws": {
		[]string{`aws ec2 authorize-` + awsRest},
		[]string{`aws ec2 revoke-` + awsRest},
	},
}

const (
	asaEnd   = `(?:host ` + ip + `|` + ip4 + ` ` + ip4 + `|` + ip6 + `/\d{1,3}|any4|any6)`
	asaEntry = `extended (?:permit|deny) (?:tcp|udp) ` + asaEnd + `(?: eq ` + port + `)? ` + asaEnd + ` (?:eq ` + port + `|range ` + port + ` ` + port + `)`
	panEnds  = `(?:` + cidr + `|\[(?: ` + end + `)+ \])`
	awsRest  = `security-group-(?:ingress|egress) --group-id SECURITY_GROUP_ID --ip-permissions 'IpProtocol=(?:tcp|udp),FromPort=` + port + `,ToPort=` + port +
		`,(?:IpRanges=\[\{CidrIp=` + ip4 + `/\d+,Description=` + name + `\}(?:,\{CidrIp=` + ip4 + `/\d+,Description=` + name + `\})*\]|Ipv6Ranges=\[\{CidrIpv6=` + ip6 + `/\d+,Description=` + name + `\}(?:,\{CidrIpv6=` + ip6 + `/\d+,Description=` + name + `\})*\])'`
)

func TestWhatVendorsReferencesAllow(t *testing.T) {
	for _, d := range Dialects {
		g, ok := grammars[d.Name]
		if !ok {
			if !slices.Contains([]string{"text", "nft", "iptables", "ufw", "firewalld"}, d.Name) { // which are tried
				t.Errorf("%s has neither a grammar nor a trial", d.Name)
			}
			continue
		}
		n := 0
		add, remove := whole(g.add), whole(g.remove)
		for _, r := range some() {
			lines, err := d.Render(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lines {
				n += fits(t, d.Name, l.Add, add)
				n += fits(t, d.Name, l.Remove, remove)
			}
		}
		t.Logf("%s: %d lines", d.Name, n)
	}
}

// whole matches a line that one of the patterns has from its beginning to its end.
func whole(patterns []string) *regexp.Regexp {
	return regexp.MustCompile(`^(?:` + strings.Join(patterns, "|") + `)$`)
}

// fits reports lines that are not in a grammar, and counts all.
func fits(t *testing.T, dialect string, lines []string, all *regexp.Regexp) int {
	t.Helper()
	for _, l := range lines {
		if !all.MatchString(l) {
			t.Errorf("%s: not in its grammar: %s", dialect, l)
		}
	}
	return len(lines)
}

// No address is lost, changed or added, in any dialect, and the ports are there.
func TestEveryAddressIsThereAndNoOther(t *testing.T) {
	find := regexp.MustCompile(`\b` + ip4 + `\b|[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*`)
	for _, d := range Dialects {
		for _, r := range some() {
			if d.Name == "aws" && r.Block {
				continue // a security group only allows
			}
			lines, err := d.Render(r)
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) == 0 {
				t.Fatalf("%s: nothing of %+v", d.Name, r)
			}
			for _, l := range lines {
				if len(l.Add) == 0 && len(r.From)+len(r.To) == 0 {
					continue // the rule for IPv4 has no address and is for both
				}
				text := strings.Join(l.Add, "\n")
				known := map[string]bool{"255.255.252.0": true, "255.255.255.255": true, "0.0.0.0": true, "::": true}
				for _, p := range slices.Concat(r.From, r.To, r.Behind) {
					known[p.Addr().String()] = true
				}
				for _, a := range find.FindAllString(text, -1) {
					if !known[a] && netip.MustParseAddr(a).IsValid() {
						t.Errorf("%s: %s is not of the rule:\n%s", d.Name, a, text)
					}
				}
				to := r.To
				if len(r.Behind) > 0 {
					to = r.Behind
					if slices.Contains([]string{"paloalto", "fortigate", "text"}, d.Name) {
						to = r.To // they go by the address before the translation, or say both
					}
				}
				if d.Name == "aws" && r.At == Outbound {
					r.From = nil
				} else if d.Name == "aws" {
					to = nil // the group is the accepting machine's
				}
				for _, p := range slices.Concat(r.From, to) {
					if !strings.Contains(text, p.Addr().String()) {
						t.Errorf("%s: %s is missing:\n%s", d.Name, p, text)
					}
				}
				if want := "1024"; r.Port == 0 && !strings.Contains(text, want) && !(d.Name == "firewalld" && r.SourcePort != 0) {
					t.Errorf("%s: no high ports:\n%s", d.Name, text)
				}
			}
		}
	}
}

// A rule has one name, and another rule another.
func TestNamesFollowFromTheRule(t *testing.T) {
	seen := map[string]Rule{}
	for _, r := range some() {
		for _, one := range r.families() {
			n := one.Name()
			if n != one.Name() || len(n) > 31 || !regexp.MustCompile(`^`+name+`$`).MatchString(n) {
				t.Error(n)
			}
			if other, ok := seen[n]; ok {
				t.Errorf("%s is %+v and %+v", n, one, other)
			}
			seen[n] = one
		}
	}
	if len(seen) < 300 {
		t.Errorf("%d rules", len(seen))
	}
}

func TestAListThatOverlapsIsShortened(t *testing.T) {
	r := sql
	r.From = prefixes("10.2.9.1", "10.2.8.0/22", "10.2.8.0/23", "10.1.0.10", "10.1.0.10", "2001:db8::1")
	lines, err := Dialects[0].Render(r)
	if err != nil || len(lines) != 1 || !strings.Contains(lines[0].Add[0], "from 10.2.8.0/22, 10.1.0.10 to") {
		t.Errorf("%+v, %v", lines, err)
	}
}

func TestARuleThatNobodyCanSayIsRefused(t *testing.T) {
	for _, r := range []Rule{{}, {At: Between}, {At: Between, Transport: "sctp"}, {At: Between, Transport: plan.TCP, Port: 70000}, {At: Between, Transport: plan.TCP, From: make([]netip.Prefix, 1)}} {
		if _, err := Dialects[0].Render(r); err == nil {
			t.Errorf("%+v was said", r)
		}
	}
	if _, err := Find("pf"); err == nil || !strings.Contains(err.Error(), "windows, nft") {
		t.Error(err)
	}
}
