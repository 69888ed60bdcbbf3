package request

import (
	"net/netip"
	"slices"
	"testing"

	"dialtone/internal/plan"
)

func illiad(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func find(t *testing.T, list []Listed, id string) *Listed {
	t.Helper()
	for i := range list {
		if slices.ContainsFunc(list[i].Rows, func(r plan.Row) bool { return r.ID == id }) {
			return &list[i]
		}
	}
	return nil
}

var ours = []plan.Role{plan.RoleServer, plan.RoleWeb, plan.RoleDatabase}

// No rule lets anybody in where the plan names somebody: what is not known is said,
// and only patrons and partners are everybody.
func TestAPlansRulesOpenNothingToAnybody(t *testing.T) {
	for _, name := range plan.Names() {
		p, err := plan.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		b := OfPlan(p, nil, ours)
		for _, l := range slices.Concat(b.Own, b.Between) {
			public := slices.ContainsFunc(l.From, func(r plan.Role) bool { return slices.Contains(Everybody, r) })
			if len(l.Rule.From) == 0 && !public && len(l.Unknown) == 0 {
				t.Errorf("%s: %s from %v to %s is from everywhere", name, l.Rows[0].ID, l.From, l.To)
			}
		}
		for _, l := range b.Own {
			if !slices.Contains(ours, l.To) {
				t.Errorf("%s: %s ends at %s", name, l.Rows[0].ID, l.To)
			}
		}
	}
}

func TestAPlansRulesHaveTheAddressesOfItsRoles(t *testing.T) {
	where := map[plan.Role][]netip.Prefix{
		plan.RoleClient: {netip.MustParsePrefix("10.2.8.0/22")}, plan.RoleServer: {netip.MustParsePrefix("10.2.0.10/32")},
		plan.RoleWeb: {netip.MustParsePrefix("10.2.0.10/32")}, plan.RoleDatabase: {netip.MustParsePrefix("10.2.0.20/32")},
	}
	b := OfPlan(illiad(t), where, ours)
	sql := find(t, b.Between, "sql-client")
	if sql == nil || !sql.Needed || words(sql.Rule.From) != "10.2.8.0/22" || words(sql.Rule.To) != "10.2.0.20/32" || sql.Rule.Port != 1433 || len(sql.Unknown) != 0 {
		t.Errorf("%+v", sql)
	}
	in := find(t, b.Own, "odyssey-in")
	if in == nil || !in.Needed || len(in.Rule.From) != 0 || words(in.Rule.To) != "10.2.0.10/32" || len(in.Unknown) != 0 {
		t.Errorf("%+v", in)
	}
	out := find(t, b.Between, "odyssey-out")
	if out == nil || words(out.Rule.From) != "10.2.0.10/32" || len(out.Rule.To) != 0 || find(t, b.Own, "odyssey-out") != nil {
		t.Errorf("%+v", out)
	}
	if rdp := find(t, b.Own, "rdp"); rdp == nil || rdp.Needed || !slices.Equal(rdp.Unknown, []plan.Role{"admin"}) {
		t.Errorf("%+v", rdp)
	}
	if find(t, b.Between, "sql-closed") != nil || !slices.ContainsFunc(b.Closed, func(r plan.Row) bool { return r.ID == "sql-closed" }) {
		t.Error("a port that must stay closed is opened")
	}
	// One machine for all: nothing of it crosses the network.
	where[plan.RoleDatabase] = where[plan.RoleServer]
	if b := OfPlan(illiad(t), where, ours); find(t, b.Between, "sql-server") != nil || find(t, b.Own, "sql-web") != nil || find(t, b.Own, "sql-client") == nil {
		t.Error("a rule between a machine and itself")
	}
}
