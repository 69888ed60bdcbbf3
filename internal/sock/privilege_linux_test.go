package sock

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"dialtone/internal/plan"
)

func TestCapabilityIsReadFromTheKernel(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tx\nCapEff:\t000001ffffffffff\n": false, "CapEff:\t0000000000000400\n": false, "CapEff:\t000001fffffffbff\n": true, "CapEff:\t0000000000000000\n": true,
		"Name:\tx\n": false, "CapEff:\tnonsense\n": false,
	} {
		if got := lacksCapability(status); got != want {
			t.Errorf("%q: %t", status, got)
		}
	}
}

// An outgoing connection keeps its local port from being bound, and is told apart
// from a program that listens there.
func TestAConnectionThatHasAPortIsNoListener(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far := AddrPortOf(l.Addr())
	d := Dial(t.Context(), "tcp", netip.MustParseAddrPort("127.0.0.1:0"), far)
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	defer d.Conn.Close()
	use := PortUseOf(t.Context(), plan.TCP, d.Source)
	if use.IsListening || use.Remote != far || use.Holder == nil || int(use.Holder.PID) != os.Getpid() {
		t.Errorf("the connection: %+v (%+v)", use, use.Holder)
	}
	if h := PortOwner(t.Context(), plan.TCP, d.Source); h != nil {
		t.Errorf("%+v is said to listen", h)
	}
	if use := PortUseOf(t.Context(), plan.TCP, far); !use.IsListening || use.Holder == nil || use.Remote.IsValid() {
		t.Errorf("the listener, which has a connection too: %+v", use)
	}
}
