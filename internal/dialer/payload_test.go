package dialer

import "testing"

func TestSizesBetweenNarrowTheGapToNothing(t *testing.T) {
	for _, hole := range []int64{64, 65, 100, 536, 948, 1208, 1348, 1459} {
		passes, fails, rounds := int64(0), int64(ethernetSegment+1), 0
		for fails-passes > 1 {
			if rounds++; rounds > 4 {
				t.Fatalf("hole above %d: still between %d and %d after 4 rounds", hole, passes, fails)
			}
			for _, n := range between(passes, fails) {
				switch {
				case n <= passes && passes != 0 || n >= fails && fails != ethernetSegment+1:
					continue // found in the same round
				case n <= hole:
					passes = max(passes, n)
				default:
					fails = min(fails, n)
				}
			}
			if passes == 0 {
				t.Fatalf("hole above %d: the smallest write was not tried", hole)
			}
		}
		if passes != hole || fails != hole+1 {
			t.Errorf("hole above %d: found %d passes, %d fails", hole, passes, fails)
		}
	}
}

func TestSizesBetweenStayInsideTheGap(t *testing.T) {
	for passes := int64(64); passes < 80; passes++ {
		for fails := passes + 2; fails < passes+40; fails++ {
			sizes := between(passes, fails)
			if len(sizes) == 0 || len(sizes) > holeSizes+2 {
				t.Fatalf("between %d and %d: %d sizes", passes, fails, len(sizes))
			}
			for _, n := range sizes {
				if n <= passes && n != smallWrite || n >= fails {
					t.Errorf("between %d and %d: %d", passes, fails, n)
				}
			}
		}
	}
}

func TestSearchForAHoleGoesOnAboveASizeThatWasLostByChance(t *testing.T) {
	const hole = 1208
	for name, chance := range map[string]func(n int64, decides bool) bool{
		"nothing else is lost":    func(int64, bool) bool { return false },
		"one size the first time": func(n int64, decides bool) bool { return n > 400 && n < 500 && !decides },
		"most is lost later":      func(n int64, decides bool) bool { return decides },
		"all is lost":             func(int64, bool) bool { return true },
	} {
		lost := map[int64]bool{}
		h := narrow(t.Context(), 0, ethernetSegment+1, func(sizes []int64, decides bool) []tally {
			out := make([]tally, len(sizes))
			for i, n := range sizes {
				out[i] = tally{tried: holeTwice}
				byChance := chance(n, decides) && (name == "all is lost" || decides || !lost[n])
				lost[n] = true
				switch {
				case byChance && decides && n <= hole && i == 0:
					out[i].crossed = 1
				case n <= hole && !byChance:
					out[i].crossed = holeTwice
				}
			}
			return out
		})
		want := name == "nothing else is lost" || name == "one size the first time"
		if (h != nil) != want || want && (h.Passes != hole || h.Fails != hole+1 || h.FailsTried != holeChecks || h.PassesCrossed != holeChecks) {
			t.Errorf("%s: %+v", name, h)
		}
	}
}
