package verdict

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Facts are what Conclude needs beside the report.
type Facts struct {
	ResolveError string // why the far end's name gave no address; "" if it did
	ResolveFault result.NameFault
	Names        []Name        // that have addresses, and of which not everything is known
	Shift        int           // this end's port shift
	FarShift     int           // the far end's, if there was contact
	Waited       time.Duration // for how long both ends dialed each other; 0: this one did once
	TooLong      time.Duration // after how long the run ended itself; 0: it came to its end
	CutOff       *CutOff       // from when on nothing got through any more; nil: it did to the end
	// Restarted is when the listener was last seen after whose new start the run
	// began again; zero: it did not.
	Restarted   time.Time
	ContactLost string // why the far end, after it had answered, could not be asked any more
	// Paused is for how long in this run the far end's listener could not do its
	// part; less than a second is not worth a word. 0: it could, or does not tell.
	Paused time.Duration
	// Full are ports of the far end's listener that turned connections away, since more
	// came than may wait.
	Full []int
	// Shed is how many connections the far end's listener ended in a minute of this
	// run, of strangers that crowd it; 0: none, or it does not tell.
	Shed int
	// Stood is for how long this program itself did not run.
	Stood time.Duration
	// Away are the addresses of this machine that could not be used for a while.
	Away Away
	// Late is how long after this run began the far end's listener was started,
	// where that made anything fail. 0: it ran already, or nothing failed for it.
	Late time.Duration
	// SlowTrip is how long a round trip takes that is longer than the run gave a
	// connection to open, Timeout; 0: none is known to.
	SlowTrip, Timeout time.Duration
	// Lacks is what this machine had none left of when it tried to ask the far
	// end; "": it was not that.
	Lacks result.Lack
	// AnswersAll are the far end's addresses to which connections open on ports
	// where nothing listens.
	AnswersAll []netip.Addr
	// Reroutes are the spans, over by the end, in which this machine sent to the far end
	// by another way than at first.
	Reroutes []Reroute
	// Bans are what touching a port was found to set off.
	Bans    []Ban
	LeftOut []netip.Addr // the far end's that were too many to be dialed
	// AnyAddress reports of a path whether one address of its host is enough; nil:
	// of none.
	AnyAddress func(result.Path) bool
}

// Away are addresses of the dialing machine that could not be used, since their
// interface was down, without a carrier or gone, or they were taken from it.
type Away struct {
	Addrs []netip.Addr
	For   time.Duration // the longest of them in all
}

// A Route is from which address and by which interface a machine sends somewhere. The
// zero value: there is none.
type Route struct {
	Source    netip.Addr
	Interface string // "": not known
}

// A Reroute is a span in which the dialing machine sent to an address by another way
// than at first.
type Reroute struct {
	To          netip.Addr
	Was, Is     Route
	From, Until time.Time
}

// Words says from which way to which.
func (r Reroute) Words() string {
	words := func(r Route) string {
		if r.Source.IsValid() {
			return fmt.Sprintf("%s by %s", r.Source, r.Interface)
		}
		return "none: no route is left"
	}
	return fmt.Sprintf("from %s to %s", words(r.Was), words(r.Is))
}

// A Ban is what touching a port of an address sets off there.
type Ban struct {
	result.Ban
	Host netip.Addr
}

// A CutOff is the moment from which on nothing got through any more.
type CutOff struct {
	At    time.Time
	After time.Duration // since the run began
	Ended result.Ended  // how everything ended from then on
	Anew  bool          // nothing ended: another listener answers in the place of the one before
	Shut  bool          // nothing was proved before: connections only opened
	Mute  bool          // connections opened still, and got no answer
	Away  bool          // an address of this machine could not be used then
	// Reroute is how this machine's route to the far end changed then; nil: it did not.
	Reroute *Reroute
	// Touched is the port after whose touching, on purpose, nothing got through; nil:
	// no certain one.
	Touched *result.Ban
	Opened  int // connections that the run opened in all
}

// Conclude completes a report whose paths are judged: its findings about the
// run as a whole, and its summary.
func Conclude(r *result.Report, f Facts) {
	standBy(r.Paths, f.AnyAddress)
	Summarize(r)
	explainMuteDatagrams(r)
	r.Findings = append(r.Findings, findings(r, f)...)
}

// Summarize counts the verdicts of a report.
func Summarize(r *result.Report) {
	r.Summary = summary(r.Paths)
	if ExitCode(r) == 3 || r.Interrupted {
		r.Summary.OK = false // what was not tried, or not to its end, is not known to be ok
	}
}

func summary(paths []result.Path) result.Summary {
	s := result.Summary{OK: true, Verdicts: map[result.Verdict]int{}}
	for _, p := range paths {
		s.Verdicts[p.Verdict]++
		if !p.Counted {
			continue
		}
		s.Counted++
		if !p.OK {
			s.Failed++
			s.OK = false
		}
	}
	return s
}

// findings lists what is wrong with the run as a whole, the cause of most
// first.
func findings(r *result.Report, f Facts) []result.Finding {
	var out []result.Finding
	if f.ResolveError != "" {
		return append(out, noAddress(f.ResolveError, f.ResolveFault))
	}
	if len(r.Paths) == 0 {
		return append(out, result.Finding{Code: result.CodeNoRow, Text: fmt.Sprintf("The plan has no row between %s here and %s there, so there is nothing to test.", r.From.Role, r.To.Role),
			Advice: "Say with --role what this machine plays (client, server, web, peer, admin, …, or all); dial odyssey tests between two institutions, and listen plan shows every row."})
	}
	answers := map[result.AnswerOutcome]result.Path{}
	refused, attempted := 0, 0
	for _, p := range r.Paths {
		if p.Initiator == nil || p.Initiator.Attempts == 0 {
			continue
		}
		attempted++
		if isRefusal(p) {
			refused++
		}
		if _, ok := answers[p.Initiator.Answer]; !ok {
			answers[p.Initiator.Answer] = p
		}
	}
	for _, a := range []result.AnswerOutcome{result.AnswerWrongKey, result.AnswerVersion, result.AnswerForbidden} {
		if p, ok := answers[a]; ok && p.Finding != nil {
			out = append(out, *p.Finding)
		}
	}
	lacks := lacksOf(r, f)
	for _, l := range lacks {
		out = append(out, lackOf(l))
	}
	out = append(out, ownAnswers(r)...)
	if len(f.Away.Addrs) > 0 {
		out = append(out, result.Finding{Code: result.CodeInterfaceDown,
			Text:   fmt.Sprintf("For about %v of this run this machine could send nothing from %s: the interface was down or without a carrier, or the address was taken from it. What got no answer then tells nothing of the network and was left out.", f.Away.For.Round(100*time.Millisecond), addrList(f.Away.Addrs)),
			Advice: "See why (a cable, a wireless network, a VPN that connects again, an address that changed), and run the test again if a path is untested or not ok. Nothing to ask of the firewall team."})
	}
	if f.SlowTrip > 0 {
		out = append(out, slowPath(r, f))
	}
	// Where this machine ran out of something, that may be why nobody could be
	// asked: nothing is said of the far end.
	wantsContact := r.Mode != result.ModeInstalled && r.Mode != result.ModeEgress && attempted > 0 && !r.Interrupted
	if f.CutOff == nil && len(f.Reroutes) == 0 && r.Contact == nil && wantsContact && len(out) == 0 {
		out = append(out, noContact(r, f, refused == attempted))
	}
	if f.TooLong > 0 {
		out = append(out, result.Finding{Code: result.CodeRunLimit,
			Text:   fmt.Sprintf("The run ended itself after %v, before every path was tried to the end.", f.TooLong.Round(time.Second)),
			Advice: "Test fewer rows at a time with --only, or give a shorter --timeout. If the network is merely slow, a longer --timeout gives the whole run more time too."})
	}
	for _, re := range f.Reroutes {
		out = append(out, result.Finding{Code: result.CodeRouteChanged,
			Text: fmt.Sprintf("From %s UTC on, for about %v, this machine's route to %s was another (%s). What failed then tells nothing of the first way and was left out.",
				re.From.UTC().Format("15:04:05.000"), re.Until.Sub(re.From).Round(100*time.Millisecond), r.To.Host, re.Words()),
			Advice: routeAdvice})
	}
	for _, b := range f.Bans {
		out = append(out, portBans(r, b))
	}
	if f.CutOff != nil && (!f.CutOff.Away || f.CutOff.Reroute != nil) {
		out = append(out, cutOff(r, *f.CutOff))
	}
	if !f.Restarted.IsZero() && (f.CutOff == nil || !f.CutOff.Anew) {
		out = append(out, result.Finding{Code: result.CodeListenerRestarted,
			Text:   fmt.Sprintf("Shortly after %s UTC the listener on %s was started anew, and so this run began again: all that is said here is of the listener that has answered since.", f.Restarted.UTC().Format("15:04:05.000"), r.To.Host),
			Advice: "Nothing to ask of the network, nor to be tested again. If nobody restarted listen, its window or log on that machine says why it ended."})
	}
	if f.ContactLost != "" && len(lacks)+len(f.Away.Addrs) == 0 {
		out = append(out, contactLost(r.Paths, "The listener answered at first, and could not be asked any more at the end what it saw: "+f.ContactLost,
			fmt.Sprintf("Make sure that listen still runs on %s (it stops by itself after --for); if it does, a device on the way began to block it. Run the test again.", r.To.Host)))
	}
	if f.Paused >= time.Second {
		out = append(out, result.Finding{Code: result.CodeListenerPaused,
			Text:   fmt.Sprintf("For about %v of this run the listener on %s did not answer: it was stopped, its machine asleep, overloaded or without its network interface, or it had no file descriptor left. What got no answer then tells nothing of the network and was left out.", f.Paused.Round(100*time.Millisecond), r.To.Host),
			Advice: "If a path is untested or not ok for that, run the test again while listen runs throughout."})
	}
	if f.Shed > 0 {
		out = append(out, result.Finding{Code: result.CodeListenerCrowded,
			Text:   fmt.Sprintf("The listener on %s was crowded during this run: it had as many connections as it may have, and ended %d in a minute that had not proved themselves. No device on the way did that, and a connection of this run that it ended was left out.", r.To.Host, f.Shed),
			Advice: "Look at the screen of listen for who holds so many connections to it. If a path is untested or not ok for that, run the test again once they are gone."})
	}
	if len(f.Full) > 0 {
		out = append(out, result.Finding{Code: result.CodeListenerCrowded,
			Text:   fmt.Sprintf("During this run more connections came at once to %s of %s than may wait there until listen takes them, and that machine turned some away: it is overloaded, or strangers are many. What got no answer for that tells nothing of the network and was left out.", fullWords(f.Full), r.To.Host),
			Advice: fmt.Sprintf("Look at the screen of listen for who opens so many connections, and at what else keeps %s busy. If a path is untested or not ok for that, run the test again afterwards.", r.To.Host)})
	}
	if f.Stood >= time.Second {
		out = append(out, result.Finding{Code: result.CodeDialPaused,
			Text:   fmt.Sprintf("For about %v of this run this machine did not run dial: it was stopped, or the machine asleep or overloaded. What got no answer then tells nothing of the network and was left out.", f.Stood.Round(100*time.Millisecond)),
			Advice: "If a path is untested or not ok for that, run the test again while this machine is awake and has nothing else to do."})
	}
	if f.Late > 0 && f.CutOff == nil {
		out = append(out, result.Finding{Code: result.CodeListenerLate,
			Text:   fmt.Sprintf("The listener on %s was started %.1f s after this run began (again, if it ran before). What failed until then tells nothing of the network and was left out.", r.To.Host, f.Late.Seconds()),
			Advice: "If a path is untested or not ok for that, run the test again while listen runs throughout."})
	}
	for _, a := range f.AnswersAll {
		out = append(out, result.Finding{Code: result.CodeAnswersForAll,
			Text:   fmt.Sprintf("Something on the way to %s opens connections to ports on which nothing listens there, so an open connection proves nothing.", a),
			Advice: fmt.Sprintf("Ask the firewall team which device answers for %s (SYN proxy, security gateway, captive portal), and have it pass connections on.", a)})
	}
	if f.CutOff == nil || !f.CutOff.Anew { // one after the other is no several
		out = append(out, severalListeners(r)...)
	}
	out = append(out, someAddresses(r, f.LeftOut)...)
	out = append(out, blackHoles(r)...)
	out = append(out, otherAddresses(r)...)
	for _, n := range f.Names {
		out = append(out, n.inDoubt())
	}
	if c := r.Contact; c != nil {
		if c.Plan != r.Plan {
			out = append(out, result.Finding{Code: result.CodeOtherPlan,
				Text:   fmt.Sprintf("The listener runs with plan %q and dial with %q.", c.Plan, r.Plan),
				Advice: "Give both the same --plan and --site, so that they mean the same ports."})
		}
		if f.FarShift != f.Shift {
			out = append(out, result.Finding{Code: result.CodeOtherShift,
				Text:   fmt.Sprintf("The listener runs with --port-shift %d and dial with %d.", f.FarShift, f.Shift),
				Advice: fmt.Sprintf("Give dial --port-shift %d.", f.FarShift)})
		}
	}
	return out
}

// cutOff tells of the moment from which on nothing got through.
func cutOff(r *result.Report, c CutOff) result.Finding {
	from := "this address"
	if len(r.From.Addresses) > 0 {
		from = r.From.Addresses.String()
	}
	when := fmt.Sprintf("At %s UTC, %.1f s after this run began,", c.At.UTC().Format("15:04:05.000"), c.After.Seconds())
	if c.Anew {
		return result.Finding{Code: result.CodeListenerRestarted,
			Text:   fmt.Sprintf("%s the listener on %s was started anew. What the first one saw nobody can be asked any more.", when, r.To.Host),
			Advice: "Run the test again, and leave listen running while it lasts. Nothing to ask of the network."}
	}
	if c.Ended == result.EndedReset {
		return result.Finding{Code: result.CodeListenerGone,
			Text:   fmt.Sprintf("%s the listener on %s stopped answering: its ports refuse connections, also those that had worked before. What came later was not tested.", when, r.To.Host),
			Advice: fmt.Sprintf("Make sure that listen runs on %s (it stops by itself after --for, and with its window), and run the test again. If it never stopped, ask whether a firewall began to refuse %s at that time, or another machine has the same address, or took it over (a failover).", r.To.Host, from)}
	}
	if t := c.Touched; t != nil {
		return result.Finding{Code: result.CodeCutOff,
			Text:   fmt.Sprintf("%s this run tried %s, and from then on nothing between %s and %s got an answer, also on ports that had worked right before. What came later was not tested.", when, t.Words(), from, r.To.Host),
			Advice: fmt.Sprintf("Ask which device bans whoever tries %s (intrusion prevention, a honeypot port, protection against scans), and to lift its ban of %s and exempt it for the test. Then run the test again, or without that port: dial --only with the rows that this site needs.", t.Words(), from)}
	}
	if re := c.Reroute; re != nil {
		return result.Finding{Code: result.CodeRouteChanged,
			Text:   fmt.Sprintf("%s this machine's route to %s changed (%s). What came after that is untested: it is no evidence of the first way, nor all of the second.", when, r.To.Host, re.Words()),
			Advice: routeAdvice}
	}
	before := "worked"
	if c.Shut {
		before = "opened"
	}
	also := ""
	if ports := triedInVain(r); len(ports) > 0 {
		also = fmt.Sprintf(", or a device bans whoever tries %s, which this run did as well,", strings.Join(ports, " or "))
	}
	ask := fmt.Sprintf("ask whether intrusion prevention or a limit on connections%s shut out %s at that time, and to exempt it for the test; "+
		"then run the test again, with --gentle, which opens its connections one after the other.", also, from)
	if c.Mute {
		return result.Finding{Code: result.CodeCutOff,
			Text: fmt.Sprintf("%s the listener on %s stopped answering, also on ports that had worked before; connections to it open still. What came later was not tested.", when, r.To.Host),
			Advice: fmt.Sprintf("First make sure that listen goes on running on %s: where it stands still (it was stopped, or its machine is asleep, or out of time or memory), its system, or a device on the way, opens connections all the same. "+
				"If it never did, %s", r.To.Host, ask)}
	}
	return result.Finding{Code: result.CodeCutOff,
		Text:   fmt.Sprintf("%s everything between %s and %s stopped, also on ports that had %s before; this run opened %d connections. What came later was not tested.", when, from, r.To.Host, before, c.Opened),
		Advice: fmt.Sprintf("First make sure that %s and listen there still run and that the line is up. If they do, %s", r.To.Host, ask)}
}

// routeAdvice is what to do where the dialing machine's own route changed.
const routeAdvice = "Nothing to ask of the firewall team. See what changed it on this machine (a VPN that came up or went, a cable, a wireless network), and run the test again while it stays as its users have it."

// fullWords names ports that turned connections away, the first of many.
func fullWords(ports []int) string {
	const few = 8
	var out []string
	for _, p := range ports[:min(len(ports), few)] {
		out = append(out, strconv.Itoa(p))
	}
	more := ""
	if len(ports) > few {
		more = " and others"
	}
	return "TCP port " + strings.Join(out, ", ") + more
}

// portBans tells of a port whose touching makes all others silent.
func portBans(r *result.Report, b Ban) result.Finding {
	from := "this address"
	if len(r.From.Addresses) > 0 {
		from = r.From.Addresses.String()
	}
	return result.Finding{Code: result.CodePortBans,
		Text: fmt.Sprintf("The firewall bans whoever touches %s of %s: after this run had tried it nothing got an answer there. Left alone, ports answered again; at %s UTC it was tried on purpose, and for %s no port answered %s.",
			b.Words(), b.Host, b.At.UTC().Format("15:04:05.000"), b.longWords(), from),
		Advice: fmt.Sprintf("Ask which device does that (intrusion prevention, a honeypot port, protection against scans), and to allow %s, or at least not to ban %s for it. Until then leave that port alone: dial --only with the rows that this site needs.", b.Words(), from)}
}

// longWords is for how long a ban lasted.
func (b Ban) longWords() string {
	return (time.Duration(b.ForMS) * time.Millisecond).Round(100 * time.Millisecond).String()
}

// slowPath tells of a way that is longer than the run had patience for.
func slowPath(r *result.Report, f Facts) result.Finding {
	const trips = 2 // a handshake, and as much for what queues on so slow a way
	enough := time.Duration(math.Ceil(trips*f.SlowTrip.Seconds())) * time.Second
	return result.Finding{Code: result.CodeSlowPath,
		Text: fmt.Sprintf("A round trip to %s takes %.1f s, and this run gave no connection more than %v to open. What got no answer in that time tells nothing of a firewall.", r.To.Host, f.SlowTrip.Seconds(), f.Timeout),
		Advice: fmt.Sprintf("Run the test again with --timeout %v. If the way is not meant to be so long, ask what holds packets back so long: a line by satellite or radio, a queue that is full, a traffic shaper. "+
			"Programs that wait less than that will fail over it.", enough)}
}

// isRefusal reports whether a path ended as one does on which nothing listens.
func isRefusal(p result.Path) bool {
	i := p.Initiator
	return p.Verdict == result.Refused ||
		p.Verdict == result.Rejected && p.Transport == plan.UDP && (i.ICMP == nil || isPortUnreachable(*i.ICMP) && i.ICMP.From == p.Target.Addr())
}

// lacksOf lists what this machine had none left of in this run, each once. What
// the far end lacked when it dialed back is said at those paths.
func lacksOf(r *result.Report, f Facts) []result.Lack {
	var out []result.Lack
	add := func(l result.Lack) {
		if l != "" && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	for _, p := range r.Paths {
		if p.Direction == plan.Forward && p.Initiator != nil {
			add(p.Initiator.Lacks)
		}
	}
	add(f.Lacks)
	return out
}

// blackHoles tells of an address family of the far end that nothing gets
// through to, while the other works: programs try one after the other, and
// people wait, or are told that nothing answers.
func blackHoles(r *result.Report) []result.Finding {
	tried, dead := map[result.Family]int{}, map[result.Family]int{}
	proved := map[result.Family]bool{}
	address := map[result.Family]string{}
	ownTTL := map[result.Family]bool{}
	for _, p := range r.Paths {
		i := p.Initiator
		ownTTL[p.Family] = ownTTL[p.Family] || p.Finding != nil && p.Finding.Code == result.CodeOwnTTL
		if p.Direction != plan.Forward || i == nil || i.Attempts == 0 || !p.Target.IsValid() || p.Expect == plan.ExpectClosed {
			continue
		}
		tried[p.Family]++
		address[p.Family] = p.Target.Addr().String()
		proved[p.Family] = proved[p.Family] || p.Proof == result.ProofKeyed
		if isOffline(p.Verdict) && p.Verdict != result.Refused { // its machine is there
			dead[p.Family]++
		}
	}
	records := map[result.Family]string{result.IP4: "A", result.IP6: "AAAA"}
	blackHole := map[result.Family]result.Code{result.IP4: result.CodeIP4BlackHole, result.IP6: result.CodeIP6BlackHole}
	for f, other := range map[result.Family]result.Family{result.IP4: result.IP6, result.IP6: result.IP4} {
		if tried[f] == 0 || dead[f] < tried[f] || !proved[other] || ownTTL[f] {
			continue // or the setting of one of the two machines explains it
		}
		return []result.Finding{{Code: blackHole[f],
			Text: fmt.Sprintf("Nothing gets through to %s, the %s address of %s, while its %s address %s works. Programs that try the dead address first wait for it, or fail.",
				address[f], familyNames[f], r.To.Host, familyNames[other], address[other]),
			Advice: fmt.Sprintf("Either have %s let through to it as %s is (the requests below say what), or take the %s record of %s out of DNS until that is done.",
				familyNames[f], familyNames[other], records[f], r.To.Host)}}
	}
	return nil
}

// otherAddresses tells of an end whose connections come from another address
// than the one at which the other end dials it: one is to be published, and the
// other to be let in.
func otherAddresses(r *result.Report) []result.Finding {
	if !strings.Contains(r.From.Role+r.To.Role, "peer") {
		return nil // nobody publishes an address
	}
	var out []result.Finding
	say := func(host string, seen netip.Addr, dialed []netip.Addr) {
		of := slices.DeleteFunc(slices.Clone(dialed), func(a netip.Addr) bool { return result.FamilyOf(a) != result.FamilyOf(seen) })
		if !seen.IsValid() || len(of) == 0 || slices.Contains(of, seen) {
			return
		}
		var words []string
		for _, a := range of {
			words = append(words, a.String())
		}
		at := strings.Join(words, " or ")
		f := result.Finding{Code: result.CodeOtherAddress,
			Text:   fmt.Sprintf("Connections from %s arrive as %s, and it is dialed at %s.", host, seen, at),
			Advice: fmt.Sprintf("Partners keep %s as the address to send to, and their firewalls have to let in %s.", at, seen)}
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	if c := r.Contact; c != nil && !c.HidesSource {
		say(r.From.Host, c.SeenAs.Addr(), c.Partners)
	}
	for _, p := range r.Paths {
		if p.Direction == plan.Reverse && p.Proof == result.ProofKeyed {
			say(r.To.Host, p.SeenAs.Addr(), r.To.Addresses)
		}
	}
	return out
}

// ProxyFound says that this machine is set to use a proxy, and where that stands:
// in the environment, or only among the system's settings. A proxy's address may
// hold a password: the caller has left it out.
func ProxyFound(settings []string, system bool) result.Finding {
	f := result.Finding{Code: result.CodeProxyEnvironment,
		Text:   fmt.Sprintf("This machine is set to use a proxy (%s). It was not used: every connection was made directly, as ILLiad's update makes its own.", strings.Join(settings, "; ")),
		Advice: "That a browser here reaches a host shows the proxy's way, not ILLiad's. If the network lets only the proxy out, the hosts below have to be allowed directly; Atlas says that updates never go through a proxy."}
	if system {
		f.Code = "proxy-system"
	}
	return f
}

func noContact(r *result.Report, f Facts, allRefused bool) result.Finding {
	if f.Waited > 0 && len(provedPaths(r.Paths)) == 0 {
		return result.Finding{Code: result.CodeNoContact, Text: fmt.Sprintf("This end dialed %s for %v, and neither got through to the other.", r.To.Host, f.Waited),
			Advice: "If the partner ran the same command at that time with the same key, both directions are blocked: " + joinHalves}
	}
	if proved := provedPaths(r.Paths); len(proved) > 0 {
		return provedWithoutContact(r, proved)
	}
	what := fmt.Sprintf("Nothing at %s proved the key, so nobody could be asked what arrived there.", r.To.Host)
	if allRefused {
		what = fmt.Sprintf("Every port of %s is refused: the machine seems to be up, and listen does not seem to run there.", r.To.Host)
	}
	if slices.ContainsFunc(r.Paths, func(p result.Path) bool { return p.Initiator != nil && isKeyedWhole(p.Initiator.Conversation) }) {
		return result.Finding{Code: result.CodeNoContact,
			Text:   fmt.Sprintf("listen runs at %s and answered in its services' own languages, and every keyed proof was cut off, so it could not be asked what arrived there: a firewall passes only what it recognises.", r.To.Host),
			Advice: "For the time of the test, have that firewall pass one TCP port of the plan uninspected (no application identification) between the two machines, and run the test again: then what the services' own conversations show can be confirmed."}
	}
	shift := "If listen runs with --port-shift N, give dial the same"
	if f.Shift != 0 {
		shift = fmt.Sprintf("If listen runs without --port-shift %d, leave it out here too", f.Shift)
	}
	advice := fmt.Sprintf("Make sure that listen runs on %s, with the same plan and key. %s.", r.To.Host, shift)
	if !slices.ContainsFunc(r.Paths, func(p result.Path) bool {
		return p.Initiator != nil && p.Initiator.Connect == result.ConnectOpen && p.Transport == plan.TCP
	}) {
		advice += " If it does run, " + noneLeads(r)
	} else {
		advice += " If it does run, it may be stopped or its machine asleep, or something on the way answers in its place, or ends what it does not know."
	}
	return result.Finding{Code: result.CodeNoContact, Text: what, Advice: advice}
}

// orBanned names ports on which nothing depends, and which this run tried beside those
// that count: one that nobody is to touch may be why all are silent. "": there are
// none, or something answered.
func orBanned(r *result.Report) string {
	if slices.ContainsFunc(r.Paths, func(p result.Path) bool { return isTried(p) && p.Verdict != result.Silent }) {
		return ""
	}
	ports := triedInVain(r)
	if len(ports) == 0 {
		return ""
	}
	return fmt.Sprintf(", or a device bans this machine for having tried %s, which this run did as well: to find out, leave this machine's address alone for as long as such a ban may last, and run dial with --only and the rows that are required", strings.Join(ports, " or "))
}

func isTried(p result.Path) bool {
	return p.Direction == plan.Forward && p.Initiator != nil && p.Initiator.Attempts > 0
}

// triedInVain are ports on which nothing depends, and that were tried beside those that
// count and never answered; none if they are more than a few.
func triedInVain(r *result.Report) (ports []string) {
	counted := false
	for _, p := range r.Paths {
		if !isTried(p) {
			continue
		}
		counted = counted || p.Counted
		silent := p.Initiator.Connect == result.ConnectTimeout || p.Initiator.Answer == result.AnswerSilent && p.Transport == plan.UDP
		if words := (result.Ban{Port: p.Port, Transport: p.Transport}).Words(); silent && !p.Counted && !slices.Contains(ports, words) {
			ports = append(ports, words)
		}
	}
	const few = 4
	if !counted || len(ports) > few {
		return nil
	}
	return ports
}

// provedPaths are those on which the key was proved, if only on one connection
// of several.
func provedPaths(paths []result.Path) []result.Path {
	return slices.DeleteFunc(slices.Clone(paths), func(p result.Path) bool {
		i := p.Initiator
		if i == nil {
			return true
		}
		if r := i.Repeated; len(i.Connections) == 0 && r != nil && r.Proved > 0 {
			return false // as an earlier release wrote it
		}
		return i.Answer != result.AnswerKeyed && !slices.ContainsFunc(i.Connections, func(c result.Connection) bool {
			return c.Purpose != result.PurposeConversation && (c.Reached == result.ReachedProved || c.Reached == result.ReachedDone)
		})
	})
}

// provedWithoutContact tells of a far end that proved the key and could not be
// asked anything: the control conversation runs over TCP, on a connection of
// its own.
func provedWithoutContact(r *result.Report, proved []result.Path) result.Finding {
	if !slices.ContainsFunc(proved, func(p result.Path) bool { return p.Transport == plan.TCP }) {
		return result.Finding{Code: result.CodeProvedOverUDPOnly,
			Text:   fmt.Sprintf("The listener at %s proved the key over UDP, and over TCP it did not, so it could not be asked what arrived there: that takes a TCP connection.", r.To.Host),
			Advice: "Have one TCP port of the plan let through between the two machines (the requests below say which), and run the test again."}
	}
	if slices.ContainsFunc(proved, func(p result.Path) bool { return p.Verdict == result.Redirected }) && !slices.ContainsFunc(proved, func(p result.Path) bool { return p.Verdict != result.Redirected }) {
		return result.Finding{Code: result.CodeContactElsewhere,
			Text:   fmt.Sprintf("A listener proved the key, and on no path to %s on the port that was dialed, so nobody could be asked what arrived there.", r.To.Host),
			Advice: "Correct what leads the ports elsewhere first (the requests below say which), and run the test again."}
	}
	return contactLost(proved, fmt.Sprintf("The listener at %s proved the key on %s, and not one more connection to it could be had to ask what arrived there.", r.To.Host, pathsWords(len(proved))),
		fmt.Sprintf("Make sure that listen still runs on %s (it stops by itself after --for); if it does, a device on the way began to block this machine, or limits how many connections it may have. Run the test again.", r.To.Host))
}

// contactLost says that the far end could not be asked, and what to do unless paths
// explain it: an answer to a question is larger than a proof.
func contactLost(paths []result.Path, text, advice string) result.Finding {
	text = sentence(text)
	switch {
	case slices.ContainsFunc(paths, func(p result.Path) bool { return p.Verdict == result.MTUHole }):
		text += " Packets larger than a proof vanish on the way, and the answers to such questions are larger."
		advice = "Have the loss of large packets mended first (the requests below say what to ask for), and run the test again."
	case slices.ContainsFunc(paths, func(p result.Path) bool { return p.Finding != nil && p.Finding.Code == result.CodeWindowScale }):
		text += " What is sent goes through in pieces of few bytes, for the window scale is taken out on the way, and the answers to such questions took too long."
		advice = "Have the window scale left in first (the requests below say what to ask for), and run the test again."
	}
	return result.Finding{Code: result.CodeContactLost, Text: text, Advice: advice}
}

func pathsWords(n int) string {
	if n == 1 {
		return "one path"
	}
	return fmt.Sprintf("%d paths", n)
}

// ExitCode is the exit code that the contract gives a report: 0 every counted
// path is ok, 1 at least one is not, 3 no attempt could be made.
func ExitCode(r *result.Report) int {
	attempted := slices.ContainsFunc(r.Paths, func(p result.Path) bool { return p.Attempts > 0 })
	switch {
	case !attempted:
		return 3
	case r.Summary.OK:
		return 0
	}
	return 1
}
