package verdict

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// severalListeners tells of an address at which several listeners with the key
// proved themselves: each path is judged by the one that proved it, and no
// single machine stands behind the report.
func severalListeners(r *result.Report) []result.Finding {
	type listener struct {
		instance string
		origin   result.Endpoint
		flows    []string
	}
	var targets []string
	at := map[string][]*listener{}
	add := func(target, flow, instance string, origin result.Endpoint) {
		if instance == "" {
			return
		}
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
		n := slices.IndexFunc(at[target], func(l *listener) bool { return l.instance == instance })
		if n < 0 {
			n = len(at[target])
			at[target] = append(at[target], &listener{instance: instance, origin: origin})
		}
		if l := at[target][n]; !slices.Contains(l.flows, flow) {
			l.flows = append(l.flows, flow)
		}
	}
	for _, p := range r.Paths {
		i := p.Initiator
		if p.Direction != plan.Forward || i == nil || !p.Target.IsValid() {
			continue
		}
		target := p.Target.Addr().String()
		if i.Answer == result.AnswerKeyed {
			add(target, p.Flow, i.Instance, i.Origin)
		}
		for _, c := range i.Connections {
			if c.Ended == result.EndedElsewhere {
				add(target, p.Flow, c.Instance, c.Origin)
			}
		}
	}
	var out []result.Finding
	for _, target := range targets {
		if len(at[target]) < 2 {
			continue
		}
		var words []string
		for _, l := range at[target] {
			words = append(words, fmt.Sprintf("instance %.8s%s (%s)", l.instance, machineWords(l.origin), firstFew(l.flows)))
		}
		out = append(out, result.Finding{Code: result.CodeSeveralListeners,
			Text:   fmt.Sprintf("At %s not one listener answers but %d, which have the same key: %s. Each path is judged by the one that proved it.", target, len(words), strings.Join(words, ", ")),
			Advice: "If a load balancer is meant to stand there, dial each machine behind it by its own address as well: what fails at one of them shows here in some connections only. If not, a rule leads some ports, or some connections, to another machine: the paths below say which."})
	}
	return out
}

// endpointWords says at which address and port a listener answered, where it
// told.
func endpointWords(origin result.Endpoint) string {
	if !origin.IsValid() {
		return ""
	}
	return " at " + origin.String()
}

// machineWords says at which address a listener answered, where it told.
func machineWords(origin result.Endpoint) string {
	if !origin.IsValid() || origin.Addr().IsUnspecified() {
		return ""
	}
	return " at " + origin.Addr().String()
}
