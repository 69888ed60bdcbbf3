package verdict

import (
	"fmt"
	"strings"

	"dialtone/internal/result"
)

// NotDialed says why a partner of a list was not dialed at all.
func NotDialed(err error) result.Finding {
	return result.Finding{Code: "not-dialed", Text: sentence(strings.Join(strings.Fields(err.Error()), " ")),
		Advice: "Once that is mended in the list, run the test again; the other partners are not affected."}
}

// NotItsTurn says that a run ended before a partner of a list was dialed.
func NotItsTurn() result.Finding {
	return result.Finding{Code: "interrupted", Text: "The run was interrupted before its turn.", Advice: goOn}
}

const goOn = "Run the same command again: it goes on with those that are left."

// maxNamed is how many partners a sentence names.
const maxNamed = 10

// Unfinished says that some partners of a list were not tested to the end.
func Unfinished(names []string) result.Finding {
	list := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return result.Finding{Code: "interrupted", Text: fmt.Sprintf("The run was interrupted, and these partners were not tested to the end: %s.", list),
		Advice: goOn}
}
