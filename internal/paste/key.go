package paste

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// besideKey is what people copy with a key, or write to it: a label ("Key:"), the
// flag, a note in brackets behind it.
var besideKey = regexp.MustCompile(`[\pL\pN]\S*\s*[:=]\s|(?:^|[^\pL\pN])\p{Pd}{1,2}key\s|[\pL\pN]\S*\s+[(\[{]\pL[^)\]}]*`)

// codedIn is what stands for a hyphen or a space in the source of a mail or page.
var codedIn = regexp.MustCompile(`=2d|=3d|=20|=c2|%2d|%20|&#?[0-9a-z]+;|^key[=:]`)

// Key returns the one spelling of a key's text that counts, docs/wire.md section
// 1: words in small letters with a hyphen between. The spaces, line breaks, dashes
// and underscores between the words may be of any kind, and there may be quotes,
// brackets, punctuation and the marks of Markdown around them. Refused is what
// could be another key unnoticed.
func Key(text string) (string, error) {
	const again = "copy the words that listen printed again, or type them"
	if !utf8.ValidString(text) {
		return "", refuse(again, "the key is no text")
	}
	if m := besideKey.FindString(strings.ToLower(norm.NFKC.String(Clean(text)))); m != "" {
		return "", refuse("give the words of the key alone", "the key has something beside its words (%s)", quote(strings.TrimSpace(m)))
	}
	var words []string
	for _, word := range strings.FieldsFunc(folded(text), isBetween) {
		if err := checkWord(word, again); err != nil {
			return "", err
		}
		words = append(words, word)
	}
	return strings.Join(words, "-"), nil
}

// folded drops what is not seen, and quotes and punctuation at the ends of words,
// and takes letters that are the same in another form (full width, ligatures,
// composed or not, capitals) for the same. What one step leaves may be work for
// another.
func folded(text string) string {
	for range 4 {
		before := text
		text = trimWords(Clean(text))
		text = strings.Map(func(r rune) rune {
			if isQuote(r) { // inside of a word: an apostrophe, whichever was typed
				return '\''
			}
			return r
		}, text)
		text = norm.NFKC.String(strings.Map(unicode.ToLower, norm.NFKC.String(text)))
		if text == before {
			break
		}
	}
	return text
}

// isBetween knows what stands between the words of a key.
func isBetween(r rune) bool { return isSpace(r) || isDash(r) || r == '_' }

// around is what may stand around a key or its words: punctuation, brackets, the
// marks of Markdown, of a list and of a quotation.
const around = ".,;:!?()[]{}<>*~|\u00b7\u2022\u2026\u2027"

// trimWords takes quotes and punctuation from both ends of each word.
func trimWords(text string) string {
	var b strings.Builder
	flush := func(word string) {
		b.WriteString(strings.TrimFunc(word, func(r rune) bool { return isQuote(r) || strings.ContainsRune(around, r) }))
	}
	start := 0
	for i, r := range text {
		if isBetween(r) {
			flush(text[start:i])
			b.WriteRune(r)
			start = i + utf8.RuneLen(r)
		}
	}
	flush(text[start:])
	return b.String()
}

// checkWord refuses characters that are no part of a word, and words of two
// alphabets whose letters look alike.
func checkWord(word, again string) error {
	if m := codedIn.FindString(word); m != "" {
		return refuse(again, "the key has %s, which is how the source of a mail or page writes another character", quote(m))
	}
	if word == "#" {
		return refuse("give the words of the key alone", "the key has a comment beside its words")
	}
	for _, r := range word {
		if r == utf8.RuneError || unicode.IsControl(r) || r == '\u202d' || r == '\u202e' {
			return refuse(again, "the key has the character %s, which nobody types", character(r))
		}
	}
	if r := lookalike(word); r != 0 {
		return refuse(again, "the key has the letter %s of another alphabet among Latin ones", character(r))
	}
	return nil
}

// lookalike returns a letter of an alphabet with letters that look like Latin ones,
// among Latin ones; 0 if there is none.
func lookalike(word string) rune {
	var latin, other rune
	for _, r := range word {
		switch {
		case unicode.Is(unicode.Latin, r):
			latin = r
		case unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee):
			other = r
		}
	}
	if latin == 0 {
		return 0
	}
	return other
}
