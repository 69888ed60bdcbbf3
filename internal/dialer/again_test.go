package dialer

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// inTurn deals connections out to several ends, and begins again when all had
// one.
func inTurn(ends ...func(context.Context, *net.TCPConn)) func(context.Context, *net.TCPConn) {
	var n atomic.Int64
	return func(ctx context.Context, c *net.TCPConn) { ends[int(n.Add(1)-1)%len(ends)](ctx, c) }
}

func TestConnectionsThatDoNotFareAlikeAreFoundOut(t *testing.T) {
	closes := func(_ context.Context, c *net.TCPConn) {
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c) // to close with unread data would reset
	}
	resets := func(_ context.Context, c *net.TCPConn) { abort(c) }
	end := answerer()
	good := answering(end)
	small := func(ctx context.Context, c *net.TCPConn) { // passes the proof and little more
		end.Answer(ctx, &limited{TCPConn: c, left: 3000})
	}
	for name, c := range map[string]struct {
		ends           []func(context.Context, *net.TCPConn)
		passed, failed int
		elsewhere      bool
		ended          result.Ended // of one that failed
	}{
		"all pass":               {ends: []func(context.Context, *net.TCPConn){good}, passed: 6},
		"every second is closed": {ends: []func(context.Context, *net.TCPConn){good, closes}, passed: 3, failed: 3, ended: result.EndedClosed},
		"the first is reset":     {ends: []func(context.Context, *net.TCPConn){resets, good, good, good, good, good, good}, passed: 5, failed: 1, ended: result.EndedReset},
		"one of six is reset":    {ends: []func(context.Context, *net.TCPConn){good, good, good, good, resets, good}, passed: 5, failed: 1, ended: result.EndedReset},
		"only the first passes":  {ends: append([]func(context.Context, *net.TCPConn){good}, slices.Repeat([]func(context.Context, *net.TCPConn){closes}, 9)...), passed: 1, failed: 5, ended: result.EndedClosed},
		"one loses the payload":  {ends: []func(context.Context, *net.TCPConn){good, good, small, good, good, good}, passed: 5, failed: 1, ended: result.EndedReset},
		"every second elsewhere": {ends: []func(context.Context, *net.TCPConn){good, answering(answerer())}, passed: 3, elsewhere: true},
		"none passes":            {ends: []func(context.Context, *net.TCPConn){closes}, failed: 2, ended: result.EndedClosed},
	} {
		t.Run(name, func(t *testing.T) {
			i := Attempt(t.Context(), Path{Flow: "sql", Transport: "tcp", Target: prooftest.Accept(t, netip.AddrPortFrom(loop, 0), inTurn(c.ends...))},
				Options{Key: rightKey, Timeout: guardTime, Bytes: 10_000, Samples: 6})
			passed, failed := result.Compare(i.Connections)
			if len(passed) != c.passed || len(failed) != c.failed {
				t.Errorf("%d passed and %d failed, want %d and %d: %+v", len(passed), len(failed), c.passed, c.failed, i.Connections)
			}
			if (i.Answer == result.AnswerKeyed) != (c.passed > 0) {
				t.Errorf("got answer %q (%s), with %d proved", i.Answer, i.Error, c.passed)
			}
			parity := map[uint16]bool{}
			elsewhere := false
			for _, one := range i.Connections {
				parity[one.Source.Port()%2] = true
				elsewhere = elsewhere || one.Ended == result.EndedElsewhere && one.Instance != i.Instance && one.Instance != ""
				if one.IsFailed() && one.Ended != c.ended {
					t.Errorf("got %q, want %q: %+v", one.Ended, c.ended, one)
				}
			}
			if len(parity) != 2 {
				t.Errorf("all source ports are of one parity: %+v", i.Connections)
			}
			if elsewhere != c.elsewhere {
				t.Errorf("led elsewhere: %v, want %v: %+v", elsewhere, c.elsewhere, i.Connections)
			}
			if n := len(i.Connections); i.Connections[0].Purpose != result.PurposeProof || n > 6 {
				t.Errorf("%d connections, the first for %q", n, i.Connections[0].Purpose)
			}
		})
	}
}

// limited resets a connection once it has read so many bytes.
type limited struct {
	*net.TCPConn
	left int
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.TCPConn.Read(b[:min(len(b), max(1, l.left))])
	if l.left -= n; l.left <= 0 {
		abort(l.TCPConn)
	}
	return n, err
}

// A path whose ways are told apart by the port: which one failed can be tried
// again from the same port.
func TestStudyRepeatsSourcePorts(t *testing.T) {
	var mu sync.Mutex
	var from []int
	target := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(ctx context.Context, c *net.TCPConn) {
		mu.Lock()
		from = append(from, c.RemoteAddr().(*net.TCPAddr).Port)
		mu.Unlock()
		answering(answerer())(ctx, c)
	})
	path, o := Path{Flow: "sql", Transport: "tcp", Target: target}, Options{Key: rightKey, Timeout: guardTime}
	ports := []int{24771, 24774} // below those that other programs are given
	once := Study(t.Context(), path, o, &result.Initiator{}, ports, 0)
	again := Study(t.Context(), path, o, &result.Initiator{}, ports, 2)
	mu.Lock()
	defer mu.Unlock()
	if len(from) == 6 {
		slices.Sort(from[:2]) // they are opened two at a time
		slices.Sort(from[2:4])
	}
	if len(again) != 4 || len(from) != 6 || !slices.Equal(from[:2], ports) || !slices.Equal(from[2:4], ports) {
		t.Errorf("%d connections from %v, want the first two ports again: %+v", len(again), from, again)
	}
	for _, c := range slices.Concat(once, again) {
		if !c.IsPassed() || c.Reached != result.ReachedDone {
			t.Errorf("got %+v, want it passed", c)
		}
	}
}

// Of two connections that were opened side by side one moves the payload. The other
// proved the path and no more: it says nothing of packets of full size.
func TestAConnectionThatMovedNoPayloadIsProvedAndNoMore(t *testing.T) {
	intact := &result.Transfer{Outcome: result.TransferIntact}
	proved := func(sent, received *result.Transfer) *attempt {
		return &attempt{Path: Path{Transport: "tcp"}, seen: result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: sent, Received: received}}
	}
	if c := proved(nil, nil).connection(); c.Reached != result.ReachedProved || !c.IsPassed() {
		t.Errorf("without a payload: %+v", c)
	}
	if c := proved(intact, intact).connection(); c.Reached != result.ReachedDone || !c.IsPassed() {
		t.Errorf("with one: %+v", c)
	}
	stalled := proved(intact, &result.Transfer{Outcome: result.TransferStalled}).connection()
	passed, failed := result.Compare([]result.Connection{proved(nil, nil).connection(), stalled, stalled})
	if len(passed) != 3 || len(failed) != 0 {
		t.Errorf("where no payload passes at all, %d passed and %d failed", len(passed), len(failed))
	}
}

// What a network doubled or held back of a connection ends the next from the same
// port, if that comes at once: here for so long as a machine's own scheduling takes.
func TestStudyLeavesASourcePortAloneBeforeItRepeatsIt(t *testing.T) {
	const lag = reuseAfter / 2
	var mu sync.Mutex
	over := map[int]time.Time{}
	target := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(ctx context.Context, c *net.TCPConn) {
		port := c.RemoteAddr().(*net.TCPAddr).Port
		mu.Lock()
		isDisturbed := time.Since(over[port]) < lag
		mu.Unlock()
		if isDisturbed {
			abort(c)
			return
		}
		answering(answerer())(ctx, c)
		mu.Lock()
		over[port] = time.Now()
		mu.Unlock()
	})
	path, o := Path{Flow: "sql", Transport: "tcp", Target: target}, Options{Key: rightKey, Timeout: guardTime}
	all := Study(t.Context(), path, o, &result.Initiator{}, []int{24781, 24784, 24781, 24784}, 0)
	for _, c := range all {
		if !c.IsPassed() {
			t.Errorf("got %+v, want it passed", c)
		}
	}
	if len(all) != 4 {
		t.Errorf("%d connections, want 4", len(all))
	}
}

// Of two first connections the one tells of the path that got more: bytes tell more of
// who answers than an error does, which a program that starts late gives too.
func TestWhatTellsMoreOfAPathIsTold(t *testing.T) {
	order := []result.Initiator{
		{Connect: result.ConnectFailed},
		{Connect: result.ConnectTimeout},
		{Connect: result.ConnectRST},
		{Connect: result.ConnectOpen, Answer: result.AnswerSilent},
		{Connect: result.ConnectOpen, Answer: result.AnswerICMP},
		{Connect: result.ConnectOpen, Answer: result.AnswerForeign},
		{Connect: result.ConnectOpen, Answer: result.AnswerKeyed},
	}
	for i := range order[1:] {
		if less, more := tells(&attempt{seen: order[i]}), tells(&attempt{seen: order[i+1]}); more <= less {
			t.Errorf("%s %s tells no more than %s %s", order[i+1].Connect, order[i+1].Answer, order[i].Connect, order[i].Answer)
		}
	}
}

// How long a further connection may take follows from how long those before it took.
func TestFurtherConnectionsMayTakeAsLongAsTheFirstOnes(t *testing.T) {
	took := func(ms ...float64) (list []result.Connection) {
		for _, m := range ms {
			list = append(list, result.Connection{ProvedMS: m, Reached: result.ReachedProved})
		}
		return append(list, result.Connection{Reached: result.ReachedNothing, ElapsedMS: 4000}) // tells nothing of how long a proof takes
	}
	const timeout = 4 * time.Second
	for name, c := range map[string]struct {
		before []result.Connection
		rtt    time.Duration
		most   time.Duration
	}{
		"none was proved":              {most: openTimeout},
		"all were soon":                {before: took(10, 12), most: openTimeout + 10*time.Millisecond},
		"one of two lost its SYN":      {before: took(3010, 10), most: openTimeout + 10*time.Millisecond},
		"each takes 1.2 s":             {before: took(1250, 1200), most: openTimeout + 1200*time.Millisecond},
		"each takes 2.5 s":             {before: took(2510, 2500), most: timeout},
		"each takes 2.5 s, a long way": {before: took(2510, 2500), rtt: 100 * time.Millisecond, most: timeout + openRoundTrips*100*time.Millisecond},
	} {
		if got := (Options{Timeout: timeout}).further(c.rtt, c.before); got != c.most {
			t.Errorf("%s: a further one may take %v, want %v", name, got, c.most)
		}
	}
}
