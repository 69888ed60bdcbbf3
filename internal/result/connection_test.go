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
