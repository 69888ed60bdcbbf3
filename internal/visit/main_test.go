package visit

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The two ends of these tests.
var (
	loop = netip.MustParseAddr("127.0.0.1")
	far  = netip.MustParseAddr("127.79.0.1")
	near = netip.MustParseAddr("127.79.0.2")
)

// row returns a TCP row of the plan of these tests.
func row(id string, port int, from, to plan.Role) plan.Row {
	return plan.Row{ID: id, Service: id, Name: strings.ToUpper(id), Port: port, PlanPort: port, Transport: plan.TCP,
		From: []plan.Role{from}, To: to, Need: plan.Required, Expect: plan.ExpectOpen, Why: "Because."}
}

// listen has a listener speak as a plan's software on the far end, until the test
// ends.
func listen(t *testing.T, p *plan.Plan) {
	t.Helper()
	l := listener.New(listener.Config{Key: prooftest.RightKey, Software: "test", Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{far}})
	if failed := l.Bind(t.Context()); len(failed) > 0 {
		prooftest.CannotBind(t, far, failed[0])
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		if err := l.Serve(ctx, func([]*listener.BindError) { close(ready) }); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	<-ready
	t.Cleanup(func() { cancel(); done.Wait() })
}

func config(p *plan.Plan, host netip.Addr) Config {
	return Config{
		Software: "test", Hostname: "near.test", Plan: p, Host: host.String(),
		Local: []plan.Role{"client"}, Timeout: 2 * time.Second, Bind: []netip.Addr{near},
	}
}

// pathTo returns the path of a flow, of which there must be one.
func pathTo(t *testing.T, r *result.Report, flow string) result.Path {
	t.Helper()
	var found []result.Path
	for _, p := range r.Paths {
		if p.Flow == flow {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d paths of %s in %+v", len(found), flow, r.Paths)
	}
	return found[0]
}
