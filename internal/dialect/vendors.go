package dialect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// mask is a prefix as address and mask. IPv4 only.
func mask(p netip.Prefix, between string) string {
	var m [4]byte
	binary.BigEndian.PutUint32(m[:], ^uint32(0)<<(32-p.Bits()))
	return p.Addr().String() + between + netip.AddrFrom4(m).String()
}

// asa writes entries of an extended access list (Cisco ASA Series CLI Configuration
// Guide, "Adding an ACE for TCP or UDP-Based Policy, with Ports"). It takes the
// accepting end's own addresses, behind the translation, from 8.3 on, and keeps
// state.
func asa(r Rule) (add, remove []string) {
	end := func(p netip.Prefix) string {
		switch {
		case p.Bits() == 0:
			return either(r.isV4(), "any4", "any6")
		case p.IsSingleIP():
			return "host " + p.Addr().String()
		case r.isV4():
			return mask(p, " ")
		}
		return p.String()
	}
	ports, source := "eq "+r.ports(""), ""
	if r.Port == 0 {
		ports = "range " + r.ports(" ")
	}
	if r.SourcePort != 0 {
		source = fmt.Sprintf(" eq %d", r.SourcePort)
	}
	remark := "remark " + r.Name()
	r.each(r.inside(), func(from, to netip.Prefix) {
		entry := fmt.Sprintf("extended %s %s %s%s %s %s", either(r.Block, "deny", "permit"), r.Transport, end(from), source, end(to), ports)
		add = append(add, "access-list ACL_NAME line 1 "+entry)
		remove = append(remove, "no access-list ACL_NAME "+entry)
	})
	return append(add, "access-list ACL_NAME line 1 "+remark), append(remove, "no access-list ACL_NAME "+remark)
}

// paloalto writes set commands (PAN-OS CLI Quick Start, "Load Configuration Settings";
// PAN-OS Administrator's Guide, "Components of a Security Policy Rule"). The rulebase
// goes by the addresses before the translation, and keeps state.
func paloalto(r Rule) (add, remove []string) {
	ends := func(list []netip.Prefix) string {
		if isAny(list) {
			return list[0].String()
		}
		return "[ " + strings.Join(hosts(list), " ") + " ]"
	}
	name := r.Name()
	service := fmt.Sprintf("set service %s protocol %s port %s", name, r.Transport, r.ports("-"))
	if r.SourcePort != 0 {
		service += fmt.Sprintf(" source-port %d", r.SourcePort)
	}
	return []string{
			service,
			fmt.Sprintf("set rulebase security rules %s from any to any source %s destination %s application any service %s action %s",
				name, ends(r.From), ends(r.To), name, either(r.Block, "deny", "allow")),
			fmt.Sprintf("move rulebase security rules %s top", name),
		}, []string{
			"delete rulebase security rules " + name,
			"delete service " + name,
		}
}

// fortigate writes objects and a policy (FortiOS 6.4 CLI Reference: config firewall
// address, address6, service custom, policy). A policy keeps state.
func fortigate(r Rule) (add, remove []string) {
	name := r.Name()
	table := either(r.isV4(), "config firewall address", "config firewall address6")
	var ends [2][]string
	var made []string
	add = append(add, table)
	for i, list := range [][]netip.Prefix{r.From, r.To} {
		if isAny(list) {
			ends[i] = []string{`"all"`}
			continue
		}
		for n, p := range list {
			object := fmt.Sprintf(`"%s-%s%d"`, name, [2]string{"src", "dst"}[i], n+1)
			ends[i] = append(ends[i], object)
			made = append(made, object)
			add = append(add, "    edit "+object)
			if r.isV4() {
				add = append(add, "        set subnet "+mask(p, " "))
			} else {
				add = append(add, "        set ip6 "+p.String())
			}
			add = append(add, "    next")
		}
	}
	if len(made) == 0 {
		add = add[:0]
	} else {
		add = append(add, "end")
	}
	port := r.ports("-")
	if r.SourcePort != 0 {
		port += fmt.Sprintf(":%d", r.SourcePort)
	}
	six := either(r.isV4(), "", "6")
	add = append(add,
		"config firewall service custom",
		fmt.Sprintf(`    edit "%s"`, name),
		fmt.Sprintf("        set %s-portrange %s", r.Transport, port),
		"    next",
		"end",
		"config firewall policy",
		"    edit 0",
		fmt.Sprintf(`        set name "%s"`, name),
		`        set srcintf "any"`,
		`        set dstintf "any"`,
		fmt.Sprintf("        set srcaddr%s %s", six, strings.Join(ends[0], " ")),
		fmt.Sprintf("        set dstaddr%s %s", six, strings.Join(ends[1], " ")),
		"        set action "+either(r.Block, "deny", "accept"),
		`        set schedule "always"`,
		fmt.Sprintf(`        set service "%s"`, name),
		"        set logtraffic all",
		"    next",
		"end")
	remove = append(remove,
		"# POLICY_ID is what show firewall policy gives for "+name,
		"config firewall policy", "    delete POLICY_ID", "end",
		"config firewall service custom", fmt.Sprintf(`    delete "%s"`, name), "end")
	if len(made) > 0 {
		remove = append(remove, table)
		for _, object := range made {
			remove = append(remove, "    delete "+object)
		}
		remove = append(remove, "end")
	}
	return add, remove
}

// The priorities that an Azure rule may have (100 to 4096), of which ours are the
// middle; the smaller goes first.
const firstPriority, priorities = 1000, 1000

// azure writes for a network security group (Azure CLI reference, az network nsg rule
// create), which keeps state. Priorities are unique in a group: each rule's follows
// from the rule.
func azure(r Rule) (add, remove []string) {
	name := r.Name()
	var n int
	if _, err := fmt.Sscanf(name[len(name)-4:], "%x", &n); err != nil {
		n = 0 // never: a name ends in hexadecimal digits
	}
	ends := func(list []netip.Prefix) string {
		if isAny(list) {
			return "'" + list[0].String() + "'"
		}
		return strings.Join(quoted(hosts(list)), " ")
	}
	source := "'*'"
	if r.SourcePort != 0 {
		source = fmt.Sprint(r.SourcePort)
	}
	const group = "--resource-group RESOURCE_GROUP --nsg-name NSG_NAME"
	return []string{fmt.Sprintf("az network nsg rule create %s --name %s --priority %d --direction %s --access %s --protocol %s --source-address-prefixes %s --source-port-ranges %s --destination-address-prefixes %s --destination-port-ranges %s",
			group, name, firstPriority+n%priorities, either(r.At == Outbound, "Outbound", "Inbound"), either(r.Block, "Deny", "Allow"),
			strings.ToUpper(string(r.Transport[:1]))+string(r.Transport[1:]), ends(r.From), source, ends(r.inside()), r.ports("-"))},
		[]string{fmt.Sprintf("az network nsg rule delete %s --name %s", group, name)}
}

// aws writes for a security group (AWS CLI Command Reference, ec2
// authorize-security-group-ingress, in shorthand), which keeps state, has no source
// ports, and can only allow.
func aws(r Rule) (add, remove []string) {
	if r.Block {
		return nil, nil
	}
	way, list := "ingress", r.From
	if r.At == Outbound {
		way, list = "egress", r.To
	}
	ranges, cidr := "IpRanges", "CidrIp"
	if !r.isV4() {
		ranges, cidr = "Ipv6Ranges", "CidrIpv6"
	}
	var each []string
	for _, p := range list {
		each = append(each, fmt.Sprintf("{%s=%s,Description=%s}", cidr, p, r.Name()))
	}
	from, to := r.Port, r.Port
	if r.Port == 0 {
		from, to = firstHigh, lastHigh
	}
	say := func(do string) []string {
		return []string{fmt.Sprintf("aws ec2 %s-security-group-%s --group-id SECURITY_GROUP_ID --ip-permissions 'IpProtocol=%s,FromPort=%d,ToPort=%d,%s=[%s]'",
			do, way, r.Transport, from, to, ranges, strings.Join(each, ","))}
	}
	return say("authorize"), say("revoke")
}
