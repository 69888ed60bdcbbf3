package result

// A Join says that a report was joined afterwards, from two files, with what
// the other end reported of its own run.
type Join struct {
	Run       string      `json:"run"` // of the other end's report
	Tool      string      `json:"tool"`
	Host      string      `json:"host"`
	Started   Time        `json:"started"` // by its own clock
	ElapsedMS int64       `json:"elapsed_ms"`
	ClockMS   *int64      `json:"clock_ms"` // its clock minus this end's, in milliseconds; null: not known
	Clock     ClockSource `json:"clock"`    // where ClockMS comes from
	// Assumed: nothing in the two reports shows that each is the other's end;
	// they were joined because they were the only two and their roles match.
	Assumed bool `json:"assumed"`
}

// ClockSource is how the difference between two clocks was found.
type ClockSource string

const (
	ClockUnknown ClockSource = "unknown"
	ClockContact ClockSource = "contact" // the control conversation compared them
	ClockArrival ClockSource = "arrival" // an attempt of one end is among the arrivals of the other, by address and port
)

// A Joined says how the accepting end's half of a path was found in another
// report, by the times and addresses in both.
type Joined struct {
	Attempt Time   `json:"attempt"`  // when the attempt that it is about began, by the initiator's clock
	Since   Time   `json:"since"`    // the accepting end listened from here, by its own clock
	Until   Time   `json:"until"`    // and until here
	Arrived Time   `json:"arrived"`  // when it arrived, by the accepting end's clock; null: nothing of it is known to have
	ClockMS *int64 `json:"clock_ms"` // the acceptor's clock minus the initiator's, in milliseconds; null: not known
	// WithinMS: where ClockMS is not known, the half holds if the two clocks
	// differ by less than this many milliseconds; 0 if it does not depend on them.
	WithinMS int64 `json:"within_ms"`
}
