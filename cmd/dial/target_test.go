package main

import (
	"strings"
	"testing"
)

func TestAFileInPlaceOfAHostIsAnsweredWithTheCommandThatReadsIt(t *testing.T) {
	for name, want := range map[string]string{
		`C:\x\mail.eml`:            `dial odyssey @C:\x\mail.eml `,
		`c:/Users/a b/mail.MSG`:    `dial odyssey @"c:/Users/a b/mail.MSG" `,
		`\\share\mail.emlx`:        `dial odyssey @\\share\mail.emlx `,
		"“invitation.txt”":         "dial odyssey @invitation.txt ",
		"ours.json":                "dial merge ours.json OTHER.json",
		"*.json":                   "dial merge *.json OTHER.json",
		"partners.csv":             "--peers partners.csv",
		"site.yaml":                "--site site.yaml HOST",
		"/home/me/invitation":      "Write @/home/me/invitation for",
		"./invitation":             "Write @./invitation for",
		`.\invitation`:             `Write @.\invitation for`,
		"~/invitation":             "Write @~/invitation for",
		"file:///tmp/x":            "Write @file:///tmp/x for",
		"illiad.example.edu":       "",
		"illiad.txt.example.edu":   "",
		`illiad.example.edu\ATLAS`: "",
		"http://host/x.json":       "",
		"//host/share":             "",
		"fe80::1%eth0":             "",
		"10.0.0.1":                 "",
		".":                        "",
	} {
		err := notFile(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
