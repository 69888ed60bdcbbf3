package echo

import (
	"math"
	"testing"
)

func TestKeysOfOurOwnAreStrong(t *testing.T) {
	if n := len(listWords()); n != 7776 {
		t.Fatalf("the list has %d words", n)
	}
	for range 2000 { // one in some thousands has to be drawn anew
		text, err := NewKeyText()
		if err != nil {
			t.Fatal(err)
		}
		if bits := KeyBits(text); bits < WeakKey {
			t.Errorf("a key of our own is estimated at %.0f bits", bits)
		}
	}
	if got := KeyBits("abacus-abdomen-abide-ability-able-yo-yo"); math.Abs(got-6*math.Log2(7776)) > 0.01 {
		t.Errorf("six words of the list have %.1f bits", got)
	}
}

func TestSelfChosenKeysAreEstimatedLow(t *testing.T) {
	for text, want := range map[string]struct{ least, most float64 }{
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":  {0, 10},
		"123456789012345678901234567890":            {0, 30},
		"qwertyuiopasdfghjkl":                       {0, 30},
		"illiadpassword2024":                        {0, 30},
		"P4ssw0rd!P4ssw0rd!":                        {0, 30},
		"correct horse battery staple":              {0, 30}, // of a comic, in every list of passwords
		"password-password-password-password":       {0, 20},
		"interlibrary loan server university":       {0, 30},
		"abacus-abacus-abacus-abacus-abacus-abacus": {0, 30},
		"abacus-abdomen-abide-ability":              {50, 55}, // four words of the list
		"abacus-abdomen-abide-ability-able":         {60, 70},
		"the library at the end of the street":      {0, 59},
		"geheimesschlüsselwort":                     {0, 59},
		"4f9c0e7ab21d83e65c7f01d29ab4e863":          {60, 130}, // 128 random bits
		"k7#vQ2!xR9$mT4&z":                          {40, 110},
		"ow7ue-4k2pz-9q1rm-x3c8v":                   {60, 110},
		"":                                          {0, 0},
	} {
		if got := KeyBits(text); got < want.least || got > want.most {
			t.Errorf("%q has %.1f bits, want %v to %v", text, got, want.least, want.most)
		}
	}
}

func FuzzKeyBits(f *testing.F) {
	f.Add("illiad-password 2024")
	f.Fuzz(func(t *testing.T, s string) {
		if b := KeyBits(s); b < 0 || math.IsNaN(b) || math.IsInf(b, 0) {
			t.Errorf("%f bits", b)
		}
	})
}
