package paste

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Key returns the one spelling of a key's text that counts, docs/wire.md section
// 1: words in small letters with a hyphen between. The spaces, line breaks and
// dashes between the words may be of any kind, and there may be quotes, commas and
// full stops around them. Refused is what could be another key unnoticed.
func Key(text string) (string, error) {
	const again = "copy the words that listen printed again, or type them"
	if !utf8.ValidString(text) {
		return "", refuse(again, "the key is no text")
	}
	var words []string
	for _, word := range strings.FieldsFunc(folded(text), func(r rune) bool { return isSpace(r) || isDash(r) }) {
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

// trimWords takes quotes and punctuation from both ends of each word.
func trimWords(text string) string {
	var b strings.Builder
	flush := func(word string) {
		b.WriteString(strings.TrimFunc(word, func(r rune) bool { return isQuote(r) || strings.ContainsRune(".,;", r) }))
	}
	start := 0
	for i, r := range text {
		if isSpace(r) || isDash(r) {
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
