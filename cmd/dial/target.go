package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/invite"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
	"dialtone/internal/survey"
)

// A target is whom to dial: a host, or a host's invitation.
type target struct {
	host       string
	also       []string           // its other names and addresses
	invitation *invite.Invitation // nil: a host was named
}

// readTarget reads the arguments: a host, @FILE, or an invitation's line, which
// the shell may have broken into several arguments.
func readTarget(c *ucli.Context, m mode) (target, error) {
	args := c.Args().Slice()
	text := strings.Join(args, " ")
	if len(args) == 1 && strings.HasPrefix(paste.Value(args[0]), "@") {
		args[0] = paste.Value(args[0]) // a file's name in quotes
	}
	switch {
	case len(args) > 0 && strings.HasPrefix(args[0], "@"):
		if _, err := cli.Positional(c, 1); err != nil {
			return target{}, err
		}
		file := args[0][1:]
		text, err := readLetter(file)
		if err != nil {
			return target{}, cli.Usage(fmt.Errorf("@%s: %w", file, err), "Give the file that holds the invitation, or the e-mail that it came in, as @FILE.")
		}
		t, err := invited(text, sayTo(c, ""))
		if err != nil {
			return t, cli.Usage(fmt.Errorf("@%s: %w", file, err), "")
		}
		return t, nil
	case invite.Mentions(text):
		t, err := invited(text, sayTo(c, ""))
		if err != nil {
			return t, cli.Usage(err, "")
		}
		return t, nil
	}
	host, err := readHost(c, m)
	return target{host: host}, err
}

// readers are which command reads a file, by its name's ending: %[1]s is the name.
var readers = []struct{ endings, line string }{
	{".eml .emlx .mbox .mbx .txt .htm .html .mht .mhtml .msg .rtf .doc .docx .pdf", "dial odyssey @%[1]s reads an invitation from a file, or from the mail that it came in."},
	{".json", "dial merge %[1]s OTHER.json reads reports."},
	{".csv .tsv .xls .xlsx", "dial odyssey --peers %[1]s reads a list of partners."},
	{".yaml .yml", "dial --site %[1]s HOST reads a site file, dial --plan %[1]s HOST a plan, dial odyssey --peers %[1]s a list of partners."},
}

// anyFile is said where a name does not tell what the file holds.
const anyFile = "Write @%[1]s for an invitation or the mail that it came in; dial merge reads reports, --peers a list of partners."

// filePath begins what is written like a file's path, on any system.
var filePath = regexp.MustCompile(`^(?i:/[^/]|~/|\.\.?[/\\]|[a-z]:[/\\]|file:)`)

// notFile refuses a host that is the name of a file: by its ending, which is no domain,
// or as written.
func notFile(host string) error {
	name := paste.Value(host)
	line := ""
	if filePath.MatchString(name) {
		line = anyFile
	}
	for _, r := range readers {
		if ext := strings.ToLower(filepath.Ext(name)); ext != "" && slices.Contains(strings.Fields(r.endings), ext) && !strings.Contains(name, "://") {
			line = r.line
		}
	}
	if line == "" {
		return nil
	}
	if strings.ContainsAny(name, " ()&'") {
		name = `"` + name + `"`
	}
	return cli.Usagef(fmt.Sprintf(line, name), "%s is the name of a file, and no host", name)
}

// readLetter reads a file that holds an invitation.
func readLetter(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, invite.MaxInput+1)) // one more: Parse says that it is too long
	return string(b), err
}

// sayTo returns what tells the user something beside the result; about, if it
// is not "", says which of many targets it is about.
func sayTo(c *ucli.Context, about string) func(format string, args ...any) {
	lead := c.App.Name + ": "
	if about != "" {
		lead += about + ": "
	}
	return func(format string, args ...any) {
		fmt.Fprintf(c.App.ErrWriter, "%s\n", lead+fmt.Sprintf(format, args...))
	}
}

// invited takes whom to dial from an invitation.
func invited(text string, say func(string, ...any)) (target, error) {
	now := time.Now()
	i, err := invite.Parse(text, now)
	if err != nil {
		return target{}, err
	}
	if doubt := i.ClockDoubt(now); doubt != "" {
		say("%s", doubt)
	}
	return target{host: i.Hosts[0], also: i.Hosts[1:], invitation: &i}, nil
}

// common reads the common flags beside the target.
func (t target) common(c *ucli.Context) (cli.Common, error) {
	if t.invitation != nil {
		return cli.ReadInvited(c, *t.invitation)
	}
	return cli.ReadCommon(c)
}

// aim makes the target that of a survey, and says which of its names have no
// address.
func (t target) aim(cfg *survey.Config, say func(string, ...any)) {
	cfg.Host, cfg.Also = t.host, t.also
	var told sync.Map // --installed resolves for each row
	cfg.OnUnresolved = func(host string, err error) {
		if _, before := told.LoadOrStore(host, true); before {
			return
		}
		say("the invitation names %s, which cannot be dialed (%v); its other names and addresses are used. Tell the partner, whose other partners may dial that name.", host, err)
	}
}

// limit takes the invitation's rows for dial odyssey, unless --only chooses from
// them.
func (t target) limit(cfg *survey.Config) error {
	i := t.invitation
	if i == nil || len(i.Rows) == 0 {
		return nil
	}
	if len(cfg.Only) == 0 {
		cfg.Only = slices.Clone(i.Rows)
		return nil
	}
	flows, _, err := cfg.Plan.Select(plan.Query{Local: cfg.Local, Remote: cfg.Remote, Only: cfg.Only})
	if err != nil {
		return cli.Usage(err, "listen plan shows the ids.")
	}
	for _, f := range flows {
		if !slices.Contains(i.Rows, f.Row.ID) {
			return cli.Usagef("Choose from those, or leave --only out.", "--only %s: row %s is not in the invitation from %v, which is for %s", strings.Join(cfg.Only, ","), f.Row.ID, *i, strings.Join(i.Rows, ", "))
		}
	}
	return nil
}
