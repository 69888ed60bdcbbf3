package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"dialtone/internal/lab/random/oracle"
	"dialtone/internal/lab/random/router"
)

// A block is one kind of fault, and how one is drawn.
type block struct {
	kind string
	draw func(*drawer) fault
}

// A drawer draws a fault for a topology.
type drawer struct {
	*rand.Rand
	t topology
}

func pick[T any](d *drawer, from ...T) T { return from[d.IntN(len(from))] }

// between draws a moment.
func (d *drawer) between(from, to time.Duration) time.Duration {
	return (from + time.Duration(d.Int64N(int64(to-from)))).Round(10 * time.Millisecond)
}

// tcp draws one row over TCP; the way back less often than its share.
func (d *drawer) tcp() row {
	for {
		r := pick(d, d.t.rows()...)
		if r.Transport == "tcp" && (!r.Reverse || d.t.Pair || d.IntN(2) == 0) {
			return r
		}
	}
}

func (d *drawer) forward() row {
	for {
		if r := d.tcp(); !r.Reverse {
			return r
		}
	}
}

// some draws one row, or all TCP rows of one direction.
func (d *drawer) some() []row {
	r := d.tcp()
	if d.IntN(4) > 0 {
		return []row{r}
	}
	var out []row
	for _, o := range d.t.rows() {
		if o.Transport == "tcp" && o.Reverse == r.Reverse {
			out = append(out, o)
		}
	}
	return out
}

// router draws a machine on the way.
func (d *drawer) router() node { return pick(d, d.t.way()[1:4]...) }

func words(rows []row) string {
	var w []string
	for _, r := range rows {
		w = append(w, r.String())
	}
	return strings.Join(w, ", ")
}

const syn = "tcp flags & (syn | ack | rst | fin) == syn"

var (
	saysLimit    = regexp.MustCompile(`(?i)limit|shun|intrusion|rate|cut|count|stopped|no more|lost|member|balanc|share`)
	saysListener = regexp.MustCompile(`(?i)listen.{0,60}(stop|start|end|runs|sleep|asleep|slow|busy|instance)|restarted|stopped|answered at first|was lost|contact`)
	saysReverse  = regexp.MustCompile(`(?i)rp_filter|reverse.?path`)
	saysOwn      = regexp.MustCompile(`(?i)leads? back|is this (very )?machine|own address`)
	saysFiles    = regexp.MustCompile(`(?i)descriptor|open files|too many`)
	saysPorts    = regexp.MustCompile(`(?i)local ports?|ports? of this machine|source ports?|cannot assign|address already in use|in use`)
)

// catalogue is every kind of fault.
var catalogue = []block{
	{"none", func(*drawer) fault { return fault{Text: "nothing is planted", nature: harmless} }},
	{"delay", func(d *drawer) fault {
		delay := pick(d, 5, 40, 120, 300, 600)
		t := router.Treatment{Delay: time.Duration(delay) * time.Millisecond, Jitter: time.Duration(delay/4+1) * time.Millisecond}
		return fault{Text: fmt.Sprintf("%d ms each way, and jitter", delay), nature: harmless, there: &t, back: &t}
	}},
	{"reorder", func(d *drawer) fault {
		t := router.Treatment{Delay: 5 * time.Millisecond, Reorder: pick(d, 0.05, 0.2, 0.4), ReorderBy: time.Duration(pick(d, 4, 15, 40)) * time.Millisecond}
		return fault{Text: fmt.Sprintf("%.0f %% of packets %v late, each way", t.Reorder*100, t.ReorderBy), nature: harmless, there: &t, back: &t}
	}},
	{"duplicate", func(d *drawer) fault {
		t := router.Treatment{Duplicate: pick(d, 0.05, 0.3, 1)}
		return fault{Text: fmt.Sprintf("%.0f %% of packets doubled, each way", t.Duplicate*100), nature: harmless, there: &t, back: &t}
	}},
	{"loss-light", func(d *drawer) fault { return loss(d, 0.01+d.Float64()*0.09) }},
	{"loss-heavy", func(d *drawer) fault { return loss(d, 0.2+d.Float64()*0.1) }},
	{"option-stripped", func(d *drawer) fault {
		option := pick(d, 3, 3, 8, 4) // window scale, timestamps, SACK permitted
		t := &router.Treatment{Strip: option}
		f := fault{Text: fmt.Sprintf("TCP option %d is taken out of SYNs", option), nature: harmless, there: t}
		if d.IntN(2) == 0 {
			f.Text, f.there, f.back = fmt.Sprintf("TCP option %d is taken out of SYN-ACKs", option), nil, t
		}
		return f
	}},
	{"slow-handshake", func(d *drawer) fault {
		late := pick(d, 1200, 2100, 2600)
		t := &router.Treatment{Late: time.Duration(late) * time.Millisecond}
		if d.IntN(3) > 0 {
			t.Ports = []int{d.tcp().Port}
		}
		f := fault{Text: fmt.Sprintf("SYN-ACKs come %d ms late", late), nature: harmless, back: t}
		if t.Ports != nil {
			f.Text += fmt.Sprintf(", of port %d", t.Ports[0])
		}
		return f
	}},
	{"ttl", func(d *drawer) fault {
		n, ttl := d.router(), pick(d, 64, 128, 255)
		set := fmt.Sprintf("ip ttl set %d", ttl)
		if d.t.Six {
			set = fmt.Sprintf("ip6 hoplimit set %d", ttl)
		}
		return fault{Text: fmt.Sprintf("%s sets every TTL to %d", n.name, ttl), nature: harmless,
			plants: []plant{hook(chain{n.name, "forward", ""}, "", "meta l4proto { tcp, udp } "+set)}}
	}},

	{"drop", func(d *drawer) fault {
		rows, n := d.some(), d.router()
		c := d.t.at(n, false, rows...)
		return fault{Text: fmt.Sprintf("%s drops %s", n.name, words(rows)), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" counter name hits drop")}, places: []string{n.name}, accused: []party{device}}
	}},
	{"drop-syn", func(d *drawer) fault {
		rows, n := d.some(), d.router()
		c := d.t.at(n, false, rows...)
		return fault{Text: fmt.Sprintf("%s drops the SYNs of %s", n.name, words(rows)), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" "+syn+" counter name hits drop")}, places: []string{n.name}, accused: []party{device}}
	}},
	{"drop-data", func(d *drawer) fault {
		rows, n := d.some(), d.router()
		c := d.t.at(n, d.IntN(2) == 0, rows...)
		return fault{Text: fmt.Sprintf("%s drops data: %s", n.name, c.match), nature: content, rows: rows,
			plants: []plant{hook(c, "", c.match+" tcp flags & psh == psh counter name hits drop")}, places: []string{n.name}, accused: []party{device}}
	}},
	{"reply-drop", func(d *drawer) fault {
		rows, n := d.some(), d.router()
		c := d.t.at(n, true, rows...)
		return fault{Text: fmt.Sprintf("%s drops the replies of %s", n.name, words(rows)), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" counter name hits drop")}, places: []string{n.name}, accused: []party{device}}
	}},
	{"reject", func(d *drawer) fault {
		rows, n := d.some(), d.router()
		c := d.t.at(n, false, rows...)
		with := d.icmp()
		return fault{Text: fmt.Sprintf("%s rejects %s (%s)", n.name, words(rows), with), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" counter name hits reject with "+with)}, places: []string{n.name}, accused: []party{device}}
	}},
	{"reset", func(d *drawer) fault {
		rows, n := d.some(), d.router()
		c := d.t.at(n, false, rows...)
		return fault{Text: fmt.Sprintf("%s resets %s", n.name, words(rows)), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" counter name hits reject with tcp reset")}, places: []string{n.name}, accused: []party{device}}
	}},
	{"reply-reset", func(d *drawer) fault {
		rows, n := d.some(), d.router()
		c := d.t.at(n, true, rows...)
		return fault{Text: fmt.Sprintf("%s resets the replies of %s, to the end that accepts", n.name, words(rows)), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" counter name hits reject with tcp reset")}, places: []string{n.name}, accused: []party{device}}
	}},
	{"by-host", func(d *drawer) fault {
		rows := d.some()
		n := d.acceptor(rows[0])
		c := d.t.at(n, false, rows...)
		does := pick(d, "drop", "drop", "reject with tcp reset", "reject with "+d.icmp())
		return fault{Text: fmt.Sprintf("%s itself: %s %s", n.name, does, words(rows)), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" counter name hits "+does)}, places: []string{n.name}, accused: []party{farEnd, device}}
	}},
	{"by-initiator", func(d *drawer) fault {
		rows := d.some()
		n := d.initiator(rows[0])
		reply := d.IntN(3) == 0
		c := d.t.at(n, reply, rows...)
		does := "drop"
		if !reply {
			does = pick(d, "drop", "reject with tcp reset", "reject with "+d.icmp())
		}
		return fault{Text: fmt.Sprintf("%s itself: %s %s", n.name, c.match, does), nature: static, rows: rows,
			plants: []plant{hook(c, "", c.match+" counter name hits "+does)}, places: []string{n.name}, accused: []party{nearEnd, device}}
	}},

	{"parity", func(d *drawer) fault {
		rows, n, odd := d.some(), d.router(), d.IntN(2)
		reply := d.IntN(3) == 0
		c := d.t.at(n, reply, rows...)
		side := "sport"
		if reply {
			side = "dport"
		}
		does := pick(d, "drop", "drop", "reject with tcp reset", "reject with "+d.icmp())
		if reply {
			does = "drop"
		}
		return fault{Text: fmt.Sprintf("%s: one of two equal ways of %s is dead (source ports that are %d modulo 2: %s)", n.name, words(rows), odd, does), nature: share, rows: rows,
			plants: []plant{hook(c, "", fmt.Sprintf("%s tcp %s & 1 == %d counter name hits %s", c.match, side, odd, does))}, places: []string{n.name}, accused: []party{device, nat}}
	}},
	{"hash", func(d *drawer) fault {
		rows, n, of := d.some(), d.router(), pick(d, 2, 2, 3, 4)
		c := d.t.at(n, false, rows...)
		does := pick(d, "drop", "reject with tcp reset")
		return fault{Text: fmt.Sprintf("%s: one of %d ways of %s is dead, chosen by a hash of the source port (%s)", n.name, of, words(rows), does), nature: share, rows: rows,
			plants: []plant{hook(c, "", fmt.Sprintf("%s jhash tcp sport mod %d seed 0x%x == 0 counter name hits %s", c.match, of, d.Uint32(), does))}, places: []string{n.name}, accused: []party{device, nat}}
	}},
	{"nth", func(d *drawer) fault {
		n := pick(d, 2, 3, 4)
		return sticky(d, fmt.Sprintf("numgen inc mod %d == 0", n), fmt.Sprintf("every %d. connection", n))
	}},
	{"chance", func(d *drawer) fault {
		p := pick(d, 20, 30, 50, 70)
		return sticky(d, fmt.Sprintf("numgen random mod 100 < %d", p), fmt.Sprintf("%d %% of connections", p))
	}},

	{"shun", func(d *drawer) fault {
		n, after := d.router(), 3+d.IntN(18)
		rows := d.allTCP(false)
		c := d.t.at(n, false, rows...)
		ip, typ := "ip", "ipv4_addr"
		if d.t.Six {
			ip, typ = "ip6", "ipv6_addr"
		}
		return fault{Text: fmt.Sprintf("%s: after %d SYNs nothing of that source passes any more", n.name, after), nature: limit,
			plants: []plant{hook(c, fmt.Sprintf("set bad { type %s; flags dynamic,timeout; timeout 1h; }\n set seen { type %s; size 64; flags dynamic; }", typ, typ),
				strings.Join(strings.Fields(c.match)[:2], " ")+" "+ip+" saddr @bad counter name hits drop",
				fmt.Sprintf("%s %s add @seen { %s saddr limit rate over 1/hour burst %d packets } add @bad { %s saddr } counter name hits drop", c.match, syn, ip, after, ip))},
			places: []string{n.name}, accused: []party{device}, mention: saysLimit}
	}},
	{"rate", func(d *drawer) fault {
		rows, n, rate := d.some(), d.router(), pick(d, 2, 4, 6, 10)
		c := d.t.at(n, false, rows...)
		does := pick(d, "drop", "reject with tcp reset")
		return fault{Text: fmt.Sprintf("%s: no more than %d new connections a minute of %s (%s)", n.name, rate, words(rows), does), nature: limit, rows: rows,
			plants: []plant{hook(c, "", fmt.Sprintf("%s %s limit rate over %d/minute burst %d packets counter name hits %s", c.match, syn, rate, rate, does))},
			places: []string{n.name}, accused: []party{device}}
	}},
	{"at-once", func(d *drawer) fault {
		rows, n, most := d.some(), d.router(), pick(d, 1, 2, 3)
		c := d.t.at(n, false, rows...)
		does := pick(d, "drop", "reject with tcp reset")
		return fault{Text: fmt.Sprintf("%s: no more than %d connections at a time (with those just ended) of %s (%s)", n.name, most, words(rows), does), nature: limit, rows: rows,
			plants: []plant{hook(c, "", fmt.Sprintf("%s ct state new ct count over %d counter name hits %s", c.match, most, does))},
			places: []string{n.name}, accused: []party{device}}
	}},
	{"table-full", func(d *drawer) fault {
		n, most := d.router(), pick(d, 0, 4, 8, 12)
		rows := d.allTCP(false)
		c := d.t.at(n, false, rows...)
		text := fmt.Sprintf("%s: its state table holds %d connections", n.name, most)
		return fault{Text: text, nature: limit,
			plants: []plant{hook(chain{n.name, "forward", ""}, "", fmt.Sprintf("meta l4proto { tcp, udp } ct state new ct count over %d counter name hits drop", most))},
			rows:   nil, places: []string{c.node}, accused: []party{device}}
	}},
	{"quota", func(d *drawer) fault {
		n, most := d.router(), pick(d, 100, 300, 700, 1500, 4000)
		return fault{Text: fmt.Sprintf("%s: after %d KiB in all nothing passes any more", n.name, most), nature: limit,
			plants: []plant{hook(chain{n.name, "forward", ""}, "", fmt.Sprintf("meta l4proto { tcp, udp } quota over %d kbytes counter name hits drop", most))},
			places: []string{n.name}, accused: []party{device}, mention: saysLimit}
	}},

	{"dies", func(d *drawer) fault {
		n, at := d.router(), d.between(30*time.Millisecond, 900*time.Millisecond)
		return fault{Text: fmt.Sprintf("from %v on nothing passes %s", at, n.name), nature: moment, at: at,
			plants: []plant{hook(chain{n.name, "forward", ""}, "", "meta l4proto { tcp, udp } counter name hits drop")}, places: []string{n.name}, accused: []party{device, farEnd, listener}}
	}},
	{"outage", func(d *drawer) fault {
		n, at := d.router(), d.between(30*time.Millisecond, 600*time.Millisecond)
		until := at + d.between(300*time.Millisecond, 4*time.Second)
		return fault{Text: fmt.Sprintf("from %v to %v nothing passes %s", at, until, n.name), nature: moment, at: at, until: until,
			plants: []plant{hook(chain{n.name, "forward", ""}, "", "meta l4proto { tcp, udp } counter name hits drop")}, places: []string{n.name}, accused: []party{device, farEnd, listener}}
	}},
	{"flush", func(d *drawer) fault {
		n, at := d.router(), d.between(50*time.Millisecond, 600*time.Millisecond)
		rows := d.allTCP(false)
		c := d.t.at(n, false, rows...)
		return fault{Text: fmt.Sprintf("%s forgets its connections at %v", n.name, at), nature: moment,
			plants: []plant{hook(c, "set known { type inet_service; size 65535; flags dynamic; }",
				c.match+" "+syn+" add @known { tcp sport } accept", c.match+" tcp sport != @known counter name hits drop")},
			at: at, once: []command{{node: n.name, do: "nft flush set inet %s known"}}, places: []string{n.name}, accused: []party{device}}
	}},
	{"listener-stops", func(d *drawer) fault {
		at := d.between(30*time.Millisecond, 600*time.Millisecond)
		return fault{Text: fmt.Sprintf("listen is ended at %v", at), nature: own, at: at, listen: stops, accused: []party{listener}, mention: saysListener}
	}},
	{"listener-restarts", func(d *drawer) fault {
		at := d.between(30*time.Millisecond, 500*time.Millisecond)
		return fault{Text: fmt.Sprintf("listen is ended at %v and started again", at), nature: own, at: at, listen: restarts, accused: []party{listener}, mention: saysListener}
	}},
	{"listener-sleeps", func(d *drawer) fault {
		at := d.between(20*time.Millisecond, 500*time.Millisecond)
		until := at + d.between(500*time.Millisecond, 7*time.Second)
		return fault{Text: fmt.Sprintf("listen is stopped (SIGSTOP) from %v to %v", at, until), nature: own, at: at, until: until, listen: sleeps, accused: []party{listener}, mention: saysListener}
	}},
	{"rp-filter", func(d *drawer) fault {
		n := d.t.farNode()
		if !d.t.Pair && d.IntN(3) == 0 {
			n = d.t.way()[3]
		}
		net := "10.1.0.0/24 198.51.100.0/30"
		if d.t.Pair {
			net = "10.2.0.0/24 198.51.100.4/30"
		}
		var do, undo []string
		for _, p := range strings.Fields(net) {
			do = append(do, "ip route replace "+p+" via 10.99.0.2 dev d0")
			undo = append(undo, "ip route del "+p+" via 10.99.0.2 dev d0 || true")
		}
		return fault{Text: n.name + ": reverse path filter, and the way back leaves by another interface", nature: own,
			commands: []command{{node: n.name,
				do:   "ip link add d0 type veth peer name d1 && ip addr add 10.99.0.1/24 dev d0 && ip link set d0 up && ip link set d1 up && " + strings.Join(do, " && ") + " && for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done",
				undo: "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done; " + strings.Join(undo, "; ") + "; ip link del d0"}},
			places: []string{n.name}, accused: rpParties(n, d.t), mention: rpSays(n, d.t)}
	}},
	{"few-descriptors", func(d *drawer) fault {
		n := 12 + d.IntN(20)
		f := fault{nature: own, accused: []party{nearEnd, listener}, mention: saysFiles}
		f.Text, f.limits = fmt.Sprintf("dial may have %d descriptors", n), fmt.Sprintf("ulimit -n %d", n)
		if d.IntN(2) == 0 {
			n += 48 // it cannot even begin with fewer
			f.Text, f.limits, f.limited = fmt.Sprintf("listen may have %d descriptors", n), "", fmt.Sprintf("ulimit -n %d", n)
		}
		return f
	}},
	{"few-ports", func(d *drawer) fault {
		n := 4 + d.IntN(16)
		near := d.t.nearNode().name
		return fault{Text: fmt.Sprintf("%s has %d local ports for outgoing connections", near, n), nature: own, accused: []party{nearEnd}, mention: saysPorts,
			commands: []command{{node: near, do: fmt.Sprintf("echo 40000 %d >/proc/sys/net/ipv4/ip_local_port_range", 40000+n-1), undo: "echo 32768 60999 >/proc/sys/net/ipv4/ip_local_port_range"}}}
	}},
	{"second-dial", func(*drawer) fault {
		return fault{Text: "another dial runs on the same machine at the same time", nature: own, beside: true, accused: []party{nearEnd}, mention: regexp.MustCompile(`(?i)another dial|other dial|in use|held by`)}
	}},

	{"led-to-other-port", func(d *drawer) fault {
		r := d.forward()
		r2 := r
		for r2.Port == r.Port {
			r2 = d.forward()
		}
		n := pick(d, d.t.way()[1], d.t.way()[2])
		c := d.t.at(n, false, r)
		fam, to := d.to(d.t.target(), r2.Port)
		return fault{Text: fmt.Sprintf("%s leads %s to port %d", n.name, r, r2.Port), nature: elsewhere, rows: []row{r},
			plants: []plant{dnat(c, fam, to)}, places: []string{n.name}, accused: []party{nat, device}}
	}},
	{"led-to-other-machine", func(d *drawer) fault {
		rows := d.someForward()
		n := d.t.way()[3]
		c := d.t.at(n, false, rows...)
		other := d.other()
		fam, to := d.to(other.addr, 0)
		return fault{Text: fmt.Sprintf("%s leads %s to %s, where another listen with the same key runs", n.name, words(rows), other.name), nature: elsewhere, rows: rows, second: other.name,
			plants: []plant{dnat(c, fam, to)}, places: []string{n.name}, accused: []party{nat, device}}
	}},
	{"led-nowhere", func(d *drawer) fault {
		rows := d.someForward()
		n := d.t.way()[3]
		c := d.t.at(n, false, rows...)
		other := d.other()
		what, addr := other.name+", where nothing listens", other.addr
		if d.IntN(2) == 0 {
			what, addr = "an address that nobody has", d.nobody()
		}
		fam, to := d.to(addr, 0)
		return fault{Text: fmt.Sprintf("%s leads %s to %s", n.name, words(rows), what), nature: elsewhere, rows: rows,
			plants: []plant{dnat(c, fam, to)}, places: []string{n.name}, accused: []party{nat, device, farEnd}}
	}},
	{"led-to-hop", func(d *drawer) fault {
		r, n := d.forward(), d.router()
		c := d.t.at(n, false, r)
		return fault{Text: fmt.Sprintf("%s takes %s itself, where nothing listens", n.name, r), nature: elsewhere, rows: []row{r},
			plants: []plant{dnat(c, "", "", c.match+" counter name hits redirect")}, places: []string{n.name}, accused: []party{nat, device}}
	}},
	{"own-instance", func(d *drawer) fault {
		a := d.t.nearNode().addrs[0]
		if d.t.Six {
			a = d.t.nearNode().addrs[1]
		}
		if d.IntN(3) == 0 && !d.t.Six {
			a = "127.0.1.1"
		}
		return fault{Text: "the far end's name is " + a + ", an address of the machine that dials", nature: own, hosts: []string{a}, accused: []party{naming, nearEnd}, mention: saysOwn}
	}},
	{"addresses", func(d *drawer) fault {
		live, dead := d.t.target(), d.nobody()
		what := "nobody has"
		if !d.t.Pair && d.IntN(2) == 0 {
			dead, what = d.other().addr, "nothing listens at"
		}
		hosts := []string{live, dead}
		if d.IntN(2) == 0 {
			slices.Reverse(hosts)
		}
		return fault{Text: fmt.Sprintf("the far end's name has the addresses %s; %s is one that %s", strings.Join(hosts, " and "), dead, what), nature: share, hosts: hosts, accused: []party{naming, farEnd, device, listener}}
	}},
	{"two-listeners", func(d *drawer) fault {
		rows := d.someForward()
		n := d.t.way()[3]
		c := d.t.at(n, false, rows...)
		other := d.other()
		fam, to := d.to(other.addr, 0)
		by := pick(d, "numgen inc mod 2 == 0", "numgen random mod 100 < 50", fmt.Sprintf("jhash tcp sport mod 2 seed 0x%x == 0", d.Uint32()), "tcp sport & 1 == 0")
		return fault{Text: fmt.Sprintf("%s shares %s out between the far end and %s, which has a listen with the same key (%s)", n.name, words(rows), other.name, by), nature: elsewhere, rows: rows, second: other.name,
			plants: []plant{dnat(c, "", "", fmt.Sprintf("%s %s counter name hits dnat %s to %s", c.match, by, fam, to))}, places: []string{n.name}, accused: []party{nat, device}}
	}},

	{"led-back", func(d *drawer) fault {
		rows := []row{{7968, "tcp", false}}
		if d.IntN(2) == 0 {
			rows = d.allTCP(false)
		}
		n := d.t.way()[1]
		c := d.t.at(n, false, rows...)
		a, fam := d.t.nearNode().addrs[0], "ip"
		if d.t.Six {
			a, fam = d.t.nearNode().addrs[1], "ip6"
		}
		return fault{Text: fmt.Sprintf("%s leads %s back to the machine that dials", n.name, words(rows)), nature: own, rows: rows, translates: true,
			plants: []plant{dnat(c, fam, a), {n.name, fmt.Sprintf("table inet %%s { chain back { type nat hook postrouting priority srcnat; oifname %q %s daddr %s masquerade; }; }", n.near, fam, a)}},
			places: []string{n.name}, accused: []party{nat, device, naming, nearEnd}, mention: saysOwn}
	}},
	{"answered-by-device", func(d *drawer) fault {
		rows, n := d.someForward(), d.router()
		c := d.t.at(n, false, rows...)
		mode := pick(d, "silent", "close", "banner", "echo")
		return fault{Text: fmt.Sprintf("%s answers %s itself (%s)", n.name, words(rows), mode), nature: elsewhere, rows: rows, pretends: &pretence{n.name, mode},
			plants: []plant{dnat(c, "", "", fmt.Sprintf("%s counter name hits redirect to :%d", c.match, oracle.PretendPort))}, places: []string{n.name}, accused: []party{nat, device}}
	}},
	{"far-masquerade", func(d *drawer) fault {
		n := d.t.way()[3]
		var reverse []row
		for _, r := range d.t.rows() {
			if r.Reverse {
				reverse = append(reverse, r)
			}
		}
		return fault{Text: n.name + " puts its own address in the place of everybody's towards the far end", nature: static, rows: reverse, translates: true,
			plants: []plant{{n.name, fmt.Sprintf("table inet %%s { counter hits { }\n chain c { type nat hook postrouting priority srcnat - 1; oifname %q counter name hits masquerade; }; }", n.far)}},
			places: []string{n.name}, accused: []party{nat, device}}
	}},
	{"neighbour", func(d *drawer) fault {
		r := d.forward()
		n := d.t.way()[1]
		c := d.t.at(n, false, r)
		return fault{Text: fmt.Sprintf("%s drops %s, and from the same address outside somebody else connects to that port", n.name, r), nature: static, rows: []row{r}, stranger: n.name,
			plants: []plant{hook(c, "", c.match+" counter name hits drop")}, places: []string{n.name}, accused: []party{device}}
	}},
	{"changed", func(d *drawer) fault {
		r := d.forward()
		t := &router.Treatment{Ports: []int{r.Port}, Change: pick(d, 0.02, 0.2, 1)}
		f := fault{Text: fmt.Sprintf("wan changes a byte in %.0f %% of the segments of port %d", t.Change*100, r.Port), nature: content, there: t, places: []string{"wan"}, accused: []party{device}}
		for _, o := range d.t.rows() {
			if o.Port == r.Port && o.Transport == "tcp" {
				f.rows = append(f.rows, o)
			}
		}
		if d.IntN(2) == 0 {
			f.there, f.back = nil, t
		}
		return f
	}},
	{"idle", func(d *drawer) fault {
		return rest(d, "a connection that is idle for 1.5 s is forgotten", "update @known { tcp sport timeout 1500ms } accept")
	}},
	{"age", func(d *drawer) fault {
		return rest(d, "a connection that is 1.5 s old is forgotten, idle or not", "accept")
	}},

	{"mtu", func(d *drawer) fault {
		rows, n, most := d.some(), d.router(), pick(d, 576, 900, 1280, 1400)
		c := d.t.at(n, d.IntN(2) == 0, rows...)
		return fault{Text: fmt.Sprintf("%s: packets of more than %d bytes vanish (%s)", n.name, most, c.match), nature: size, rows: rows,
			plants: []plant{hook(c, "", fmt.Sprintf("%s meta length > %d counter name hits drop", c.match, most))}, places: []string{n.name}, accused: []party{link, device}}
	}},
	{"mtu-member", func(d *drawer) fault {
		rows, n, most := d.some(), d.router(), pick(d, 576, 900, 1280)
		c := d.t.at(n, false, rows...)
		return fault{Text: fmt.Sprintf("%s: one of two ways of %s, by a hash of the source port, takes no packets of more than %d bytes", n.name, words(rows), most), nature: size, rows: rows,
			plants: []plant{hook(c, "", fmt.Sprintf("%s jhash tcp sport mod 2 seed 0x%x == 0 meta length > %d counter name hits drop", c.match, d.Uint32(), most))}, places: []string{n.name}, accused: []party{link, device, nat}}
	}},
	{"payload", func(d *drawer) fault {
		r, n := d.forward(), d.router()
		what, match := "the proof", "@ih,32,32 0x2112a442" // STUN's cookie, RFC 8489 section 5
		switch {
		case r.Port == 443 && d.IntN(3) > 0:
			what, match = "a TLS hello", "@ih,0,16 0x1603"
		case (r.Port == 1433 || r.Port == 1344) && d.IntN(3) > 0:
			what, match = "TDS's first message", "@ih,0,8 0x12"
		}
		c := d.t.at(n, false, r)
		does := pick(d, "drop", "reject with tcp reset")
		return fault{Text: fmt.Sprintf("%s: %s on %s: %s", n.name, what, r, does), nature: content, rows: []row{r},
			plants: []plant{hook(c, "", fmt.Sprintf("%s %s counter name hits %s", c.match, match, does))}, places: []string{n.name}, accused: []party{device}}
	}},
	{"cut-off", func(d *drawer) fault {
		rows, n, most := d.some(), d.router(), pick(d, 2000, 20000, 100000, 400000)
		c := d.t.at(n, d.IntN(2) == 0, rows...)
		does := pick(d, "drop", "reject with tcp reset")
		return fault{Text: fmt.Sprintf("%s: a connection is cut off after %d bytes (%s: %s)", n.name, most, c.match, does), nature: content, rows: rows,
			commands: []command{{node: n.name, do: "echo 1 >/proc/sys/net/netfilter/nf_conntrack_acct", undo: "true"}},
			plants:   []plant{hook(c, "", fmt.Sprintf("%s ct bytes > %d counter name hits %s", c.match, most, does))}, places: []string{n.name}, accused: []party{device}}
	}},

	{"udp", func(d *drawer) fault {
		r := row{1434, "udp", false}
		n, reply := d.router(), d.IntN(2) == 0
		c := d.t.at(n, reply, r)
		by := pick(d, "", "", fmt.Sprintf("udp %s & 1 == %d ", map[bool]string{false: "sport", true: "dport"}[reply], d.IntN(2)), "numgen random mod 100 < 50 ")
		does := "drop"
		if !reply && by == "" {
			does = pick(d, "drop", "reject with "+d.icmp())
		}
		nature := static
		switch {
		case strings.HasPrefix(by, "numgen"):
			nature = lossy
		case by != "":
			nature = share
		}
		return fault{Text: fmt.Sprintf("%s: %s %s%s", n.name, c.match, by, does), nature: nature, rows: []row{r},
			plants: []plant{hook(c, "", c.match+" "+by+"counter name hits "+does)}, places: []string{n.name}, accused: []party{device, nat}}
	}},
}

// icmp draws how to reject.
func (d *drawer) icmp() string {
	if d.t.Six {
		return "icmpv6 type " + pick(d, "no-route", "admin-prohibited", "addr-unreachable", "port-unreachable")
	}
	return "icmp type " + pick(d, "net-unreachable", "host-unreachable", "port-unreachable", "prot-unreachable", "net-prohibited", "host-prohibited", "admin-prohibited")
}

func (d *drawer) acceptor(r row) node {
	if r.Reverse {
		return d.t.nearNode()
	}
	return d.t.farNode()
}

func (d *drawer) initiator(r row) node {
	if r.Reverse {
		return d.t.farNode()
	}
	return d.t.nearNode()
}

func (d *drawer) allTCP(reverse bool) []row {
	return slices.DeleteFunc(d.t.rows(), func(r row) bool { return r.Transport != "tcp" || r.Reverse != reverse })
}

func (d *drawer) someForward() []row {
	if d.IntN(3) == 0 {
		return d.allTCP(false)
	}
	return []row{d.forward()}
}

// A machine beside the far end.
type beside struct{ name, addr string }

// other is a machine behind the last router, beside the far end.
func (d *drawer) other() beside {
	if d.t.Pair {
		// Behind fwp there is the peer alone: another machine of the internet.
		if d.t.Six {
			return beside{"client", "2001:db8:1::10"}
		}
		return beside{"client", "10.1.0.10"}
	}
	if d.t.Six {
		return beside{"database", "2001:db8:2::20"}
	}
	return beside{"database", "10.2.0.20"}
}

// nobody is an address of the far network that no machine has.
func (d *drawer) nobody() string {
	switch {
	case d.t.Pair && d.t.Six:
		return "2001:db8:3::99"
	case d.t.Pair:
		return "203.0.113.3"
	case d.t.Six:
		return "2001:db8:2::99"
	}
	return "10.2.0.99"
}

// to writes a DNAT's target.
func (d *drawer) to(addr string, port int) (family, to string) {
	switch {
	case strings.Contains(addr, ":") && port != 0:
		return "ip6", fmt.Sprintf("[%s]:%d", addr, port)
	case strings.Contains(addr, ":"):
		return "ip6", addr
	case port != 0:
		return "ip", fmt.Sprintf("%s:%d", addr, port)
	}
	return "ip", addr
}

// loss is a link that loses packets, one way or both.
func loss(d *drawer, p float64) fault {
	t := &router.Treatment{Loss: p}
	f := fault{Text: fmt.Sprintf("%.0f %% of packets are lost each way", p*100), nature: lossy, there: t, back: t, accused: []party{link, device}}
	switch d.IntN(3) {
	case 0:
		f.Text, f.back = fmt.Sprintf("%.0f %% of packets are lost on the way there", p*100), nil
	case 1:
		f.Text, f.there = fmt.Sprintf("%.0f %% of packets are lost on the way back", p*100), nil
	}
	return f
}

// rest is a device that forgets connections, tested with --hold.
func rest(d *drawer, what, known string) fault {
	r, n := d.forward(), d.router()
	c := d.t.at(n, false, r)
	return fault{Text: fmt.Sprintf("%s: %s, of %s", n.name, what, r), nature: resting, rows: []row{r}, hold: "3s",
		plants: []plant{hook(c, "set known { type inet_service; size 65535; flags dynamic,timeout; timeout 1500ms; }",
			c.match+" tcp sport @known "+known, c.match+" "+syn+" add @known { tcp sport } accept", c.match+" counter name hits drop")},
		places: []string{n.name}, accused: []party{device}}
}

// sticky is a share of connections that a device chooses at their first packet
// and treats alike ever after.
func sticky(d *drawer, choice, which string) fault {
	rows, n := d.some(), d.router()
	c := d.t.at(n, false, rows...)
	f := fault{nature: share, rows: rows, places: []string{n.name}, accused: []party{device, nat}}
	if d.IntN(2) == 0 {
		f.Text = fmt.Sprintf("%s resets %s of %s", n.name, which, words(rows))
		f.plants = []plant{hook(c, "", fmt.Sprintf("%s %s %s counter name hits reject with tcp reset", c.match, syn, choice))}
		return f
	}
	f.Text = fmt.Sprintf("%s drops %s of %s", n.name, which, words(rows))
	f.plants = []plant{hook(c, "set bad { type inet_service; flags dynamic,timeout; timeout 1m; }\n set good { type inet_service; flags dynamic,timeout; timeout 1m; }",
		c.match+" tcp sport @bad counter name hits drop",
		c.match+" tcp sport @good accept",
		fmt.Sprintf("%s %s %s add @bad { tcp sport } counter name hits drop", c.match, syn, choice),
		c.match+" "+syn+" add @good { tcp sport }")}
	return f
}

func rpParties(n node, t topology) []party {
	if n.name == t.farNode().name {
		return []party{farEnd}
	}
	return []party{device}
}

func rpSays(n node, t topology) *regexp.Regexp {
	if n.name == t.farNode().name {
		return saysReverse
	}
	return nil
}
