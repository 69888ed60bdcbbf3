package invite

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dialtone/internal/echo"
)

// theirs is the invitation of the vectors.
func theirs(v vectors) Invitation {
	c := v.Content
	return Invitation{c.Name, c.Hosts, c.Key, c.Plan, c.Digest, c.Shift, c.Ports, c.Rows, c.Issued, c.Expires, c.By}
}

func TestVectorsOfAnIndependentProgram(t *testing.T) {
	v := readVectors(t)
	key, err := echo.ParseKey(v.Content.Key)
	if err != nil || hex.EncodeToString(key.Derive("invitation")) != v.SigningKey {
		t.Errorf("the signing key is %x, %v", key.Derive("invitation"), err)
	}
	for _, line := range []string{v.Line, v.Other} {
		got, err := Parse(line, issued)
		if err != nil || !reflect.DeepEqual(got, theirs(v)) {
			t.Errorf("got %v, %v\n%s", got, err, line)
		}
	}
	if got := mustMake(t, theirs(v)); got != v.Line {
		t.Errorf("made\n%s, want\n%s", got, v.Line)
	}
}

func TestThePageHasTheVectors(t *testing.T) {
	v := readVectors(t)
	b, err := os.ReadFile("../../docs/invitation.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(b)), "")
	for _, s := range []string{v.Line, v.SigningKey, v.Content.Digest, v.Content.Key} {
		if !strings.Contains(page, s) {
			t.Errorf("docs/invitation.md does not have %s", s)
		}
	}
	// A reader may copy the line from the page, wrapped as it is there.
	if got, err := Parse(string(b), issued); err != nil || !reflect.DeepEqual(got, theirs(v)) {
		t.Errorf("found in docs/invitation.md: %v, %v", got, err)
	}
}

func TestEMailsOfAnotherProgram(t *testing.T) {
	v := readVectors(t)
	files, err := filepath.Glob("testdata/mail/*.eml")
	if err != nil || len(files) < 8 {
		t.Fatalf("only %d e-mails, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(string(b), issued); err != nil || !reflect.DeepEqual(got, theirs(v)) {
			t.Errorf("%s: got %v, %v", file, got, err)
		}
	}
}

// writePlan writes the plan of the vectors, with changes.
func writePlan(t *testing.T, v vectors, change func(row string) string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("name: two-servers\ntitle: T\nroles:\n  server: a server\n  peer: a peer\nrows:\n")
	for _, r := range v.Rows {
		from := strings.Trim(fmt.Sprint(r[4]), "[]")
		row := fmt.Sprintf("  - {id: %v, service: s, name: N, transport: %v, port: %v, source_port: %v, from: [%s], to: %v, expect: %v, need: required, why: W., source: S}\n",
			r[0], r[1], r[2], r[3], strings.ReplaceAll(from, " ", ", "), r[5], r[6])
		row = strings.Replace(strings.Replace(row, ", source_port: 0", "", 1), "port: 0", "port: high", 1)
		b.WriteString(change(row))
	}
	file := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestThePlanMustBeTheirs(t *testing.T) {
	v := readVectors(t)
	same := func(row string) string { return row }
	p, err := theirs(v).LoadPlan(writePlan(t, v, same))
	if err != nil || p.Name != "two-servers" {
		t.Fatalf("got %v", err)
	}
	for what, to := range map[string]string{
		"name: N": "name: Other", "why: W.": "why: Other.", "need: required": "need: optional", "service: s": "service: other",
	} {
		if _, err := theirs(v).LoadPlan(writePlan(t, v, func(row string) string { return strings.Replace(row, what, to, 1) })); err != nil {
			t.Errorf("%s, which tests the same: %v", to, err)
		}
	}
	for what, to := range map[string]string{
		"port: 7968": "port: 7967", "id: data": "id: datum", "transport: udp": "transport: tcp", "source_port: 20": "source_port: 21",
		"from: [peer, server]": "from: [server, peer]", "to: peer": "to: server", "expect: closed": "expect: open",
	} {
		_, err := theirs(v).LoadPlan(writePlan(t, v, func(row string) string { return strings.Replace(row, what, to, 1) }))
		if !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "they differ (theirs is "+v.Content.Digest) || !strings.Contains(err.Error(), "dialtone 0.1.0") {
			t.Errorf("%s: got %v", to, err)
		}
	}
	for _, c := range []struct {
		change func(*Invitation)
		file   string
		is     error
		says   string
	}{
		{func(*Invitation) {}, "", ErrPlan, `"two-servers", which is not built in: ask Example University Library (illiad.example.edu) for its file and give it with --plan FILE`},
		{func(*Invitation) {}, "illiad", ErrPlan, `it says "two-servers", and --plan illiad is "illiad"`},
		{func(i *Invitation) { i.Plan = "illiad" }, "", ErrPlan, `both are called "illiad", and they differ`},
		{func(i *Invitation) { i.Rows = []string{"nosuch"} }, writePlan(t, v, same), ErrRow, `"nosuch"`},
		{func(i *Invitation) { i.Ports = map[string]int{"s": 1} }, writePlan(t, v, same), ErrRow, `"s"`},
	} {
		i := theirs(v)
		c.change(&i)
		if _, err := i.LoadPlan(c.file); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %v with %q", err, c.is, c.says)
		}
	}
	if _, err := theirs(v).LoadPlan("nosuch.yaml"); err == nil || !strings.Contains(err.Error(), "nosuch.yaml") {
		t.Errorf("got %v", err)
	}
}
