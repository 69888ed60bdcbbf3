package verdict

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// ordinaryPath is a path to a port that live software holds, over which an ordinary
// connection was made.
func ordinaryPath(i result.Initiator, o result.Ordinary, a *result.Acceptor) result.Path {
	i.Ordinary = &o
	if a != nil {
		a.Port, a.Holder = result.PortBusy, &result.Holder{Name: "sqlservr", PID: 1234}
		a.Source, a.Instance = source, here
	}
	p := result.Path{Flow: "sql-client", Transport: plan.TCP, Port: 1433, Target: target, Source: source, Expect: plan.ExpectOpen, Family: result.IP4, Initiator: &i, Acceptor: a}
	Rule(&p, Context{Mode: result.ModePaths})
	return p
}

func tdsTalk(o result.ConversationOutcome) *result.Conversation {
	return &result.Conversation{Speaks: plan.TDS, Outcome: o, Stages: []result.Stage{result.StageGreeted}}
}

// talked returns the half of an initiator to which a service answered.
func talked(answer result.AnswerOutcome, o result.ConversationOutcome) result.Initiator {
	i := connected(answer)
	i.Conversation = tdsTalk(o)
	return i
}

func taken(in, out int64) *result.Acceptor {
	return &result.Acceptor{Saw: result.SawAccepted, Lasts: true, Match: result.MatchAddress, Counted: &result.Counted{In: in, Out: out}}
}

func sighted(s result.Sighting) *result.Acceptor {
	return &result.Acceptor{Saw: s, Reason: "nobody knows"}
}

// Nothing less than all of it makes a path to live software open: that very connection
// was accepted by the program, every byte that was sent was counted there, and its
// answer came here and completed the conversation. Each row after the first takes one
// of these away.
func TestPathToLiveSoftware(t *testing.T) {
	sent := result.Ordinary{Sent: 94, Received: 43}
	completed := talked(result.AnswerForeign, result.ConversationCompleted)
	quiet := connected(result.AnswerSilent)
	windows := taken(0, 0)
	windows.Counted = nil
	mute, left, leftLater := *windows, *taken(0, 0), *taken(94, 0)
	left.Lasts, leftLater.Lasts = false, false
	impostor := talked(result.AnswerForeign, result.ConversationCompleted)
	impostor.Conversation.Impostor = "TLS was ended on the way"
	for name, c := range map[string]struct {
		i       result.Initiator
		o       result.Ordinary
		a       *result.Acceptor
		verdict result.Verdict
		proof   result.Proof
		ok      bool
		code    result.Code
		says    string
	}{
		"all of it":                                            {completed, sent, taken(94, 43), result.Open, result.ProofSeen, true, "", ""},
		"more was answered than came by then":                  {completed, sent, taken(94, 1500), result.Open, result.ProofSeen, true, "", ""},
		"no byte was counted":                                  {talked(result.AnswerSilent, result.ConversationSilent), result.Ordinary{Sent: 94}, taken(0, 0), result.Stalled, result.ProofNone, false, result.CodeStalledUncounted, "of the 94 bytes sent to it 0 were counted"},
		"one byte was not counted":                             {completed, sent, taken(93, 43), result.Stalled, result.ProofPlain, false, result.CodeStalledUncounted, "94 bytes sent to it 93"},
		"one byte too many was counted":                        {completed, sent, taken(95, 43), result.Intercepted, result.ProofPlain, false, result.CodeIntercepted, "94 bytes sent here and 95 counted there"},
		"the answer did not come":                              {talked(result.AnswerSilent, result.ConversationSilent), result.Ordinary{Sent: 94}, taken(94, 0), result.Stalled, result.ProofNone, false, result.CodeStalledHolder, "94 were counted there"},
		"the answer is not its own":                            {completed, sent, taken(94, 0), result.Intercepted, result.ProofPlain, false, result.CodeIntercepted, "0 sent there and 43 arrived here"},
		"the answer is longer than what it sent":               {completed, sent, taken(94, 42), result.Intercepted, result.ProofPlain, false, result.CodeIntercepted, "42 sent there and 43 arrived here"},
		"it was cut off after the answer":                      {talked(result.AnswerReset, result.ConversationReset), sent, taken(94, 43), result.Reset, result.ProofNone, false, result.CodeResetHolder, "94 were counted"},
		"the answer is no answer of the service's":             {talked(result.AnswerForeign, result.ConversationForeign), sent, taken(94, 43), result.Occupied, result.ProofPlain, false, result.CodeOccupied, ""},
		"its certificate is another":                           {impostor, sent, taken(94, 43), result.Intercepted, result.ProofPlain, false, result.CodeIntercepted, "TLS was ended on the way"},
		"it never came there":                                  {completed, sent, sighted(result.SawNothing), result.Intercepted, result.ProofPlain, false, result.CodeIntercepted, "never had it"},
		"it never came there, and nothing was said":            {quiet, result.Ordinary{}, sighted(result.SawNothing), result.Intercepted, result.ProofNone, false, result.CodeIntercepted, "never had it"},
		"an answer while it waits there":                       {completed, sent, sighted(result.SawWaiting), result.Intercepted, result.ProofPlain, false, result.CodeIntercepted, "never got as far as"},
		"an answer while it is half-open there":                {completed, sent, sighted(result.SawHalfOpen), result.Intercepted, result.ProofPlain, false, result.CodeIntercepted, ""},
		"it waits there":                                       {quiet, result.Ordinary{}, sighted(result.SawWaiting), result.Stalled, result.ProofNone, false, result.CodeNotAccepted, "did not accept it"},
		"it is half-open there":                                {quiet, result.Ordinary{}, sighted(result.SawHalfOpen), result.Stalled, result.ProofNone, false, result.CodeStalledHalfOpen, ""},
		"nobody knows":                                         {completed, sent, sighted(result.SawUnknown), result.Occupied, result.ProofService, true, result.CodeOccupied, ""},
		"nobody knows, and nothing was said":                   {quiet, result.Ordinary{}, sighted(result.SawUnknown), result.Stalled, result.ProofNone, false, result.CodeStalledHolder, ""},
		"nothing was sent":                                     {quiet, result.Ordinary{}, taken(0, 0), result.Arrived, result.ProofSeen, false, result.CodeReached, "arrived at sqlservr (pid 1234) itself"},
		"it greeted, and nothing was sent":                     {connected(result.AnswerForeign), result.Ordinary{Received: 9}, taken(0, 9), result.Arrived, result.ProofSeen, false, result.CodeReached, "--enter"},
		"nothing was sent, and a FIN came that is not its own": {connected(result.AnswerClosed), result.Ordinary{}, taken(0, 0), result.Reset, result.ProofNone, false, result.CodeResetHolder, "sqlservr"},
		"nothing was sent, and it hung up itself":              {connected(result.AnswerClosed), result.Ordinary{}, &left, result.Arrived, result.ProofSeen, false, result.CodeReached, ""},
		"it hung up itself at what was sent":                   {talked(result.AnswerClosed, result.ConversationClosed), result.Ordinary{Sent: 94}, &leftLater, result.Reset, result.ProofNone, false, result.CodeResetHolder, "94 were counted"},
		"one line":                                             {quiet, result.Ordinary{Sent: 2, Line: true}, taken(2, 0), result.Open, result.ProofSeen, true, "", ""},
		"one line that was not counted":                        {quiet, result.Ordinary{Sent: 2, Line: true}, taken(0, 0), result.Stalled, result.ProofNone, false, result.CodeStalledUncounted, "of the 2 bytes"},
		"a system that counts nothing":                         {completed, sent, windows, result.Occupied, result.ProofService, true, result.CodeOccupied, ""},
		"a system that counts nothing, and nothing was sent":   {quiet, result.Ordinary{}, &mute, result.Arrived, result.ProofSeen, false, result.CodeReached, "as the system there shows"},
		"a line where nothing is counted":                      {quiet, result.Ordinary{Sent: 2, Line: true}, &mute, result.Stalled, result.ProofNone, false, result.CodeStalledHolder, ""},
		"nothing came, and nothing arrived":                    {failed(result.ConnectTimeout), result.Ordinary{}, sighted(result.SawNothing), result.Filtered, result.ProofNone, false, result.CodeFiltered, ""},
		"nothing came, and it arrived":                         {failed(result.ConnectTimeout), result.Ordinary{}, sighted(result.SawHalfOpen), result.ReplyLost, result.ProofNone, false, result.CodeReplyLost, ""},
		"nothing came, and nobody knows":                       {failed(result.ConnectTimeout), result.Ordinary{}, sighted(result.SawUnknown), result.Silent, result.ProofNone, false, result.CodeSilent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := ordinaryPath(c.i, c.o, c.a)
			if p.Verdict != c.verdict || p.OK != c.ok {
				t.Errorf("%s (ok %t), want %s (%t)", p.Verdict, p.OK, c.verdict, c.ok)
			}
			if c.a != nil && p.Proof != c.proof {
				t.Errorf("proof %s, want %s", p.Proof, c.proof)
			}
			var f result.Finding
			if p.Finding != nil {
				f = *p.Finding
			}
			if f.Code != c.code || !strings.Contains(f.Text+" "+f.Advice, c.says) {
				t.Errorf("finding %s, want %s, saying %q:\n%s\n%s", f.Code, c.code, c.says, f.Text, f.Advice)
			}
		})
	}
}

// What an open path rests on is told with its numbers.
func TestWhatWasSeenIsTold(t *testing.T) {
	p := ordinaryPath(talked(result.AnswerForeign, result.ConversationCompleted), result.Ordinary{Sent: 94, Received: 43}, taken(94, 43))
	var got []string
	for _, n := range p.Notes {
		got = append(got, string(n.Code)+": "+n.Text)
	}
	want := "seen: 10.1.0.2:50123 reached sqlservr (pid 1234) there, which accepted it: 94 bytes sent, 94 counted, and its answer came here"
	if len(got) != 1 || got[0] != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	p = ordinaryPath(connected(result.AnswerSilent), result.Ordinary{Sent: 2, Line: true}, taken(2, 0))
	if len(p.Notes) != 2 || p.Notes[1].Code != result.NoteOneLine {
		t.Errorf("%+v", p.Notes)
	}
}

// One connection that did what it was for makes a path no better than the other, which
// did not.
func TestPathToLiveSoftwareThatFailsOnceIsUnsteady(t *testing.T) {
	one := func(e result.Ended) result.Connection {
		return result.Connection{Purpose: result.PurposeOrdinary, Source: source, Reached: result.ReachedDone, Ended: e}
	}
	for _, told := range []struct {
		i result.Initiator
		a *result.Acceptor
	}{
		{talked(result.AnswerForeign, result.ConversationCompleted), taken(94, 43)},
		{failed(result.ConnectTimeout), sighted(result.SawNothing)},
	} {
		told.i.Connections = []result.Connection{one(result.EndedWell), one(result.EndedSilent)}
		if p := ordinaryPath(told.i, result.Ordinary{Sent: 94, Received: 43}, told.a); p.Verdict != result.Unsteady || p.OK || p.Finding == nil || !strings.HasPrefix(string(p.Finding.Code), "unsteady") {
			t.Errorf("%s (ok %t): %+v", p.Verdict, p.OK, p.Finding)
		}
	}
}
