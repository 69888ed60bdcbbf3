package survey

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// atOnceConversing bounds the conversations under way: some move megabytes.
const atOnceConversing = 16

// conversations are the services' own.
type conversations struct {
	*bothEnds
	places chan struct{} // a place for each under way
}

// converseAll has each row's own conversation on every path that opened a
// connection, whatever its proof came to: a firewall that looks into the
// payload may pass the one and not the other. What failed is held once more,
// since once may be noise; and where the conversation is all the proof there is,
// until it went well twice: a cache gives the second what the first was answered.
// Each has a token of its own. Where it fares otherwise than the proof had, a
// plain proof right after it tells whether it is its content that matters: a
// limit on number or rate, a pause of the listener, an age hold for both.
func (s *conversations) converseAll(ctx context.Context) {
	type tally struct{ good, ended int }
	tallies := map[*job]*tally{}
	var todo []*job
	for _, j := range s.attempts() {
		if s.mayConverse(j) {
			tallies[j] = &tally{}
			todo = append(todo, j)
		}
	}
	for len(todo) > 0 {
		s.converseEach(ctx, todo)
		var again []*job
		pause := false
		for _, j := range todo {
			c, t := j.initiator.Conversation, tallies[j]
			if c == nil {
				continue
			}
			isEnded := isEndedEarly(c) || j.initiator.Answer == result.AnswerKeyed && s.hasFailed(j, c)
			if isEnded {
				t.ended++
			} else {
				t.good++
			}
			if n := t.good + t.ended; n > 1 {
				c.Attempts = n
			}
			if isEnded && t.ended == 1 && !j.studied || restsOnConversation(j.initiator) && t.good == 1 {
				j.conversation = echo.NewID()
				again = append(again, j)
				pause = pause || isEnded
			}
		}
		if todo = again; pause && !sock.Wait(ctx, settleDown) {
			return
		}
	}
}

// settleDown is how long a conversation that was cut off is left alone.
const settleDown = 200 * time.Millisecond

// hasFailed reports whether a conversation with our own listener failed. What
// real software says of itself is no failure.
func (s *conversations) hasFailed(j *job, c *result.Conversation) bool {
	if j.direction == plan.Forward && s.busyThere(j) != nil {
		return false
	}
	return c.HasFailed(j.transport == plan.TCP)
}

// keep takes what came of a conversation, and what is known of those before it.
func (s *conversations) keep(j *job, c result.Conversation) {
	if before := j.initiator.Conversation; before != nil {
		c.Failures, c.Controls = before.Failures, before.Controls
	}
	if s.hasFailed(j, &c) {
		c.Failures++
	}
	j.initiator.Conversation = &c
}

// control makes a plain proof on the port of a conversation that fared otherwise
// than the proof had. Nobody but our own listener is asked for one.
func (s *conversations) control(ctx context.Context, j *job) {
	c := j.initiator.Conversation
	if c == nil || j.direction == plan.Forward && s.busyThere(j) != nil {
		return
	}
	if j.initiator.Answer == result.AnswerKeyed && !s.hasFailed(j, c) || j.initiator.Answer != result.AnswerKeyed && !restsOnConversation(j.initiator) {
		return // they fared alike
	}
	one := *j
	one.probe = echo.NewID()
	var i result.Initiator
	if j.direction == plan.Reverse {
		i = s.proveBack(ctx, &one)
	} else {
		i = s.proveOnly(ctx, &one)
	}
	if i.NotTried != "" || sock.IsOver(ctx) {
		return
	}
	c.Controls = append(c.Controls, result.Control{At: i.At, Connect: i.Connect, Answer: i.Answer})
	j.initiator.Connections = append(j.initiator.Connections, connectionsFor(j.initiator, i)...)
}

// proveOnly makes a plain proof on a forward path.
func (s *dials) proveOnly(ctx context.Context, j *job) result.Initiator {
	p := s.pathOf(j)
	p.Source = netip.AddrPortFrom(p.Source.Addr(), 0) // its own may be busy still
	o := s.options()
	o.ProofOnly = true
	return dialer.Attempt(ctx, p, o)
}

// isEndedEarly reports whether a conversation ended as noise may end it.
func isEndedEarly(c *result.Conversation) bool {
	switch c.Outcome {
	case result.ConversationReset, result.ConversationClosed, result.ConversationNotHeld:
		return true
	}
	return false
}

// restsOnConversation reports whether a path's conversation went well where its
// proof did not.
func restsOnConversation(i *result.Initiator) bool {
	c := i.Conversation
	return c != nil && c.Outcome == result.ConversationCompleted && c.Keyed && len(c.Changed) == 0 && i.Answer != result.AnswerKeyed
}

func (s *conversations) converseEach(ctx context.Context, jobs []*job) {
	var wave sync.WaitGroup
	back := map[result.Family][]*job{}
	for _, j := range jobs {
		switch {
		case j.direction == plan.Reverse:
			back[j.family] = append(back[j.family], j)
		default:
			wave.Go(func() {
				defer s.takePlace()()
				s.takeTurn(ctx)
				s.converse(ctx, j)
				s.control(ctx, j)
			})
		}
	}
	for f, jobs := range back {
		wave.Go(func() {
			defer s.takePlace()()
			s.converseBack(ctx, f, jobs)
		})
	}
	wave.Wait()
}

// takePlace waits for a place among the conversations under way; the function
// that it returns gives it up.
func (s *conversations) takePlace() (done func()) {
	s.places <- struct{}{}
	return func() { <-s.places }
}

// mayConverse reports whether a job's service speaks a language of ours, to
// somebody who may hear it. A datagram service is asked only where the proof
// passed, to the same listener over TCP too: that answers nobody else.
func (s *bothEnds) mayConverse(j *job) bool {
	i := j.initiator
	if i != nil && i.Ordinary != nil {
		return false // it had its say
	}
	if j.speaks == "" || j.sourcePort != 0 || i == nil || i.NotTried != "" || i.Connect != result.ConnectOpen || i.Answer == result.AnswerOwn {
		return false
	}
	if instance, _ := s.door.Expects(j.transport, j.port, j.family); j.direction == plan.Reverse && instance != s.own.String() {
		return false // whoever holds it has a certificate that we do not know
	}
	if j.speaks.Language().Bulk && i.Answer == result.AnswerKeyed && !isWhole(i) {
		return false // a document is more of what did not come through, and takes its time to fail
	}
	if hasHole(i) {
		return false // some message of any service is as large as what vanishes
	}
	return j.transport == plan.TCP || i.Answer == result.AnswerKeyed && s.attempts().isProvedByTCP(j)
}

// hasHole reports whether a payload showed that packets above a size vanish.
func hasHole(i *result.Initiator) bool {
	return i.Sent != nil && i.Sent.Hole != nil || i.Received != nil && i.Received.Hole != nil
}

func (s *conversations) converse(ctx context.Context, j *job) {
	t := dialer.Conversation{Speaks: j.speaks, Host: s.Host, Token: j.conversation, Rate: rateOf(j)}
	busy := s.busyThere(j)
	if busy != nil {
		t.Token = echo.ID{} // real software gets no token made with the key
	} else if h, ok := s.helloOnPath(j); ok {
		t.Fingerprint = fingerprint(h.Certificate)
	}
	o := s.options()
	o.RTT = rtt(j.initiator)
	ask := func() result.Conversation {
		return dialer.Converse(ctx, dialer.Path{
			Flow: j.flow, Transport: j.transport,
			Target: netip.AddrPortFrom(j.to, uint16(j.port)),
			Source: netip.AddrPortFrom(s.Bind.For(j.family), 0),
		}, o, t)
	}
	c := ask()
	if busy != nil && impostor(*busy, c) != "" {
		j.took(&c)
		t.Host = j.to.String() // a server may have a certificate for each name, and the listener asked for none
		c = ask()
		c.Impostor = impostor(*busy, c)
	}
	if sock.IsOver(ctx) {
		return // interrupted: it tells nothing
	}
	if by := s.ledTo(c, t.Fingerprint); by != "" {
		one := c.Connection
		if one != nil {
			one.Ended, one.Instance = result.EndedElsewhere, by
		}
		c = result.Conversation{Speaks: c.Speaks, Outcome: result.ConversationNotHeld, Connection: one,
			Error: fmt.Sprintf("it was led to another listener with the same key (instance %.8s)", by)}
	}
	j.took(&c)
	s.keep(j, c)
}

// ledTo is another listener with the key with which a conversation was had
// under TLS, as its certificate shows; "": none. Nobody on the way answered in
// the expected one's place then.
func (s *farEnd) ledTo(c result.Conversation, expected []byte) string {
	print := c.Fact(result.FactCertificate)
	if print == "" || print == hex.EncodeToString(expected) {
		return ""
	}
	for _, instance := range s.contacts.Instances() {
		if h, ok := s.contacts.HelloBy(instance); ok && h.Certificate == print {
			return instance
		}
	}
	return ""
}

// impostor says what shows that a conversation was not had with the software
// that the far end's listener finds on a port itself; "": nothing does.
func impostor(busy result.BusyPort, c result.Conversation) string {
	switch print := c.Fact(result.FactCertificate); {
	case c.Outcome != result.ConversationCompleted:
		return ""
	case busy.Certificate != "" && print != "" && print != busy.Certificate:
		return fmt.Sprintf("TLS was ended on the way: the certificate is not the one that the port has on that machine itself, but %s, issued by %s", c.Fact("subject"), c.Fact("issuer"))
	case busy.Certificate != "" && print != "":
		return ""
	case busy.Software != "" && c.Software != busy.Software:
		return fmt.Sprintf("it calls itself %q, and on that machine itself the port says %q", c.Software, busy.Software)
	}
	return ""
}

// lossyShare is how much of the rate of a short payload a long one can count on
// where packets get lost: TCP halves its window again and again (RFC 5681).
const lossyShare = 0.25

// rateOf is how fast a document can be expected to move in the slower
// direction, in kilobits per second; 0: not known.
func rateOf(j *job) float64 {
	i := j.initiator
	rate := min(i.Sent.Rate(), i.Received.Rate())
	if i.IsLossy() || j.acceptor != nil && j.acceptor.TCP.IsLossy() {
		rate *= lossyShare
	}
	return rate
}

// fingerprint reads a certificate's from Hello; nil: not known.
func fingerprint(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
}

// conversingTime is what a round of conversations may take beside its steps:
// the longest is a document each way over a slow line.
const conversingTime = 2 * time.Minute

// converseBack has the far end converse on reverse jobs.
func (s *conversations) converseBack(ctx context.Context, f result.Family, jobs []*job) {
	for chunk := range slices.Chunk(jobs, echo.MaxDialBack) {
		order := echo.ConverseBack{TimeoutMS: s.Timeout.Milliseconds(), Certificate: s.door.Fingerprint()}
		strict := true
		for _, j := range chunk {
			var path echo.BackPath
			path, strict = s.backPath(j)
			path.Probe, path.RateKbits = j.conversation, rateOf(j)
			order.Paths = append(order.Paths, path)
		}
		var held []result.Conversation
		err := s.ask(ctx, f, strict, conversingTime, func(ctx context.Context, c *echo.Conn) (err error) {
			held, err = c.ConverseBack(ctx, order)
			return err
		})
		if err != nil {
			continue // the proof stands by itself
		}
		for i, j := range chunk {
			j.took(&held[i])
			s.keep(j, held[i])
			s.control(ctx, j)
		}
	}
}

// confirm asks each accepting end whether the conversations' tokens arrived
// there, on the right port.
func (s *conversations) confirm(ctx context.Context) {
	for _, f := range s.families() {
		forward := map[string][]*job{} // by whom to ask
		for _, j := range s.attempts() {
			if j.family != f || j.acceptor == nil || j.initiator == nil || j.initiator.Conversation == nil {
				continue
			}
			// A datagram that got no answer may have been declined: that is told beside.
			declined := j.direction == plan.Forward && j.transport == plan.UDP && j.initiator.Conversation.Outcome == result.ConversationSilent
			if !j.initiator.Conversation.Keyed && !declined {
				continue
			}
			if j.direction == plan.Forward {
				forward[s.witnessOf(j)] = append(forward[s.witnessOf(j)], j)
				continue
			}
			if a, ok := s.door.Saw(s.id, conversationQuery(j), s.farAddr(f)); ok {
				j.acceptor.Conversed = arrived(a, j)
			}
		}
		for instance, jobs := range forward {
			for chunk := range slices.Chunk(jobs, echo.MaxWitness) {
				_ = s.askOf(ctx, instance, f, false, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
					var q []echo.WitnessQuery
					for _, j := range chunk {
						q = append(q, conversationQuery(j))
					}
					told, err := c.Witness(ctx, q)
					if err != nil {
						return err
					}
					s.troubledThere(told)
					for i, j := range chunk {
						if j.initiator.Conversation.Keyed {
							j.acceptor.Conversed = arrived(told.Answers[i], j)
						}
					}
					return nil
				})
			}
		}
	}
}

func conversationQuery(j *job) echo.WitnessQuery {
	return echo.WitnessQuery{Probe: j.conversation, Transport: j.transport, Port: j.port, SourceChanged: true}
}

// arrived reports whether a conversation's token was seen by the expected
// listener on the port that was dialed.
func arrived(a result.Acceptor, j *job) bool {
	return a.Match == result.MatchProbe && a.Proved && int(a.Local.Port()) == j.port && (j.instance == "" || a.Instance == j.instance)
}
