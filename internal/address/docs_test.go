package address

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"dialtone/internal/result"
)

// unplanted are the findings that no NAT of the lab brings about, and why.
var unplanted = map[string]string{
	"nat64":               "the kernel translates no IPv6 to IPv4",
	"implausible-address": "a server must say it: TestAServerThatLiesIsNotBelieved",
	"stun-error":          "a server must say it: internal/echo",
	"server-failed":       "an error that this program knows nothing of",
}

// alsoHere are the codes of other groups that this package's findings have too.
var alsoHere = []result.Code{result.CodeNATNoForward, result.CodeWrongKey}

// codesHere are the findings that this package can make.
func codesHere(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, c := range alsoHere {
		out[string(c)] = true
	}
	for _, g := range result.Codes {
		if g.About != "About this machine's address" {
			continue
		}
		for _, c := range g.Codes {
			out[string(c.Code)] = true
		}
	}
	if len(out) < 40 {
		t.Fatalf("found only %d: has the group another name?", len(out))
	}
	return out
}

func TestEveryFindingIsDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "address.md"))
	if err != nil {
		t.Fatal(err)
	}
	for code := range codesHere(t) {
		if !bytes.Contains(doc, []byte("`"+code+"`")) {
			t.Errorf("docs/address.md does not say what %s means", code)
		}
	}
}

// Each finding is shown by a real NAT or server in the lab.
func TestEveryFindingIsPlanted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "lab", "addresses", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no scenario", err)
	}
	planted := map[string]bool{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line := regexp.MustCompile(`(?m)^findings: \[(.*)\]$`).FindSubmatch(src)
		if line == nil {
			t.Fatalf("%s names no findings", file)
		}
		for _, code := range bytes.Split(line[1], []byte(", ")) {
			planted[string(code)] = true
		}
	}
	all := codesHere(t)
	for code := range all {
		if _, except := unplanted[code]; planted[code] == except {
			t.Errorf("%s: planted is %v, unplanted says %q", code, planted[code], unplanted[code])
		}
	}
	for code := range planted {
		if !all[code] {
			t.Errorf("%s is planted and never found", code)
		}
	}
}
