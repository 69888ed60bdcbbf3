package listener

import (
	"net/netip"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// Browsed says what this listener saw of a browser's attempt on a port, from the address
// that its page came from, that began and ended so long ago and of which no token
// arrived. Browsers tell no source port: whatever came from that address without a token
// of its own may be it. isTLS: what came began with TLS.
func (l *Listener) Browsed(port int, from netip.Addr, began, ended time.Duration) (a result.Acceptor, isTLS bool) {
	now := sock.Now()
	l.watch.Look()
	if l.arrivals.runsFrom(from, now.Add(-began-slack), now.Add(-ended+slack), l.Instance) {
		a = result.Acceptor{Instance: l.Instance.String()}
		a.Port, a.Holder = l.portState(plan.TCP, port, from, from)
		return unknown(a, "dial ran at the same address in that time"), false
	}
	a = l.sighting(echo.WitnessQuery{
		Transport: plan.TCP, Port: port, Source: result.EndpointFrom(netip.AddrPortFrom(from, 0)),
		BeganMS: began.Milliseconds(), EndedMS: ended.Milliseconds(),
	}, from, echo.ID{}, now)
	return a, a.Saw == result.SawAccepted && l.arrivals.beganTLS(a.Source.AddrPort, a.Local.AddrPort)
}

// BrowserTested tells of what came of a browser's test, as of any other event.
func (l *Listener) BrowserTested(c WebConn, detail string) {
	l.event(Event{Kind: echo.KindBrowser, Peer: peerOf(c), Detail: detail})
}

// BrowserGuessed tells of a link with another code, as of another key.
func (l *Listener) BrowserGuessed(c WebConn) {
	l.event(Event{Kind: echo.KindWrongKey, Peer: peerOf(c), Visit: service.Visit{Words: "a browser's link with another code"}})
}

func peerOf(c WebConn) echo.Peer {
	return echo.Peer{Remote: c.Remote, Local: c.Local, Transport: plan.TCP}
}
