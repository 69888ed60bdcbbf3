package plan

import (
	"fmt"
	"strings"

	"dialtone/internal/paste"
)

// maxSlug is the length in bytes of the longest id, service or role.
const maxSlug = 64

// isSlug reports whether s can be an id, a service, a role or a plan's name:
// lower-case letters, digits and inner hyphens.
func isSlug(s string) bool {
	if s == "" || len(s) > maxSlug || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// quote quotes s for an error message, shortened if it is long.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// oneOf lists the known words to use in place of got, after the nearest if
// any is near.
func oneOf[T ~string](got string, known []T) string {
	all := some(known)
	if len(known) > 1 {
		all = "one of " + all
	}
	if near := paste.Nearest(got, known); near != nil {
		return fmt.Sprintf("%s (did you mean %s?)", all, join(near, " or "))
	}
	return all
}

// some lists words, at most as many as a person reads.
func some[T ~string](words []T) string {
	const most = 40
	if len(words) > most {
		return fmt.Sprintf("%s, … (%d more)", join(words[:most], ", "), len(words)-most)
	}
	return join(words, ", ")
}

// join joins the words.
func join[T ~string](words []T, sep string) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return strings.Join(s, sep)
}
