package main

import (
	"dialtone/internal/cli"
	"dialtone/internal/dialect"
	"dialtone/internal/plan"
	"dialtone/internal/report"
)

// guide is what dial's help has beside commands and flags, and what shells complete.
var guide = cli.Guide{
	Groups: []cli.Group{
		{Name: "What is tested", Flags: []string{"plan", "site", "port", "port-shift", "role", "only", "both-ways", "host", "installed", "peers", "stun", "published", "to"}},
		{Name: "The key, and this machine's end", Flags: []string{"key", "key-file", "bind", "contact"}},
		{Name: "How", Flags: []string{"timeout", "gentle", "trace", "hold", "enter", "wait", "at-once", "progress", "again", "every", "jitter"}},
		{Name: "What is shown and kept", Flags: []string{"format", "out", "verbose", "compare", "history", "metrics"}},
		{Name: "Requests to the firewall team", Flags: []string{"dialect", "as-subnet", "until"}},
	},
	Examples: map[string][]cli.Example{
		"": {
			{Command: "dial --key WORDS 10.2.0.10", For: "what a staff PC has to reach on the server where listen runs"},
			{Command: "dial --key WORDS --role web --out report.html 10.2.0.10", For: "the same from a web server of its own, and a page for a browser"},
			{Command: "dial --key WORDS --site site.yaml --out campus.requests --dialect asa 10.2.0.10", For: "with what to ask the firewall team for, as rules for a Cisco ASA"},
			{Command: "dial --installed 10.2.0.10", For: "once ILLiad is installed: its own services answer, no listen and no key"},
		},
		"odyssey": {
			{Command: "dial odyssey @mail.eml", For: "by the invitation in a saved e-mail: it has the key and all else"},
			{Command: "dial odyssey --key WORDS --wait 15m illiad.example.edu", For: "both sides run it: whichever direction works, both get the report"},
			{Command: "dial odyssey --peers partners.csv --out matrix.html", For: "a whole list of partners, side by side"},
		},
		"egress": {
			{Command: "dial egress --role server --site site.yaml", For: "from the server: OCLC, Atlas, and the site's own LDAP, ILS and mail"},
			{Command: "dial egress --only ldap --host ldap=ldap.example.edu", For: "one row, at another host than the site file's"},
		},
		"merge": {
			{Command: "dial merge ours.json theirs.json", For: "both ends of a pair that could not reach each other"},
			{Command: "dial merge here.json there.json", For: "dial's report, and that of listen --out there.json"},
			{Command: "dial merge --out week12.html pc-*.json", For: "many machines as a matrix"},
		},
		"compare": {
			{Command: "dial compare monday.json tuesday.json", For: "what worked on Monday and does not now"},
		},
		"move": {
			{Command: "dial move --to 10.2.0.20 arrived.json partner-*.json", For: "what everybody has to change who reached the old server"},
		},
		"watch": {
			{Command: "dial watch --key-file key --history watch.jsonl 10.2.0.10", For: "every 15 minutes; what changes is kept"},
			{Command: "dial watch --key-file key --every 5m --metrics 9977 10.2.0.10", For: "Prometheus asks http://127.0.0.1:9977/metrics"},
			{Command: "dial watch --installed --every 1h 10.2.0.10", For: "the real software: no key, no listen"},
		},
		"address": {
			{Command: "dial address --stun stun:stun.example.org", For: "as which address others see this machine"},
			{Command: "dial address --key WORDS illiad.example.edu", For: "and whether it leads back here: the partner's listen tries"},
		},
	},
	Choices: func(command, flag string) []string {
		switch {
		case flag == "plan":
			return plan.Names()
		case flag == "dialect":
			return dialect.Names()
		case flag == "role":
			return roleNames()
		case flag != "format":
			return nil
		}
		switch command {
		case "merge":
			return report.Matrix.Names()
		case "compare":
			return report.Comparison.Names()
		case "move":
			return report.Move.Names()
		case "address":
			return report.Address.Names()
		case "watch":
			return []string{"text", "json"}
		}
		return report.Paths.Names()
	},
}

// roleNames are the roles of the plan that is taken if none is given, and all.
func roleNames() []string {
	out := []string{"all"}
	if p, err := plan.Load("illiad"); err == nil {
		for _, r := range p.RoleNames() {
			out = append(out, string(r))
		}
	}
	return out
}
