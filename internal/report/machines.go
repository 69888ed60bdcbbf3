package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A machine is another one to run dial on, or this one with another command: it
// tests rows that a report lists as left out.
type machine struct {
	name    string // as people call it: "staff PC"
	command string // to paste; words in capitals are to be filled in
	// needsListen: listen has to run on this machine meanwhile.
	needsListen bool
	rows        []string
}

// machineNames are what people call the machines of roles.
var machineNames = map[plan.Role]string{
	plan.RoleClient: "staff PC", plan.RoleServer: "server", plan.RoleWeb: "web server", plan.RoleDatabase: "database server",
	plan.RolePeer: "partner's server", "patron": "patron's PC", "admin": "admin's PC", "reports": "PC for reports",
}

// MachineName is what people call the machine that plays a role: the role's own
// name where there is no other.
func MachineName(role string) string {
	if s := machineNames[plan.Role(role)]; s != "" {
		return s
	}
	return role
}

// machines lists where the rows are tested that a report left out, this machine
// first, each once for each command. left are those that were left out on purpose,
// or that nobody can test, or of which it is not known where they are tested.
func machines(r *result.Report) (list []machine, left []result.OutOfScope) {
	add := func(m machine, row string) {
		i := slices.IndexFunc(list, func(o machine) bool { return o.name == m.name && o.command == m.command })
		if i < 0 {
			i = len(list)
			list = append(list, m)
		}
		list[i].rows = addOnce(list[i].rows, row)
	}
	own, far := roleList(r.From.Role), roleList(r.To.Role)
	for _, o := range r.OutOfScope {
		from := roleList(o.From)
		local := slices.ContainsFunc(from, func(f string) bool { return slices.Contains(own, f) })
		switch o.TestedBy {
		case plan.ByNobody:
			o.Why = "other people's hosts open it, on which nobody can run dial: while they connect, listen shows who came"
			left = append(left, o)
		case plan.ByHost:
			for _, h := range o.Hosts {
				add(machine{name: thisMachine, command: dialCommand(r, "", own, h)}, o.Flow)
			}
		case plan.ByPartner:
			add(machine{name: MachineName(string(plan.RoleServer)), command: dialCommand(r, "odyssey", nil, "PARTNER")}, o.Flow)
		case plan.ByEgress:
			for _, f := range from {
				m := machine{name: MachineName(f), command: egressCommand(r, f)}
				if slices.Contains(own, f) {
					m.name = thisMachine
				}
				add(m, o.Flow)
			}
		case plan.ByRole:
			if o.To == string(plan.RoleClient) && !slices.Contains(far, o.To) && !slices.Contains(own, o.To) {
				left = append(left, o) // nobody runs listen on each staff PC to be dialed
				continue
			}
			for _, f := range from {
				m := machine{name: MachineName(f)}
				host := strings.ToUpper(o.To) // to be filled in
				switch {
				case slices.Contains(far, f) && slices.Contains(far, o.To):
					m.name += ", if apart"
				case slices.Contains(far, o.To), slices.Contains(far, "all"):
					host = hostOf(r.To)
				case slices.Contains(own, o.To):
					m.needsListen, host = true, hostOf(r.From)
				}
				m.command = dialCommand(r, "", []string{f}, host)
				if local {
					if !slices.Contains(own, f) {
						continue // this machine plays another of the row's roles
					}
					m.name = thisMachine
				}
				add(m, o.Flow)
			}
		default:
			left = append(left, o)
		}
	}
	found := slices.Clone(list)
	slices.SortStableFunc(list, func(a, b machine) int { return cmp.Compare(rank(a, found), rank(b, found)) })
	return list, left
}

// rank puts this machine first, and all that is to be run on one machine together.
func rank(m machine, list []machine) int {
	if m.name == thisMachine {
		return -1
	}
	return slices.IndexFunc(list, func(o machine) bool {
		return strings.TrimSuffix(o.name, ", if apart") == strings.TrimSuffix(m.name, ", if apart")
	})
}

// thisMachine is what the one is called that ran dial.
const thisMachine = "this machine"

// roleList are the roles that an end plays, or a row has.
func roleList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// hostOf is what to dial an end by.
func hostOf(e result.End) string {
	if len(e.Addresses) > 0 {
		if _, err := netip.ParseAddr(e.Host); err == nil || !strings.Contains(e.Host, ".") {
			return e.Addresses[0].String()
		}
	}
	if e.Host == "" {
		return "HOST"
	}
	return e.Host
}

// dialCommand is a command with what it needs to mean the same ports as this run's.
func dialCommand(r *result.Report, sub string, roles []string, host string) string {
	words := []string{"dial"}
	if sub != "" {
		words = append(words, sub)
	}
	if r.Mode == result.ModeInstalled {
		words = append(words, "--installed")
	} else {
		words = append(words, "--key", "KEY")
	}
	words = append(words, planFlags(r)...)
	if sub == "" && !slices.Equal(roles, []string{string(plan.RoleClient)}) {
		words = append(words, "--role", strings.Join(roles, ","))
	}
	return strings.Join(append(words, host), " ")
}

func egressCommand(r *result.Report, role string) string {
	words := []string{"dial", "egress"}
	if r.Plan != "" && r.Plan != "illiad" {
		words = append(words, "--plan", r.Plan)
	}
	return strings.Join(append(words, "--role", role), " ")
}

// planFlags are the flags that choose this run's plan and ports.
func planFlags(r *result.Report) []string {
	var out []string
	if r.Plan != "" && r.Plan != "illiad" {
		out = append(out, "--plan", r.Plan)
	}
	if n := shiftOf(r); n != 0 {
		out = append(out, "--port-shift", strconv.Itoa(n))
	}
	return out
}

// shiftOf is the --port-shift of a run: what all dialed ports have more than the
// plan's, 0 if they do not agree.
func shiftOf(r *result.Report) int {
	shift, known := 0, false
	for i := range r.Paths {
		p := &r.Paths[i]
		if p.Port == 0 || p.PlanPort == 0 {
			continue
		}
		n := p.Port - p.PlanPort
		if known && n != shift {
			return 0
		}
		shift, known = n, true
	}
	return shift
}
