package address

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// faults says of each way to fail what it means: {who} is the observer, {at} the
// address that was asked, {what} who answered instead, or what was said.
var faults = map[result.ViewOutcome]struct {
	code         result.Code
	text, advice string
}{
	result.ViewUnresolved:  {result.CodeServerUnresolved, "{who} was not found: {what}.", "Check the name if there is no such name; else have this machine's name servers mended, or give the address."},
	result.ViewUnreachable: {result.CodeServerUnreachable, "This machine has no way to {who} at {at}: no route, no such machine in its own network, or its own firewall forbids it.", ""},
	result.ViewRefused:     {result.CodeServerRefused, "{who} refused at {at}: nothing listens there.", "Check name and port."},
	result.ViewRejected:    {result.CodeServerRejected, "{what} turns away what is sent to {who} at {at}: a firewall forbids it, or the machine is not there.", "Check the name, or ask another server."},
	result.ViewSilent:      {result.CodeServerSilent, "{who} never answered at {at}: it is not there, or a firewall drops it.", "Check name and port, or ask another server."},
	result.ViewMute:        {result.CodeServerSilent, "{who} accepted the connection at {at} and never answered: it is no STUN server, or a device on the way accepted in its place.", "Check name and port, or ask another server."},
	result.ViewClosed:      {result.CodeNotSTUN, "{who} accepted the connection at {at} and ended it without an answer: it is no STUN server, or does not serve this address.", "Check name and port."},
	result.ViewNotSTUN:     {result.CodeNotSTUN, "{who} at {at} is no STUN server: it answered {what}.", "Check name and port."},
	result.ViewTransaction: {result.CodeForeignTransaction, "What came in the name of {who} at {at} answers another question than ours, and was not believed.", "Somebody forges answers, or a device on the way rewrites them; ask a listener with the key."},
	result.ViewElsewhere:   {result.CodeAnsweredElsewhere, "{who} was asked at {at} and {what} answered, which was not believed.", "Its network is set up wrongly, or a device on the way answers in its place; ask another server."},
	result.ViewAltered:     {result.CodeAnswerAltered, "The answer of {who} at {at} was changed on the way: its FINGERPRINT is wrong.", "A device on the way rewrites addresses; ask a listener with the key."},
	result.ViewUnmapped:    {result.CodeNotSTUN, "{who} at {at} answers without saying as what it sees you: it is no server of RFC 8489.", "Ask another server."},
	result.ViewImplausible: {result.CodeImplausibleAddress, "{who} at {at} claims to see you as {what}, which cannot be: it was not believed.", "It is broken or lies; ask another server."},
	result.ViewError:       {result.CodeSTUNError, "{who} at {at} refuses to tell: STUN error {what}.", "Ask another server."},
	result.ViewWrongKey:    {result.CodeWrongKey, "The listener {who} at {at} has another key.", "Use the words that listen printed there."},
	result.ViewForbidden:   {result.CodeForbidden, "The listener {who} at {at} has this key and does not allow this machine's address.", "Ask for it to be added to listen --allow there."},
	result.ViewUnkeyed:     {result.CodeUnkeyed, "What answers in place of the listener {who} at {at} does not have the key ({what}), and was not believed.", "Run listen there, or name it by --stun if it is a STUN server."},
	result.ViewFailed:      {result.CodeServerFailed, "{who} could not be asked at {at}: {what}.", ""},
}

// observers says who gave no usable answer, and why: each observer and cause
// once. A listener is asked at several ports: one cause is enough there.
func (c *conclusion) observers() {
	type key struct {
		observer string
		outcome  result.ViewOutcome
	}
	helped := map[string]bool{}
	for _, v := range c.Views {
		helped[v.Observer] = helped[v.Observer] || v.Outcome == result.ViewAnswered
	}
	said := map[key]bool{}
	for _, v := range c.Views {
		k := key{v.Observer, v.Outcome}
		switch {
		case v.Outcome == result.ViewAnswered, said[k],
			helped[v.Observer] && (v.Test == result.TestAlternate || !isTelling(v)),
			v.Keyed && v.Target != c.mostTelling(v.Observer):
			continue
		}
		said[k] = true
		c.fault(v)
	}
}

// fault says why a view is of no use.
func (c *conclusion) fault(v result.View) {
	f := faults[v.Outcome]
	what := v.Error
	switch {
	case v.Outcome == result.ViewImplausible:
		what = v.SeenAs.String()
	case v.Outcome == result.ViewUnresolved:
		_, what, _ = strings.Cut(what, ": ") // it begins with the name
	case v.From != "":
		what = v.From
	}
	words := strings.NewReplacer("{who}", v.Observer, "{at}", fmt.Sprintf("%s/%s", v.Target, v.Transport), "{what}", what)
	c.find(f.code, words.Replace(f.text), f.advice)
}

// isTelling reports whether a view says something that is worth knowing even of
// an observer that answered otherwise: somebody meddles.
func isTelling(v result.View) bool {
	return slices.Contains([]result.ViewOutcome{
		result.ViewTransaction, result.ViewElsewhere, result.ViewAltered, result.ViewImplausible, result.ViewUnkeyed,
	}, v.Outcome)
}

// mostTelling is where a listener failed that says most: where something
// answered, else at the port that was asked first.
func (c *conclusion) mostTelling(observer string) result.Endpoint {
	var first result.Endpoint
	for _, v := range c.Views {
		switch {
		case v.Observer != observer || !v.Keyed:
		case isTelling(v), v.Outcome == result.ViewWrongKey, v.Outcome == result.ViewForbidden:
			return v.Target
		case !first.IsValid():
			first = v.Target
		}
	}
	return first
}
