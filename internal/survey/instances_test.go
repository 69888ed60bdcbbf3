package survey

import (
	"slices"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

func TestAListenersOwnSQLBrowserTellsOfNoOtherPort(t *testing.T) {
	sql := row("sql-client", int(prooftest.FreePort(t, far).Port()), "client", "database")
	sql.Speaks = plan.TDS
	second := row("sql-second", int(prooftest.FreePort(t, far).Port()), "client", "database")
	second.Speaks = plan.TDS
	ask := row("sql-browser", int(prooftest.FreePort(t, far).Port()), "client", "database")
	ask.Speaks, ask.Transport = plan.SQLBrowser, plan.UDP
	p := planOf(sql, second, ask)
	listen(t, p, far)
	c := config(p, far)
	c.Remote, c.Timeout = []plan.Role{"database"}, 4*time.Second
	for _, path := range run(t, t.Context(), c).Paths {
		if path.Verdict != result.Open || len(path.Instances) > 0 || slices.ContainsFunc(path.Notes, func(n result.Note) bool { return n.Code == result.NoteInstancePort }) {
			t.Errorf("%s: %s, %+v, %+v", path.Flow, path.Verdict, path.Instances, path.Notes)
		}
	}
}
