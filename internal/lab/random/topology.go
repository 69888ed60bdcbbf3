package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A row is one kind of connection that dial tries and the oracle knocks at.
type row struct {
	Port      int
	Transport string
	Reverse   bool // from the far end to the one that runs dial
}

// String names a row in tables and in what the oracle says.
func (r row) String() string {
	way := "forward"
	if r.Reverse {
		way = "reverse"
	}
	return fmt.Sprintf("%s/%d %s", r.Transport, r.Port, way)
}

// A node is a machine that packets pass, with the interface towards the end
// that runs dial and the one towards the other; an end has one of them.
type node struct {
	name      string
	near, far string
	addrs     []string // which it may be known by on the way
}

// A topology is a lab's network, and between whom dial tests it.
type topology struct {
	Pair     bool   // server and peer dial each other (dial odyssey), instead of client and server
	Six      bool   // over IPv6
	NAT      string // "", "masquerade", "masquerade-random", or "forward": the server behind a DNAT
	BothWays bool   // --both-ways
	Delay    time.Duration
}

func (t topology) String() string {
	words := []string{"client to server"}
	if t.Pair {
		words[0] = "server to peer"
	}
	if t.Six {
		words = append(words, "IPv6")
	}
	switch t.NAT {
	case "":
	case "forward":
		words = append(words, "the server behind port forwarding")
	default:
		words = append(words, t.NAT+" at the client's firewall")
	}
	if t.BothWays {
		words = append(words, "--both-ways")
	}
	if t.Delay > 0 {
		words = append(words, fmt.Sprintf("%v each way", t.Delay))
	}
	return strings.Join(words, ", ")
}

// rows are what dial tries there.
func (t topology) rows() []row {
	if t.Pair {
		return []row{{7968, "tcp", false}, {1611, "tcp", false}, {7968, "tcp", true}, {1611, "tcp", true}}
	}
	return []row{{1433, "tcp", false}, {1344, "tcp", false}, {443, "tcp", false}, {7968, "tcp", false}, {1434, "udp", false}, {7968, "tcp", true}}
}

// way is every node from the one that dials to the far end.
func (t topology) way() []node {
	client := node{"client", "", "eth0", []string{"10.1.0.10", "2001:db8:1::10"}}
	fwc := node{"fwc", "lan", "wan", []string{"10.1.0.1", "198.51.100.2", "2001:db8:1::1", "2001:db8:f1::2"}}
	wan := node{"wan", "fwc", "fws", []string{"198.51.100.1", "198.51.100.5", "203.0.113.1", "2001:db8:f1::1", "2001:db8:f2::1", "2001:db8:f3::1"}}
	fws := node{"fws", "wan", "lan", []string{"10.2.0.1", "198.51.100.6", "2001:db8:2::1", "2001:db8:f2::2"}}
	server := node{"server", "eth0", "", []string{"10.2.0.10", "2001:db8:2::10"}}
	if !t.Pair {
		return []node{client, fwc, wan, fws, server}
	}
	server.near, server.far = "", "eth0"
	fws.near, fws.far = "lan", "wan"
	wan.near, wan.far = "fws", "fwp"
	fwp := node{"fwp", "wan", "lan", []string{"203.0.113.2", "10.3.0.1", "2001:db8:f3::2", "2001:db8:3::1"}}
	peer := node{"peer", "eth0", "", []string{"10.3.0.10", "2001:db8:3::10"}}
	return []node{server, fws, wan, fwp, peer}
}

func (t topology) nearNode() node { return t.way()[0] }
func (t topology) farNode() node  { return t.way()[4] }

// target is the address that dial is given.
func (t topology) target() string {
	switch {
	case t.Pair && t.Six:
		return "2001:db8:3::10"
	case t.Pair:
		return "203.0.113.2"
	case t.Six:
		return "2001:db8:2::10"
	case t.NAT == "forward":
		return "198.51.100.6"
	}
	return "10.2.0.10"
}

// back is the address at which the far end dials this one.
func (t topology) back() string {
	switch {
	case t.Pair && t.Six:
		return "2001:db8:2::10"
	case t.Pair:
		return "10.2.0.10"
	case t.Six:
		return "2001:db8:1::10"
	case strings.HasPrefix(t.NAT, "masquerade"):
		return "198.51.100.2"
	}
	return "10.1.0.10"
}

// ends are the addresses that both ends are known by, wherever: naming one of
// them accuses nobody.
func (t topology) ends() []string {
	out := slices.Concat(t.nearNode().addrs, t.farNode().addrs, []string{t.target(), t.back(), "127.0.0.1", "::1", "0.0.0.0"})
	if t.NAT != "" {
		out = append(out, "198.51.100.2")
	}
	return out
}

// natRules is what stands before any fault.
func (t topology) natRules() (nodeName, rules string) {
	switch t.NAT {
	case "masquerade":
		return "fwc", "table ip dtnat { chain p { type nat hook postrouting priority srcnat; oifname \"wan\" masquerade; }; }"
	case "masquerade-random":
		return "fwc", "table ip dtnat { chain p { type nat hook postrouting priority srcnat; oifname \"wan\" masquerade random; }; }"
	case "forward":
		return "fws", `table ip dtnat { chain p { type nat hook prerouting priority dstnat; iifname "wan" ip daddr 198.51.100.6 meta l4proto { tcp, udp } th dport { 443, 1344, 1433, 1434, 7968 } dnat to 10.2.0.10; }; }`
	}
	return "", ""
}

// A chain is where at a node packets of a row pass in one direction.
type chain struct {
	node  string
	hook  string // "forward", "input" or "output"
	match string // interface, and the row's ports
}

// at finds the chain for a row's requests, or its replies, at a node. Rows of
// one transport and direction may share it.
func (t topology) at(n node, reply bool, rows ...row) chain {
	outward := rows[0].Reverse == reply // from the end that dials towards the far one
	c := chain{node: n.name, hook: "forward"}
	switch {
	case n.near == "" && outward, n.far == "" && !outward:
		c.hook, c.match = "output", `oifname "eth0"`
	case n.near == "" || n.far == "":
		c.hook, c.match = "input", `iifname "eth0"`
	case outward:
		c.match = fmt.Sprintf("iifname %q", n.near)
	default:
		c.match = fmt.Sprintf("iifname %q", n.far)
	}
	side := "dport"
	if reply {
		side = "sport"
	}
	c.match += fmt.Sprintf(" %s %s %s", rows[0].Transport, side, ports(rows))
	return c
}

func ports(rows []row) string {
	var p []string
	for _, r := range rows {
		p = append(p, fmt.Sprint(r.Port))
	}
	slices.Sort(p)
	p = slices.Compact(p)
	if len(p) == 1 {
		return p[0]
	}
	return "{ " + strings.Join(p, ", ") + " }"
}
