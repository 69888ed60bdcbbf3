package dialect

import (
	"fmt"
	"net/netip"
	"strings"
)

// Linux filters what it passes on behind the translation of the destination and
// before that of the source (nftables wiki, Netfilter hooks).

// nft writes for nftables: a rule for new connections, and one for the answers.
func nft(r Rule) (add, remove []string) {
	chain := map[Place]string{Between: "forward", Inbound: "input", Outbound: "output"}[r.At]
	family := either(r.isV4(), "ip", "ip6")
	match := func(way string, list []netip.Prefix) string {
		if isAny(list) {
			return fmt.Sprintf("meta nfproto %s", either(r.isV4(), "ipv4", "ipv6"))
		}
		if names := hosts(list); len(names) > 1 {
			return fmt.Sprintf("%s %s { %s }", family, way, strings.Join(names, ", "))
		}
		return fmt.Sprintf("%s %s %s", family, way, hosts(list)[0])
	}
	insert := func(from, to []netip.Prefix, ports, state, action string) string {
		return fmt.Sprintf(`nft 'insert rule inet filter %s %s %s %s ct state %s counter %s comment "%s"'`,
			chain, match("saddr", from), match("daddr", to), ports, state, action, r.Name())
	}
	there, back := fmt.Sprintf("%s dport %s", r.Transport, r.ports("-")), fmt.Sprintf("%s sport %s", r.Transport, r.ports("-"))
	if r.SourcePort != 0 {
		there += fmt.Sprintf(" %s sport %d", r.Transport, r.SourcePort)
		back += fmt.Sprintf(" %s dport %d", r.Transport, r.SourcePort)
	}
	if r.Block {
		add = []string{insert(r.From, r.inside(), there, "new,established", "drop")}
	} else {
		add = []string{insert(r.From, r.inside(), there, "new,established", "accept")}
		answers := map[Place]string{Between: "forward", Inbound: "output", Outbound: "input"}[r.At]
		chains := []string{chain}
		chain = answers
		add = append(add, insert(r.inside(), r.From, back, "established,related", "accept"))
		if answers != chains[0] {
			chains = append(chains, answers)
		}
		for _, c := range chains {
			remove = append(remove, removeNFT(c, r.Name()))
		}
		return add, remove
	}
	return add, []string{removeNFT(chain, r.Name())}
}

// removeNFT deletes by its comment: nftables deletes by handle only.
func removeNFT(chain, name string) string {
	return fmt.Sprintf(`nft -a list chain inet filter %[1]s | sed -n 's/.*comment "%[2]s" # handle \([0-9]*\)$/\1/p' | while read -r h; do nft delete rule inet filter %[1]s handle "$h"; done`, chain, name)
}

// iptables writes for iptables and ip6tables (iptables(8), iptables-extensions(8)).
func iptables(r Rule) (add, remove []string) {
	program := either(r.isV4(), "iptables", "ip6tables")
	chain := map[Place]string{Between: "FORWARD", Inbound: "INPUT", Outbound: "OUTPUT"}[r.At]
	answers := map[Place]string{Between: "FORWARD", Inbound: "OUTPUT", Outbound: "INPUT"}[r.At]
	match := func(flag string, list []netip.Prefix) string {
		if isAny(list) {
			return ""
		}
		return fmt.Sprintf(" %s %s", flag, strings.Join(hosts(list), ","))
	}
	say := func(do, chain string, from, to []netip.Prefix, ports, state, action string) string {
		return fmt.Sprintf("%s %s %s%s%s -p %s%s -m conntrack --ctstate %s -m comment --comment %s -j %s",
			program, do, chain, match("-s", from), match("-d", to), r.Transport, ports, state, r.Name(), action)
	}
	there, back := " --dport "+r.ports(":"), " --sport "+r.ports(":")
	if r.SourcePort != 0 {
		there += fmt.Sprintf(" --sport %d", r.SourcePort)
		back += fmt.Sprintf(" --dport %d", r.SourcePort)
	}
	for _, do := range []struct {
		flag string
		to   *[]string
	}{{"-I", &add}, {"-D", &remove}} {
		if r.Block {
			*do.to = append(*do.to, say(do.flag, chain, r.From, r.inside(), there, "NEW,ESTABLISHED", "DROP"))
			continue
		}
		*do.to = append(*do.to, say(do.flag, chain, r.From, r.inside(), there, "NEW,ESTABLISHED", "ACCEPT"),
			say(do.flag, answers, r.inside(), r.From, back, "ESTABLISHED,RELATED", "ACCEPT"))
	}
	return add, remove
}

// each calls do for every pair of a source and a destination, for products that
// take one of each.
func (r Rule) each(to []netip.Prefix, do func(from, to netip.Prefix)) {
	for _, f := range r.From {
		for _, t := range to {
			do(f, t)
		}
	}
}

// ufw writes for ufw (ufw(8)), which keeps state by itself.
func ufw(r Rule) (add, remove []string) {
	end := func(p netip.Prefix, port string) string {
		s := hosts([]netip.Prefix{p})[0]
		if port != "" {
			s += " port " + port
		}
		return s
	}
	source := ""
	if r.SourcePort != 0 {
		source = fmt.Sprint(r.SourcePort)
	}
	route, way := either(r.At == Between, "route ", ""), map[Place]string{Between: "", Inbound: " in", Outbound: " out"}[r.At]
	r.each(r.inside(), func(from, to netip.Prefix) {
		rule := fmt.Sprintf("%s%s proto %s from %s to %s", either(r.Block, "deny", "allow"), way, r.Transport, end(from, source), end(to, r.ports(":")))
		add = append(add, fmt.Sprintf("ufw %sprepend %s comment %s", route, rule, r.Name()))
		remove = append(remove, fmt.Sprintf("ufw %sdelete %s", route, rule))
	})
	return add, remove
}

// firewalld writes for firewalld (firewalld.richlanguage(5), firewalld.policies(5)),
// which keeps state by itself.
func firewalld(r Rule) (add, remove []string) {
	policy := map[Place]string{Between: "dialtone", Outbound: "dialtone-out"}[r.At]
	in := ""
	if policy != "" {
		in = " --policy=" + policy
		from := either(r.At == Between, "ANY", "HOST")
		add = append(add,
			fmt.Sprintf("firewall-cmd --permanent --info-policy=%[1]s >/dev/null 2>&1 || firewall-cmd --permanent --new-policy=%[1]s", policy),
			fmt.Sprintf("firewall-cmd --permanent%s --add-ingress-zone=%s", in, from),
			fmt.Sprintf("firewall-cmd --permanent%s --add-egress-zone=ANY", in))
	}
	r.each(r.inside(), func(from, to netip.Prefix) {
		rule := fmt.Sprintf(`rule priority="-100" family="%s"`, either(r.isV4(), "ipv4", "ipv6"))
		if from.Bits() > 0 {
			rule += fmt.Sprintf(` source address="%s"`, from)
		}
		if to.Bits() > 0 {
			rule += fmt.Sprintf(` destination address="%s"`, to)
		}
		if r.SourcePort != 0 && r.Port == 0 { // a rich rule has one of them
			rule += fmt.Sprintf(` source-port port="%d" protocol="%s"`, r.SourcePort, r.Transport)
		} else {
			rule += fmt.Sprintf(` port port="%s" protocol="%s"`, r.ports("-"), r.Transport)
		}
		rule += either(r.Block, " drop", " accept")
		add = append(add, fmt.Sprintf("firewall-cmd --permanent%s --add-rich-rule='%s'", in, rule))
		remove = append(remove, fmt.Sprintf("firewall-cmd --permanent%s --remove-rich-rule='%s'", in, rule))
	})
	reload := "firewall-cmd --reload"
	return append(add, reload), append(remove, reload)
}
