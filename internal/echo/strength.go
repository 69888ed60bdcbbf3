package echo

import (
	"math"
	"strings"
	"sync"
	"unicode"

	"github.com/sethvargo/go-diceware/diceware"

	"dialtone/internal/paste"
)

// WeakKey is how many bits a key's text ought to have at least: who recorded one
// conversation may try likely keys at home, where nobody counts. At argon2id's 11 ms each (see ParseKey), 60 bits are some 200 million years of
// one processor, or 20,000 of a million guesses a second.
const WeakKey = 60

// KeyBits estimates how many bits a key's text has for who knows how people make
// up keys: a word of the list that NewKeyText draws from as many as the list
// gives; any other text by its characters, of which those that repeat, count up
// or down or follow a row of the keyboard, and common words, are worth little.
// It errs on the low side, and tells nothing of how the text was chosen: a
// proverb has fewer.
func KeyBits(text string) float64 {
	text, err := paste.Key(text)
	if err != nil {
		return 0
	}
	words := strings.Split(text, "-")
	bits := 0.0
	seen := map[string]bool{}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if i+1 < len(words) && listWords()[w+"-"+words[i+1]] { // the list has a few with a hyphen
			i++
			w += "-" + words[i]
		}
		switch {
		case seen[w]:
			bits++
		case listWords()[w] && !isCommon(w):
			bits += math.Log2(float64(len(listWords())))
		default:
			bits += textBits(w)
		}
		seen[w] = true
	}
	return bits
}

// listWords are the words that NewKeyText draws from.
var listWords = sync.OnceValue(func() map[string]bool {
	list := diceware.WordListEffLarge()
	all := map[string]bool{}
	var roll func(n, digits int)
	roll = func(n, digits int) {
		if digits == 0 {
			all[list.WordAt(n)] = true
			return
		}
		for d := 1; d <= 6; d++ {
			roll(10*n+d, digits-1)
		}
	}
	roll(0, list.Digits())
	return all
})

// common is what people put into passwords, and what this program and its field
// suggest.
var common = []string{
	"password", "passwort", "passwd", "passphrase", "secret", "admin", "administrator", "root", "login", "logon", "welcome", "changeme",
	"letmein", "default", "master", "monkey", "dragon", "sunshine", "princess", "football", "baseball", "iloveyou", "hello", "test", "testing", "guest", "user",
	"illiad", "dialtone", "odyssey", "atlas", "oclc", "library", "bibliothek", "interlibrary", "loan", "lending", "borrowing", "university", "college", "server", "client",
	"firewall", "network", "listen", "dial", "partner", "summer", "winter", "spring", "autumn", "correct", "horse", "battery", "staple",
	"january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
}

const (
	commonBits = 4   // one of some dozens, and how it is written
	nextBits   = 0.5 // a character that follows from the ones before it
	letterBits = 2   // of a text in letters alone, which may well be words (about that of English by the word)
	digitBits  = 3.3
	mixedBits  = 4 // of letters and digits or signs in turn
)

// unspelt undoes what people write for letters.
var unspelt = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "$", "s", "@", "a", "!", "i")

func isCommon(w string) bool {
	for _, c := range common {
		if w == c {
			return true
		}
	}
	return false
}

// textBits estimates a text without hyphens.
func textBits(w string) float64 {
	bits := 0.0
	for w != "" { // common words out of it first, the longest of those that begin where one does
		at, found := len(w), ""
		plain := unspelt.Replace(w)
		for _, c := range common {
			if i := strings.Index(plain, c); i >= 0 && (i < at || i == at && len(c) > len(found)) {
				at, found = i, c
			}
		}
		bits += runBits(w[:at])
		if found == "" {
			return bits
		}
		bits += commonBits
		w = w[at+len(found):]
	}
	return bits
}

// runBits estimates a text that has no common word.
func runBits(w string) float64 {
	for n := 1; n <= len(w)/2; n++ { // one part again and again
		if len(w)%n == 0 && strings.Repeat(w[:n], len(w)/n) == w {
			return runBits(w[:n]) + math.Log2(float64(len(w)/n))
		}
	}
	runes := []rune(w)
	bits, each := 0.0, eachBits(runes)
	for i, r := range runes {
		if i > 0 && follows(runes[i-1], r) {
			bits += nextBits
		} else {
			bits += each
		}
	}
	return bits
}

func eachBits(runes []rune) float64 {
	letters, digits, turns := 0, 0, 0
	kind := func(r rune) int {
		switch {
		case unicode.IsLetter(r):
			return 1
		case unicode.IsDigit(r):
			return 2
		}
		return 3
	}
	for i, r := range runes {
		switch kind(r) {
		case 1:
			letters++
		case 2:
			digits++
		}
		if i > 0 && kind(runes[i-1]) != kind(r) {
			turns++
		}
	}
	switch {
	case digits == len(runes):
		return digitBits
	case letters == len(runes) || turns <= 2: // a word, and a year or a sign at its end
		return letterBits
	}
	return mixedBits
}

// keyboard has the rows of usual keyboards.
const keyboard = "1234567890 qwertyuiop asdfghjkl zxcvbnm qwertz azerty"

// follows reports whether a character needs no thought after the one before: the
// same again, the next one up or down, or its neighbour on the keyboard.
func follows(before, r rune) bool {
	if d := r - before; d >= -1 && d <= 1 {
		return true
	}
	return strings.Contains(keyboard, string([]rune{before, r})) || strings.Contains(keyboard, string([]rune{r, before}))
}
