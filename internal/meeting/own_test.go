package meeting

import (
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// ledBack is a run whose partner's address is this end's own.
func ledBack(port int) Config {
	own := netip.MustParseAddr("127.78.3.1")
	return meeter(institutions(port), own, own, 3*time.Second)
}

func expectOwnAnswer(t *testing.T, r *result.Report) {
	t.Helper()
	out, in := pathTo(t, r, "out", plan.Forward), pathTo(t, r, "in", plan.Reverse)
	expect(t, out, result.Redirected)
	expect(t, in, result.Untested)
	if out.Proof != result.ProofNone || r.Contact != nil || r.Summary.OK || len(r.Findings) != 1 || r.Findings[0].Code != "own-answer" {
		t.Errorf("proof %s, contact %+v, ok %v, findings %+v", out.Proof, r.Contact, r.Summary.OK, r.Findings)
	}
}

func TestWaitingForOneselfEndsInTime(t *testing.T) {
	t.Parallel()
	c := ledBack(24198)
	began := time.Now()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < c.Wait || took > 5*c.Wait {
		t.Errorf("waited for %v, was to wait for %v", took, c.Wait)
	}
	expectOwnAnswer(t, r)
}
