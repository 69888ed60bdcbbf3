package consortium

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

// near is this end, unless a test says otherwise.
var near = netip.MustParseAddr("127.78.0.2")

// What tests of other packages have, too.
var (
	institutions = prooftest.Institutions
	pathTo       = prooftest.PathTo
	expect       = prooftest.Expect
)

// listen runs a listener until the test ends.
func listen(t *testing.T, c listener.Config) {
	t.Helper()
	l := listener.New(c)
	if failed := l.Bind(t.Context()); len(failed) > 0 {
		prooftest.CannotBind(t, c.Addrs[0], failed[0])
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := l.Serve(t.Context(), func([]*listener.BindError) {}); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(serving.Wait)
}

// between is a test of one institution's server by another.
func between(p *plan.Plan, own, other netip.Addr) survey.Config {
	return survey.Config{
		Key: prooftest.RightKey, Software: "test", Hostname: own.String(), Plan: p, Host: other.String(),
		Local: []plan.Role{"server"}, Remote: []plan.Role{"peer"}, Timeout: 2 * time.Second, Bytes: 64 << 10, Bind: []netip.Addr{own},
	}
}

// Each partner has a key of its own, and all dial back to the one port that
// this end has.
func TestManyPartnersShareOneListener(t *testing.T) {
	p := institutions(24195)
	var configs []survey.Config
	for i := range 10 {
		at := netip.AddrFrom4([4]byte{127, 78, 1, byte(i + 1)})
		key := prooftest.Key(fmt.Sprintf("the key of partner %d", i))
		c := between(p, near, at)
		c.Key = key
		configs = append(configs, c)
		switch i {
		case 3: // nobody listens
		case 7: // somebody does, with a key that was given to nobody
			listen(t, listener.Config{Key: prooftest.RightKey, Plan: p, Ports: p.Ports([]plan.Role{"peer"}), Addrs: []netip.Addr{at}})
		default:
			listen(t, listener.Config{Key: key, Plan: p, Roles: []plan.Role{"peer"}, Ports: p.Ports([]plan.Role{"peer"}), Addrs: []netip.Addr{at}})
		}
	}
	reports := map[int]*result.Report{}
	runAll(t.Context(), configs, 4, func(i int, r *result.Report, err error) {
		if err != nil {
			t.Error(err)
		}
		reports[i] = r
	})
	if len(reports) != len(configs) {
		t.Fatalf("%d reports", len(reports))
	}
	for i, r := range reports {
		out, in := pathTo(t, r, "out", plan.Forward), pathTo(t, r, "in", plan.Reverse)
		switch i {
		case 3:
			expect(t, out, result.Refused)
			expect(t, in, result.Untested)
		case 7:
			expect(t, out, result.Answered)
			expect(t, in, result.Untested)
		default:
			expect(t, out, result.Open)
			expect(t, in, result.Open)
			if in.Source.Addr() != netip.AddrFrom4([4]byte{127, 78, 1, byte(i + 1)}) {
				t.Errorf("partner %d dialed from %s", i, in.Source)
			}
		}
	}
}

func TestManyPartnersEndWhenTheyAreStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := institutions(24196)
	var configs []survey.Config
	for i := range 50 {
		configs = append(configs, between(p, near, netip.AddrFrom4([4]byte{127, 78, 2, byte(i + 1)})))
	}
	n := 0
	runAll(ctx, configs, 1, func(_ int, r *result.Report, _ error) {
		n++
		cancel()
	})
	if n == 0 || n > 2 {
		t.Errorf("%d runs were made after the first ended everything", n)
	}
}

func TestAPartnerThatIsThisVeryMachineProvesNothing(t *testing.T) {
	t.Parallel()
	own := netip.MustParseAddr("127.78.3.1")
	n := 0
	runAll(t.Context(), []survey.Config{between(institutions(24197), own, own)}, 1, func(_ int, r *result.Report, err error) {
		if n++; err != nil {
			t.Error(err)
		}
		out, in := pathTo(t, r, "out", plan.Forward), pathTo(t, r, "in", plan.Reverse)
		expect(t, out, result.Redirected)
		expect(t, in, result.Untested)
		if out.Proof != result.ProofNone || r.Contact != nil || r.Summary.OK || len(r.Findings) != 1 || r.Findings[0].Code != "own-answer" {
			t.Errorf("proof %s, contact %+v, ok %v, findings %+v", out.Proof, r.Contact, r.Summary.OK, r.Findings)
		}
	})
	if n != 1 {
		t.Errorf("%d reports", n)
	}
}
