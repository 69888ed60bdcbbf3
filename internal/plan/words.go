package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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
	if near := nearest(got, known); near != nil {
		return fmt.Sprintf("%s (did you mean %s?)", all, join(near, " or "))
	}
	return all
}

// nearest returns up to three of known that look like got, the most alike
// first; nil if none does.
func nearest[T ~string](got string, known []T) []T {
	type match struct {
		word     T
		distance int
	}
	var found []match
	got = strings.ToLower(got)
	if got == "" || len(got) > maxSlug {
		return nil
	}
	for _, k := range known {
		w := string(k)
		dist := editDistance(got, w)
		part := len(got) >= 3 && strings.Contains(w, got) || len(w) >= 3 && strings.HasPrefix(got, w)
		if part || dist <= max(1, len(got)/3) {
			found = append(found, match{k, dist})
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(a.distance, b.distance) })
	var words []T
	for _, m := range found[:min(3, len(found))] {
		words = append(words, m.word)
	}
	return words
}

// editDistance is the number of bytes to insert, delete, replace or swap with
// their neighbour that turn a into b.
func editDistance(a, b string) int {
	var before []int // two rows up
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			replace := row[j]
			if a[i] != b[j] {
				replace++
			}
			next[j+1] = min(replace, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
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
