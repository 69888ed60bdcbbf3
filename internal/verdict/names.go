package verdict

import (
	"fmt"
	"strings"

	"dialtone/internal/result"
)

// A Name is one that has addresses, and of which not everything is known, since a
// name server did not do its part.
type Name struct {
	Host    string
	Trouble []string        // what name servers did instead of answering, for people
	Lacking []result.Family // of which nobody told whether it has addresses; none: only time was lost
}

// noAddress says why a name gave no address. Only where a name server said that
// there is no such name may whoever wrote it be wrong.
func noAddress(why string, fault result.NameFault) result.Finding {
	f := result.Finding{Code: result.CodeNameNotFound, Text: sentence("There is no address to dial: " + why)}
	switch fault {
	case result.NameAbsent:
		f.Advice = "Check the spelling of the name, and that this machine's DNS servers know it; or give the address instead of the name."
	case result.NameEmpty:
		f.Advice = "Ask whoever keeps that domain for an address record (A, AAAA) where it is missing, or give the address instead of the name."
	case result.NameFamily:
		f.Advice = "Leave --bind out, or give it an address of the other family."
	case result.NameUnanswered:
		f.Code = "name-servers"
		f.Advice = "Nobody has said that the name does not exist. Have the name servers mended, or this machine's settings, or port 53 (UDP and TCP) to them opened; until then give the address instead of the name."
	case result.NameNoServer:
		f.Code = "name-servers"
		f.Advice = "Set the name servers of this machine, or give the address instead of the name."
	default:
		f.Advice = "Give the address instead of the name, or have the name entered in this machine's DNS or hosts file."
	}
	return f
}

// inDoubt says which name servers did not do their part.
func (n Name) inDoubt() result.Finding {
	f := result.Finding{Code: result.CodeNameServers, Advice: "Have the name server mended, or taken out of this machine's settings: programs here that ask it first lose time, or are told nothing."}
	who := strings.Join(n.Trouble, "; ")
	if len(n.Lacking) == 0 {
		f.Text = sentence(fmt.Sprintf("%s was found, but not every name server tells it: %s", n.Host, who))
		return f
	}
	var families []string
	for _, l := range n.Lacking {
		families = append(families, familyNames[l])
	}
	f.Text = sentence(fmt.Sprintf("No name server tells whether %s has %s addresses, so that none was dialed: %s", n.Host, strings.Join(families, " or "), who))
	return f
}
