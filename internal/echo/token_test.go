package echo

import (
	"bytes"
	"testing"
)

func TestTokenIsMadeAndAnsweredWithTheKeyOnly(t *testing.T) {
	probe := NewID()
	token := rightKey.Token(probe)
	got, ok := rightKey.TokenProbe(token[:])
	if !ok || got != probe {
		t.Errorf("%v, %t", got, ok)
	}
	if _, ok := wrongKey.TokenProbe(token[:]); ok {
		t.Error("another key takes it")
	}
	for i := range token {
		bad := token
		bad[i] ^= 1
		if _, ok := rightKey.TokenProbe(bad[:]); ok {
			t.Errorf("changed in byte %d, and taken", i)
		}
	}
	for _, n := range []int{0, 16, 31} {
		if _, ok := rightKey.TokenProbe(token[:n]); ok {
			t.Errorf("%d bytes are taken", n)
		}
	}
	a := rightKey.TokenAnswer(probe)
	if len(a) != AnswerSize || bytes.Equal(a, wrongKey.TokenAnswer(probe)) || bytes.Equal(a, rightKey.TokenAnswer(NewID())) || bytes.Contains(token[:], a) {
		t.Errorf("answer %x to %x", a, token)
	}
}

// A report shows its key's tag to whoever gets to read it.
func TestTagTellsKeysApartAndNothingElse(t *testing.T) {
	keys := map[string]bool{}
	for _, text := range []string{"correct-horse-battery-staple", "another-key-altogether", "yet-another-key-here"} {
		k, err := ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := ParseKey(" " + text + " ")
		if tag := k.Tag(); tag != again.Tag() || keys[tag] || len(tag) != 2*tagBytes {
			t.Errorf("%s: %s, again %s", text, tag, again.Tag())
		}
		keys[k.Tag()] = true
	}
}
