package verdict

import (
	"fmt"

	"dialtone/internal/result"
)

func isPortUnreachable(m result.ICMP) bool {
	return !m.V6 && m.Type == 3 && m.Code == 3 || m.V6 && m.Type == 1 && m.Code == 4
}

// icmpWords names an ICMP error (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443
// section 3.1).
func icmpWords(m result.ICMP) string {
	names := map[[2]int]string{
		{3, 0}: "network unreachable", {3, 1}: "host unreachable", {3, 2}: "protocol unreachable", {3, 3}: "port unreachable",
		{3, 4}: "fragmentation needed", {3, 9}: "network administratively prohibited", {3, 10}: "host administratively prohibited",
		{3, 13}: "communication administratively prohibited", {11, 0}: "time to live exceeded",
	}
	if m.V6 {
		names = map[[2]int]string{
			{1, 0}: "no route to destination", {1, 1}: "communication administratively prohibited", {1, 3}: "address unreachable",
			{1, 4}: "port unreachable", {1, 5}: "source address failed policy", {1, 6}: "reject route", {3, 0}: "hop limit exceeded",
		}
	}
	if n := names[[2]int{m.Type, m.Code}]; n != "" {
		return fmt.Sprintf("%s (type %d code %d)", n, m.Type, m.Code)
	}
	return fmt.Sprintf("type %d code %d", m.Type, m.Code)
}
