package cli

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLongLinesBreakBetweenWordsAndCommandsStayWhole(t *testing.T) {
	const command = "  dial --key tarantula-lyrically-unthawed-cabbie-stump-glazing 10.2.0.10\n"
	in := "Listening for plan illiad on tcp 21, 25, 80, 210\n" + command + strings.Repeat("x", 50) + "\nshort\n"
	got := fold(in, 20)
	want := "Listening for plan\nilliad on tcp 21,\n25, 80, 210\n" + command + strings.Repeat("x", 50) + "\nshort\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := fold("06:07:35Z  key  words that go on for long\n", 26), "06:07:35Z  key  words\n           that go on for\n           long\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if fold("", 20) != "" || fold("no end", 20) != "no end" {
		t.Error("what fits is changed")
	}
}

func TestABlockHasNoMoreThanThereIsRoomFor(t *testing.T) {
	lines := []string{"one", "two of more than ten columns", "three", "four"}
	if got, want := fit(lines, 10, 3), []string{"one", "two of...", "  and 2..."}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := fit(lines, 10, 4); len(got) != 4 || got[3] != "four" {
		t.Errorf("%q", got)
	}
	for _, s := range []string{"a\x1b[31mb", "a\nb", "a\rb", strings.Repeat("é", 200), "\xff"} {
		if got := Cut(s, 12); utf8.RuneCountInString(got) > 12 || strings.ContainsAny(got, "\x1b\n\r") {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}
