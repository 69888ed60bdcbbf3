package dialer

import (
	"net/netip"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Progress is how far one attempt of a run is, for whoever watches it. What it
// says when it is over is what this end saw: the verdict is in the report, once
// the other end told its half.
type Progress struct {
	Flows     []string // the rows that share it
	Direction plan.Direction
	Transport plan.Transport
	Port      int        // 0: not known
	To        netip.Addr // invalid: it leads here
	Host      string     // where each attempt of the run has its own; "": it is the run's
	// Real: it is the real software that is asked, and not our listener.
	Real bool
	// Half is nil while it is under way, for no longer than Within if that is known.
	Within time.Duration // 0: it is not
	Half   *result.Initiator
}
