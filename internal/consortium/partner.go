package consortium

import (
	"fmt"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

// A Partner is one of the list, and what is known of it.
type Partner struct {
	plan.Partner
	Config survey.Config // of its test
	Err    error         // why it cannot be dialed
	Report *result.Report
	test   string // digest of what is tested
}

// Prepare makes it ready to be tested as configured, or says in Err why it cannot be.
// A partner that is of no use does not keep the others from being tested.
func (p *Partner) Prepare(c survey.Config, err error) {
	if p.Config, p.Err = c, err; p.Err == nil {
		if p.Err = ofKind(&p.Config, p.Partner); p.Err == nil {
			p.test, p.Err = digest(p.Config)
		}
	}
}

// IsDone reports whether nothing is left to be tested.
func (p *Partner) IsDone() bool { return p.Err != nil || p.Report != nil && !p.Report.Interrupted }

// isTroubled reports whether it is done and something is wrong.
func (p *Partner) isTroubled() bool { return p.IsDone() && (p.Err != nil || !p.Report.Summary.OK) }

// FlowsOf are the flows of a test.
func FlowsOf(c survey.Config) ([]plan.Flow, error) {
	flows, _, err := c.Plan.Select(plan.Query{Local: c.Local, Remote: c.Remote, BothWays: c.BothWays, Only: c.Only})
	return flows, err
}

// ofKind limits a partner's survey to the rows that there are with what it runs,
// on its own port.
func ofKind(cfg *survey.Config, p plan.Partner) error {
	flows, err := FlowsOf(*cfg)
	if err != nil {
		return err
	}
	kind := p.KindOf()
	rows := kind.RowsOf(flows)
	if len(rows) == 0 {
		return fmt.Errorf("nothing is to be tested with %s: none of the rows asked for is between it and this server", kind.Title)
	}
	cfg.Only = rows
	if p.Port == 0 {
		return nil
	}
	ports := map[string]int{}
	for _, f := range flows {
		if f.Direction == plan.Forward && len(kind.Takes) > 0 && f.Row.Service == kind.Takes[0] {
			ports[f.Row.ID] = p.Port
		}
	}
	cfg.Plan, _, err = cfg.Plan.Apply(plan.Change{Ports: ports})
	return err
}

// digest tells this test from others.
func digest(cfg survey.Config) (string, error) {
	flows, err := FlowsOf(cfg)
	if err != nil {
		return "", err
	}
	t := Test{
		Hosts: append([]string{cfg.Host}, cfg.Also...), Plan: cfg.Plan.Digest(), Shift: cfg.Shift,
		Bind: cfg.Bind, Timeout: cfg.Timeout, Hold: cfg.Hold, Key: cfg.Key.Derive("progress of dial odyssey --peers")[:2],
	}
	for _, f := range flows {
		t.Flows = append(t.Flows, Flow{Row: f.Row.ID, Direction: string(f.Direction), Port: f.Row.Port, Counted: f.Counted})
	}
	return t.Digest(), nil
}
