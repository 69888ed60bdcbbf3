package paste

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

var (
	digits  = regexp.MustCompile(`^[+-]?[0-9]+$`)
	grouped = regexp.MustCompile(`^[+-]?[0-9]{1,3}([ ,._'\x{2019}][0-9]{3})+$`)
)

// Number returns the whole number that a text means. It is decimal: a leading zero
// makes it no octal one. What some programs read as another number than others do
// (0x10, 1e4, 10.000, 1_000) is refused.
func Number(text string) (int, error) {
	s := norm.NFKC.String(Hyphens(Value(text)))
	switch {
	case digits.MatchString(s):
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, refuse("give a smaller one", "%s is too large a number", quote(s))
		}
		return n, nil
	case grouped.MatchString(s):
		plain := strings.Map(func(r rune) rune {
			if strings.ContainsRune(" ,._'\u2019", r) {
				return -1
			}
			return r
		}, s)
		return 0, refuse("write "+plain+", with nothing between its digits", "%s is not a whole number everywhere", quote(s))
	}
	return 0, refuse("give a whole number in digits, such as 10000", "%s is no number", quote(s))
}

// maxNear is the length in bytes of the longest word that Nearest compares.
const maxNear = 64

// Nearest returns up to three of known that look like got, the most alike
// first; nil if none does.
func Nearest[T ~string](got string, known []T) []T {
	type match struct {
		word     T
		distance int
	}
	var found []match
	got = strings.ToLower(got)
	if got == "" || len(got) > maxNear {
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
