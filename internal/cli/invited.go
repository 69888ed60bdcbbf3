package cli

import (
	"slices"

	"github.com/urfave/cli/v2"

	"dialtone/internal/invite"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
)

// ReadInvited reads the common flags beside an invitation, which takes the place
// of --key, --plan, --port and --port-shift. One of them that says something
// else is an error that names both: whoever gave it expects it to count.
func ReadInvited(c *cli.Context, i invite.Invitation) (Common, error) {
	if shift := Int(c, "port-shift"); IsGiven(c, "port-shift") && shift != i.Shift {
		return Common{}, Usagef("Leave --port-shift out.", "--port-shift %d contradicts the invitation from %v, which says %d", shift, i, i.Shift)
	}
	text, err := readKey(c)
	if err != nil {
		return Common{}, err
	}
	if text != "" && !isSameKey(text, i.KeyText) {
		return Common{}, Usagef("Leave --key and --key-file out: the invitation has the key.", "the key given is not that of the invitation from %v", i)
	}
	file := ""
	if IsGiven(c, "plan") {
		file = String(c, "plan")
	}
	ports, err := parsePorts(Strings(c, "port"))
	if err != nil {
		return Common{}, err
	}
	base, theirs, err := invitedPlan(i, file)
	if err != nil {
		return Common{}, err
	}
	flagged, _, err := base.Apply(plan.Change{Ports: ports, Shift: i.Shift})
	if err != nil {
		return Common{}, Usage(err, "")
	}
	for n, r := range theirs.Rows {
		_, byRow := ports[r.ID]
		_, byService := ports[r.Service]
		if (byRow || byService) && flagged.Rows[n].Port != r.Port {
			return Common{}, Usagef("Leave --port out: the invitation has the ports.", "--port %s=%d contradicts the invitation from %v, which says %d", r.ID, flagged.Rows[n].Port, i, r.Port)
		}
	}
	return common(c, base, theirs, i)
}

// ReadInvitedOf reads the common flags beside one invitation of many. Those of
// them that an invitation takes the place of are for partners who sent none,
// but for --plan if the invitation's plan is not built in.
func ReadInvitedOf(c *cli.Context, i invite.Invitation) (Common, error) {
	file := ""
	if IsGiven(c, "plan") && !slices.Contains(plan.Names(), i.Plan) {
		file = String(c, "plan")
	}
	base, theirs, err := invitedPlan(i, file)
	if err != nil {
		return Common{}, err
	}
	return common(c, base, theirs, i)
}

// invitedPlan loads an invitation's plan: as it is in the file, and with the
// ports of the one who listens, to which whatever this end says must come.
func invitedPlan(i invite.Invitation, file string) (base, theirs *plan.Plan, err error) {
	if base, err = i.LoadPlan(file); err != nil {
		return nil, nil, Usage(err, "")
	}
	if theirs, _, err = base.Apply(plan.Change{Ports: i.Ports, Shift: i.Shift}); err != nil {
		return nil, nil, Usage(err, "")
	}
	return base, theirs, nil
}

// common is what this end's flags say beside an invitation.
func common(c *cli.Context, base, theirs *plan.Plan, i invite.Invitation) (Common, error) {
	out, err := readLocal(c, base, plan.Change{Ports: i.Ports, Shift: i.Shift})
	if err != nil {
		return out, err
	}
	out.KeyText = i.KeyText
	return out, siteAgrees(out, theirs, i)
}

// siteAgrees finds a row of the invitation that the site file moves.
func siteAgrees(out Common, theirs *plan.Plan, i invite.Invitation) error {
	for _, r := range theirs.Rows {
		n := slices.IndexFunc(out.Plan.Rows, func(o plan.Row) bool { return o.ID == r.ID })
		if n >= 0 && slices.Contains(i.Rows, r.ID) && out.Plan.Rows[n].Port != r.Port {
			return Usagef("Take that port out of the site file, or ask them which is right.", "the site file's port %d of %s contradicts the invitation from %v, which says %d",
				out.Plan.Rows[n].Port, r.ID, i, r.Port)
		}
	}
	return nil
}

// IsGiven reports whether a flag stands on the command line.
func IsGiven(c *cli.Context, name string) bool { return lineage(c, name).IsSet(name) }

func isSameKey(a, b string) bool {
	x, err := paste.Key(a)
	y, other := paste.Key(b)
	return err == nil && other == nil && x == y
}
