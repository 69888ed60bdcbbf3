package oracle

import (
	"net"
	"testing"
)

// free is a door of 127.0.0.1 that nobody has.
func free(t *testing.T, transport string) Door {
	t.Helper()
	if transport == "udp" {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		return Door{"udp row", "127.0.0.1", pc.LocalAddr().(*net.UDPAddr).Port, "udp"}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return Door{"tcp row", "127.0.0.1", l.Addr().(*net.TCPAddr).Port, "tcp"}
}

func TestPlainConnectionsTellWhoAnswers(t *testing.T) {
	doors := []Door{free(t, "tcp"), free(t, "udp")}
	stop, err := Serve("server", doors)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for r, tried := range Knock(t.Context(), doors) {
		by := map[string]int{}
		odd := map[string]int{}
		for _, one := range tried {
			if !one.OK || one.Name == "" {
				t.Errorf("%s: %+v", r, one)
			}
			by[one.By]++
			odd[one.By] += one.Source % 2
		}
		if by["connect"] != Times/2 || by["bind"] != Times/2 {
			t.Errorf("%s was tried %v times", r, by)
		}
		// What Linux does, and why both are needed.
		if r == "tcp row" && (odd["connect"] != 0 || odd["bind"] != Times/2) {
			t.Errorf("odd source ports: %v, want those of bind and no others", odd)
		}
	}
}

func TestPlainConnectionsTellHowTheyFail(t *testing.T) {
	refuses := free(t, "tcp")
	refuses.Row = "refused"
	rude, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer rude.Close()
	go func() {
		for {
			c, err := rude.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	resets := Door{"reset", "127.0.0.1", rude.Addr().(*net.TCPAddr).Port, "tcp"}
	for r, tried := range Knock(t.Context(), []Door{refuses, resets}) {
		for _, one := range tried {
			if one.OK || one.Ended != r {
				t.Errorf("%s: %+v", r, one)
			}
		}
	}
}
