package verdict

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// explain says what a path's verdict means there and what to do, in words
// that a librarian can forward and a firewall administrator can act on. It
// returns nil where there is nothing to say: the path is as it should be.
func explain(p result.Path, c Context) *result.Finding {
	e := explainerOf(p, c.Mode)
	e.loss = c.Loss
	f := e.finding()
	if f != nil {
		f = instancePorts(p, f, c.Mode)
	}
	switch {
	case f == nil || p.Initiator == nil:
	case p.Initiator.Attempts > 1 && p.Verdict.Row().Alike:
		f.Text += fmt.Sprintf(" It was tried %d times.", p.Initiator.Attempts)
	}
	if f != nil && p.Initiator != nil && p.Initiator.Ban != nil && p.Initiator.Ban.Port == p.Port && p.Initiator.Ban.Transport == p.Transport {
		f.Text = sentence(with(f.Text, fmt.Sprintf("Whoever touches this port is banned: tried on purpose, it made all others silent for %s", Ban{Ban: *p.Initiator.Ban}.longWords())))
	}
	if f != nil {
		f.Text = with(f.Text, joinedWords(p.Acceptor))
	}
	if f != nil && p.Opposite {
		f.Advice = "Nothing to ask for: the software does not need this direction, and only --both-ways tried it."
	}
	return f
}

func wasOrWere(n int) string {
	if n == 1 {
		return "1 was"
	}
	return fmt.Sprintf("%d were", n)
}

// finding is what is to be said of the path itself.
func (e explainer) finding() *result.Finding {
	p := e.p
	if e.i != nil && e.i.Answer == result.AnswerOwn && p.Verdict == result.Redirected {
		return e.ownAnswer()
	}
	if e.i != nil && e.i.Fetch != nil {
		return e.fetched()
	}
	if e.isOwnTarget() {
		return e.ownTarget()
	}
	if p.Expect == plan.ExpectClosed {
		return e.closed()
	}
	if lacksEvidence(p) {
		return e.noEvidence()
	}
	if f := e.heldUnseen(); f != nil {
		return f
	}
	if p.Initiator != nil && p.Initiator.Answer == result.AnswerKeyed && isWhole(p.Initiator) {
		switch p.Verdict {
		case result.Intercepted, result.Reset, result.Stalled:
			return e.serviceStopped()
		}
	}
	switch p.Verdict {
	case result.Open:
		return nil
	case result.Untested:
		return e.untested()
	case result.Unresolved:
		f := noAddress(e.i.ResolveError, e.i.ResolveFault)
		return &f
	case result.Unreachable:
		return e.unreachable()
	case result.BlockedLocally:
		return e.blockedLocally()
	case result.Rejected:
		return e.rejected()
	case result.Refused:
		return e.refused()
	case result.ReplyLost:
		return e.replyLost()
	case result.Filtered:
		return e.filtered()
	case result.Silent:
		return e.silent()
	case result.Redirected:
		return e.redirected()
	case result.Corrupted:
		return e.corrupted()
	case result.Arrived:
		return e.arrived()
	case result.Occupied:
		return e.occupied()
	case result.Intercepted:
		return e.intercepted()
	case result.Answered:
		return e.answered()
	case result.Reset:
		return e.reset()
	case result.Stalled:
		return e.stalled()
	case result.MTUHole:
		return e.mtuHole()
	case result.IdleDropped:
		return e.idleDropped()
	case result.Unsteady:
		return e.unsteady()
	}
	return nil
}

// explainer writes the findings of one path.
type explainer struct {
	p    result.Path
	i    *result.Initiator
	a    *result.Acceptor
	mode result.Mode // of the report
	loss float64     // see Context.Loss; 0: not known
}

func explainerOf(p result.Path, mode result.Mode) explainer {
	return explainer{p: p, i: p.Initiator, a: p.Acceptor, mode: mode}
}

// startAlike is what to do where the two ends do not mean the same ports.
const startAlike = "Start listen with the same --plan, --site, --role, --port and --port-shift as dial, without --beside, and with no --bind that leaves this address out, and run the test again. Beside live software start the service instead: nothing has the port there."

// allowRouted is asked of whoever routes, too.
const allowRouted = "check the routing of, and allow,"

func (e explainer) say(code result.Code, text, advice string) *result.Finding {
	return &result.Finding{Code: code, Text: sentence(text), Advice: advice}
}

// request is what a firewall team is asked for: to do what to which flow, for
// which service, what happens now, and why it is needed. now may be empty. Time
// and ports of the attempt, for the firewall's log, are the path's own.
func (e explainer) request(verb, now string) string {
	switch to := e.p.OthersOrigin; {
	case !to.IsValid():
	case verb == "allow", verb == "check and allow", verb == allowRouted:
		// A rule that allows it is not enough at a NAT: that has to know where to.
		verb = strings.TrimSuffix(strings.TrimSuffix(verb, ","), "allow") + fmt.Sprintf("forward to %s what comes to the NAT at %s:", to, e.at())
	}
	parts := []string{fmt.Sprintf("Please %s %s, for %s.", verb, e.flow(), e.p.Service)}
	if now != "" {
		parts = append(parts, sentence(now))
	}
	if e.p.AddressAssumed {
		parts = append(parts, fmt.Sprintf("First make sure that partners dial %s: it is where the connections of %s come from. If they dial another address, ask nothing for this one, which nobody uses: have the far end name the other one for this institution (roles, peer, in its site file), and run the test again.", e.at(), e.p.OthersOrigin))
	}
	if e.p.Why != "" && e.p.Expect == plan.ExpectClosed {
		parts = append(parts, "Why: "+sentence(e.p.Why))
	} else if e.p.Why != "" {
		parts = append(parts, "Why it is needed: "+sentence(e.p.Why))
	}
	return strings.Join(parts, " ")
}

func (e explainer) untested() *result.Finding {
	why := "no attempt was made"
	switch {
	case e.i != nil && e.i.NotTried != "":
		why = e.i.NotTried
	case e.i != nil && e.i.Error != "":
		why = "this machine could not make the attempt: " + e.i.Error
	}
	if f := e.lacks(); f != nil {
		return f
	}
	// Where this end dialed, or knows that the other did, nobody has to be asked for it.
	if watched := e.watched(); watched != "" && e.p.Direction == plan.Reverse && (e.i == nil || e.i.Attempts == 0) {
		return e.say(result.CodeUntested, with("Not tested: "+why, watched), "Only the other end knows whether it dialed: "+joinHalves)
	}
	return e.say(result.CodeUntested, "Not tested: "+why, "Nothing is known about this path. Remove the cause and run the test again.")
}

// lacks explains an attempt for which this machine had something none left of;
// nil: it was not that.
func (e explainer) lacks() *result.Finding {
	if e.i == nil || e.i.Lacks == "" {
		return nil
	}
	f := lackOf(e.i.Lacks)
	return e.say(f.Code, "Not tested: "+strings.ToLower(f.Text[:1])+f.Text[1:], f.Advice)
}

// lackOf says what it means that the machine that dials has run out of
// something.
func lackOf(l result.Lack) result.Finding {
	if l == result.LackDescriptor {
		return result.Finding{Code: result.CodeNoDescriptor, Text: "The machine that dials could not open another connection: the program, or the system, has no file descriptor left.",
			Advice: "Raise the limit there (ulimit -n, LimitNOFILE), or close what holds so many, and run the test again. That says nothing of the network, nor of the other end."}
	}
	return result.Finding{Code: result.CodeNoLocalPort, Text: "The machine that dials could not open another connection: it has no local port left for one.",
		Advice: "See there how many local ports (source ports, ephemeral ports) outgoing connections may have, and what holds them: on Linux sysctl net.ipv4.ip_local_port_range and ss -s, on Windows netsh int ipv4 show dynamicport tcp. Widen the range, or wait a few minutes, and run the test again. That says nothing of the network, nor of the other end."}
}

// joinHalves is what to do with two halves.
const joinHalves = "have both ends write their reports (--out half.json), bring the two files together, and run dial merge on them."

// watched says what the accepting end saw of a path that nobody could be asked
// to attempt, "" if it did not watch.
func (e explainer) watched() string {
	if e.a == nil {
		return ""
	}
	switch {
	case e.a.Port == result.PortBusy:
		return fmt.Sprintf("Here %s is held by %s", e.port(), holderWords(e.a.Holder))
	case e.a.Saw == result.SawNothing:
		return fmt.Sprintf("This end held %s and watched it all the time, and nothing arrived", e.port())
	case e.a.Saw == result.SawHalfOpen:
		return fmt.Sprintf("A connection%s arrived here on %s and never completed (%s): either the answer is lost on the way back, or somebody else knocked", fromWords(e.a.Source), e.port(), orElse(e.a.Detail, "half-open"))
	case e.a.Saw == result.SawAccepted:
		return fmt.Sprintf("A connection%s opened here on %s, and proved nothing", fromWords(e.a.Source), e.port())
	}
	return fmt.Sprintf("What this end saw on %s does not tell (%s)", e.port(), orElse(e.a.Reason, "unknown"))
}

// fromWords names where a connection came from, for the middle of a sentence.
func fromWords(source result.Endpoint) string {
	if !source.IsValid() {
		return ""
	}
	return " from " + source.String()
}

func (e explainer) unreachable() *result.Finding {
	if e.i.ICMP != nil {
		return e.say(result.CodeNoNeighbour, fmt.Sprintf("On its own network nobody answers for %s, or for the gateway on the way there.", e.at()),
			"Check the address, that the machine and the gateway are switched on, and that the machine that dials is in the right network. No firewall was reached.")
	}
	if e.i.ICMPUntold {
		return e.say(result.CodeNotReached, fmt.Sprintf("%s cannot be reached (%s). The system of the machine that dials does not tell whether it found so itself, having no route or nobody on its own network that answers, or a device on the way said so", e.at(), e.words()),
			"Check the address, that the machine is switched on, and the network settings of the machine that dials: address, mask and default gateway. If those are right, run dial on a Linux machine of the same network, which tells what came back and from whom.")
	}
	return e.say(result.CodeNoRoute, fmt.Sprintf("The machine that dials has no route to %s (%s)", e.at(), e.words()),
		"Check its network settings: address, mask and default gateway. No firewall was reached.")
}

func (e explainer) blockedLocally() *result.Finding {
	text := "The machine that dials forbids this connection itself: " + e.words()
	if e.i.ICMP != nil && e.i.ICMP.From.IsValid() {
		text = fmt.Sprintf("The machine that dials rejected its own packet: %s, sent by its own address %s", icmpWords(*e.i.ICMP), e.i.ICMP.From)
	}
	return e.say(result.CodeBlockedLocally, text,
		fmt.Sprintf("On the machine that dials, allow outbound %s, for %s, in its own firewall or security software. No firewall of the network was reached.", e.flow(), e.p.Service))
}

func (e explainer) rejected() *result.Finding {
	if e.i.ICMP == nil {
		return e.say(result.CodeRejected, "An ICMP error came back, and this system does not tell from whom: "+e.words(), e.request("allow", ""))
	}
	m := *e.i.ICMP
	if m.IsExceeded() {
		return e.exceeded(m)
	}
	if !m.From.IsValid() {
		return e.say(result.CodeRejected, fmt.Sprintf("ICMP %s came back, and this system does not tell from whom", icmpWords(m)), e.request("allow", ""))
	}
	text := fmt.Sprintf("%s answered with ICMP %s", m.From, icmpWords(m))
	switch {
	case m.From == e.p.Target.Addr():
		return e.rejectedByTarget(m, text)
	case m.IsRouting():
		return e.say(result.CodeRejected, text,
			e.request(allowRouted, fmt.Sprintf("The device %s says that it cannot deliver it: make sure first that %s is the right address and that the machine is on", m.From, e.at())))
	}
	return e.say(result.CodeRejected, text, e.request("allow", fmt.Sprintf("The device %s rejects it", m.From)))
}

// rejectedByTarget explains an ICMP error that the dialed address itself sent:
// its machine, or a NAT that has the address and speaks for what is behind.
func (e explainer) rejectedByTarget(m result.ICMP, text string) *result.Finding {
	isUnreachable := e.p.Transport == plan.UDP && isPortUnreachable(m)
	switch to := e.p.OthersOrigin; {
	case to.IsValid() && m.IsRouting():
		return e.say(result.CodeNATLeadsNowhere, fmt.Sprintf("%s: that address is a NAT's, in front of %s, and where the NAT leads %s nobody answers", text, to, e.port()),
			e.request(fmt.Sprintf("forward to %s what comes to %s:", to, e.at()), fmt.Sprintf("The NAT at %s leads it to a machine that is off or does not exist", e.at())))
	case to.IsValid():
		return e.say(result.CodeRejected, fmt.Sprintf("%s: that address is a NAT's, in front of %s. The NAT, or the machine that it leads %s to, rejects it", text, to, e.port()), e.request("allow", ""))
	case isUnreachable && e.a != nil && e.a.Port == result.PortUnbound:
		return e.say(result.CodeNothingListens, text+": the listener does not hold that port, so the machine itself says that nothing listens there",
			fmt.Sprintf("Start listen (or the service) on %s so that it holds UDP port %d, and run the test again.", m.From, e.p.Port))
	case isUnreachable && (e.a == nil || e.a.Port == result.PortUnknown):
		return e.say(result.CodeRejectedOrNothingListens, fmt.Sprintf("%s: nothing listens there, or a firewall rejects it in the name of %s. There was nobody to ask which", text, m.From),
			fmt.Sprintf("Make sure that listen (or the service) on %s holds UDP port %d, and run the test again. If it already does: %s", m.From, e.p.Port, e.request("allow", "")))
	case m.IsRouting() && e.a == nil:
		return e.say(result.CodeRejected, fmt.Sprintf("%s: either the address is a NAT's or a router's, and where that leads it nobody answers, or the machine's own firewall rejects it with this code", text),
			e.request(allowRouted, fmt.Sprintf("See first to whom the address %s belongs", m.From)))
	}
	holds := ""
	if e.a != nil && e.a.Port == result.PortBound {
		holds = fmt.Sprintf(", although the listener holds %s", e.port())
	}
	return e.say(result.CodeRejectedByHost, text+holds+": that is the target machine's own firewall, or a device in its name",
		e.request("allow", fmt.Sprintf("Look first at the firewall of %s itself", m.From)))
}

func (e explainer) refused() *result.Finding {
	switch {
	case e.a != nil && e.a.Port == result.PortBound && e.a.Saw == result.SawNothing && e.p.OthersOrigin.IsValid():
		return e.natNoForward()
	case e.a != nil && e.a.Port == result.PortBound && e.a.Saw == result.SawHalfOpen:
		return e.say(result.CodeRefusedOnTheWay, with(fmt.Sprintf("RST came back although the SYN reached the listener on %s, and the system there answered it: something on the way put the RST in place of that answer, or beside it", e.port()), e.where()),
			e.request("allow, and the replies to,", "Its answer is turned into RST now, by a firewall on the way, or by security software of the machine that dials"))
	case e.a != nil && e.a.Port == result.PortBound && e.a.Saw != result.SawAccepted && e.p.Stop != nil && e.p.Stop.ByHost:
		return e.say(result.CodeRefusedByHost, fmt.Sprintf("RST came back although the listener holds %s and %s. %s", e.port(), e.sawWords(), e.where()),
			e.request("allow", fmt.Sprintf("It is answered with RST now, by the firewall of %s itself or a device right before it", e.at())))
	case e.a != nil && e.a.Port == result.PortBound && e.a.Saw != result.SawAccepted:
		return e.say(result.CodeRefusedOnTheWay, with(fmt.Sprintf("RST came back although the listener holds %s and %s: a firewall on the way, or on either machine, answered in its name, or it is led to another machine, or back to this one", e.port(), e.sawWords()), e.where()),
			e.request("allow", "It is answered with RST now"+e.byWhom()))
	case e.a != nil && e.a.Port == result.PortUnbound:
		return e.say(result.CodeNothingListens, fmt.Sprintf("RST came back, and the listener does not hold %s", e.port()),
			"The way is probably free, but that was not proved. "+startAlike)
	case e.a != nil && e.a.Port == result.PortBusy:
		return e.say(result.CodeRefusedBusy, fmt.Sprintf("RST came back; when listen started, %s was held by %s", e.port(), holderWords(e.a.Holder)),
			"Stop that software for the test, start listen again, and repeat.")
	}
	if e.mode.IsReal() {
		return e.say(result.CodeRefused, fmt.Sprintf("RST came back: nothing listens on %s of %s, or a firewall refuses in its name", e.port(), e.host()),
			fmt.Sprintf("Make sure that the service runs on %s and listens on %s. If it does: %s", e.host(), e.port(), e.request("allow", "")))
	}
	whose := "There was no contact to tell which."
	if e.a != nil {
		whose = "The listener cannot tell which."
	}
	return e.say(result.CodeRefused, fmt.Sprintf("RST came back: nothing listens on %s of %s, or a firewall refuses in its name. %s", e.port(), e.at(), whose),
		fmt.Sprintf("Make sure that listen runs on %s and holds %s (with the same --port-shift on both sides), and run the test again. If it already does: %s", e.at(), e.port(), e.request("allow", "")))
}

func (e explainer) replyLost() *result.Finding {
	if f := e.dropped(); f != nil {
		return f
	}
	if f := e.answersTTL(); f != nil {
		return f
	}
	what := "The SYN arrived and was answered, and the answer did not come back"
	if e.p.Transport == plan.UDP {
		what = "The request arrived and was answered, and the answer did not come back"
	}
	if e.a.Detail != "" && e.a.Saw == result.SawHalfOpen {
		what += " (" + e.a.Detail + ")"
	}
	return e.say(result.CodeReplyLost, what,
		e.request("allow the replies to", fmt.Sprintf("Packets from %s source %s to %s are lost on the way back; if they take another route than the way there, lead both through the same stateful firewall", e.at(), e.port(), e.source())))
}

// natNoForward explains a RST of a NAT that has nowhere to send a connection.
func (e explainer) natNoForward() *result.Finding {
	to := e.p.OthersOrigin
	verb := fmt.Sprintf("forward to %s what comes to %s:", to, e.at())
	seen := fmt.Sprintf("RST came back from %s, the address of a NAT in front of %s, and nothing of it reached %s", e.at(), to, to)
	if s := e.p.Stop; s != nil && s.NATHop > 0 && s.ByHop > s.NATHop {
		return e.say(result.CodeNATLeadsElsewhere, fmt.Sprintf("%s. The RST comes from behind the NAT (it needs a TTL of %d, and at %d a device lives that speaks in the NAT's name): the NAT forwards %s to another machine, on which nothing listens", seen, s.ByHop, s.NATHop, e.port()),
			e.request(verb, fmt.Sprintf("The NAT at %s has a rule that leads it elsewhere", e.at())))
	}
	return e.say(result.CodeNATNoForward, fmt.Sprintf("%s: the NAT answers itself instead of forwarding %s, or leads it to another machine, on which nothing listens, or a firewall before the NAT, or of %s itself, answers in its name", seen, e.port(), to),
		e.request(verb, fmt.Sprintf("The NAT at %s has no rule for it, or not for this source, or one that leads elsewhere; or a firewall before or behind it refuses", e.at())))
}

func (e explainer) filtered() *result.Finding {
	if f := e.dropped(); f != nil {
		return f
	}
	if e.a != nil && e.a.Detail != "" {
		return e.say(result.CodeFilteredByHost, fmt.Sprintf("The SYN arrived at the network interface of %s, and its TCP stack never got it: that machine's own firewall dropped it.", e.at()),
			fmt.Sprintf("On %s, allow inbound %s, for %s, in its own firewall. The network let it through.", e.at(), e.flow(), e.p.Service))
	}
	if f := e.unansweredTTL(fmt.Sprintf("No answer came, and the listener, which watched all the time, saw nothing arrive on %s", e.port())); f != nil {
		return f
	}
	now := fmt.Sprintf("It is dropped on the way, by the firewall of %s itself, or silently by that of the machine that dials", e.at())
	if e.p.Stop != nil && e.p.Stop.LastHop > 0 {
		now = "It is dropped" + e.byWhom()
	}
	return e.say(result.CodeFiltered, with(fmt.Sprintf("No answer came, and the listener, which watched all the time, saw nothing arrive on %s", e.port()), e.where()),
		e.request("allow", now))
}

// what names what was sent first.
func (e explainer) what() string {
	if e.p.Transport == plan.UDP {
		return "the request"
	}
	return "the connection"
}

func capitalized(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// dropped explains what the machine of the listener itself did to packets that
// reached it, other than by its firewall; nil: nothing is known of it.
func (e explainer) dropped() *result.Finding {
	if e.a == nil {
		return nil
	}
	arrived := fmt.Sprintf("The SYN arrived at %s. The network let it through, and that machine dropped it: ", e.at())
	switch e.a.Dropped {
	case result.DropReversePath:
		return e.say(result.CodeReversePath, arrived+e.a.Detail,
			fmt.Sprintf("No firewall rule helps. Have %s answer over the interface by which it is reached (its routes, or policy routing for that interface), or let the way there use the other one; or set rp_filter to 2 (loose, RFC 3704) for that interface.", e.at()))
	case result.DropConntrack:
		return e.say(result.CodeConntrackFull, arrived+e.a.Detail,
			fmt.Sprintf("No firewall rule helps. On %s, find what fills the table (conntrack -C), or raise net.netfilter.nf_conntrack_max, and run the test again.", e.at()))
	case result.DropQueue:
		return e.say(result.CodeListenerBusy, fmt.Sprintf("The connection reached %s, and waits there until the program takes it: %s", e.at(), e.a.Detail),
			fmt.Sprintf("Nothing to ask for: the network let it through. Make sure that listen on %s is not stopped and the machine not overloaded, and run the test again.", e.at()))
	case result.DropListener:
		return e.say(result.CodeListenerPaused, fmt.Sprintf("%s did not get its answer (%s), and %s: that is no word about the network", capitalized(e.what()), e.p.Verdict, e.a.Detail),
			fmt.Sprintf("See to it that listen on %s runs throughout (the machine awake, the program not stopped, with file descriptors enough), and run the test again.", e.at()))
	}
	return nil
}

func (e explainer) silent() *result.Finding {
	if f := e.dropped(); f != nil {
		return f
	}
	text := "No answer came, and there was no contact to ask whether anything arrived"
	switch {
	case e.p.Address.IsValid() && e.a == nil && !e.mode.IsReal():
		text = "No answer came, and nothing at this address, of several that the name has, proved the key: nobody there can be asked whether anything arrived"
	case e.mode.IsReal():
		text = fmt.Sprintf("No answer came from %s, and nobody there can be asked whether anything arrived", e.host())
	case e.a != nil:
		text = "No answer came, and whether anything arrived is unknown"
		if e.a.Reason != "" {
			text += ": " + e.a.Reason
		}
		if e.a.Port == result.PortUnbound {
			// Nobody would have answered: no firewall is to open a port that the two
			// ends do not agree on.
			return e.say(result.CodeSilent, with(text, e.where()), "Nothing is known of the way. "+startAlike)
		}
	}
	if f := e.unansweredTTL(text); f != nil {
		return f
	}
	return e.say(result.CodeSilent, with(text, e.where()),
		e.request("check and allow", "It is dropped on the way there or back, or by a firewall on either machine, or the machine is off"))
}

func (e explainer) redirected() *result.Finding {
	if r := e.i.Repeat(); r != nil && r.Instance != "" && (r.Instance != e.i.Instance || r.Origin != e.i.Origin) {
		what := "listener"
		if r.Instance == e.i.Instance {
			what = "port of the listener"
		}
		return e.say(result.CodeRedirectedInTurn, fmt.Sprintf("Connections to %s do not all lead to the same %s: one was answered by instance %.8s%s, another by instance %.8s%s",
			e.port(), what, e.i.Instance, endpointWords(e.i.Origin), r.Instance, endpointWords(r.Origin)),
			e.request("lead to one machine only", "A load balancer or translation shares the connections out among several"))
	}
	if !e.i.Origin.IsValid() {
		return e.say(result.CodeRedirectedPort, fmt.Sprintf("Port %d was dialed, and the answer does not say which port it comes from", e.p.Port),
			e.request("check the port translation of", fmt.Sprintf("It must arrive at port %d", e.p.Port)))
	}
	if int(e.i.Origin.Port()) != e.p.Port {
		return e.say(result.CodeRedirectedPort, fmt.Sprintf("Port %d was dialed and port %d of %s answered: something on the way changes the port", e.p.Port, e.i.Origin.Port(), e.i.Origin.Addr()),
			e.request("correct the port translation (DNAT, port forwarding or redirect) of", fmt.Sprintf("It must arrive at port %d", e.p.Port)))
	}
	return e.say(result.CodeRedirectedHost, fmt.Sprintf("A different listener answered than on the other paths: instance %.8s at %s", e.i.Instance, e.i.Origin.Addr()),
		e.request("correct the translation or load balancing of", "It is led to another machine than the other ports"))
}

func (e explainer) corrupted() *result.Finding {
	var parts []string
	for _, d := range e.transfers() {
		if d.t.Outcome == result.TransferCorrupted {
			parts = append(parts, fmt.Sprintf("%s, at byte %d of %d: %s", d.name, d.t.Intact, d.t.Want, d.t.Changed))
		}
	}
	return e.say(result.CodeCorrupted, "The payload arrived changed "+strings.Join(parts, "; "),
		e.request("exempt from content inspection, rewriting and application helpers:", "A device changes its bytes"))
}

type namedTransfer struct {
	name string
	t    result.Transfer
}

// transfers lists the payloads under the name of their direction.
func (e explainer) transfers() []namedTransfer {
	var out []namedTransfer
	if e.i.Sent != nil {
		out = append(out, namedTransfer{fmt.Sprintf("from %s to %s", e.p.From, e.p.To), *e.i.Sent})
	}
	if e.i.Received != nil {
		out = append(out, namedTransfer{fmt.Sprintf("from %s to %s", e.p.To, e.p.From), *e.i.Received})
	}
	return out
}

// tcpHeaders4 is what an IPv4 packet has beside TCP's payload, of which the MSS
// counts the options as payload (RFC 6691).
const tcpHeaders4, tcpHeaders6 = 40, 60

func (e explainer) mtuHole() *result.Finding {
	var seen, now []string
	for _, d := range e.transfers() {
		h := d.t.Hole
		if h == nil {
			continue
		}
		s := fmt.Sprintf("%s, %d bytes of data cross in one packet and %d never do", d.name, h.Passes, h.Fails)
		if e.p.Transport == plan.UDP {
			s += fmt.Sprintf(" (an IP packet of %d bytes is the largest)", h.Packet)
			now = append(now, fmt.Sprintf("IP packets of more than %d bytes vanish %s: let them pass, or the ICMP errors that say that they are too large (type 3 code 4, for IPv6 type 2)", h.Packet, d.name))
		} else if h.Packet != 0 {
			mss := h.Packet - tcpHeaders4
			if e.p.Family == result.IP6 {
				mss = h.Packet - tcpHeaders6
			}
			s += fmt.Sprintf(" (an IP packet of %d bytes is the largest)", h.Packet)
			now = append(now, fmt.Sprintf("IP packets of more than %d bytes vanish %s: either let the ICMP errors through that say so (type 3 code 4, for IPv6 type 2), or clamp the TCP MSS to %d", h.Packet, d.name, mss))
		} else {
			now = append(now, fmt.Sprintf("Packets with more than %d bytes of data vanish %s: either let the ICMP errors through that say so (type 3 code 4, for IPv6 type 2), or clamp the TCP MSS to that", h.Passes, d.name))
		}
		seen = append(seen, s)
	}
	return e.say(result.CodeMTUHole, "The proof passed, and large packets do not: "+strings.Join(seen, "; "),
		e.request("let pass the large packets of", strings.Join(now, "; ")))
}

func (e explainer) occupied() *result.Finding {
	if t := e.i.Conversation; t != nil && t.Refusal != nil {
		f := e.refusal()
		f.Text = with(fmt.Sprintf("The %s of %s is held by %s, so listen could not have it", e.port(), e.at(), holderWords(e.a.Holder)), f.Text)
		return f
	}
	if t := e.i.Conversation; t != nil && t.Outcome == result.ConversationCompleted {
		return e.say(result.CodeOccupied, fmt.Sprintf("The %s of %s is held by %s, so listen could not have it; dial spoke %s with it (%s)", e.port(), e.at(), holderWords(e.a.Holder), protocolName(t.Speaks), orElse(t.Software, "it does not say what it is")),
			fmt.Sprintf("Nothing to ask for: the path works for that service. To have it proved by key as well, stop %s, start listen again, and repeat.", holderName(e.a.Holder)))
	}
	return e.say(result.CodeOccupied, fmt.Sprintf("The %s of %s is held by %s, so listen could not have it; something answered %s", e.port(), e.at(), holderWords(e.a.Holder), e.replyWords()),
		e.freePort())
}

func (e explainer) intercepted() *result.Finding {
	if e.a == nil && e.i.Conversation.Refusal != nil {
		return e.refusal()
	}
	if e.a == nil {
		return e.impostor()
	}
	if f := e.proxyHeader(); f != nil {
		return f
	}
	if e.isBusy() {
		return e.say(result.CodeIntercepted, fmt.Sprintf("The %s of %s is held by %s, and that is not what answered: %s", e.port(), e.at(), holderWords(e.a.Holder), e.i.Conversation.Impostor),
			e.request("find the proxy, security gateway, NAT or redirect that answers in the listener's place, and exempt from it", ""))
	}
	what := "Other bytes came back (" + e.replyWords() + ")"
	switch e.i.Answer {
	case result.AnswerEchoed:
		what = "Our own bytes came back"
	case result.AnswerReset, result.AnswerClosed, result.AnswerSilent:
		what = fmt.Sprintf("The keyed proof got %s and %s got another answer than the listener's", answerWords(e.i.Answer), protocolName(e.i.Conversation.Speaks))
	}
	does := "answers in its place"
	if e.a.Saw == result.SawAccepted {
		does = "changes what is said"
	}
	now := ""
	if e.p.Stop != nil && e.p.Stop.OpenHop > 0 {
		now = "It is answered" + e.byWhom()
	}
	text := with(fmt.Sprintf("%s, although the listener holds %s and %s: something on the way %s", what, e.port(), e.sawWords(), does), e.where())
	return e.say(result.CodeIntercepted, with(text, changedWords(e.i.Conversation)),
		e.request("find the proxy, security gateway, NAT or redirect that "+does+", and exempt from it", now))
}

func (e explainer) answered() *result.Finding {
	switch e.i.Answer {
	case result.AnswerWrongKey:
		return e.say(result.CodeWrongKey, "A listener answered, and it has another key",
			"Use the key that listen printed there (--key, --key-file or DIALTONE_KEY), exactly as printed.")
	case result.AnswerForbidden:
		return e.say(result.CodeNotAllowed, "The listener has this key and does not allow this address",
			fmt.Sprintf("Start listen with an --allow that includes %s, or dial from an address that it allows.", e.source()))
	case result.AnswerVersion:
		return e.say(result.CodeOtherVersion, fmt.Sprintf("The listener (%s) speaks version %d of the wire format, and this end another", orElse(e.i.Software, "unnamed"), e.i.FarVersion),
			"Use the same release of Dialtone on both sides.")
	}
	if f := e.proxyHeader(); f != nil {
		return f
	}
	if e.p.OK {
		return nil // real software, in its own language
	}
	if t := e.i.Conversation; e.i.Answer == result.AnswerSilent && t != nil && t.IsSilence() {
		return e.acceptedSilently()
	}
	if t := e.i.Conversation; t != nil && e.a == nil && e.i.Answer == result.AnswerForeign {
		switch {
		case t.Refusal != nil:
			return e.refusal()
		case t.Outcome == result.ConversationUnread:
			return e.notUnderstood()
		}
		return e.say(result.CodeNotTheService, with(fmt.Sprintf("Something answered at %s, and not as %s does: %s", e.host(), protocolName(t.Speaks), orElse(t.Error, endedWords(t))), changedWords(t)),
			e.request("check what answers in place of the service for", "A proxy, a captive portal or other software than expected"))
	}
	what := "Something answered " + e.replyWords()
	if e.i.Answer == result.AnswerEchoed {
		what = "Something sent our own bytes back"
	}
	whose := "there was no contact to say whose answer it is"
	if e.a != nil {
		whose = "the listener does not hold " + e.port()
		if e.a.Port != result.PortUnbound {
			whose = "the listener cannot say whose answer it is"
		}
	}
	return e.say(result.CodeAnswered, what+", and "+whose,
		fmt.Sprintf("This is no proof that the path is open. Make sure that listen runs on %s and holds %s; if it does, look for the device that answers in its place.", e.at(), e.port()))
}

// acceptedSilently explains a connection that opened where nobody says a word.
func (e explainer) acceptedSilently() *result.Finding {
	text := fmt.Sprintf("The connection to %s opened, and nobody knows by whom: not a word was said on it", e.host())
	switch d := e.i.DecoysOpen; {
	case d != nil && *d:
		return e.say(result.CodeAnswersForAll, text+". Ports of that address on which nothing ought to listen open as well, so something on the way, or that machine, accepts everything",
			e.request("find what accepts connections in place of the machine for", "A SYN proxy, a security gateway or a captive portal accepts whatever is dialed"))
	case d != nil:
		text += ". Other ports of that address do not open, so it is no device that accepts everything; one that accepts for this port is possible"
	}
	return e.say(result.CodeAcceptedSilently, text,
		fmt.Sprintf("This is no proof that the path is open: %s says nothing until it is spoken to, and neither does what accepts in place of a dead server. "+
			"See on %s, or in its log, whether the connection arrived at that time; or stop the service for a moment and let listen hold %s.", e.p.Service, e.host(), e.port()))
}

func (e explainer) reset() *result.Finding {
	if e.i.Answer == result.AnswerKeyed {
		return e.payload(result.CodeResetPayload,
			"A device that inspects content, or a limit on connections or size, is the usual cause")
	}
	how := "reset (RST)"
	if e.i.Answer == result.AnswerClosed {
		how = "closed (FIN)"
	}
	if e.mode.IsReal() && e.came() {
		return e.brokenOff(result.CodeResetMidway, how)
	}
	if e.mode.IsReal() {
		return e.say(result.CodeReset, fmt.Sprintf("The connection to %s opened and was %s before the service had its say", e.host(), how),
			e.request("find what ends", "Something ends it right after the handshake: intrusion prevention, an application-aware rule, a proxy, or the far end itself, which may not want this address"))
	}
	by, who := e.accepter()
	code := by.reset
	if e.isBusy() {
		return e.say(code, fmt.Sprintf("The connection opened and was %s before any proof. %s", how, who), e.freePort())
	}
	if e.p.Stop != nil && e.p.Stop.Relayed && by == bySomeoneElse {
		return e.say(code, with(fmt.Sprintf("The connection opened and was %s before any proof. %s", how, who), e.where()), e.behindRelay())
	}
	return e.say(code, with(fmt.Sprintf("The connection opened and was %s before any proof. %s", how, who), changedWords(e.i.Conversation)),
		e.request("find what ends", "Something ends it right after the handshake: intrusion prevention, an application-aware rule or a proxy"))
}

// noWindowScale says what a window means that arrived without its scale.
func noWindowScale(t *result.TCP) string {
	return fmt.Sprintf("The far end's receive window arrives here as %d bytes, and the answer to the SYN offers no window scale: "+
		"a device takes that TCP option (RFC 7323, kind 3) out of the SYN-ACK while the far end counts with it, or the far end's own window is that small. "+
		"Data crawls in the smallest pieces; the size of packets is not the cause. Have the device leave the TCP options alone (no TCP normalisation)", t.Window)
}

func (e explainer) stalled() *result.Finding {
	if t := e.i.Conversation; e.i.Answer != result.AnswerKeyed && isKeyedWhole(t) && t.TCP.IsThrottled() {
		return e.say(result.CodeWindowScale, fmt.Sprintf("The keyed proof got no answer, so no payload could be tried, and %s's own conversation came through, as short as it is", e.p.Service),
			e.request("let all data pass, not only the first packets, of", noWindowScale(t.TCP)))
	}
	if e.i.Answer == result.AnswerKeyed {
		if e.i.TCP.IsThrottled() {
			return e.payload(result.CodeWindowScale, noWindowScale(e.i.TCP))
		}
		if slices.ContainsFunc(e.transfers(), func(d namedTransfer) bool { return d.t.AnySize }) {
			return e.payload(result.CodeStalledPayload,
				"Single packets of any size cross, so their size is not the cause: a device counts what a connection carries and cuts it off, holds content back to inspect it, or slows it down")
		}
		return e.payload(result.CodeStalledPayload,
			"The usual causes are large packets that vanish (ICMP \"fragmentation needed\" filtered on the way), traffic shaping, or a device that holds the content back; on a merely slow line repeat with a longer --timeout")
	}
	if e.mode.IsReal() && e.came() {
		return e.brokenOff(result.CodeStalledMidway, "")
	}
	if e.mode.IsReal() && greets(e.i.Conversation) {
		return e.noGreeting()
	}
	if e.mode.IsReal() {
		return e.say(result.CodeStalled, fmt.Sprintf("The connection to %s opened and the service's answer did not come", e.host()),
			e.request("find what holds back the data of", "The handshake passes and nothing after it does: an application-aware firewall, a SYN proxy, traffic inspection, or a service that is stuck"))
	}
	if f := e.dropped(); f != nil && (e.a.Saw == result.SawHalfOpen || e.a.Dropped == result.DropListener) {
		return f // otherwise something else accepted it
	}
	by, who := e.accepter()
	code := by.stalled
	if e.isBusy() {
		return e.say(code, "The connection opened and no byte came back. "+who, e.freePort())
	}
	if e.answerLost() {
		return e.say(code, "The connection opened and no byte came back. "+who,
			e.request("find what holds back the answers to", fmt.Sprintf("The handshake passes, and what %s then sends from its %s to %s does not: an application-aware firewall, traffic inspection, or a way back that differs", e.at(), e.port(), e.source())))
	}
	if e.p.Stop != nil && e.p.Stop.Relayed && by == bySomeoneElse {
		return e.say(code, with("The connection opened and no byte came back. "+who, e.where()), e.behindRelay())
	}
	if e.p.Stop != nil && e.p.Stop.OpenHop > 0 && by == bySomeoneElse {
		return e.say(code, with("The connection opened and no byte came back. "+who, e.where()),
			e.request("exempt from proxying and SYN protection, or repair there,", fmt.Sprintf("It is accepted%s, in place of %s, and nothing is passed on", e.byWhom(), e.at())))
	}
	return e.say(code, with("The connection opened and no byte came back. "+who, changedWords(e.i.Conversation)),
		e.request("find what holds back the data of", "The handshake passes and nothing after it does: an application-aware firewall, a SYN proxy or traffic inspection"))
}

// answerLost reports whether the listener proved itself to an end that never
// heard it.
func (e explainer) answerLost() bool {
	return e.a != nil && e.a.Saw == result.SawAccepted && e.a.Proved && e.i.Answer == result.AnswerSilent
}

// isBusy reports whether other software has the port there: it need not speak
// until it is spoken to in its own language, or may hang up on ours.
func (e explainer) isBusy() bool { return e.a != nil && e.a.Port == result.PortBusy }

// freePort says how to get a port tested that other software holds.
func (e explainer) freePort() string {
	return fmt.Sprintf("That something accepts speaks for the path and proves nothing: the keyed proof needs the port. Stop %s for the test, start listen again, and repeat.", holderName(e.a.Holder))
}

// payload explains a proof that was followed by trouble with larger data.
func (e explainer) payload(code result.Code, causes string) *result.Finding {
	text := "The proof passed and the payload did not"
	if how := e.transferWords(); how != "" {
		text += " (" + how + ")"
	}
	return e.say(code, text, e.request("let all data pass, not only the first packets, of", causes))
}

// transferWords says how far the payload came where it did not come through.
func (e explainer) transferWords() string {
	var parts []string
	for _, d := range e.transfers() {
		if d.t.Outcome != result.TransferIntact {
			parts = append(parts, fmt.Sprintf("%s: %s after %d of %d bytes", d.name, d.t.Outcome, d.t.Intact, d.t.Want))
		}
	}
	return strings.Join(parts, "; ")
}

// An accepter is who accepted a connection that led to no proof: what is said of one
// that was ended, and of one on which nothing came back.
type accepter struct{ reset, stalled result.Code }

var (
	byListener    = accepter{result.CodeResetListener, result.CodeStalledListener}
	byNobody      = accepter{result.CodeResetHalfOpen, result.CodeStalledHalfOpen}
	bySomeoneElse = accepter{result.CodeResetSomeoneElse, result.CodeStalledSomeoneElse}
	byHolder      = accepter{result.CodeResetHolder, result.CodeStalledHolder}
	byNobodyKnows = accepter{result.CodeResetUnknown, result.CodeStalledUnknown}
)

// accepter says who accepted a connection that led to nothing.
func (e explainer) accepter() (by accepter, words string) {
	switch {
	case e.a == nil:
		return byNobodyKnows, "Who accepted it is not known: there was no contact to ask."
	case e.i.Ordinary != nil && e.a.Saw == result.SawAccepted:
		return byHolder, fmt.Sprintf("It is %s that accepted it, %s.", holderWords(e.a.Holder), orElse(countedWords(e.i.Ordinary, e.a.Counted), "and nothing was sent over it"))
	case e.answerLost():
		return byListener, "The listener accepted it, received our request and answered; what did not arrive is the answer."
	case e.a.Saw == result.SawAccepted && !e.a.Proved && e.a.BytesIn == 0:
		return byListener, "The listener accepted it, and our data never came there."
	case e.a.Saw == result.SawAccepted:
		return byListener, "The listener accepted it."
	case e.a.Saw == result.SawHalfOpen:
		return byNobody, "Nobody accepted it: at the listener it is half-open, so what this end sends after the SYN does not arrive."
	case e.a.Saw == result.SawNothing:
		return bySomeoneElse, "Something else accepted it: the listener never saw it."
	case e.a.Port == result.PortBusy:
		return byHolder, fmt.Sprintf("The port is held there by %s.", holderWords(e.a.Holder))
	}
	return byNobodyKnows, "Who accepted it is not known: " + sentence(orElse(e.a.Reason, "the listener cannot say"))
}

func (e explainer) closed() *result.Finding {
	switch e.p.Verdict {
	case result.Untested:
		return e.untested()
	case result.Unresolved, result.Unreachable, result.BlockedLocally:
		// Nothing left this machine, so nothing is known of the port.
		open := e
		open.p.Expect = plan.ExpectOpen
		return explain(open.p, Context{Mode: e.mode, Loss: e.loss})
	}
	switch {
	case e.p.OK:
		return nil
	case e.p.Verdict.Row().Closed:
		return e.say(result.CodeClosedOrOff, fmt.Sprintf("This port must not be reachable, and it was not (%s); but nothing in this run shows that %s was on, so it may be closed, or the machine off, or not at this address", e.p.Verdict, e.host()),
			fmt.Sprintf("Have listen run on %s during the test, or test a port that is open there in the same run, and repeat.", e.host()))
	}
	if r := e.i.Repeat(); r != nil {
		return e.say(result.CodeShouldBeClosed, fmt.Sprintf("This port must not be reachable, and %s proved of %d connections to it", wasOrWere(r.Proved), r.Tried),
			e.request("block", ""))
	}
	return e.say(result.CodeShouldBeClosed, fmt.Sprintf("This port must not be reachable, and from %s it is (%s)", e.source(), e.p.Verdict),
		e.request("block", ""))
}
