package survey

import (
	"context"
	"fmt"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// resolve finds the far end's addresses and takes the first of each family.
// Like other programs it leaves out a family of which this machine has no
// address, if the other family is there (AI_ADDRCONFIG, RFC 3493 section 6.1).
func (s *survey) resolve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	found, err := sock.Lookup(ctx, s.Host)
	if err != nil {
		return err
	}
	for _, a := range found {
		s.all = append(s.all, a)
		f := result.FamilyOf(a)
		if _, ok := s.addrs[f]; !ok {
			s.addrs[f] = a
		}
	}
	if len(s.Bind) > 0 {
		// A given source address decides the family.
		for f := range s.addrs {
			if !s.bindFor(f).IsValid() {
				delete(s.addrs, f)
			}
		}
		if len(s.addrs) == 0 {
			return fmt.Errorf("%s has no address of the same family as --bind", s.Host)
		}
		return nil
	}
	for f, a := range s.addrs {
		if len(s.addrs) > 1 && !a.IsLoopback() && !sock.HasFamily(f) {
			delete(s.addrs, f)
			s.leftOut = a
		}
	}
	return nil
}
