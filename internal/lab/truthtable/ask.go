package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/lab"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A target is what a tool without a far end can be asked about.
type target struct {
	addr      netip.Addr
	port      uint16
	transport plan.Transport
}

func compareTargets(a, b target) int {
	return cmp.Or(a.addr.Compare(b.addr), strings.Compare(string(a.transport), string(b.transport)), cmp.Compare(a.port, b.port))
}

// A tool is another program that is asked the same questions as dial.
type tool struct {
	name    string
	program string
	// version is a command that prints its version on its first line.
	version []string
	// forms are its command lines as the page shows them.
	forms []string
	// ask returns the command lines for targets, all of which run side by side.
	ask func([]target) [][]string
	// read returns the answers in what those commands said.
	read func([]target, []lab.Said) (map[target]answer, error)
}

// An answer is what a tool says of one target, in its own words and in ours.
type answer struct {
	words string
	claim claim
}

var tools = []tool{
	{
		name: "nmap", program: "nmap", version: []string{"nmap", "--version"},
		forms: []string{
			strings.Join(nmapCommand("PORTS", false, true, true, "ADDRESS"), " "),
			strings.Join(nmapCommand("PORTS", true, true, true, "ADDRESS"), " "),
		},
		ask: askNmap, read: readNmap,
	},
	{
		name: "nc", program: "nc", version: []string{"nc", "-h"},
		forms: []string{
			strings.Join(ncCommand(plan.TCP, "ADDRESS", "PORT"), " "),
			strings.Join(ncCommand(plan.UDP, "ADDRESS", "PORT"), " "),
		},
		ask: askNC, read: readNC,
	},
}

// nmapCommand gives nmap as much patience as dial and nc have: three tries of
// 1.5 seconds. Its own timeouts shrink to 100 ms on a fast network, which calls
// a port filtered that lost two packets.
func nmapCommand(ports string, six, tcp, udp bool, addr string) []string {
	argv := []string{"nmap"}
	if six {
		argv = append(argv, "-6")
	}
	argv = append(argv, "-n", "-Pn")
	if tcp {
		argv = append(argv, "-sT")
	}
	if udp {
		argv = append(argv, "-sU")
	}
	return append(argv, "--reason", "-T4", "--max-retries", "2", "--initial-rtt-timeout", "1500ms",
		"--min-rtt-timeout", "1500ms", "--max-rtt-timeout", "1500ms", "-p", ports, "-oX", "-", addr)
}

// askNmap is one run for each address, over all its ports.
func askNmap(targets []target) [][]string {
	var commands [][]string
	for _, addr := range addresses(targets) {
		var ports []string
		has := map[plan.Transport]bool{}
		for _, t := range targets {
			if t.addr == addr {
				ports = append(ports, strings.ToUpper(string(t.transport[0]))+":"+strconv.Itoa(int(t.port)))
				has[t.transport] = true
			}
		}
		commands = append(commands, nmapCommand(strings.Join(ports, ","), addr.Is6(), has[plan.TCP], has[plan.UDP], addr.String()))
	}
	return commands
}

func addresses(targets []target) []netip.Addr {
	var all []netip.Addr
	for _, t := range targets {
		if !slices.Contains(all, t.addr) {
			all = append(all, t.addr)
		}
	}
	return all
}

// An nmapRun is what matters of nmap's XML.
type nmapRun struct {
	Hosts []struct {
		Ports []struct {
			Protocol string `xml:"protocol,attr"`
			ID       uint16 `xml:"portid,attr"`
			State    struct {
				State  string `xml:"state,attr"`
				Reason string `xml:"reason,attr"`
			} `xml:"state"`
		} `xml:"ports>port"`
	} `xml:"host"`
}

// readNmap reads what nmap said of each address. A run that ended without a
// word on its ports leaves them unanswered; that is an answer too.
func readNmap(targets []target, said []lab.Said) (map[target]answer, error) {
	answers := map[target]answer{}
	for _, t := range targets {
		answers[t] = answer{words: "(nothing)", claim: claimNothing}
	}
	for i, addr := range addresses(targets) {
		_, doc, ok := strings.Cut(said[i].Text, "<nmaprun")
		if !ok {
			return nil, fmt.Errorf("nmap on %s: no XML, exit status %d:\n%s", addr, said[i].Exit, said[i].Text)
		}
		var run nmapRun
		if err := xml.Unmarshal([]byte("<nmaprun"+doc), &run); err != nil && said[i].Exit == 0 {
			return nil, fmt.Errorf("nmap on %s: %w:\n%s", addr, err, said[i].Text)
		}
		if strings.Contains(doc, "failed to determine route to "+addr.String()) {
			for _, t := range targets {
				if t.addr == addr {
					answers[t] = answer{words: "failed to determine route", claim: claimLocal}
				}
			}
		}
		for _, h := range run.Hosts {
			for _, p := range h.Ports {
				t := target{addr, p.ID, plan.Transport(p.Protocol)}
				if _, asked := answers[t]; !asked {
					return nil, fmt.Errorf("nmap on %s: port %s/%d was not asked for", addr, p.Protocol, p.ID)
				}
				answers[t] = answer{words: p.State.State + " (" + p.State.Reason + ")", claim: nmapClaim(p.State.State, p.State.Reason)}
			}
		}
	}
	return answers, nil
}

func nmapClaim(state, reason string) claim {
	switch state {
	case "open":
		return claimOpen
	case "closed":
		return claimClosed
	case "open|filtered":
		return claimOpenOrBlocked
	case "filtered":
		if reason == "no-response" {
			return claimSilence
		}
		return claimError
	}
	return claimNothing
}

func ncCommand(over plan.Transport, addr, port string) []string {
	flags := "-nvz"
	if over == plan.UDP {
		flags += "u"
	}
	return []string{"nc", flags, "-w", "4", addr, port}
}

// askNC is one run for each port.
func askNC(targets []target) [][]string {
	commands := make([][]string, len(targets))
	for i, t := range targets {
		commands[i] = ncCommand(t.transport, t.addr.String(), strconv.Itoa(int(t.port)))
	}
	return commands
}

func readNC(targets []target, said []lab.Said) (map[target]answer, error) {
	answers := map[target]answer{}
	for i, t := range targets {
		a, err := ncAnswer(said[i])
		if err != nil {
			return nil, fmt.Errorf("nc on %v port %d: %w", t.addr, t.port, err)
		}
		answers[t] = a
	}
	return answers, nil
}

// ncAnswer reads nc's one line, which ends in a system's error text when it
// failed. Over UDP it fails without a word.
func ncAnswer(s lab.Said) (answer, error) {
	text := strings.TrimSpace(s.Text)
	_, why, _ := strings.Cut(text, " failed: ")
	switch {
	case s.Exit == 0 && strings.Contains(text, " succeeded!"):
		return answer{"succeeded", claimOpen}, nil
	case s.Exit == 0:
	case strings.Contains(text, "timed out"):
		return answer{"timed out", claimSilence}, nil
	case text == "":
		return answer{"(fails, says nothing)", claimNothing}, nil
	case why == "Connection refused":
		return answer{why, claimClosed}, nil
	case why == "Operation not permitted":
		return answer{why, claimLocal}, nil
	case why != "":
		return answer{why, claimError}, nil
	}
	return answer{}, fmt.Errorf("exit status %d, and it says %q", s.Exit, text)
}

// targetsOf returns the distinct targets that other tools can be asked about,
// in order, with the truth about each.
func targetsOf(s lab.Scenario, r result.Report, j lab.Judgement) ([]target, map[target]truth, error) {
	truths := map[target]truth{}
	for i, p := range r.Paths {
		// A port that only a conversation names is gone when that ends, and a
		// path that was not attempted has no truth.
		if p.Direction != plan.Forward || !p.Target.IsValid() || p.SourcePort != 0 || j.Paths[i].Want == result.Untested {
			continue
		}
		t := target{p.Target.Addr(), p.Target.Port(), p.Transport}
		tr := truthOf(s, p.Transport, j.Paths[i].Want)
		if other, ok := truths[t]; ok && other != tr {
			return nil, nil, fmt.Errorf("%s port %d: the scenario expects both %s and %s", t.addr, t.port, other, tr)
		}
		truths[t] = tr
	}
	targets := make([]target, 0, len(truths))
	for t := range truths {
		targets = append(targets, t)
	}
	slices.SortFunc(targets, compareTargets)
	return targets, truths, nil
}
