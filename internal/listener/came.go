package listener

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
)

// Came says who came to each bound port of these rows, from which addresses, and
// to which nobody came, for people: where nobody can run dial on the machines
// that connect, that is all there is to tell.
func (j *Journal) Came(bindings []plan.Binding) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "Who came to which port:\n")
	for _, bound := range bindings {
		var rows, from []string
		for _, r := range bound.Rows {
			rows = append(rows, r.ID)
			for _, f := range r.From {
				if !slices.Contains(from, string(f)) {
					from = append(from, string(f))
				}
			}
		}
		fmt.Fprintf(&b, "  %d/%s  %s, from %s:\n", bound.Port, bound.Transport, strings.Join(rows, ", "), strings.Join(from, ", "))
		nobody := true
		for _, a := range slices.SortedFunc(maps.Keys(j.reached), netip.Addr.Compare) {
			var kinds []string
			count, last := 0, ""
			for _, r := range slices.SortedFunc(maps.Keys(j.reached[a]), reached.compare) {
				if r.port != fmt.Sprintf("%s/%d", bound.Transport, bound.Port) {
					continue
				}
				t := j.reached[a][r]
				kinds = append(kinds, r.what)
				count += t.count
				last = max(last, t.last.UTC().Format("2006-01-02 15:04:05 UTC"))
			}
			if count > 0 {
				nobody = false
				fmt.Fprintf(&b, "      %s ×%d, last at %s (%s)\n", a, count, last, strings.Join(kinds, ", "))
			}
		}
		if nobody {
			fmt.Fprintf(&b, "      nobody. Either nothing was sent, or it was stopped on the way, by the firewall there, here, or of this machine.\n")
		}
	}
	fmt.Fprintf(&b, "An address that came shows that the way from it to this port is open, as far as it went; whose it is stands in the vendor's list of addresses, not here.\n")
	return b.String()
}
