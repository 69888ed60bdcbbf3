package result

import "testing"

// A proof by itself is a small exchange. That it goes through says nothing of
// connections on which the payload stops: they do not differ from it.
func TestAProofAloneIsNoPayloadThatPassed(t *testing.T) {
	c := func(p Purpose, r Reached, e Ended) Connection { return Connection{Purpose: p, Reached: r, Ended: e} }
	hole := []Connection{
		c(PurposeSample, ReachedProved, EndedSilent), c(PurposeStudy, ReachedProved, EndedSilent),
		c(PurposeControl, ReachedProved, EndedWell), c(PurposeProof, ReachedProved, EndedWell),
	}
	if passed, failed := Compare(hole); len(passed) != 4 || len(failed) != 0 {
		t.Errorf("no payload passes: %d passed, %d failed", len(passed), len(failed))
	}
	mixed := append(hole, c(PurposeSample, ReachedDone, EndedWell))
	if passed, failed := Compare(mixed); len(passed) != 3 || len(failed) != 2 {
		t.Errorf("one payload passes: %d passed, %d failed", len(passed), len(failed))
	}
}

// That one opens is a difference to one that does not, though nobody saw where it led;
// where all open, or none does, there is none.
func TestAnOrdinaryConnectionThatOpenedIsHeldAgainstOneThatDidNot(t *testing.T) {
	opened := Connection{Purpose: PurposeOrdinary, Reached: ReachedConnected, Ended: EndedUnknown, Ordinary: &Ordinary{}}
	refused := Connection{Purpose: PurposeOrdinary, Reached: ReachedNothing, Ended: EndedReset}
	reset := Connection{Purpose: PurposeOrdinary, Reached: ReachedConnected, Ended: EndedReset, Ordinary: &Ordinary{}}
	unsure := Connection{Purpose: PurposeOrdinary, Reached: ReachedNothing, Ended: EndedUnknown}
	for name, c := range map[string]struct {
		all            []Connection
		passed, failed int
	}{
		"one refused":                      {[]Connection{opened, refused, opened}, 2, 1},
		"a proof before it got no answer":  {[]Connection{{Purpose: PurposeProof, Reached: ReachedNothing, Ended: EndedSilent}, opened, opened}, 2, 1},
		"a proof before it opened as well": {[]Connection{{Purpose: PurposeProof, Reached: ReachedConnected, Ended: EndedUnknown}, opened}, 0, 0},
		"all opened":                       {[]Connection{opened, opened}, 0, 0},
		"none opened":                      {[]Connection{refused, refused}, 0, 2},
		"one was interrupted":              {[]Connection{refused, unsure}, 0, 1},
		"it opened and was ended":          {[]Connection{opened, reset}, 0, 1},
		"an older release's opening":       {[]Connection{refused, {Purpose: PurposeOrdinary, Reached: ReachedConnected, Ended: EndedUnknown}}, 0, 1},
	} {
		if passed, failed := Compare(c.all); len(passed) != c.passed || len(failed) != c.failed {
			t.Errorf("%s: %d passed and %d failed, want %d and %d", name, len(passed), len(failed), c.passed, c.failed)
		}
	}
}
