package consortium

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

// base is the test of a partner, as dial makes it of its flags.
func base(t *testing.T) survey.Config {
	t.Helper()
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	return survey.Config{Software: "test", Hostname: "here.test", Plan: p, Host: "127.0.0.1", Local: []plan.Role{"server"}, Remote: []plan.Role{"peer"}, Timeout: time.Second}
}

// partner is one of a list that is ready to be tested.
func partner(t *testing.T, p plan.Partner) *Partner {
	t.Helper()
	out := &Partner{Partner: p}
	out.Prepare(base(t), nil)
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	return out
}

func rows(r *result.Report) (out []string) {
	for _, p := range r.Paths {
		out = append(out, string(p.Direction)+" "+p.Flow+" "+string(p.Verdict))
	}
	return out
}

func TestAPartnersKindSaysWhatIsTestedWithIt(t *testing.T) {
	usual, alma := partner(t, plan.Partner{Name: "A"}), partner(t, plan.Partner{Name: "B", Kind: "alma", Port: 9999})
	flows, err := FlowsOf(alma.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if f.Row.Service != "iso" || (f.Direction == plan.Forward) != (f.Row.Port == 9999) {
			t.Errorf("%s on port %d, %s", f.Row.ID, f.Row.Port, f.Direction)
		}
	}
	if len(flows) != 2 || usual.test == alma.test || usual.test != partner(t, plan.Partner{Name: "C"}).test {
		t.Errorf("%d flows; the tests' digests are %.8s and %.8s", len(flows), usual.test, alma.test)
	}
	none := &Partner{Partner: plan.Partner{Name: "D", Kind: "alma"}}
	c := base(t)
	c.Only = []string{"odyssey-out"}
	if none.Prepare(c, nil); none.Err == nil || !none.IsDone() {
		t.Errorf("nothing is to be tested with it, and it is %v", none.Err)
	}
}

// A hosted partner is asked what it takes, in its own language; what it sends is left
// untested, and counts for nothing.
func TestAHostedPartnerIsAskedAndNeverDialedFor(t *testing.T) {
	alma := partner(t, plan.Partner{Name: "B", Kind: "alma"})
	rapid := partner(t, plan.Partner{Name: "R", Kind: "rapidx", Sends: "192.0.2.7"})
	var asked []string
	done := 0
	l := &List{Partners: []*Partner{alma, rapid}, AtOnce: 2, OnDone: func() { done++ },
		Visit: func(_ context.Context, c survey.Config) (*result.Report, error) {
			asked = append(asked, c.Only...)
			return &result.Report{Mode: result.ModeInstalled, Paths: []result.Path{{Flow: "iso-out", Direction: plan.Forward, Verdict: result.Answered, OK: true, Counted: true, Need: plan.Required, Attempts: 1}}}, nil
		}}
	l.Test(t.Context(), nil)
	if !slices.Equal(asked, []string{"iso-out"}) || done != 2 {
		t.Errorf("asked for %v, done %d times", asked, done)
	}
	if alma.Err != nil || !slices.Equal(rows(alma.Report), []string{"forward iso-out answered", "reverse iso-in untested"}) || alma.Report.Paths[1].Counted || alma.Report.Summary.Counted != 1 || !alma.Report.Summary.OK {
		t.Errorf("%v, %v, %+v", alma.Err, rows(alma.Report), alma.Report.Summary)
	}
	if rapid.Err != nil || len(rapid.Report.Paths) != 1 || rapid.Report.Paths[0].Verdict != result.Untested || rapid.Report.Mode != result.ModeInstalled {
		t.Errorf("%v, %v", rapid.Err, rows(rapid.Report))
	}
	if left := l.Left(); left != 0 {
		t.Errorf("%d are left", left)
	}
}

func TestAMatrixHasARowForEveryPartner(t *testing.T) {
	known := partner(t, plan.Partner{Name: "known"})
	name := filepath.Join(t.TempDir(), "p")
	add(t, open(t, name, false), "known", known.test)
	progress := open(t, name, false)
	bad := &Partner{Partner: plan.Partner{Name: "bad", Host: "bad.example"}}
	bad.Prepare(survey.Config{}, errors.New("no such invitation"))
	begun := partner(t, plan.Partner{Name: "begun"})
	l := &List{Software: "test", Base: base(t), Partners: []*Partner{known, bad, partner(t, plan.Partner{Name: "late"}), begun}}
	if n := l.Resume(progress); n != 1 || known.Report == nil {
		t.Errorf("%d were known", n)
	}
	begun.Report = report("r")
	begun.Report.Interrupted = true
	done, trouble := l.Tally()
	if done != 2 || trouble != 2 || l.Left() != 2 {
		t.Errorf("%d done, %d of them with trouble, %d left", done, trouble, l.Left())
	}
	m, err := l.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range m.Rows {
		names = append(names, r.Name)
	}
	if !slices.Equal(names, []string{"known", "bad", "late", "begun"}) || m.Summary.OK {
		t.Errorf("%v, %+v", names, m.Summary)
	}
	if len(m.Findings) == 0 || m.Findings[0].Code != result.CodeInterrupted || m.Findings[0].Text != "The run was interrupted, and these partners were not tested to the end: late, begun." {
		t.Errorf("%+v", m.Findings)
	}
	if !slices.ContainsFunc(m.Findings, func(f result.Finding) bool {
		return f.Code == result.CodeNotDialed && f.Text == "bad: no such invitation."
	}) {
		t.Errorf("nothing says why bad was not dialed: %+v", m.Findings)
	}
}
