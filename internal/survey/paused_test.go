package survey

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// What got no answer while the listener was stopped tells nothing of the path.
func TestConnectionsDuringAPauseOfTheListenerTellNothing(t *testing.T) {
	now := time.Now()
	s := &spans{}
	s.pausedThere([]echo.Span{{BeganMS: 10_000, EndedMS: 5_000}, {BeganMS: 1, EndedMS: 2}, {BeganMS: 1 << 60, EndedMS: 0}}, now)
	if len(s.pauses) != 1 {
		t.Fatalf("%+v", s.pauses)
	}
	s.started = now.Add(-8 * time.Second)
	if got := s.pausedFor(now).Round(time.Millisecond); got != 3*time.Second {
		t.Errorf("paused for %v of the run", got)
	}
	at := func(seconds, took float64, ended result.Ended) result.Connection {
		return result.Connection{At: result.TimeOf(now.Add(-time.Duration(seconds * float64(time.Second)))), ElapsedMS: took * 1000, Ended: ended}
	}
	opened := func(c result.Connection) result.Connection {
		c.Reached = result.ReachedConnected
		return c
	}
	for name, c := range map[string]struct {
		one  result.Connection
		want result.Ended
	}{
		"before it":              {at(20, 2, result.EndedSilent), result.EndedSilent},
		"into it":                {at(12, 4, result.EndedSilent), result.EndedUnknown},
		"within it":              {at(8, 2, result.EndedSilent), result.EndedUnknown},
		"closed within it":       {at(8, 2, result.EndedClosed), result.EndedUnknown},
		"reset, by whom it may":  {at(8, 2, result.EndedReset), result.EndedReset},
		"reset once it was open": {opened(at(8, 2, result.EndedReset)), result.EndedUnknown},
		"it passed all the same": {at(8, 2, result.EndedWell), result.EndedWell},
		"after it":               {at(3, 2, result.EndedSilent), result.EndedSilent},
	} {
		given := []result.Connection{c.one}
		if got := besidePauses(given, s.pauses, plan.TCP, 1433); got[0].Ended != c.want || given[0].Ended != c.one.Ended {
			t.Errorf("%s: %s", name, got[0].Ended)
		}
	}
}

// What a crowded listener ended had opened; silence is not its doing, and the
// rest of the time it did its part.
func TestCrowdedListenerExplainsOnlyWhatItEnded(t *testing.T) {
	now := time.Now()
	s := &spans{started: now.Add(-time.Minute)}
	s.pausedThere([]echo.Span{{BeganMS: 9_000, EndedMS: 7_000, Shed: true}}, now)
	if got := s.pausedFor(now); got != 0 {
		t.Errorf("paused for %v", got)
	}
	at := result.TimeOf(now.Add(-8 * time.Second))
	for _, c := range []struct {
		reached     result.Reached
		ended, want result.Ended
	}{
		{result.ReachedConnected, result.EndedReset, result.EndedUnknown},
		{result.ReachedConnected, result.EndedClosed, result.EndedUnknown},
		{result.ReachedConnected, result.EndedSilent, result.EndedSilent},
		{result.ReachedNothing, result.EndedSilent, result.EndedSilent},
		{result.ReachedNothing, result.EndedReset, result.EndedReset},
	} {
		one := result.Connection{At: at, ElapsedMS: 500, Reached: c.reached, Ended: c.ended}
		if got := besidePauses([]result.Connection{one}, s.pauses, plan.TCP, 1433); got[0].Ended != c.want {
			t.Errorf("%s, %s: %s", c.reached, c.ended, got[0].Ended)
		}
	}
}

// Connections that found their port's queue full each time that they asked tell nothing of
// the network; those that did not, or came to another port, do.
func TestAFullQueueExplainsOnlyWhatItTurnedAway(t *testing.T) {
	now := time.Now()
	s := &spans{started: now.Add(-time.Minute)}
	s.pausedThere([]echo.Span{{BeganMS: 10_000, EndedMS: 8_500, Full: []int{443, 1433}}, {BeganMS: 7_500, EndedMS: 7_000, Full: []int{1433}}, {BeganMS: 5_000, EndedMS: 4_000, Full: []int{7968}}}, now)
	if got := s.pausedFor(now); got != 0 {
		t.Errorf("paused for %v", got)
	}
	if got := s.fullPorts(); !slices.Equal(got, []int{443, 1433, 7968}) {
		t.Errorf("full were %v", got)
	}
	for name, c := range map[string]struct {
		at, took  time.Duration // before now, and how long
		transport plan.Transport
		reached   result.Reached
		ended     result.Ended
		want      result.Ended
	}{
		"each of its SYNs":                  {10 * time.Second, 4 * time.Second, plan.TCP, result.ReachedNothing, result.EndedSilent, result.EndedUnknown},
		"its first SYNs alone":              {9 * time.Second, 4 * time.Second, plan.TCP, result.ReachedNothing, result.EndedSilent, result.EndedSilent},
		"its one SYN":                       {9 * time.Second, 900 * time.Millisecond, plan.TCP, result.ReachedNothing, result.EndedSilent, result.EndedUnknown},
		"opened, and silent":                {9 * time.Second, 4 * time.Second, plan.TCP, result.ReachedConnected, result.EndedSilent, result.EndedUnknown},
		"opened, and reset":                 {9 * time.Second, 4 * time.Second, plan.TCP, result.ReachedConnected, result.EndedReset, result.EndedUnknown},
		"refused":                           {9 * time.Second, 4 * time.Second, plan.TCP, result.ReachedNothing, result.EndedReset, result.EndedReset},
		"before":                            {20 * time.Second, 9 * time.Second, plan.TCP, result.ReachedConnected, result.EndedSilent, result.EndedSilent},
		"while another's was full":          {4500 * time.Millisecond, time.Second, plan.TCP, result.ReachedConnected, result.EndedSilent, result.EndedSilent},
		"a datagram, which waits elsewhere": {9 * time.Second, 900 * time.Millisecond, plan.UDP, result.ReachedNothing, result.EndedSilent, result.EndedSilent},
		"it passed all the same":            {9 * time.Second, 4 * time.Second, plan.TCP, result.ReachedDone, result.EndedWell, result.EndedWell},
	} {
		one := result.Connection{At: result.TimeOf(now.Add(-c.at)), ElapsedMS: float64(c.took.Milliseconds()), Reached: c.reached, Ended: c.ended}
		if got := besidePauses([]result.Connection{one}, s.pauses, c.transport, 1433); got[0].Ended != c.want {
			t.Errorf("%s: %s", name, got[0].Ended)
		}
	}
}

// Others ask SQL Browser in this end's name, and the listener answers nobody there
// any more: that the conversation got no answer tells nothing of the network. A
// keyed datagram that got none does.
func TestConversationThatTheListenerDeclinedTellsNothing(t *testing.T) {
	now := time.Now()
	s := &spans{started: now.Add(-time.Minute)}
	s.pausedThere([]echo.Span{{BeganMS: 9_000, EndedMS: 1_000, Declined: true}}, now)
	if got := s.pausedFor(now); got != 0 {
		t.Errorf("paused for %v", got)
	}
	for _, c := range []struct {
		purpose   result.Purpose
		transport plan.Transport
		want      result.Ended
	}{
		{result.PurposeConversation, plan.UDP, result.EndedUnknown},
		{result.PurposeSample, plan.UDP, result.EndedSilent},
		{result.PurposeConversation, plan.TCP, result.EndedSilent},
	} {
		one := result.Connection{Purpose: c.purpose, At: result.TimeOf(now.Add(-8 * time.Second)), ElapsedMS: 500, Reached: result.ReachedNothing, Ended: result.EndedSilent}
		if got := besidePauses([]result.Connection{one}, s.pauses, c.transport, 1433); got[0].Ended != c.want {
			t.Errorf("%s over %s: %s", c.purpose, c.transport, got[0].Ended)
		}
		i := result.Initiator{Conversation: &result.Conversation{Outcome: result.ConversationSilent, Failures: 1}, Connections: []result.Connection{one}}
		besideDeclines(&i, s.pauses, c.transport)
		if held := i.Conversation.Outcome == result.ConversationSilent; held != (c.want == result.EndedSilent) {
			t.Errorf("over %s: %+v", c.transport, i.Conversation)
		}
	}
}

// A conversation that a crowded listener ended accuses nobody, and nothing is said of
// the path; one that was ended at another time does.
func TestConversationThatACrowdedListenerEndedAccusesNobody(t *testing.T) {
	now := time.Now()
	s := &spans{started: now.Add(-time.Minute)}
	s.pausedThere([]echo.Span{{BeganMS: 9_000, EndedMS: 7_000, Shed: true}}, now)
	at := func(seconds int, purpose result.Purpose, ended result.Ended) result.Connection {
		return result.Connection{Purpose: purpose, At: result.TimeOf(now.Add(-time.Duration(seconds) * time.Second)), ElapsedMS: 100, Reached: result.ReachedConnected, Ended: ended}
	}
	for name, c := range map[string]struct {
		outcome result.ConversationOutcome
		all     []result.Connection
		want    bool
	}{
		"within it":                     {result.ConversationClosed, []result.Connection{at(8, result.PurposeConversation, result.EndedClosed)}, true},
		"reset within it":               {result.ConversationReset, []result.Connection{at(8, result.PurposeConversation, result.EndedReset)}, true},
		"silent":                        {result.ConversationSilent, []result.Connection{at(8, result.PurposeConversation, result.EndedSilent)}, false},
		"at another time, too":          {result.ConversationClosed, []result.Connection{at(8, result.PurposeConversation, result.EndedClosed), at(3, result.PurposeConversation, result.EndedClosed)}, false},
		"at another time, of the proof": {result.ConversationClosed, []result.Connection{at(8, result.PurposeConversation, result.EndedClosed), at(3, result.PurposeSample, result.EndedClosed)}, true},
	} {
		i := result.Initiator{Conversation: &result.Conversation{Outcome: c.outcome}, Connections: c.all}
		if besideSheds(&i, s.pauses); (i.NotTried != "") != c.want {
			t.Errorf("%s: %q", name, i.NotTried)
		}
	}
}

// What failed while dial itself did not run tells nothing either, whoever dialed.
func TestConnectionsWhileDialStoodStillTellNothing(t *testing.T) {
	s := newSurvey(Config{Host: far.String()})
	s.stood(s.started.Add(2*time.Second), 3*time.Second)
	if got := s.stoodFor(); got != 3*time.Second {
		t.Errorf("stood for %v", got)
	}
	silent := func(after time.Duration) result.Connection {
		return result.Connection{Purpose: result.PurposeSample, At: result.TimeOf(s.started.Add(after)), ElapsedMS: 1000, Reached: result.ReachedNothing, Ended: result.EndedSilent}
	}
	for _, d := range []plan.Direction{plan.Forward, plan.Reverse} {
		j := &job{jobKey: jobKey{direction: d, transport: plan.TCP, port: 24681, family: result.IP4, to: far}, initiator: &result.Initiator{
			Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Connections: []result.Connection{silent(0), silent(3 * time.Second), silent(7 * time.Second)},
		}}
		if _, failed := result.Compare(s.half(j).Connections); len(failed) != 2 {
			t.Errorf("%s: %+v", d, failed)
		}
	}
}

// What failed while an address of this machine could not be used tells nothing of the
// connections from that address; of the others it does.
func TestConnectionsWhileTheInterfaceWasDownTellNothing(t *testing.T) {
	s := newSurvey(Config{Host: far.String()})
	down, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	from := s.started.Add(2 * time.Second)
	s.unplugged(down, from, from.Add(time.Second))
	s.unplugged(down, from, from.Add(3*time.Second)) // the same, and still
	if got := s.away(); got.For != 3*time.Second || !slices.Equal(got.Addrs, []netip.Addr{down}) || s.stoodFor() != 0 {
		t.Errorf("away %+v, stood for %v", got, s.stoodFor())
	}
	if !s.isUnplugged(from.Add(2*time.Second)) || s.isUnplugged(from.Add(4*time.Second)) {
		t.Error("it was unplugged, and is not any more")
	}
	failed := func(source netip.Addr, after time.Duration, ended result.Ended) result.Connection {
		return result.Connection{Purpose: result.PurposeSample, At: result.TimeOf(s.started.Add(after)), ElapsedMS: 500,
			Source: result.Endpoint{AddrPort: netip.AddrPortFrom(source, 40000)}, Reached: result.ReachedNothing, Ended: ended}
	}
	for name, c := range map[string]struct {
		one  result.Connection
		left bool
	}{
		"before":            {failed(down, 0, result.EndedSilent), true},
		"while":             {failed(down, 3*time.Second, result.EndedSilent), false},
		"its own ICMP":      {failed(down, 3*time.Second, result.EndedICMP), false},
		"refused":           {failed(down, 3*time.Second, result.EndedReset), true},
		"another address":   {failed(other, 3*time.Second, result.EndedSilent), true},
		"nobody knows from": {failed(netip.Addr{}, 3*time.Second, result.EndedSilent), false},
		"after":             {failed(down, 7*time.Second, result.EndedSilent), true},
	} {
		j := &job{jobKey: jobKey{direction: plan.Forward, transport: plan.TCP, port: 24681, family: result.IP4, to: far},
			initiator: &result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Connections: []result.Connection{c.one}}}
		if _, failed := result.Compare(s.half(j).Connections); (len(failed) == 1) != c.left {
			t.Errorf("%s: %+v", name, failed)
		}
	}
}

// Two spans at once are one time.
func TestPausesAtTheSameTimeCountOnce(t *testing.T) {
	now := time.Now()
	s := &spans{started: now.Add(-time.Minute)}
	s.pausedThere([]echo.Span{{BeganMS: 9_000, EndedMS: 5_000}, {BeganMS: 8_000, EndedMS: 4_000}, {BeganMS: 2_000, EndedMS: 1_000}}, now)
	if got := s.pausedFor(now).Round(time.Millisecond); got != 6*time.Second {
		t.Errorf("paused for %v", got)
	}
}

// What opened and led to nothing while one of the two programs did not run, also when it
// was tried again, is untested. What a system got no answer to, or another one, is not,
// nor what failed at another time.
func TestWhatAPauseSpoiltTwiceIsUntested(t *testing.T) {
	stalled := result.Transfer{Outcome: result.TransferStalled, Want: 1}
	hole := result.Transfer{Outcome: result.TransferStalled, Want: 1, Hole: &result.Hole{}}
	accepted := &result.Acceptor{Saw: result.SawAccepted}
	for name, c := range map[string]struct {
		i        result.Initiator
		acceptor *result.Acceptor
		retried  time.Duration // after the run began; 0: it was not
		untested bool
	}{
		"no proof came":                    {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerSilent}, accepted, 0, true},
		"it was closed":                    {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerClosed}, accepted, 0, true},
		"the payload stood":                {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: &stalled}, accepted, 0, true},
		"so it did when tried again":       {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: &stalled}, accepted, 3 * time.Second, true},
		"it failed anew, and nobody stood": {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: &stalled}, accepted, 20 * time.Second, false},
		"large packets vanish":             {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: &hole}, accepted, 0, false},
		"accepted there, and nobody saw":   {result.Initiator{Connect: result.ConnectTimeout}, accepted, 0, true},
		"nothing arrived":                  {result.Initiator{Connect: result.ConnectTimeout}, &result.Acceptor{Saw: result.SawNothing}, 0, false},
		"half-open there":                  {result.Initiator{Connect: result.ConnectTimeout}, &result.Acceptor{Saw: result.SawHalfOpen}, 0, false},
		"refused":                          {result.Initiator{Connect: result.ConnectRST}, nil, 0, false},
		"something else answered":          {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerForeign}, accepted, 0, false},
	} {
		s := newSurvey(Config{Host: far.String()})
		s.stood(s.started.Add(2*time.Second), 3*time.Second)
		c.i.At, c.i.ElapsedMS = result.TimeOf(s.started.Add(2*time.Second)), 1000
		j := &job{jobKey: jobKey{direction: plan.Forward, transport: plan.TCP, port: 24681, family: result.IP4, to: far}, initiator: &c.i, acceptor: c.acceptor}
		if c.retried > 0 {
			j.retried = result.Connection{At: result.TimeOf(s.started.Add(c.retried)), ElapsedMS: 1000}
		}
		if got := s.half(j).NotTried; (got != "") != c.untested {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A conversation that got no answer each time that a program did not run was not held; one
// that got none at another time too was.
func TestConversationThatNobodyRanForAccusesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		at   []time.Duration
		held bool
	}{
		"within it":            {[]time.Duration{3 * time.Second, 4 * time.Second}, false},
		"at another time, too": {[]time.Duration{3 * time.Second, 20 * time.Second}, true},
		"at another time":      {[]time.Duration{20 * time.Second}, true},
	} {
		s := newSurvey(Config{Host: far.String()})
		s.stood(s.started.Add(2*time.Second), 3*time.Second)
		i := &result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Conversation: &result.Conversation{Outcome: result.ConversationSilent, Failures: len(c.at)}}
		for _, at := range c.at {
			i.Connections = append(i.Connections, result.Connection{Purpose: result.PurposeConversation, At: result.TimeOf(s.started.Add(at)), ElapsedMS: 500, Reached: result.ReachedConnected, Ended: result.EndedSilent})
		}
		j := &job{jobKey: jobKey{direction: plan.Forward, transport: plan.TCP, port: 24681, family: result.IP4, to: far}, initiator: i}
		if got := s.half(j).Conversation; (got.Outcome == result.ConversationSilent) != c.held || c.held != (got.Failures > 0) {
			t.Errorf("%s: %+v", name, got)
		}
		if i.Conversation.Outcome != result.ConversationSilent {
			t.Errorf("%s: what was seen is changed", name)
		}
	}
}

// A run in which the programs stood still most of the time has seen too little of a path
// to call it open.
func TestWhatPausesExcusedMoreOftenThanNotIsNotKnownToPass(t *testing.T) {
	ended := func(words string) (list []result.Connection) {
		for _, w := range words {
			list = append(list, result.Connection{Ended: map[rune]result.Ended{'+': result.EndedWell, '-': result.EndedSilent, '?': result.EndedUnknown}[w]})
		}
		return list
	}
	for _, c := range []struct {
		before, after string
		want          bool
	}{
		{"+++++++", "+++++++", false},
		{"+++-----", "+++?????", false}, // one pause spoils so many
		{"++++++++------", "++++++++??????", false},
		{"+++++------", "+++++??????", true},
		{"+++++-------", "+++++??????-", false}, // one failed in a way that tells
		{"+++++??????", "+++++??????", false},   // refused by agreement, or interrupted
	} {
		if got := isMostlySpoilt(ended(c.before), ended(c.after)); got != c.want {
			t.Errorf("%s of which pauses leave %s: %v", c.before, c.after, got)
		}
	}
}
