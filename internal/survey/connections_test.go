package survey

import (
	"context"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// past is a phase whose deadline has passed and whose timer has not come yet.
type past struct{ context.Context }

func (past) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// A conversation that times out with the phase it belongs to was given up by this
// end; one that times out before tells that nothing came.
func TestAConversationThatEndsWithItsPhaseTellsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		phase context.Context
		want  result.Ended
	}{
		"within the phase": {t.Context(), result.EndedSilent},
		"with the phase":   {past{t.Context()}, result.EndedUnknown},
	} {
		s := newSurvey(Config{Host: far.String()})
		ended := s.record(c.phase, netip.AddrPort{}, result.Connection{Reached: result.ReachedProved, Ended: result.EndedWell})
		ended(os.ErrDeadlineExceeded)
		if got := s.besides[0].Ended; got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A path that worked and is tried again in doubt counts by what came of it, be it
// nothing within the time that it is given.
func TestATryOfAWayBackThatGetsNoAnswerCounts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := config(planOf(row("a", 24199, "client", "server")), far)
	c.Timeout, c.Bind = 200*time.Millisecond, nil
	s := newSurvey(c)
	if s.anyAnswers(t.Context(), []netip.AddrPort{sock.AddrPortOf(l.Addr())}) {
		t.Fatal("it answered")
	}
	if len(s.besides) != 1 || s.besides[0].Ended != result.EndedSilent || s.besides[0].Reached != result.ReachedConnected {
		t.Errorf("%+v", s.besides)
	}
}
