package main

import (
	"testing"

	"dialtone/internal/cli"
)

// A flag that is added finds its place in the help, and an example says what there is.
func TestTheHelpHasAPlaceForEveryFlagAndExamplesOfWhatIsThere(t *testing.T) {
	for _, gap := range cli.Gaps(app()) {
		t.Error(gap)
	}
}
