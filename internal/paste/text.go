package paste

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a file that a person saved: UTF-8 or UTF-16, with or without its
// mark, or plain ASCII with the quotes, dashes and spaces of Windows-1252; and
// cleans it (Clean). Other bytes could be any letter, so they are refused, as are
// files that are no text.
func Text(data []byte) (string, error) {
	if err := foreign(data); err != nil {
		return "", err
	}
	text, known := decode(data)
	if !known {
		var ok bool
		if text, ok = punctuated(data); !ok {
			return "", &Error{Problem: "not UTF-8 text", Do: "save the file as UTF-8", Line: lineOfInvalid(data)}
		}
	}
	return Clean(strings.TrimRight(text, "\x00\x1a")), nil // an end of file mark, or padding
}

// decode returns bytes as text, false if they are in neither UTF-8 nor UTF-16.
func decode(data []byte) (string, bool) {
	little, wide := wideness(data)
	if wide {
		return fromUTF16(data, little), true
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	return string(data), utf8.Valid(data)
}

// wideness tells UTF-16 by its mark or, without one, by the zero bytes that
// Latin letters have in it.
func wideness(data []byte) (little, wide bool) {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		return true, true
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return false, true
	}
	head := data[:min(len(data), 2048)&^1]
	if len(head) < 4 {
		return false, false
	}
	var zeros [2]int
	for i, b := range head {
		if b == 0 {
			zeros[i%2]++
		}
	}
	half := len(head) / 2
	switch {
	case zeros[1] > half*2/3 && zeros[0] == 0:
		return true, true
	case zeros[0] > half*2/3 && zeros[1] == 0:
		return false, true
	}
	return false, false
}

func fromUTF16(data []byte, little bool) string {
	units := make([]uint16, 0, len(data)/2)
	for i := 0; i+1 < len(data); i += 2 {
		u := uint16(data[i])<<8 | uint16(data[i+1])
		if little {
			u = u<<8 | u>>8
		}
		units = append(units, u)
	}
	return strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff")
}

// windows1252 is what 0x80 to 0x9f are there (WHATWG Encoding, index windows-1252).
var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

// punctuated reads ASCII with the punctuation of Windows-1252, which no other
// encoding in use has elsewhere.
func punctuated(data []byte) (string, bool) {
	var b strings.Builder
	for _, c := range data {
		switch {
		case c < 0x80:
			b.WriteByte(c)
		case c == 0xa0 || c == 0xad || c == 0xab || c == 0xbb:
			b.WriteRune(rune(c))
		case c < 0xa0 && (isQuote(windows1252[c-0x80]) || isDash(windows1252[c-0x80])):
			b.WriteRune(windows1252[c-0x80])
		default:
			return "", false
		}
	}
	return b.String(), true
}

// loosely reads bytes as text whatever they are: of a mail only a line of ASCII
// is wanted.
func loosely(data []byte) string {
	if text, ok := decode(data); ok {
		return text
	}
	return strings.ToValidUTF8(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))), " ")
}

func lineOfInvalid(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[size:]
	}
	return line
}

// kinds are files that people have in place of text, by how they begin.
var kinds = []struct{ begins, is, do string }{
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file in Microsoft's own form (.msg, .doc, .xls)", "a mail: open it in Outlook, choose Save As, Text Only or Unicode (.txt), or copy the text out of it; a table: save it as CSV UTF-8"},
	{"PK\x03\x04", "a compressed file (.zip, .xlsx, .docx)", "save a table as CSV UTF-8 and a letter as plain text, and take a file out of its archive"},
	{"\x1f\x8b", "a compressed file (.gz)", "unpack it"},
	{"%PDF-", "a PDF file", "copy the text out of it, and save that as plain text"},
	{"{\\rtf", "a file of a word processor (.rtf)", "save it as plain text (.txt)"},
	{"\x89PNG", "a picture", "ask for it as text: what is in a picture cannot be read"},
	{"\xff\xd8\xff", "a picture", "ask for it as text: what is in a picture cannot be read"},
	{"GIF8", "a picture", "ask for it as text: what is in a picture cannot be read"},
	{"\x78\x9f\x3e\x22", "an attachment in Outlook's own form (winmail.dat)", "ask the sender to send the mail as plain text"},
	{"!BDN", "a mailbox in Outlook's own form (.pst)", "open the mail in Outlook, and save it as Text Only (.txt)"},
}

// foreign refuses what is no text, and says how to make some of it.
func foreign(data []byte) error {
	for _, k := range kinds {
		if bytes.HasPrefix(data, []byte(k.begins)) {
			return refuse(k.do, "this is %s, and no text", k.is)
		}
	}
	return nil
}
