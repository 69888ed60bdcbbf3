package plan

import "strings"

// DefaultRemote are the roles of a far end that does not say which it plays:
// one machine usually has them all.
var DefaultRemote = []Role{"server", "web", "database"}

// RoleWords names the roles of one end.
func RoleWords(roles []Role) string {
	var out []string
	for _, r := range roles {
		out = append(out, string(r))
	}
	return strings.Join(out, ",")
}
