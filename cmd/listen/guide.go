package main

import (
	"dialtone/internal/cli"
	"dialtone/internal/dialect"
	"dialtone/internal/plan"
)

// guide is what listen's help has beside commands and flags, and what shells complete.
var guide = cli.Guide{
	Groups: []cli.Group{
		{Name: "What is listened for", Flags: []string{"plan", "site", "port", "port-shift", "role", "bind", "beside", "contact", "check"}},
		{Name: "The key, and who may use it", Flags: []string{"key", "key-file", "allow"}},
		{Name: "Partners, and staff PCs that have nothing yet", Flags: []string{"invite", "public", "name", "downloads"}},
		{Name: "What is kept and shown", Flags: []string{"out", "dashboard", "ledger", "json"}},
		{Name: "How it runs", Flags: []string{"for", "user", "ready-file"}},
		{Name: "Rules", Flags: []string{"dialect", "address", "until"}},
	},
	Examples: map[string][]cli.Example{
		"": {
			{Command: "sudo listen", For: "on the server to be: it prints the command for the other machines"},
			{Command: "sudo listen --out arrived.html --for 2h", For: "and keeps a page of who reached which port, and who is still expected"},
			{Command: "listen --invite invitation.txt --public illiad.example.edu --name \"Example University Library\"", For: "with the one line that a partner needs"},
			{Command: "sudo listen --beside --contact 8999", For: "beside live software: nothing of it is touched, dial --contact 8999 asks what arrived"},
			{Command: "listen --port-shift 10000", For: "to try it without any privilege, with the same flag for dial"},
		},
		"plan":  {{Command: "listen plan --site site.yaml", For: "who dials what at this site, and who says so"}},
		"rules": {{Command: "listen rules --dialect windows --address client=10.2.8.0/22", For: "what the server's own firewall, and those on the way, have to allow"}},
		"service": {
			{Command: "listen service install --key-file C:\\dialtone\\key.txt --ledger C:\\dialtone\\ledger.jsonl", For: "Windows keeps it running while nobody is logged on"},
			{Command: "listen service remove", For: "and no more"},
		},
	},
	Choices: func(_, flag string) []string {
		switch flag {
		case "plan":
			return plan.Names()
		case "dialect":
			return dialect.Names()
		case "role":
			return []string{"server", "web", "database", "peer"}
		}
		return nil
	},
}
