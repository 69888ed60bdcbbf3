package consortium

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestAPartnerThatWasNotDialedIsToldInOneSentence(t *testing.T) {
	f := notDialed(errors.New("the key given is not theirs\n  Leave it out."))
	if f.Text != "the key given is not theirs Leave it out." || f.Advice == "" {
		t.Errorf("%+v", f)
	}
	if f := notItsTurn(); f.Code != "interrupted" || !strings.Contains(f.Advice, "same command") {
		t.Errorf("%+v", f)
	}
}

func TestNotMorePartnersAreNamedThanAPersonReads(t *testing.T) {
	var names []string
	for i := range 12 {
		names = append(names, "P"+strconv.Itoa(i))
	}
	if f := unfinished(names[:2]); !strings.HasSuffix(f.Text, ": P0, P1.") {
		t.Error(f.Text)
	}
	if f := unfinished(names); !strings.HasSuffix(f.Text, "P9 and 2 more.") {
		t.Error(f.Text)
	}
}
