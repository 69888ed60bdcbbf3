package verdict

import (
	"fmt"
	"strings"

	"dialtone/internal/result"
)

// fetched rules on what a browser tried. It is never ok: HTTP that went through shows
// neither that no proxy carried it nor what becomes of the service's own protocol; and
// what failed is not known but where the listener's half settles it.
func fetched(c question) ruling {
	i, a := c.Initiator, c.Acceptor
	r := ruling{Verdict: result.Silent, Proof: result.ProofNone}
	switch f := i.Fetch; {
	case f.Outcome == result.FetchForbidden || i.NotTried != "":
		r.Verdict = result.Untested
	case isTokenAnswered(i, a):
		r.Verdict, r.Proof = fetchedPayload(i), result.ProofBrowser
	case f.Outcome == result.FetchAnswered, a == nil, f.TLS:
	case a.Saw == result.SawAccepted && a.Match == result.MatchProbe:
		r.Verdict = result.Stalled
	case f.Outcome != result.FetchTimeout, len(f.Proxy) > 0, a.Port != result.PortBound, a.Dropped == result.DropListener:
	case a.Saw == result.SawHalfOpen:
		r.Verdict = result.ReplyLost
	case a.Saw == result.SawNothing:
		r.Verdict = result.Filtered
	}
	return r
}

// isTokenAnswered reports whether both ends say that the token went there and its answer
// back.
func isTokenAnswered(i *result.Initiator, a *result.Acceptor) bool {
	return i.Fetch.Outcome == result.FetchAnswered && a != nil && a.Saw == result.SawAccepted && a.Match == result.MatchProbe
}

// fetchedPayload is what becomes of an answered request with the data that went after it.
func fetchedPayload(i *result.Initiator) result.Verdict {
	for _, t := range []*result.Transfer{i.Sent, i.Received} {
		switch {
		case t == nil:
			return result.Stalled
		case t.Outcome == result.TransferCorrupted:
			return result.Intercepted
		case t.Outcome != result.TransferIntact:
			return result.Stalled
		}
	}
	return result.Answered
}

// dialTells is what to do where a browser cannot tell.
const dialTells = "Run dial on that computer: it makes the connections themselves, and says where they stop. Nothing to ask of the firewall team before that."

// fetched explains what a browser's attempt came to.
func (e explainer) fetched() *result.Finding {
	f := e.i.Fetch
	proxy := ""
	if len(f.Proxy) > 0 {
		proxy = fmt.Sprintf("A proxy may have carried it (%s)", strings.Join(f.Proxy, "; "))
	}
	switch e.p.Verdict {
	case result.Untested:
		return e.say(result.CodeBrowserRule, "Not tested: "+orElse(f.Rule, orElse(e.i.NotTried, "the browser sent nothing")), untestedAdvice(f))
	case result.Answered:
		if proxy != "" {
			return e.say(result.CodeBrowserProxy, fmt.Sprintf("HTTP went through on %s, and 256 KiB each way arrived unchanged. %s: then this shows the proxy's way, and not that of the programs that use the port, which know no proxy", e.port(), proxy), dialTells)
		}
		again := ""
		if e.i.Attempts > 1 {
			again = ", though not at the first request"
		}
		return e.say(result.CodeBrowserAnswered, fmt.Sprintf("HTTP went through on %s%s, and 256 KiB each way arrived unchanged. That is all that a browser can show: what a firewall that looks into the data makes of %s, dial alone tells", e.port(), again, e.p.Service), "")
	case result.Intercepted:
		return e.say(result.CodeBrowserChanged, with(fmt.Sprintf("HTTP went through on %s, and of the data that followed not all arrived as it was sent: something on the way changes it", e.port()), proxy), dialTells)
	case result.Stalled:
		if f.Outcome == result.FetchAnswered {
			return e.say(result.CodeBrowserNoAnswer, with(fmt.Sprintf("HTTP went through on %s, and the 256 KiB after it did not arrive whole (there: %s; back: %s)", e.port(), movedWords(e.i.Sent), movedWords(e.i.Received)), proxy), dialTells)
		}
		return e.say(result.CodeBrowserNoAnswer, with(fmt.Sprintf("The browser's request arrived at the listener on %s, which answered it, and the answer did not come back: something on the way, or on that computer, kept it", e.port()), proxy), dialTells)
	case result.Filtered:
		return e.filtered()
	case result.ReplyLost:
		return e.replyLost()
	}
	if f.TLS {
		return e.say(result.CodeBrowserTLS, fmt.Sprintf("The page asked for plain HTTP on %s, and what came there was TLS (a ClientHello): the browser made HTTPS of it by a rule of its own, such as HSTS for the name in the address or a policy of HTTPS only", e.port()),
			"Open the link as listen printed it, with the address in place of the name, or in another browser. That something came shows that the port is not closed to this computer; dial shows the rest.")
	}
	return e.say(result.CodeBrowserUnknown, with(with(fmt.Sprintf("The browser got no answer on %s, and does not tell why", e.port()), e.fetchSaw()), proxy), dialTells)
}

// fetchSaw says what the listener has to say of an attempt that it does not settle.
func (e explainer) fetchSaw() string {
	switch {
	case e.a == nil:
		return ""
	case e.i.Fetch.Outcome == result.FetchAnswered:
		return "What it was answered with is not this listener's: no request of it arrived here"
	case e.a.Port == result.PortBusy:
		return fmt.Sprintf("Other software holds that port where listen runs: %s", holderWords(e.a.Holder))
	case e.a.Saw == result.SawNothing && e.i.Fetch.Outcome == result.FetchFailed:
		return fmt.Sprintf("It gave up after %.0f ms, and nothing arrived here: the browser itself (a policy, an extension, Local Network Access), security software of that computer, a proxy or a device that refuses may have ended it", e.i.Fetch.ElapMS)
	case e.a.Saw == result.SawNothing:
		return "Nothing arrived here"
	case e.a.Saw == result.SawAccepted:
		return fmt.Sprintf("In that time a connection from the same address was accepted here%s, and no request came over it", fromWords(e.a.Source))
	case e.a.Saw == result.SawHalfOpen:
		return "In that time a connection from the same address arrived here and was never completed"
	}
	return "What arrived here does not tell: " + orElse(e.a.Reason, "unknown")
}

// untestedAdvice is what to do about a request that was not made.
func untestedAdvice(f *result.Fetch) string {
	if f.Rule == "" {
		return "Open the link again and leave the page open until it is done."
	}
	return "Run dial on that computer for it: it is bound by no such rule."
}

// movedWords says how far a payload got.
func movedWords(t *result.Transfer) string {
	switch {
	case t == nil:
		return "not told"
	case t.Outcome == result.TransferIntact:
		return "all of it"
	}
	return fmt.Sprintf("%d of %d bytes", t.Intact, t.Want)
}
