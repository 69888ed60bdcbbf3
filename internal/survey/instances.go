package survey

import (
	"context"
	"slices"
	"sync"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// tellInstances puts to the rows that reach SQL Server what SQL Browser on the
// same machine says: on which ports instances listen beside the one that was
// dialed. A fallback row (optional) has a port of its own and is left out.
func tellInstances(paths []result.Path, speaks func(flow string) plan.Protocol) {
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
		if q.To == p.To && q.Host == p.Host && q.Address == "" && p.Address == "" {
			elsewhere = q.Initiator.Conversation.Instances
		}
	}
	return elsewhere
}

// visitInstances tries the instances' ports in the way of the rows.
func (v *visit) visitInstances(ctx context.Context, flows []plan.Flow, paths []result.Path) {
	flowOf := func(id string) plan.Flow {
		return flows[slices.IndexFunc(flows, func(f plan.Flow) bool { return f.Row.ID == id })]
	}
	tellInstances(paths, func(id string) plan.Protocol { return flowOf(id).Row.Speaks })
	var wave sync.WaitGroup
	slots := make(chan struct{}, atOnceVisiting)
	for i := range paths {
		p := &paths[i]
		for k := range p.Instances {
			in := &p.Instances[k]
			if in.Port == p.Port {
				continue
			}
			wave.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				f := flowOf(p.Flow)
				host, _ := v.hostOf(f.Row)
				q := v.visitAt(ctx, f, p.Family, p.Target.Addr(), host, in.Port, nil)
				in.Verdict, in.OK, in.At = q.Verdict, q.OK, q.At
				in.Source, in.Target, in.Initiator = q.Source, q.Target, q.Initiator
			})
		}
	}
	wave.Wait()
	for i := range paths {
		if p := &paths[i]; len(p.Instances) > 0 {
			v.retell(p)
			p.Notes = append(p.Notes, verdict.InstanceNotes(*p)...)
		}
	}
}
