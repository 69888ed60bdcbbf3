package main

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"dialtone/internal/plan"
)

// maxUnseen is of how many ports it is told how to see what the system does not show.
const maxUnseen = 5

// unseen tells once for a port how an administrator sees what comes to it, where dial
// asks and the system of this name does not show it to programs; nil: nothing helps.
func (s *serving) unseen(goos string) func(t plan.Transport, port int, from netip.Addr) {
	if goos != "windows" {
		return nil
	}
	var mu sync.Mutex
	told := map[string]bool{}
	return func(t plan.Transport, port int, from netip.Addr) {
		mu.Lock()
		defer mu.Unlock()
		name := fmt.Sprintf("%s/%d", t, port)
		if told[name] || len(told) == maxUnseen {
			return
		}
		told[name] = true
		fmt.Fprintf(s.errs, "listen: %s", unseenWords(t, port, from))
	}
}

// unseenWords are the commands of pktmon, which Windows 10 (1809), Server 2019 and later
// have (Microsoft Learn, pktmon filter add, pktmon start).
func unseenWords(t plan.Transport, port int, from netip.Addr) string {
	where := ""
	if from.IsValid() {
		where = " -i " + from.Unmap().WithZone("").String()
	}
	return fmt.Sprintf("dial got no answer from %s/%d, and Windows does not show programs what arrives and is not completed. As administrator:\n"+
		"  pktmon filter remove\n"+
		"  pktmon filter add dialtone%s -t %s -p %d\n"+
		"  pktmon start --capture --log-mode real-time\n"+
		"and run dial again. Lines that appear: its packets arrive here, and are lost behind this (its own firewall), or the answer is. None: they do not\n"+
		"arrive. Then Ctrl-C, and pktmon filter remove.\n", t, port, where, strings.ToUpper(string(t)), port)
}
