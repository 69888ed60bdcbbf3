package plan

import (
	"strings"
	"testing"
)

func TestASiteSaysWhereOneAddressIsEnough(t *testing.T) {
	p := load(t, "illiad")
	const hosts = "roles:\n  server: illiad.example.edu\n  database: SQL.example.edu.\n"
	for _, tt := range []struct {
		text string
		host string
		role Role
		want bool
	}{
		{hosts, "sql.example.edu", RoleDatabase, false},
		{hosts + "addresses: any\n", "sql.example.edu", RoleDatabase, true},
		{hosts + "addresses: all\n", "sql.example.edu", RoleDatabase, false},
		{hosts + "addresses:\n  database: any\n", "sql.example.edu", RoleDatabase, true},
		{hosts + "addresses:\n  database: any\n", "illiad.example.edu", RoleServer, false},
		{hosts + "addresses:\n  sql.example.edu: any\n", "SQL.EXAMPLE.EDU", RoleDatabase, true},
		{hosts + "addresses: {database: any, sql.example.edu: all}\n", "sql.example.edu", RoleDatabase, false},
		{"addresses: any\nroles:\n  database: sql.example.edu\n", "sql.example.edu", RoleDatabase, true},
		{"addresses: {sql.example.edu: any}\nroles:\n  database: sql.example.edu\n", "sql.example.edu", RoleDatabase, true},
	} {
		if got := loadSite(t, tt.text, p).AnyAddress(tt.host, tt.role); got != tt.want {
			t.Errorf("%q: %s as %s: %v", tt.text, tt.host, tt.role, got)
		}
	}
	if (*Site)(nil).AnyAddress("sql.example.edu", RoleDatabase) {
		t.Error("no site at all")
	}
	for text, says := range map[string]string{
		"addresses: some\n":              `addresses is "some": use any if one of several addresses is enough, all if each has to work`,
		"addresses: {databse: any}\n":    `addresses of "databse": neither a role of the plan nor a host that this file names under roles`,
		"addresses: {database: both}\n":  `addresses of "database" is "both"`,
		"addresses: [any]\n":             "addresses must be one value",
		"addresses: {database: [any]}\n": "must be one value",
	} {
		if _, err := decodeSite("site.yaml", []byte(text), p); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
