package invite

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// vectors are those of docs/invitation.md. testdata/vectors.py made them from
// that page with Python's hashlib and hmac and the command line of argon2;
// nothing of this package took part.
type vectors struct {
	Rows       [][]any `json:"rows"`
	Content    content `json:"content"`
	SigningKey string  `json:"signing_key"`
	Line       string  `json:"line"`
	Other      string  `json:"other"`
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// issued is when the invitations of these tests are made, expires when they end.
var (
	issued  = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	expires = issued.Add(8 * time.Hour)
)

// sample is an invitation that has everything.
func sample() Invitation {
	return Invitation{
		Name: "Example University Library", Hosts: []string{"illiad.example.edu", "192.0.2.10", "2001:db8::10"},
		KeyText: "correct-horse-battery-staple-dial-tone", Plan: "two-servers", PlanDigest: "0123456789abcdef", Shift: 10000,
		Ports: map[string]int{"odyssey-in": 7969}, Rows: []string{"odyssey-out", "odyssey-in"},
		Issued: issued, Expires: expires, By: "dialtone 0.1.0",
	}
}

// plain has no more than it must.
func plain() Invitation {
	return Invitation{
		Hosts: []string{"192.0.2.10"}, KeyText: "twelve-chars", Plan: "p", PlanDigest: "d", Issued: issued, Expires: expires,
	}
}

func mustMake(t testing.TB, i Invitation) string {
	t.Helper()
	line, err := Make(i)
	if err != nil {
		t.Fatal(err)
	}
	return line
}
