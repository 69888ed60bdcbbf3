package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest returns 16 hexadecimal digits that are the same for two plans only if
// they test the same: a hash of each row's id, transport, port and source port
// of the plan file, roles and expectation (docs/invitation.md). Words for
// people, needs and hosts do not count, nor do ports that Apply changed. It is
// meant for a plan as loaded: Apply may leave rows out.
func (p *Plan) Digest() string {
	h := sha256.New()
	for _, r := range p.Rows {
		from := make([]string, len(r.From))
		for i, f := range r.From {
			from[i] = string(f)
		}
		fmt.Fprintf(h, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n",
			r.ID, r.Transport, r.PlanPort, r.PlanSourcePort, strings.Join(from, ","), r.To, r.Expect)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
