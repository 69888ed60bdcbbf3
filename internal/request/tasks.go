package request

import (
	"dialtone/internal/dialect"
)

// A Task is a rule to add, and on whose firewall.
type Task struct {
	Whose   Party
	Inbound bool // for that party the connection comes in, to it or through it
	Rule    dialect.Rule
}

// A Party is who is to act. Its zero value is nobody.
type Party int

// Who acts.
const (
	_      Party = iota
	Either       // whoever runs the firewalls on the way: both sides see the same addresses
	Ours         // the side of the machine that ran dial
	Theirs       // the other side
	Host         // whoever runs the accepting machine, for its own firewall
)

// Tasks are the rules that a request is made of; none: no rule is what it takes
// (see Change.HasRule).
func (q Request) Tasks() []Task {
	if !q.Change.HasRule() {
		return nil
	}
	rule := func(at dialect.Place, s Side) dialect.Rule {
		return dialect.Rule{At: at, Block: q.Change == Block, Transport: q.Transport, From: s.From, To: s.To, Behind: s.Behind, Port: q.Port, SourcePort: q.SourcePort}
	}
	in := q.Theirs
	if q.Ours.Inbound {
		in = q.Ours
	}
	switch {
	case q.OnHost:
		return []Task{{Host, true, rule(dialect.Inbound, in)}}
	case !q.From.IsTranslated() && !q.To.IsTranslated():
		return []Task{{Either, true, rule(dialect.Between, q.Ours)}}
	}
	return []Task{{Ours, q.Ours.Inbound, rule(dialect.Between, q.Ours)}, {Theirs, q.Theirs.Inbound, rule(dialect.Between, q.Theirs)}}
}
