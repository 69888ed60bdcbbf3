package listener

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

const (
	// maxVisitors bounds who is listed, maxVisits what is listed of all of them.
	maxVisitors = 4096
	maxVisits   = 16384
)

// Visitors lists who came and what they did, those with the key first and each group
// by address, and counts the events of those for whom there is no room.
func (j *Journal) Visitors() (out []result.Visitor, unlisted int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	unlisted = j.unlisted
	for addr, did := range j.reached {
		out = append(out, visitorOf(addr, did))
	}
	slices.SortFunc(out, func(a, b result.Visitor) int {
		x, _ := netip.ParseAddr(a.Address)
		y, _ := netip.ParseAddr(b.Address)
		return cmp.Or(-compareBools(a.Keyed, b.Keyed), x.Compare(y))
	})
	visits := 0
	for i, v := range out {
		if visits += len(v.Visits); i < maxVisitors && visits <= maxVisits {
			continue
		}
		for _, v := range out[i:] {
			for _, visit := range v.Visits {
				unlisted += visit.Count
			}
		}
		out = out[:i]
		break
	}
	return out, unlisted
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func visitorOf(addr netip.Addr, did map[reached]*tally) result.Visitor {
	v := result.Visitor{Address: addr.Unmap().String(), Roles: []string{}, Visits: []result.Visit{}, Told: []result.Told{}}
	for _, r := range slices.SortedFunc(maps.Keys(did), reached.compare) {
		t := did[r]
		transport, number, _ := strings.Cut(r.port, "/")
		port, _ := strconv.Atoi(number) // it is ours
		visit := result.Visit{
			Port: port, Transport: plan.Transport(transport), Service: t.service, Kind: string(t.kind), Count: t.count,
			First: result.TimeOf(t.first), Last: result.TimeOf(t.last),
		}
		if r.what != string(t.kind) {
			visit.Words = r.what
		}
		v.Keyed = v.Keyed || t.kind == echo.KindProved
		if v.First.IsZero() || t.first.Before(v.First.Time) {
			v.First = visit.First
		}
		v.Last = later(v.Last, visit.Last)
		v.Visits = append(v.Visits, visit)
	}
	return v
}
