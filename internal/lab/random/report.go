package main

import (
	"slices"
	"time"

	"dialtone/internal/lab/random/oracle"
)

// A report is dial's JSON as far as it is judged. It is written down here once
// more, so that the judge rests on the documented form (docs/report.schema.json)
// and not on the code that writes it.
type report struct {
	Schema    string
	ElapsedMS int64 `json:"elapsed_ms"`
	Contact   *struct{ Instance string }
	Findings  []finding
	Paths     []path
	Summary   struct {
		OK       bool
		Counted  int
		Failed   int
		Verdicts map[string]int
	}
}

type finding struct {
	Code, Text, Advice string
}

type path struct {
	Flow      string
	Port      int
	PlanPort  int `json:"plan_port"`
	Transport string
	Direction string
	Verdict   string
	OK        bool
	Counted   bool
	Opposite  bool
	Address   string
	Proof     string
	Attempts  int
	Source    string
	Target    string
	Initiator *initiator
	Acceptor  *struct {
		Instance string
		Port     string
		Saw      string
		Proved   bool
	}
	Finding *finding
	Notes   []struct{ Code, Text string }
}

type initiator struct {
	Connect      string
	Answer       string
	Instance     string
	Attempts     int
	Sent         *transfer
	Received     *transfer
	Conversation *struct {
		Outcome string
		Keyed   bool
	}
	TCP         *struct{ Retransmits int }
	Connections []connection
}

// made reports whether it has a connection to a row from the port that one was
// seen from.
func (r report) made(to row, s oracle.Seen) bool {
	return slices.ContainsFunc(r.Paths, func(p path) bool {
		return rowOf(p) == to && p.Initiator != nil && slices.ContainsFunc(p.Initiator.Connections, func(c connection) bool { return port(c.Source) == port(s.From) })
	})
}

type transfer struct {
	Outcome string
	Want    int
	Intact  int
}

// A connection is one that dial made to a row's port.
type connection struct {
	Purpose   string
	At        time.Time
	ElapsedMS float64 `json:"elapsed_ms"`
	Source    string
	Drawn     string
	Reached   string
	Ended     string
}
