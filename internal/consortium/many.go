package consortium

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// notDialed says why a partner of a list was not dialed at all.
func notDialed(err error) result.Finding {
	return result.Finding{Code: result.CodeNotDialed, Text: strings.TrimSuffix(strings.Join(strings.Fields(err.Error()), " "), ".") + ".",
		Advice: "Once that is mended in the list, run the test again; the other partners are not affected."}
}

// notItsTurn says that a run ended before a partner of a list was dialed.
func notItsTurn() result.Finding {
	return result.Finding{Code: result.CodeInterrupted, Text: "The run was interrupted before its turn.", Advice: goOn}
}

const goOn = "Run the same command again: it goes on with those that are left."

// maxNamed is how many partners a sentence names.
const maxNamed = 10

// unfinished says that some partners of a list were not tested to the end.
func unfinished(names []string) result.Finding {
	list := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return result.Finding{Code: result.CodeInterrupted, Text: fmt.Sprintf("The run was interrupted, and these partners were not tested to the end: %s.", list),
		Advice: goOn}
}

// onlySends says why nothing is known of what a partner opens to this end at
// which nobody can run listen, and how that shows.
func onlySends(what string, from []string) result.Finding {
	let := "from the addresses that it sends from (ask it; in the list they belong under sends)"
	if len(from) > 0 {
		let = "from " + strings.Join(from, ", ")
	}
	return result.Finding{Code: result.CodeOnlySends,
		Text:   "This partner is " + what + ": nobody can run listen there, and so nothing here can have it dial.",
		Advice: fmt.Sprintf("Let it in %s, run listen here, and have it deliver something: listen shows who came to which port, and from where.", let)}
}

// sendsFrom holds against a list's word from where a partner's connections come:
// what arrived from elsewhere, and that two firewalls need other addresses than
// the one that is dialed.
func sendsFrom(r *result.Report, name string, sends []string) []result.Finding {
	var elsewhere []string
	for _, p := range r.Paths {
		seen := p.SeenAs.Addr()
		if p.Direction != plan.Reverse || p.Proof != result.ProofKeyed || !seen.IsValid() || slices.Contains(sends, seen.String()) || slices.Contains(elsewhere, seen.String()) {
			continue
		}
		elsewhere = append(elsewhere, seen.String())
	}
	onlyAddresses := !slices.ContainsFunc(sends, func(s string) bool { _, err := netip.ParseAddr(s); return err != nil })
	if len(elsewhere) > 0 && onlyAddresses {
		return []result.Finding{{Code: result.CodeSendsFromElsewhere,
			Text:   fmt.Sprintf("By the list %s sends from %s, and its connections came from %s.", name, strings.Join(sends, ", "), strings.Join(elsewhere, ", ")),
			Advice: fmt.Sprintf("Ask %s which it is, and mend the list, the rule that lets it in, and its Lender Address.", name)}}
	}
	if r.To.Host != "" && slices.ContainsFunc(sends, func(s string) bool { return s != r.To.Host && !slices.Contains(r.To.Addresses.Words(), s) }) {
		return []result.Finding{{Code: result.CodeSendsFrom,
			Text:   fmt.Sprintf("%s receives at %s and sends from %s, by the list.", name, r.To.Host, strings.Join(sends, ", ")),
			Advice: fmt.Sprintf("The firewall here has to let in %s; what it lets out goes to the other. ILLiad matches a delivery by the address that it came from (Lender Addresses).", strings.Join(sends, ", "))}}
	}
	return nil
}
