// Package dialect says a firewall's rule in the words of the product that has to
// take it.
//
// A Rule is plain data: addresses, a port, a way. Dialects has a row for each
// product, and each row a function. Only addresses, numbers and our own words go into
// what they write, so that nothing that anybody said elsewhere is pasted into a
// firewall; and all of it is quoted as that product wants it.
package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
)

// A Place is where a rule stands. Its zero value is none.
type Place int

// Where rules stand.
const (
	_        Place = iota
	Between        // on a firewall on the way: what it passes on
	Inbound        // on the accepting machine itself
	Outbound       // on the machine that opens the connection
)

// A Rule lets one kind of connection pass, or keeps it out. What answers it belongs
// to it: every dialect keeps state, or gets a second rule for the answers.
type Rule struct {
	At        Place
	Block     bool
	Transport plan.Transport
	From, To  []netip.Prefix // none: any
	// Behind are To's own addresses where To is what a NAT on this side shows; none:
	// the same.
	Behind []netip.Prefix
	Port   int // of To; 0: any from 1024 on
	// SourcePort is From's; 0: any.
	SourcePort int
}

// A Dialect is how one product wants its rules.
type Dialect struct {
	Name    string // as it is asked for
	Title   string // the product
	Comment string // begins a line that the product ignores; "": it knows none
	On      string // whose rule it always is, for products that are no firewall on the way; "": the firewall's
	Network bool   // it is always a firewall on the way, and never a machine's own
	Paste   string // where the lines go, and which words in capitals are to be replaced
	// render writes one rule whose addresses are all of one family: lines that add it
	// and lines that take it away again. No line to add: there is no such rule.
	render func(Rule) (add, remove []string)
}

// Text is the dialect of people.
const Text = "text"

// Dialects are all that there are, people's own first.
var Dialects = []Dialect{
	{Text, "in words", "#", "", false, "The words are for whoever writes the rule.", inWords},
	{"windows", "Windows Defender Firewall, PowerShell", "#", "on the accepting machine, if its own firewall denies it", false, "In PowerShell, as administrator, on the machine whose firewall it is: for an inbound rule the one that accepts the connection. A rule that blocks goes before every one that allows (Get-NetFirewallRule -Action Block).", windows},
	{"nft", "nftables", "#", "", false, "In a root shell. If your table and chains are not inet filter with input, forward and output, put yours in place (nft list ruleset): an accept in another table does not undo a drop in yours. The lines do not survive a restart: write the rule to /etc/nftables.conf, too.", nft},
	{"iptables", "iptables", "#", "", false, "In a root shell. The lines do not survive a restart: keep them with iptables-save or netfilter-persistent.", iptables},
	{"ufw", "ufw", "#", "", false, "In a root shell. ufw keeps the rule. On a router it goes under route.", ufw},
	{"firewalld", "firewalld", "#", "", false, "In a root shell. On a router the rule stands in a policy of its own, dialtone, that goes before the zones (firewalld 0.9 or later).", firewalld},
	{"asa", "Cisco ASA", "!", "", true, "In configuration mode (ASA 8.3 or later). Replace ACL_NAME by the access list that is bound to the interface at which the connection arrives (show running-config access-group). The line goes first.", asa},
	{"paloalto", "Palo Alto Networks PAN-OS", "", "", true, "In configuration mode, then commit. Put your zones in place of any if the rulebase wants them. A rule by port passes every application; if the rulebase goes by application (ms-sql-db, web-browsing and so on), this one is to show first which it takes the connection for.", paloalto},
	{"fortigate", "Fortinet FortiGate", "#", "", true, "In the CLI (FortiOS 6.4 or later). Put your interfaces in place of any if the policies want them, and move the policy before the one that denies (move ID before ID). Where the destination is a virtual IP, name that as dstaddr.", fortigate},
	{"azure", "Azure network security group, az", "#", "in the group of the accepting machine or its subnet", false, "In a shell with the Azure CLI. Replace RESOURCE_GROUP and NSG_NAME by those of the network security group, and the priority if it is taken (az network nsg rule list): it has to be smaller than that of the rule that denies.", azure},
	{"aws", "AWS security group, aws", "#", "in the group of the accepting machine", false, "In a shell with the AWS CLI. Replace SECURITY_GROUP_ID. A security group keeps state; a network ACL of the subnet does not, and needs the answers' ports as well.", aws},
}

// Names are what the dialects are called.
func Names() []string {
	var out []string
	for _, d := range Dialects {
		out = append(out, d.Name)
	}
	return out
}

// Find returns the dialect of that name.
func Find(name string) (Dialect, error) {
	for _, d := range Dialects {
		if d.Name == strings.ToLower(name) {
			return d, nil
		}
	}
	return Dialect{}, fmt.Errorf("unknown dialect %q: use %s", name, strings.Join(Names(), ", "))
}

// Lines are a rule in a dialect.
type Lines struct {
	Name   string   // the rule's; the same each time for the same rule
	Add    []string // to paste; none: the product has no such rule
	Remove []string // takes it away again
}

// Render writes rules, each after the other, those for IPv4 and IPv6 apart.
func (d Dialect) Render(rules ...Rule) ([]Lines, error) {
	var out []Lines
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, err
		}
		for _, one := range r.families() {
			add, remove := d.render(one)
			out = append(out, Lines{one.Name(), add, remove})
		}
	}
	return out, nil
}

// check reports a rule that no dialect can say.
func (r Rule) check() error {
	switch {
	case r.At < Between || r.At > Outbound:
		return errors.New("rule: no place")
	case r.Transport != plan.TCP && r.Transport != plan.UDP:
		return fmt.Errorf("rule: transport %q", r.Transport)
	case r.Port < 0 || r.Port > 65535 || r.SourcePort < 0 || r.SourcePort > 65535:
		return fmt.Errorf("rule: port %d from %d", r.Port, r.SourcePort)
	}
	for _, p := range slices.Concat(r.From, r.To, r.Behind) {
		if !p.IsValid() || p.Addr().Zone() != "" {
			return fmt.Errorf("rule: address %s", p)
		}
	}
	return nil
}

// families are the rule for each family of addresses: none that is for nobody.
func (r Rule) families() []Rule {
	var out []Rule
	for _, v4 := range []bool{true, false} {
		is := func(list []netip.Prefix) []netip.Prefix {
			return fewest(slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool { return p.Addr().Is4() != v4 }))
		}
		one := r
		one.From, one.To, one.Behind = is(r.From), is(r.To), is(r.Behind)
		if len(r.From) > 0 && len(one.From) == 0 || len(r.To) > 0 && len(one.To) == 0 {
			continue
		}
		if len(r.From) == 0 { // any of this family
			one.From = []netip.Prefix{anyOf(v4)}
		}
		if len(r.To) == 0 {
			one.To = []netip.Prefix{anyOf(v4)}
		}
		out = append(out, one)
	}
	return out
}

// anyOf is every address of a family.
func anyOf(v4 bool) netip.Prefix {
	if v4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// fewest leaves out what another prefix of the list holds: some products refuse
// lists that overlap.
func fewest(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for i, p := range list {
		p = p.Masked()
		held := slices.ContainsFunc(out, func(o netip.Prefix) bool { return o == p })
		for j, o := range list {
			held = held || i != j && o.Bits() < p.Bits() && o.Contains(p.Addr())
		}
		if !held {
			out = append(out, p)
		}
	}
	return out
}

// prefix begins the name of every rule.
const prefix = "dialtone"

// Name is a rule's name, the same each time for the same rule: lower-case letters,
// digits and hyphens, 27 at most (FortiGate takes 35).
func (r Rule) Name() string {
	sum := sha256.Sum256(fmt.Append(nil, r.At, r.Block, r.Transport, r.From, r.To, r.Behind, r.Port, r.SourcePort))
	return fmt.Sprintf("%s-%s-%s-%s", prefix, r.Transport, either(r.Port != 0, fmt.Sprint(r.Port), "high"), hex.EncodeToString(sum[:4]))
}

// isV4 reports whether a rule of one family is for IPv4.
func (r Rule) isV4() bool { return r.From[0].Addr().Is4() }

// inside are the addresses of the accepting end for a product that filters behind
// the translation.
func (r Rule) inside() []netip.Prefix {
	if len(r.Behind) > 0 {
		return r.Behind
	}
	return r.To
}

func isAny(list []netip.Prefix) bool { return len(list) == 1 && list[0].Bits() == 0 }

// The ports that an accepting end may name itself.
const firstHigh, lastHigh = 1024, 65535

// ports are a rule's ports with what a product has between the first and the last
// of a range.
func (r Rule) ports(between string) string {
	if r.Port == 0 {
		return fmt.Sprintf("%d%s%d", firstHigh, between, lastHigh)
	}
	return fmt.Sprint(r.Port)
}

// hosts writes addresses, those of single machines without a length.
func hosts(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
			continue
		}
		out = append(out, p.String())
	}
	return out
}

// quoted puts each in single quotes, in which neither a POSIX shell nor PowerShell
// reads anything. No address or name of ours has one itself.
func quoted(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, "'"+s+"'")
	}
	return out
}

func either(is bool, then, otherwise string) string {
	if is {
		return then
	}
	return otherwise
}

// isForAll reports whether a rule names no address.
func (r Rule) isForAll() bool { return isAny(r.From) && isAny(r.To) && len(r.Behind) == 0 }

// inWords is a rule for people.
func inWords(r Rule) (add, remove []string) {
	if r.isForAll() && !r.isV4() {
		return nil, nil // the words are for both families
	}
	words := func(list []netip.Prefix) string {
		switch {
		case r.isForAll():
			return "any address"
		case isAny(list):
			return either(r.isV4(), "any IPv4 address", "any IPv6 address")
		}
		return strings.Join(hosts(list), ", ")
	}
	s := fmt.Sprintf("%s %s from %s", either(r.Block, "Block", "Allow"), strings.ToUpper(string(r.Transport)), words(r.From))
	if r.SourcePort != 0 {
		s += fmt.Sprintf(" port %d", r.SourcePort)
	}
	s += fmt.Sprintf(" to %s port %s", words(r.To), r.ports("-"))
	if len(r.Behind) > 0 {
		s += fmt.Sprintf(" (behind the NAT: %s)", words(r.Behind))
	}
	if !r.Block {
		s += "; new connections that way only, and the answers to them"
	}
	return []string{s}, []string{"Take the rule away: " + s}
}
