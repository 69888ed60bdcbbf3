package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// standBy leaves out of the count those paths of which another address of the
// same name works, where the site says that one is enough: SQL Server keeps all
// but one address of an availability group's listener offline. Nothing is to be
// asked for then.
func standBy(paths []result.Path, isAnyEnough func(result.Path) bool) {
	if isAnyEnough == nil {
		return
	}
	type row struct{ flow, host string }
	works := map[row]string{}
	for _, p := range paths {
		if r := (row{p.Flow, p.Host}); p.Direction == plan.Forward && p.OK && works[r] == "" {
			works[r] = p.Target.Addr().String()
		}
	}
	for i := range paths {
		p := &paths[i]
		by := works[row{p.Flow, p.Host}]
		if p.Direction != plan.Forward || p.OK || !p.Address.IsValid() || by == "" || p.Expect == plan.ExpectClosed || !isAnyEnough(*p) || !isOffline(p.Verdict) {
			continue
		}
		p.Counted, p.Finding = false, nil
		p.Notes = append(p.Notes, result.Note{Code: result.NoteStandby,
			Text: fmt.Sprintf("%s does not work (%s), and need not: by the site file any address of the name is enough, and %s works", p.Address, p.Verdict, by)})
	}
}

// isOffline reports whether a verdict is what an address that is kept offline
// brings about. One that answers, and wrongly, is another matter.
func isOffline(v result.Verdict) bool {
	return v.Row().Closed || v == result.Unreachable
}

// someAddresses tells of names of which some addresses work and others do not:
// a client may be given any of them. leftOut are addresses that nobody tried.
func someAddresses(r *result.Report, leftOut []netip.Addr) []result.Finding {
	type address struct {
		at     result.Addr
		ok     bool
		broken []string
	}
	var hosts []string
	of := map[string][]*address{}
	counted := slices.ContainsFunc(r.Paths, func(p result.Path) bool { return p.Address.IsValid() && p.Counted })
	for _, p := range r.Paths {
		isStandby := slices.ContainsFunc(p.Notes, func(n result.Note) bool { return n.Code == result.NoteStandby })
		if p.Direction != plan.Forward || !p.Address.IsValid() || p.Initiator == nil || p.Initiator.NotTried != "" || isStandby || counted && !p.Counted {
			continue
		}
		host := orElse(p.Host, r.To.Host)
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
		n := slices.IndexFunc(of[host], func(a *address) bool { return a.at == p.Address })
		if n < 0 {
			n = len(of[host])
			of[host] = append(of[host], &address{at: p.Address, ok: true})
		}
		if a := of[host][n]; !p.OK {
			a.ok = false
			a.broken = append(a.broken, fmt.Sprintf("%s %s", p.Flow, p.Verdict))
		}
	}
	var out []result.Finding
	for _, host := range hosts {
		var good, bad, dead []string
		for _, a := range of[host] {
			if a.ok {
				good = append(good, a.at.String())
				continue
			}
			dead = append(dead, a.at.String())
			bad = append(bad, fmt.Sprintf("%s (%s)", a.at.String(), firstFew(a.broken)))
		}
		if len(good) == 0 || len(bad) == 0 {
			continue
		}
		out = append(out, result.Finding{Code: result.CodeSomeAddresses,
			Text: fmt.Sprintf("%d of %d addresses of %s work%s: %s. Not so: %s. A client may be given any of them, and programs that try only the first fail, or wait.",
				len(good), len(good)+len(bad), host, thirdPerson(len(good)), strings.Join(good, " and "), strings.Join(bad, "; ")),
			Advice: fmt.Sprintf("Either have %s work as %s does, or take %s out of the name's records (DNS, hosts file). Where one address is enough and the others are offline on purpose, as with a SQL Server availability group, say addresses: any in the site file.",
				strings.Join(dead, " and "), good[0], oneOrThem(len(dead)))})
	}
	if len(leftOut) > 0 {
		out = append(out, result.Finding{Code: result.CodeAddressesLeftOut,
			Text:   fmt.Sprintf("%s has more addresses than are tried in one run; nothing is known of %s.", r.To.Host, addrList(leftOut)),
			Advice: "Dial each of those by itself."})
	}
	return out
}

func thirdPerson(n int) string {
	if n == 1 {
		return "s"
	}
	return ""
}

func oneOrThem(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// firstFew joins the first of a list.
func firstFew(of []string) string {
	const most = 4
	if len(of) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(of[:most], ", "), len(of)-most)
	}
	return strings.Join(of, ", ")
}

// addrList joins addresses as in "a and b".
func addrList(of []netip.Addr) string {
	var words []string
	for _, a := range of {
		words = append(words, a.String())
	}
	return strings.Join(words, " and ")
}
