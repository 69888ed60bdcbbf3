package verdict

import (
	"fmt"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Explain says what a path's verdict means there and what to do, in words
// that a librarian can forward and a firewall administrator can act on. It
// returns nil where there is nothing to say: the path is as it should be.
func Explain(p result.Path) *result.Finding {
	e := explainer{p: p, i: p.Initiator, a: p.Acceptor}
	if p.Expect == plan.ExpectClosed {
		return e.closed()
	}
	switch p.Verdict {
	case result.Open:
		return nil
	case result.Untested:
		return e.untested()
	case result.Unresolved:
		return e.say("name-not-found", fmt.Sprintf("the name does not resolve: %s", e.i.ResolveError),
			"Check the name, and that this machine's DNS servers know it.")
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
	case result.MTUHole, result.IdleDropped: // no evidence for these is collected yet
	}
	return nil
}

// explainer writes the findings of one path.
type explainer struct {
	p result.Path
	i *result.Initiator
	a *result.Acceptor
}

func (e explainer) say(code, text, advice string) *result.Finding {
	return &result.Finding{Code: code, Text: text, Advice: advice}
}

// flow names the flow as a firewall rule does: protocol, source, destination.
func (e explainer) flow() string {
	from := e.p.From
	if a := e.source(); a != "" {
		from = fmt.Sprintf("%s (%s)", a, e.p.From)
	}
	to := e.p.To
	if e.p.Target.IsValid() {
		to = fmt.Sprintf("%s (%s)", e.p.Target.Addr(), e.p.To)
	}
	s := fmt.Sprintf("%s from %s to %s port %d", strings.ToUpper(string(e.p.Transport)), from, to, e.p.Port)
	if e.p.SourcePort != 0 {
		s = fmt.Sprintf("%s from %s source port %d to %s port %d", strings.ToUpper(string(e.p.Transport)), from, e.p.SourcePort, to, e.p.Port)
	}
	return s
}

// source is the initiator's address, with the one that the far end sees if a
// NAT changes it.
func (e explainer) source() string {
	own, seen := e.p.Source, e.p.SeenAs
	switch {
	case own.IsValid() && seen.IsValid() && own.Addr() != seen.Addr():
		return fmt.Sprintf("%s, seen as %s", own.Addr(), seen.Addr())
	case own.IsValid():
		return own.Addr().String()
	case seen.IsValid():
		return seen.Addr().String()
	}
	return ""
}

// ask is the sentence that opens a request to a firewall team.
func (e explainer) ask(verb string) string {
	return fmt.Sprintf("Please %s %s: %s.", verb, e.flow(), e.why())
}

func (e explainer) why() string {
	why := strings.TrimSuffix(strings.TrimSpace(e.p.Why), ".")
	if why == "" {
		return e.p.Service
	}
	return e.p.Service + "; " + why
}

// log says what to look for in a firewall's log.
func (e explainer) log() string {
	at := e.p.At.UTC().Format("2006-01-02 15:04:05") + " UTC"
	if e.p.Source.IsValid() && e.p.Source.Port() != 0 {
		return fmt.Sprintf("To find it in the log: %s, source port %d.", at, e.p.Source.Port())
	}
	return fmt.Sprintf("To find it in the log: %s.", at)
}

func (e explainer) untested() *result.Finding {
	why := "no attempt was made"
	switch {
	case e.i != nil && e.i.NotTried != "":
		why = e.i.NotTried
	case e.i != nil && e.i.Error != "":
		why = "this machine could not make the attempt: " + e.i.Error
	}
	return e.say("untested", why, "Nothing is known about this path; remove the cause and run the test again.")
}

func (e explainer) unreachable() *result.Finding {
	if e.i.ICMP != nil {
		return e.say("no-neighbour", fmt.Sprintf("no machine answers for %s on this network", e.p.Target.Addr()),
			"Check the address, and that the machine is switched on and in this network.")
	}
	return e.say("no-route", fmt.Sprintf("the machine that dials has no route to %s (%s)", e.p.Target.Addr(), e.i.Error),
		"Check its network settings: address, mask and default gateway. No firewall was reached.")
}

func (e explainer) blockedLocally() *result.Finding {
	text := "the machine that dials forbids this connection itself: " + e.i.Error
	if e.i.ICMP != nil {
		text = fmt.Sprintf("the machine that dials rejected its own packet (%s, sent by its own address %s)", icmpWords(*e.i.ICMP), e.i.ICMP.From)
	}
	return e.say("blocked-locally", text,
		fmt.Sprintf("On the machine that dials (%s), allow outbound %s in its own firewall or security software. No network firewall was reached.", e.p.From, e.flow()))
}

func (e explainer) rejected() *result.Finding {
	if e.i.ICMP == nil {
		return e.say("rejected", "an ICMP error came back; this system does not tell from whom: "+e.i.Error, e.ask("allow")+" "+e.log())
	}
	m := *e.i.ICMP
	who := "a device"
	if m.From.IsValid() {
		who = m.From.String()
	}
	text := fmt.Sprintf("%s answered with ICMP %s", who, icmpWords(m))
	if m.From.IsValid() && m.From == e.p.Target.Addr() {
		if e.p.Transport == plan.UDP && isPortUnreachable(m) {
			return e.say("nothing-listens", text+": the target machine itself says that nothing listens there",
				fmt.Sprintf("Start listen (or the service) on %s so that it holds UDP port %d, and run the test again.", e.p.Target.Addr(), e.p.Port))
		}
		return e.say("rejected-by-host", text+": the target machine's own firewall, or a device in its name", e.ask("allow")+" "+
			fmt.Sprintf("Look first at the firewall of %s itself. ", who)+e.log())
	}
	return e.say("rejected", text, e.ask("allow")+fmt.Sprintf(" It is rejected by the device %s. ", who)+e.log())
}

func (e explainer) refused() *result.Finding {
	switch {
	case e.a != nil && e.a.Port == result.PortBound && e.a.Saw != result.SawAccepted:
		return e.say("refused-on-the-way", fmt.Sprintf("RST came back although the listener holds port %d and %s: a firewall on the way, or on that machine, answered in its name", e.p.Port, e.sawWords()),
			e.ask("allow")+" It is reset now. "+e.log())
	case e.a != nil && e.a.Port == result.PortUnbound:
		return e.say("nothing-listens", fmt.Sprintf("RST came back, and the listener does not hold port %d", e.p.Port),
			"The way is probably free, but it was not proved. Start listen with the same --plan, --site, --role, --port and --port-shift as dial, and run the test again.")
	case e.a != nil && e.a.Port == result.PortBusy:
		return e.say("refused-busy", fmt.Sprintf("RST came back; %s held the port when listen started", holderWords(e.a.Holder)),
			"Stop that software for the test, start listen again, and repeat.")
	}
	return e.say("refused", "RST came back: nothing listens on that port, or a firewall refuses in its name; there was no contact to tell which",
		fmt.Sprintf("Make sure that listen runs on %s and holds port %d (same --port-shift on both sides), then run the test again. If it does: %s", e.p.Target.Addr(), e.p.Port, e.ask("allow")))
}

func (e explainer) replyLost() *result.Finding {
	what := "the SYN arrived and was answered, and the answer did not come back"
	if e.p.Transport == plan.UDP {
		what = "the request arrived and was answered, and the answer did not come back"
	}
	detail := ""
	if e.a.Detail != "" && e.a.Saw == result.SawHalfOpen {
		detail = " (" + e.a.Detail + ")"
	}
	return e.say("reply-lost", what+detail,
		fmt.Sprintf("Please allow the way back of %s: packets from %s source port %d to %s, or make sure that both directions pass the same stateful firewall (asymmetric routing): %s. %s",
			e.flow(), e.p.Target.Addr(), e.p.Port, orThe(e.source(), e.p.From), e.why(), e.log()))
}

func (e explainer) filtered() *result.Finding {
	if e.a != nil && e.a.Detail != "" {
		return e.say("filtered-by-host", e.a.Detail,
			fmt.Sprintf("On %s (%s), allow inbound %s in its own firewall: %s. The network let it through.", e.p.Target.Addr(), e.p.To, e.flow(), e.why()))
	}
	return e.say("filtered", fmt.Sprintf("no answer, and the listener, which watched all the time, saw nothing arrive on port %d", e.p.Port),
		e.ask("allow")+" It is dropped on the way, or by that machine's own firewall. "+e.log())
}

func (e explainer) silent() *result.Finding {
	why := "there was no contact to ask whether it arrived"
	if e.a != nil && e.a.Reason != "" {
		why = "whether it arrived is unknown: " + e.a.Reason
	}
	return e.say("silent", "no answer, and "+why,
		e.ask("check and allow")+" It is dropped on the way there or back, or by a firewall on either machine, or the machine is off. "+e.log())
}

func (e explainer) redirected() *result.Finding {
	if int(e.i.Origin.Port()) != e.p.Port {
		return e.say("redirected-port", fmt.Sprintf("port %d was dialed and port %d of %s answered: something on the way changes the port", e.p.Port, e.i.Origin.Port(), e.i.Origin.Addr()),
			fmt.Sprintf("Please correct the port translation (DNAT, port forwarding or redirect): %s must arrive at port %d. %s.", e.flow(), e.p.Port, e.why()))
	}
	return e.say("redirected-host", fmt.Sprintf("another listener (instance %.8s, at %s) answered than on the other paths", e.i.Instance, e.i.Origin.Addr()),
		fmt.Sprintf("Please correct the translation or load balancer: %s is led to another machine than the other ports. %s.", e.flow(), e.why()))
}

func (e explainer) corrupted() *result.Finding {
	var parts []string
	for _, d := range e.transfers() {
		if d.t.Outcome == result.TransferCorrupted {
			parts = append(parts, fmt.Sprintf("%s, at byte %d of %d: %s", d.name, d.t.Intact, d.t.Want, d.t.Changed))
		}
	}
	return e.say("corrupted", "the payload arrived changed "+strings.Join(parts, "; "),
		fmt.Sprintf("Please exempt %s from content inspection, rewriting and application-layer helpers: a device changes its bytes. %s.", e.flow(), e.why()))
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

func (e explainer) occupied() *result.Finding {
	return e.say("occupied", fmt.Sprintf("%s holds port %d there, so listen could not; it answered %s", holderWords(e.a.Holder), e.p.Port, e.replyWords()),
		fmt.Sprintf("Something on that machine answers on this port, so the way there is not blocked; the keyed proof needs the port. Stop %s for the test, start listen again, and repeat.", holderWords(e.a.Holder)))
}

func (e explainer) intercepted() *result.Finding {
	what := "other bytes came back, " + e.replyWords()
	if e.i.Answer == result.AnswerEchoed {
		what = "our own bytes came back"
	}
	return e.say("intercepted", fmt.Sprintf("%s, although the listener holds port %d and %s: something on the way answers in its place", what, e.p.Port, e.sawWords()),
		fmt.Sprintf("Please find the proxy, security gateway, NAT or redirect that answers %s in the place of %s, and exempt this flow from it: %s. %s", e.flow(), e.p.To, e.why(), e.log()))
}

func (e explainer) answered() *result.Finding {
	switch e.i.Answer {
	case result.AnswerWrongKey:
		return e.say("wrong-key", "a listener answered, and it has another key",
			"Use the key that listen printed there (--key, DIALTONE_KEY or --key-file), exactly as printed.")
	case result.AnswerForbidden:
		return e.say("not-allowed", "the listener has this key and does not allow this address",
			fmt.Sprintf("Start listen with --allow for %s, or dial from an address that it allows.", orThe(e.source(), "this address")))
	case result.AnswerVersion:
		return e.say("other-version", fmt.Sprintf("the listener (%s) speaks version %d of the wire format, and this end another", e.i.Software, e.i.FarVersion),
			"Use the same release of Dialtone on both sides.")
	}
	what := "something answered " + e.replyWords()
	if e.i.Answer == result.AnswerEchoed {
		what = "something sent our own bytes back"
	}
	whose := "there was no contact to say whose answer it is"
	if e.a != nil {
		whose = "the listener does not hold that port"
	}
	return e.say("answered", what+", and "+whose,
		fmt.Sprintf("This is no proof that the path is open. Make sure that listen runs on %s and holds port %d; if it does, ask for the device that answers in its place.", orThe(addrOf(e.p.Target), e.p.To), e.p.Port))
}

func (e explainer) reset() *result.Finding {
	if e.i.Answer == result.AnswerKeyed {
		return e.payload("reset-payload", "reset-while-sending",
			"A device that inspects content, or a limit on connections or size, is the usual cause")
	}
	how := "reset (RST)"
	if e.i.Answer == result.AnswerClosed {
		how = "closed (FIN)"
	}
	code, who := e.accepter()
	return e.say("reset-"+code, fmt.Sprintf("the connection opened and was %s before any proof; it was accepted by %s", how, who),
		fmt.Sprintf("Please check what resets %s after the handshake (intrusion prevention, an application-aware rule, a proxy): %s. %s", e.flow(), e.why(), e.log()))
}

func (e explainer) stalled() *result.Finding {
	if e.i.Answer == result.AnswerKeyed {
		return e.payload("stalled-payload", "stalled",
			"Large packets that vanish (ICMP \"fragmentation needed\" filtered on the way), traffic shaping, or a device that holds the content back are the usual causes; on a merely slow line repeat with a longer --timeout")
	}
	code, who := e.accepter()
	return e.say("stalled-"+code, "the connection opened and no byte came back; it was accepted by "+who,
		fmt.Sprintf("Please check what holds back the data of %s after the handshake (application-aware firewall, SYN proxy, traffic inspection): %s. %s", e.flow(), e.why(), e.log()))
}

// payload explains a proof that was followed by trouble with larger data.
func (e explainer) payload(code, word, causes string) *result.Finding {
	var parts []string
	for _, d := range e.transfers() {
		if d.t.Outcome != result.TransferIntact {
			parts = append(parts, fmt.Sprintf("%s: %s after %d of %d bytes", d.name, d.t.Outcome, d.t.Intact, d.t.Want))
		}
	}
	return e.say(code, fmt.Sprintf("the proof passed and the payload did not (%s; %s)", word, strings.Join(parts, "; ")),
		fmt.Sprintf("Please let all data of %s pass, not only the first packets: %s. %s. %s", e.flow(), e.why(), causes, e.log()))
}

// accepter says who accepted a connection that led to nothing.
func (e explainer) accepter() (code, words string) {
	if e.a == nil {
		return "unknown", "nobody knows whom: there was no contact to ask"
	}
	switch e.a.Saw {
	case result.SawAccepted:
		words = "the listener"
		if !e.a.Proved && e.a.BytesIn == 0 {
			words += ", to which our data never came"
		}
		return "listener", words
	case result.SawHalfOpen:
		return "half-open", "nobody: at the listener it is half-open, so what this end sends after the SYN does not arrive"
	case result.SawNothing:
		return "someone-else", "something else: the listener never saw it"
	}
	if e.a.Port == result.PortBusy {
		return "holder", holderWords(e.a.Holder) + ", which holds the port there"
	}
	return "unknown", "nobody knows whom: " + e.a.Reason
}

func (e explainer) closed() *result.Finding {
	switch {
	case e.p.OK:
		return nil
	case e.p.Verdict == result.Untested:
		return e.untested()
	}
	return e.say("should-be-closed", fmt.Sprintf("this port must not be reachable, and it is (%s)", e.p.Verdict),
		fmt.Sprintf("Please block %s: %s.", e.flow(), e.why()))
}

// sawWords says what the listener saw, for the middle of a sentence.
func (e explainer) sawWords() string {
	switch e.a.Saw {
	case result.SawNothing:
		return "never saw this connection"
	case result.SawHalfOpen:
		return "saw it only half-open"
	case result.SawAccepted:
		return "accepted it and said something else"
	}
	return "cannot say whether it saw this connection (" + e.a.Reason + ")"
}

func (e explainer) replyWords() string {
	switch {
	case e.i.Software != "":
		return "as " + e.i.Software
	case e.i.Reply != "":
		return "with " + e.i.Reply
	}
	return "with other bytes"
}

func holderWords(h *result.Holder) string {
	switch {
	case h == nil:
		return "other software (run listen as administrator or root to see which)"
	case h.Name == "":
		return fmt.Sprintf("the program with pid %d", h.PID)
	}
	return fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
}

func orThe(s, role string) string {
	if s == "" {
		return "the " + role
	}
	return s
}

func addrOf(e result.Endpoint) string {
	if !e.IsValid() {
		return ""
	}
	return e.Addr().String()
}

func isPortUnreachable(m result.ICMP) bool {
	return !m.V6 && m.Type == 3 && m.Code == 3 || m.V6 && m.Type == 1 && m.Code == 4
}

// icmpWords names an ICMP error (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443
// section 3.1).
func icmpWords(m result.ICMP) string {
	names := map[[2]int]string{
		{3, 0}: "network unreachable", {3, 1}: "host unreachable", {3, 2}: "protocol unreachable", {3, 3}: "port unreachable",
		{3, 4}: "fragmentation needed", {3, 9}: "network administratively prohibited", {3, 10}: "host administratively prohibited",
		{3, 13}: "communication administratively prohibited", {11, 0}: "time to live exceeded",
	}
	if m.V6 {
		names = map[[2]int]string{
			{1, 0}: "no route to destination", {1, 1}: "communication administratively prohibited", {1, 3}: "address unreachable",
			{1, 4}: "port unreachable", {1, 5}: "source address failed policy", {1, 6}: "reject route", {3, 0}: "hop limit exceeded",
		}
	}
	if n := names[[2]int{m.Type, m.Code}]; n != "" {
		return fmt.Sprintf("%s (type %d code %d)", n, m.Type, m.Code)
	}
	return fmt.Sprintf("type %d code %d", m.Type, m.Code)
}
