package verdict

import (
	"strconv"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func TestProxyProtocolHeaderThatTheListenerSpeaksOfIsNamed(t *testing.T) {
	for _, c := range []struct {
		reply string
		a     *result.Acceptor
		want  result.Code
	}{
		{"A PROXY protocol header came before the request.\r\n", acceptor(result.PortBound, result.SawUnknown), "proxy-header"},
		{"A PROXY protocol header came before the request.\r\n", nil, "proxy-header"},
		{"HTTP/1.1 400 Bad Request\r\n", acceptor(result.PortBound, result.SawUnknown), "intercepted"},
	} {
		i := connected(result.AnswerForeign)
		i.Reply = strconv.Quote(c.reply)
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: c.a, Instance: here})
		f := explain(p, Context{Mode: result.ModePaths})
		if f == nil || f.Code != c.want || p.OK {
			t.Fatalf("%q: %+v, ok %v", c.reply, f, p.OK)
		}
		if c.want == "proxy-header" && !strings.Contains(f.Advice, "turn the PROXY protocol (send-proxy) off in it for TCP from 10.1.0.2") {
			t.Error(f.Advice)
		}
	}
}
