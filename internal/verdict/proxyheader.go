package verdict

import (
	"strings"

	"dialtone/internal/result"
)

// proxyHeader explains a listener that says that something else came before what
// was sent: a header of the PROXY protocol. nil: it does not say so.
func (e explainer) proxyHeader() *result.Finding {
	if e.i.Answer != result.AnswerForeign || !strings.Contains(e.i.Reply, result.ProxyHeaderWords) {
		return nil
	}
	return e.say(result.CodeProxyHeader, "The connection reached the listener, with a PROXY protocol header before what was sent: a proxy or load balancer in between puts it there, and ILLiad and Odyssey cannot read it",
		e.request("find the proxy or load balancer (haproxy, nginx, a cloud's load balancer), and turn the PROXY protocol (send-proxy) off in it for", ""))
}
