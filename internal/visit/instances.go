package visit

import (
	"context"
	"slices"
	"sync"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// visitInstances tries the instances' ports in the way of the rows.
func (v *visit) visitInstances(ctx context.Context, flows []plan.Flow, paths []result.Path) {
	flowOf := func(id string) plan.Flow {
		return flows[slices.IndexFunc(flows, func(f plan.Flow) bool { return f.Row.ID == id })]
	}
	verdict.TellInstances(paths, func(id string) plan.Protocol { return flowOf(id).Row.Speaks })
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
