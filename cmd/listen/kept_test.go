package main

import (
	"strings"
	"testing"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Windows denies a port for several reasons (WSAEACCES), and each has a remedy of its
// own.
func TestWhyWindowsDeniesAPort(t *testing.T) {
	port := func(t plan.Transport, n int) *listener.BindError {
		return &listener.BindError{BusyPort: result.BusyPort{Transport: t, Port: n}, NoPermission: true}
	}
	tcp := []sock.PortRange{{First: 80, Last: 80}, {First: 1425, Last: 1524}, {First: 7968, Last: 7968, IsAdministered: true}, {First: 4500, Last: 4500}}
	asked := 0
	ranges := func(t plan.Transport) []sock.PortRange {
		if asked++; t == plan.TCP {
			return tcp
		}
		return nil
	}
	for _, c := range []struct {
		name         string
		kept         []*listener.BindError
		isRoot       bool
		says, absent string
	}{
		{"a drawn range", []*listener.BindError{port(plan.TCP, 1433)}, true,
			"tcp/1433 is in the range 1425-1524, which Windows keeps for Hyper-V, WSL or containers and draws anew when it starts.\n  As administrator: net stop winnat, then start listen, then net start winnat.", "HTTP.SYS"},
		{"how to keep it", []*listener.BindError{port(plan.TCP, 1433)}, true, "add excludedportrange protocol=tcp startport=1433 numberofports=1 store=persistent", "administrator to see"},
		{"one port alone", []*listener.BindError{port(plan.TCP, 80)}, true, "tcp/80 is reserved alone, as HTTP.SYS does it", "winnat"},
		{"an administrator's range keeps nobody out", []*listener.BindError{port(plan.TCP, 7968)}, true, "tcp/7968: Odyssey Manager has it by default", "range"},
		{"the other transport's ranges", []*listener.BindError{port(plan.UDP, 1434)}, true, "udp/1434: SQL Server Browser has it by default", "range"},
		{"no reason known", []*listener.BindError{port(plan.TCP, 210)}, false, "security software or a policy does", "winnat"},
		{"who may see more", []*listener.BindError{port(plan.TCP, 210)}, false, "Run listen as administrator", ""},
	} {
		got := keptHint(sock.Privilege{IsRoot: c.isRoot}, c.kept, ranges)
		if !strings.Contains(got, c.says) || c.absent != "" && strings.Contains(got, c.absent) {
			t.Errorf("%s:\n%s", c.name, got)
		}
	}
	asked = 0
	keptHint(sock.Privilege{}, []*listener.BindError{port(plan.TCP, 80), port(plan.TCP, 1433), port(plan.UDP, 1434)}, ranges)
	if asked != 2 {
		t.Errorf("Windows was asked %d times for two transports", asked)
	}
}
