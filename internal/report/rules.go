package report

import (
	"bytes"
	"fmt"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/dialect"
	"dialtone/internal/plan"
	"dialtone/internal/request"
)

// RenderRules returns all rules of a plan in a dialect. What is no rule, and why, stands
// among them as comments, or in notes if the dialect knows none. What a rule is for
// is said by ids and roles only: a script is made to be pasted.
func RenderRules(p *plan.Plan, b request.Rulebook, d dialect.Dialect) (script, notes []byte, err error) {
	var out, beside bytes.Buffer
	t := rules{out: &out, notes: &out, d: d}
	if d.Comment == "" {
		t.notes = &beside
	}
	t.comment("Firewall rules of plan %s: %s", p.Name, d.Title)
	t.comment("%s", d.Paste)
	t.comment("Rules that the plan requires are ready to be used. Those behind a second mark are needed only where the feature is used. Where the addresses of a role are not known there is no rule, since it would be for anybody.")
	if !d.Network {
		if err := t.list("Inbound, on the accepting machine itself", b.Own); err != nil {
			return nil, nil, err
		}
	}
	if d.On == "" {
		if err := t.list("On the firewalls on the way, such as the campus firewall", b.Between); err != nil {
			return nil, nil, err
		}
	}
	if len(b.Closed) > 0 {
		t.heading("To stay closed: no rule may let these pass")
		for _, r := range b.Closed {
			t.comment("%s: %s, %s", r.ID, planPort(r), planRoles(r))
		}
	}
	return out.Bytes(), beside.Bytes(), nil
}

// rules are a rulebook on its way to a script.
type rules struct {
	out, notes *bytes.Buffer
	d          dialect.Dialect
}

// comment writes a line that the product ignores.
func (t *rules) comment(format string, args ...any) {
	fmt.Fprintln(t.notes, strings.TrimSpace(t.d.Comment+" "+clean.Line(fmt.Sprintf(format, args...), maxText)))
}

func (t *rules) heading(s string) {
	fmt.Fprintln(t.notes)
	t.comment("%s", s)
}

func (t *rules) list(title string, list []request.Listed) error {
	if len(list) == 0 {
		return nil
	}
	t.heading(title)
	for _, l := range list {
		fmt.Fprintln(t.notes)
		t.comment("%s", listedWords(l))
		if len(l.Unknown) > 0 {
			var words []string
			for _, r := range l.Unknown {
				words = append(words, fmt.Sprintf("--address %s=ADDR", r))
			}
			t.comment("  No rule yet: give %s.", strings.Join(words, " "))
			continue
		}
		lines, err := t.d.Render(l.Rule)
		if err != nil {
			return err
		}
		for _, one := range lines {
			for _, add := range one.Add {
				if l.Needed {
					fmt.Fprintln(t.out, clean.Line(add, maxRule))
				} else {
					t.comment("%s %s", t.d.Comment, add)
				}
			}
		}
	}
	return nil
}

// listedWords says what a rule is for.
func listedWords(l request.Listed) string {
	var ids, from []string
	for _, r := range l.Rows {
		ids = append(ids, r.ID)
	}
	for _, f := range l.From {
		from = append(from, string(f))
	}
	r := l.Rows[0]
	s := fmt.Sprintf("%s: %s from %s to %s", strings.Join(ids, ", "), planPort(r), strings.Join(from, ", "), l.To)
	if r.Host != "" {
		s += " (" + r.Host + ")"
	}
	need := string(r.Need)
	if l.Needed {
		need = string(plan.Required)
	}
	s += ", " + need
	for _, r := range l.Rows {
		if r.IdleS > 0 {
			return s + ", idle for " + idleWords(r.IdleS)
		}
	}
	return s
}
