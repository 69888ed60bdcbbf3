package verdict

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// steady takes into account that what one connection did is one sample: a path
// that was proved is no more than unsteady if others of the same run failed,
// unless the loss of packets that the run shows makes so many failures likely.
func steady(c question, v result.Verdict) result.Verdict {
	if unlike(c.Initiator) {
		return result.Unsteady
	}
	if c.Initiator == nil || c.Initiator.Answer != result.AnswerKeyed {
		return v
	}
	switch v {
	case result.Open, result.MTUHole, result.Reset, result.Stalled:
	default:
		return v // it says something that one connection is enough to show
	}
	passed, failed := result.Compare(c.Initiator.Connections)
	switch {
	case len(passed) == 0:
		return v
	case len(failed) > 0 && c.Initiator.Ban != nil:
		return result.Unsteady
	case len(failed) > 0 && !isLoss(c, passed, failed), v == result.Stalled && (isStoppedByLoss(c) || isPayloadStoppedByLoss(c, passed)):
		return result.Unsteady
	}
	return v
}

const (
	// likely is how likely it has to be that loss alone makes so many connections
	// fail, for nobody to look further. What is less likely still happens, on one of
	// a run's many paths: until it is as unlikely as refuted, more connections tell,
	// and where those leave it between the two, loss is not ruled out. A device that
	// fails a quarter of four dozen connections is not missed for it while no more
	// than three in ten round trips are lost.
	likely, refuted = 0.05, 0.001
	// heavy is the share of round trips of which the loss fails users' connections, too:
	// what may as well be something else is unsteady there, and said with the estimate.
	heavy                       = 0.25
	likelyIfHeavy, ruledIfHeavy = 0.4, 0.05
	// synTries and datagramTries are how often a further connection's SYN is sent
	// within its time, and a datagram (RFC 8489 section 6.2.1: after 0.5 and 1.5 s).
	synTries, datagramTries = 2, 3
)

// isLoss reports whether the loss of the run may have made so many fail, and these.
func isLoss(c question, passed, failed []result.Connection) bool {
	_, least := bars(c.Loss)
	return lossChance(c.Transport, c.Loss, passed, failed) > least
}

// bars are how likely failures have to be by chance, for nobody to look further, and
// for loss not to be ruled out.
func bars(loss float64) (enough, least float64) {
	if loss >= heavy {
		return likelyIfHeavy, ruledIfHeavy
	}
	return likely, refuted
}

// IsUndecided reports whether loss is too unlikely to be taken for what made
// connections of a path fail, and too likely to be ruled out.
func IsUndecided(t plan.Transport, loss float64, passed, failed []result.Connection) bool {
	chance := lossChance(t, loss, passed, failed)
	enough, least := bars(loss)
	return len(passed) > 0 && chance > least && chance <= enough
}

// lossChance is how likely it is that loss makes so many fail, or where that is less
// that it picks those that did by their source ports.
func lossChance(t plan.Transport, loss float64, passed, failed []result.Connection) float64 {
	return min(byLoss(t, loss, len(passed), failed), portsByChance(passed, failed))
}

// portsByChance is how likely it is that of connections of which some failed by chance,
// which knows no source ports, these did: as many from ports of one parity, or from
// each port all or none of those that left from it. It is one of several things looked
// at, and so that much more likely to be seen.
func portsByChance(passed, failed []result.Connection) float64 {
	all := slices.Concat(passed, failed)
	n, m := len(all), len(failed)
	if len(passed) == 0 || m == 0 || slices.ContainsFunc(all, func(c result.Connection) bool { return c.Source.Port() == 0 }) {
		return 1
	}
	const looks = 3
	chance := 1.0
	for _, of := range []uint16{0, 1} {
		count := func(list []result.Connection) (n int) {
			for _, c := range list {
				if parity(c) == of {
					n++
				}
			}
			return n
		}
		k, x := count(all), count(failed)
		sum := 0.0 // the hypergeometric distribution's tail
		for i := x; i <= min(k, m); i++ {
			if m-i <= n-k {
				sum += math.Exp(logChoose(k, i) + logChoose(n-k, m-i) - logChoose(n, m))
			}
		}
		chance = min(chance, sum)
	}
	if alike, ok := portsAlike(all); ok {
		// In how many ways whole groups make up as many as failed.
		ways := make([]float64, m+1)
		ways[0] = 1
		for _, port := range alike {
			for i := m; i >= port.n; i-- {
				ways[i] += ways[i-port.n]
			}
		}
		chance = min(chance, ways[m]/math.Exp(logChoose(n, m)))
	}
	return min(1, looks*chance)
}

// A portAlike is a source port of which all n connections fared alike.
type portAlike struct {
	port   uint16
	n      int
	passed bool
}

// portsAlike returns the source ports of connections, if all of each fared alike.
func portsAlike(all []result.Connection) (ports []portAlike, ok bool) {
	index := map[uint16]int{}
	for _, c := range all {
		at, ok := index[c.Source.Port()]
		switch {
		case !ok:
			index[c.Source.Port()] = len(ports)
			ports = append(ports, portAlike{c.Source.Port(), 1, c.IsPassed()})
		case ports[at].passed != c.IsPassed():
			return nil, false
		default:
			ports[at].n++
		}
	}
	return ports, true
}

// byLoss is how likely it is that loss alone makes as many connections fail, or
// more. One that was given longer had more tries, and is the less likely to fail
// by chance: those that had so many are held against as many as there are.
func byLoss(t plan.Transport, loss float64, passed int, failed []result.Connection) float64 {
	if slices.ContainsFunc(failed, func(f result.Connection) bool { return f.Ended != result.EndedSilent }) {
		return 0 // lost packets answer nothing
	}
	n := passed + len(failed)
	if t == plan.UDP {
		return atLeast(len(failed), n, math.Pow(loss, datagramTries))
	}
	had := make([]int, len(failed))
	for i, f := range failed {
		had[i] = triesOf(f)
	}
	slices.Sort(had)
	chance := 1.0
	for i, tries := range had {
		chance = min(chance, atLeast(len(failed)-i, n, math.Pow(loss, float64(tries))))
	}
	return chance
}

// triesOf is how many SYNs a connection that did not come about had time for, at
// least: one is sent again after 1, 3 and 7 seconds (RFC 6298 section 2), or
// sooner. Of another it is what any has.
func triesOf(c result.Connection) int {
	const answer = 200 // ms: what is sent in the last moment is no try
	if c.Reached != result.ReachedNothing {
		return synTries
	}
	tries := 1
	for after := 1.0; c.ElapsedMS >= after*1000+answer; after = 2*after + 1 {
		tries++
	}
	return tries
}

// isStoppedByLoss reports whether a conversation stopped where the payload had come
// through, not for what it said, and loss makes that likely.
func isStoppedByLoss(c question) bool {
	const roundTrips = 4 // of a conversation, or more
	t := c.Initiator.Conversation
	return isWhole(c.Initiator) && t != nil && t.Outcome == result.ConversationSilent && !t.IsAboutContent() &&
		atLeast(1, roundTrips, math.Pow(c.Loss, synTries)) > likely
}

// isPayloadStoppedByLoss reports whether the payload stopped on one connection, others
// carried theirs, and so many packets get lost that TCP's patience, which doubles each
// time, outlasts the test's.
func isPayloadStoppedByLoss(c question, passed []result.Connection) bool {
	const much = 0.1 // of round trips: fewer cost time and no more
	return c.Loss >= much && stoppedInPayload(c.Initiator) && slices.ContainsFunc(passed, func(p result.Connection) bool {
		return p.Purpose != result.PurposeConversation && p.Reached == result.ReachedDone
	})
}

// atLeast is the chance that of n connections k or more fail, if each does with
// chance p.
func atLeast(k, n int, p float64) float64 {
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += math.Exp(logChoose(n, i)) * math.Pow(p, float64(i)) * math.Pow(1-p, float64(n-i))
	}
	return sum
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// failedByLoss says that some connections of an open path failed, "" if none
// did. Where the proof itself does not pass, loss was not found to be the cause.
func failedByLoss(i *result.Initiator) string {
	if i == nil || i.Answer != result.AnswerKeyed {
		return ""
	}
	passed, failed := result.Compare(i.Connections)
	if len(passed) == 0 || len(failed) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d connections failed, as many as the loss of packets that this run measured makes likely", len(failed), len(passed)+len(failed))
}

// unsteady explains a path of which some connections work and others do not.
func (e explainer) unsteady() *result.Finding {
	passed, failed := result.Compare(e.i.Connections)
	ages := ageLimits(e.i.Idle)
	switch {
	case len(failed) == 0 && len(ages) > 0:
		return e.tooOld(ages[0])
	case len(failed) == 0 && e.i.Conversation != nil && !stoppedInPayload(e.i):
		return e.serviceStopped()
	case len(failed) == 0 && stoppedInPayload(e.i):
		return e.say(result.CodeUnsteady, fmt.Sprintf("Of %d connections %d passed, and on one the payload stopped (%s). Many packets get lost on the way.", len(passed)+1, len(passed), e.transferWords()),
			e.request("let every connection pass, not only some:", "A rule that allows it is there. The loss of so many packets is the likely cause: have the line looked at"))
	}
	all := slices.Concat(passed, failed)
	slices.SortStableFunc(all, func(a, b result.Connection) int { return a.At.Compare(b.At.Time) })
	code, words, cause := inCommon(passed, failed, all)
	if b := e.i.Ban; b != nil {
		return e.banned(*b, fmt.Sprintf("Of %d connections %d passed and %d failed (%s).", len(all), len(passed), len(failed), endings(failed)))
	}
	if e.loss >= heavy && lossChance(e.p.Transport, e.loss, passed, failed) > refuted {
		code, words = result.CodeUnsteady, fmt.Sprintf("Of this run's packets so many got lost that about %.0f in 100 round trips failed: that alone may be the cause.", 100*e.loss)
		cause = "The loss of so many packets is the likely cause: have the line looked at. If that is in order, look for a device that fails some connections (a load balancer with a member that does not work, a limit)"
	}
	return e.say(code, fmt.Sprintf("Of %d connections %d passed and %d failed (%s). %s", len(all), len(passed), len(failed), endings(failed), words),
		e.request("let every connection pass, not only some:", "A rule that allows it is there. "+cause))
}

// banned says of a path that what failed on it did so since another port was touched.
// All that one ban made fail are one thing to ask for.
func (e explainer) banned(b result.Ban, counted string) *result.Finding {
	long := Ban{Ban: b}.longWords()
	return e.say(result.CodeUnsteadyBanned,
		fmt.Sprintf("%s What failed was tried after this run had touched %s. Left alone, this port answered; when that one was touched on purpose, nothing got an answer for %s", counted, b.Words(), long),
		fmt.Sprintf("Please allow %s from %s to %s, or at least do not ban who touches it. A device does (intrusion prevention, a honeypot port, protection against scans), and then nothing passes on any other port, here for %s.", b.Words(), e.source(), e.at(), long))
}

// endings counts how connections failed.
func endings(failed []result.Connection) string {
	words := map[result.Ended]string{
		result.EndedSilent: "without an answer", result.EndedReset: "by RST", result.EndedClosed: "by FIN",
		result.EndedICMP: "by an ICMP error", result.EndedForeign: "with other bytes",
	}
	var out []string
	for _, ended := range []result.Ended{result.EndedSilent, result.EndedReset, result.EndedClosed, result.EndedICMP, result.EndedForeign} {
		opened, not := 0, 0
		for _, f := range failed {
			switch {
			case f.Ended != ended:
			case f.Reached == result.ReachedNothing:
				not++
			default:
				opened++
			}
		}
		if not > 0 {
			out = append(out, fmt.Sprintf("%d %s", not, words[ended]))
		}
		if opened > 0 {
			out = append(out, fmt.Sprintf("%d after the handshake %s", opened, words[ended]))
		}
	}
	return strings.Join(out, ", ")
}

// enough is how many connections have to agree before that is taken for a rule.
const enough = 2

// inCommon says what the connections that failed have in common, and what
// usually causes that.
func inCommon(passed, failed, all []result.Connection) (code result.Code, words, cause string) {
	switch {
	case isByPort(all) && isByRange(passed, failed):
		return result.CodeUnsteadyPorts, "The source port decides: " + rangeWords(passed, failed) + ".",
			"It seems to name source ports, and to leave out part of those that programs draw (Windows from 49152 to 65535, Linux from 32768 to 60999): have it allow any source port"
	case isByParity(passed, failed) || isByPort(all):
		return result.CodeUnsteadyPorts, "The source port decides: " + portWords(passed, failed) + ".",
			"Devices that share connections out over two or more equal ways go by the ports (ECMP, a bundle of links, a pair of firewalls or load balancers): one of the ways does not work"
	case isFirstReset(passed, failed):
		return result.CodeUnsteadyFirst, fmt.Sprintf("What failed was the first, reset before any handshake, and all %d after it passed.", len(passed)),
			"A device that tells real clients from forged ones by resetting the first SYN of each does that (SYN authentication, protection against floods): " +
				"a client that tries again at once gets through, as Windows does by itself, and one that does not fails whenever the device has forgotten it. " +
				"Have it check with SYN cookies, or leave this flow out"
	case isBeside(failed, all) && areFirst(failed, all):
		return result.CodeUnsteadyAtOnce, fmt.Sprintf("What failed were the first %d; all %d after them passed, alone and beside others.", len(failed), len(passed)),
			"A limit on how many connections one address may open at once, or a device that lets this machine in only after something else of it has passed " +
				"(a login, a portal, port knocking), or a moment of trouble"
	case isBeside(failed, all):
		return result.CodeUnsteadyAtOnce, fmt.Sprintf("Those that failed were opened while many others were; opened two at a time, %d passed.", alone(passed)),
			"A limit on how many connections one address may open at once, or a moment of trouble"
	case everyNth(all) > 0:
		return result.CodeUnsteadyInTurn, fmt.Sprintf("Every %s one failed.", ordinal(everyNth(all))),
			"A load balancer that shares connections out in turn has a member that does not work"
	case isFromThen(all):
		return result.CodeUnsteadyNumber, "The first ones passed and none after them.",
			"A limit on how many connections one address may open, or intrusion prevention"
	}
	return result.CodeUnsteady, "Those that failed have nothing in common that this test can see.",
		"The usual causes: a load balancer with a member that does not work, a limit on how many connections one address may open in a time, or the loss of many packets"
}

func parity(c result.Connection) uint16 { return c.Source.Port() % 2 }

// isByParity reports whether all that failed left from ports of one parity, and
// all that passed from the other.
func isByParity(passed, failed []result.Connection) bool {
	if len(passed) < enough || len(failed) < enough {
		return false
	}
	of := parity(failed[0])
	return !slices.ContainsFunc(failed, func(c result.Connection) bool { return parity(c) != of || c.Source.Port() == 0 }) &&
		!slices.ContainsFunc(passed, func(c result.Connection) bool { return parity(c) == of || c.Source.Port() == 0 })
}

// isByPort reports whether connections from the same port always fared alike,
// and both a port that fails and one that does not were tried again.
func isByPort(all []result.Connection) bool {
	ports, alike := portsAlike(all)
	const repeated = 2 // fewer agree by chance
	good, bad := 0, 0
	for _, p := range ports {
		switch {
		case p.port == 0:
			return false
		case p.n <= repeated:
		case p.passed:
			good++
		default:
			bad++
		}
	}
	return alike && good >= enough && bad >= enough
}

// isByRange reports whether the ports that fail lie all below those that pass, or
// all above, and so many of each that chance does not part them so.
func isByRange(passed, failed []result.Connection) bool {
	good, bad := sourcePorts(passed), sourcePorts(failed)
	if len(good) == 0 || len(bad) == 0 || slices.Max(bad) >= slices.Min(good) && slices.Max(good) >= slices.Min(bad) {
		return false
	}
	const byChance = 0.01
	return 2*math.Exp(-logChoose(len(good)+len(bad), len(bad))) < byChance
}

func rangeWords(passed, failed []result.Connection) string {
	good, bad := sourcePorts(passed), sourcePorts(failed)
	return fmt.Sprintf("from %d to %d all pass, and from %d to %d none does", slices.Min(good), slices.Max(good), slices.Min(bad), slices.Max(bad))
}

// sourcePorts are the source ports of connections, each once.
func sourcePorts(list []result.Connection) []uint16 {
	var ports []uint16
	for _, c := range list {
		ports = append(ports, c.Source.Port())
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func portWords(passed, failed []result.Connection) string {
	if isByParity(passed, failed) {
		name := map[uint16]string{0: "even", 1: "odd"}
		return fmt.Sprintf("from %s ports all pass, and from %s ones none does (%s failed)", name[parity(passed[0])], name[parity(failed[0])], portsOf(failed))
	}
	return fmt.Sprintf("what failed from a port failed from it again (%s), and what passed passed again (%s)", portsOf(failed), portsOf(passed))
}

// portsOf lists the source ports of connections.
func portsOf(list []result.Connection) string {
	const most = 8
	var ports []string
	for _, c := range list {
		if p := fmt.Sprint(c.Source.Port()); !slices.Contains(ports, p) && len(ports) < most {
			ports = append(ports, p)
		}
	}
	return strings.Join(ports, ", ")
}

// isAlone reports whether no other path was tried when a connection was opened.
func isAlone(c result.Connection) bool { return c.Purpose == result.PurposeStudy }

func alone(list []result.Connection) (n int) {
	for _, c := range list {
		if isAlone(c) {
			n++
		}
	}
	return n
}

// isBeside reports whether all that failed were opened beside others, and all
// that were opened alone passed.
func isBeside(failed, all []result.Connection) bool {
	const few = 4
	return alone(all) >= few && alone(failed) == 0 && isNoChance(logChoose(len(all)-alone(all), len(failed))-logChoose(len(all), len(failed)))
}

// isNoChance reports whether what parts those that failed from the others is too unlikely,
// by the logarithm of how likely it is, where chance alone picks as many. A cause that is
// named for one or two of many is wrong as often as not.
func isNoChance(log float64) bool {
	const byChance = 0.1
	return math.Exp(log) < byChance
}

// areFirst reports whether those that failed were all opened before any other. At the
// beginning of a run it opens many at once, so that this alone does not tell which of the
// two was the reason.
func areFirst(failed, all []result.Connection) bool {
	return len(failed) >= enough && !slices.ContainsFunc(all[:len(failed)], func(c result.Connection) bool { return c.IsPassed() })
}

// everyNth is the distance at which connections that were opened one after the
// other failed, 0 if it is not always the same.
func everyNth(all []result.Connection) int {
	const few = 3
	last, distance, seen := -1, 0, 0
	n := 0
	for _, c := range all {
		if !isAlone(c) {
			continue
		}
		if c.IsFailed() {
			if last >= 0 {
				if distance != 0 && n-last != distance {
					return 0
				}
				distance = n - last
			}
			last, seen = n, seen+1
		}
		n++
	}
	if seen < few || distance < 2 {
		return 0
	}
	return distance
}

// isFirstReset reports whether nothing failed but the first connection, or those
// opened before that one had failed: by RST in place of a handshake.
func isFirstReset(passed, failed []result.Connection) bool {
	const few = 6 // of those that pass: fewer do by chance
	if len(failed) == 0 || len(passed) < few {
		return false
	}
	first := failed[0].Over()
	return !slices.ContainsFunc(failed, func(c result.Connection) bool {
		return c.Ended != result.EndedReset || c.Reached != result.ReachedNothing || c.At.After(first)
	}) && !passed[0].At.Before(first)
}

// isFromThen reports whether the first connections passed and none after them.
func isFromThen(all []result.Connection) bool {
	first := slices.IndexFunc(all, func(c result.Connection) bool { return c.IsFailed() })
	return first >= 1 && len(all)-first > enough && !slices.ContainsFunc(all[first:], func(c result.Connection) bool { return c.IsPassed() }) &&
		isNoChance(-logChoose(len(all), first))
}

func ordinal(n int) string {
	switch n {
	case 2:
		return "second"
	case 3:
		return "third"
	}
	return fmt.Sprintf("%dth", n)
}

// SampleWords says how many connections the counted paths of a report got, and
// how likely it is that a device that fails half of them was missed.
func SampleWords(r *result.Report) string {
	fewest := 0
	for _, p := range r.Paths {
		if !p.Counted || p.Initiator == nil {
			continue
		}
		if passed, _ := result.Compare(p.Initiator.Connections); p.Verdict == result.Open && (fewest == 0 || len(passed) < fewest) {
			fewest = len(passed)
		}
	}
	if fewest == 0 {
		return "no required path is open, so none was sampled"
	}
	return fmt.Sprintf("each required path that is open passed at least %d connections: one that fails half of them at random is missed by chance in %.1f %% of runs",
		fewest, 100*math.Pow(0.5, float64(fewest)))
}
