package verdict

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// fixedPort is what makes a named instance's port one that a rule can name. SQL
// Server's own default for such an instance is a dynamic port.
const fixedPort = "A named instance has another port after each start unless it is fixed (SQL Server Configuration Manager, TCP/IP, IPAll, TCP Port): have that done before a rule is made of it."

// instancePorts adds to a finding about SQL Server's port what SQL Browser there
// says: that it is another port, which is then the one to ask for. Where an
// instance has the port that was dialed too, the finding stands as it is.
func instancePorts(p result.Path, f *result.Finding, mode result.Mode) *result.Finding {
	others := otherInstances(p)
	if p.OK || len(others) == 0 || len(others) < len(p.Instances) {
		return f
	}
	e := explainerOf(p, mode)
	text := fmt.Sprintf("%s SQL Browser there says that %s, and names no instance on port %d.", sentence(f.Text), instanceWords(others), p.Port)
	var advice []string
	for _, in := range others {
		of := fmt.Sprintf("port %d (%s)", in.Port, in.Instance)
		again := fmt.Sprintf("--port %s=%d (in a site file, under ports: %s: %d)", p.Flow, in.Port, p.Flow, in.Port)
		switch {
		case in.Initiator == nil:
			advice = append(advice, fmt.Sprintf("If ILLiad's database is in %s, test %s with %s.", in.Instance, of, again))
		case in.OK:
			text += fmt.Sprintf(" SQL Server answers on %s.", of)
			advice = append(advice, fmt.Sprintf("If ILLiad's database is in %s, run the test again with %s, and ask the firewall team for port %d in place of %d.", in.Instance, again, in.Port, p.Port))
		default:
			q := e.p
			q.Port, q.Verdict, q.OK, q.At, q.Source, q.Target, q.Initiator, q.Acceptor = in.Port, in.Verdict, in.OK, in.At, in.Source, in.Target, in.Initiator, nil
			q.Instances, q.Stop, q.Attempts = nil, nil, in.Initiator.Attempts
			g := explainerOf(q, mode).finding()
			if g == nil {
				continue
			}
			text += fmt.Sprintf(" %s was tried as well: %s (%s)", strings.ToUpper(of[:1])+of[1:], in.Verdict, g.Text)
			advice = append(advice, fmt.Sprintf("If ILLiad's database is in %s, that is the port to ask for: %s Then run the test again with %s.", in.Instance, g.Advice, again))
		}
	}
	return e.say(result.CodeInstancePort, text, strings.Join(append(advice, fixedPort), " "))
}

// otherInstances are those on other ports than the one that was dialed.
func otherInstances(p result.Path) []result.InstancePort {
	return slices.DeleteFunc(slices.Clone(p.Instances), func(in result.InstancePort) bool { return in.Port == p.Port })
}

// instanceWords says which instance has which port, for the middle of a sentence.
func instanceWords(all []result.InstancePort) string {
	var said []string
	for _, in := range all {
		said = append(said, fmt.Sprintf("instance %s listens on TCP port %d", in.Instance, in.Port))
	}
	return strings.Join(said, " and ")
}

// InstanceNotes says beside a row to SQL Server what SQL Browser there tells of
// instances on other ports than the one that was dialed.
func InstanceNotes(p result.Path) []result.Note {
	others := otherInstances(p)
	if len(others) == 0 || p.Expect == plan.ExpectClosed || p.Finding != nil && p.Finding.Code == result.CodeInstancePort {
		return nil
	}
	text := fmt.Sprintf("SQL Browser there says that %s; this row is about port %d. If ILLiad's database is in one of those, its port is the one to test and to ask for, such as --port %s=%d",
		instanceWords(others), p.Port, p.Flow, others[0].Port)
	for _, in := range others {
		if in.Initiator != nil {
			text += fmt.Sprintf("; port %d was tried: %s", in.Port, in.Verdict)
		}
	}
	return []result.Note{{Code: result.NoteInstancePort, Text: text}}
}

// TellInstances puts to the rows that reach SQL Server what SQL Browser on the
// same machine says: on which ports instances listen beside the one that was
// dialed. A fallback row (optional) has a port of its own and is left out.
func TellInstances(paths []result.Path, speaks func(flow string) plan.Protocol) {
	for i := range paths {
		p := &paths[i]
		if !speaks(p.Flow).Language().Instances || p.Direction != plan.Forward || p.Need == plan.Optional || p.Expect == plan.ExpectClosed || !p.Target.IsValid() {
			continue
		}
		for _, in := range instancesAt(paths, p) {
			if in.Port != 0 {
				p.Instances = append(p.Instances, result.InstancePort{Instance: in.Name, Port: in.Port, Verdict: result.Untested})
			}
		}
	}
}

// instancesAt are what SQL Browser tells at the address of a path; where it was
// reached at another one of the machine only, there.
func instancesAt(paths []result.Path, p *result.Path) []result.Instance {
	var elsewhere []result.Instance
	for i := range paths {
		q := &paths[i]
		if q.Direction != plan.Forward || q.Initiator == nil || q.Initiator.Conversation == nil || len(q.Initiator.Conversation.Instances) == 0 {
			continue
		}
		if q.Target.Addr() == p.Target.Addr() {
			return q.Initiator.Conversation.Instances
		}
		if q.To == p.To && q.Host == p.Host && !q.Address.IsValid() && !p.Address.IsValid() {
			elsewhere = q.Initiator.Conversation.Instances
		}
	}
	return elsewhere
}
