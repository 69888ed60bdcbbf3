package plan

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"dialtone/internal/paste"
)

//go:embed illiad.yaml illiad-2006.yaml illiad-hosted.yaml illiad-10.yaml ares.yaml
var builtin embed.FS

// Names returns the names of the built-in plans, the default first.
func Names() []string { return []string{"illiad", "illiad-2006", "illiad-hosted", "illiad-10", "ares"} }

// Load returns the built-in plan of that name, else the plan in the file at
// that path. (A file that has a built-in plan's name needs "./" before it.)
// The error lists everything that is wrong with the file, each with its line.
func Load(nameOrFile string) (*Plan, error) {
	if slices.Contains(Names(), nameOrFile) {
		data, err := builtin.ReadFile(nameOrFile + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("built-in plan %s: %w", nameOrFile, err)
		}
		return decodePlan(nameOrFile+".yaml", data)
	}
	data, err := readLimited(nameOrFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no plan %s: use %s, or the path of a plan file", quote(nameOrFile), oneOf(nameOrFile, Names()))
	}
	if err != nil {
		return nil, fmt.Errorf("plan: %w: use %s, or the path of a plan file", err, oneOf(nameOrFile, Names()))
	}
	return decodePlan(nameOrFile, data)
}

// rawPlan is a plan file as written.
type rawPlan struct {
	line                 int
	has                  map[string]bool // keys in the file, good or bad
	name, title, revised scalar
	roles                []rawRole
	external             []scalar
	sources              []rawRole // a page's name, and its address
	rows                 []rawRow
}

type rawRole struct {
	name string
	is   scalar
	line int
}

// rawRow is a row of a plan file as written. Values has each key of the row,
// with the zero scalar where the value is bad and already noted.
type rawRow struct {
	line   int
	values map[string]scalar
	from   []scalar
	status []scalar
}

var (
	planKeys = []string{"name", "title", "revised", "roles", "external", "sources", "rows"}
	rowKeys  = []string{"id", "service", "name", "port", "source_port", "port_assumed", "transport", "speaks", "from", "to", "need", "expect", "host", "path", "status", "idle", "apart", "inferred", "why", "source"}

	transports = []Transport{TCP, UDP}
	needs      = []Need{Required, Conditional, Optional, Legacy, Unknown}
	expects    = []Expect{ExpectOpen, ExpectClosed}
)

// maxIdle is the longest that a connection has to survive without traffic: nobody's
// working day has more.
const maxIdle = 24 * time.Hour

// decodePlan reads and checks a plan file.
func decodePlan(file string, data []byte) (*Plan, error) {
	d := &document{file: file}
	root := d.parse(data)
	if root == nil {
		return nil, d.err()
	}
	p := d.plan(d.rawPlan(root))
	if err := d.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (d *document) rawPlan(root ast.Node) rawPlan {
	raw := rawPlan{line: lineOf(root), has: make(map[string]bool)}
	for _, f := range d.fields(root, "the plan", planKeys) {
		raw.has[f.key] = true
		switch f.key {
		case "name":
			raw.name = d.scalar(f.value, f.line, f.key)
		case "title":
			raw.title = d.scalar(f.value, f.line, f.key)
		case "revised":
			raw.revised = d.scalar(f.value, f.line, f.key)
		case "external":
			raw.external = d.scalars(f.value, f.line, f.key)
		case "roles":
			roles := d.fields(f.value, "roles", nil)
			if m, ok := f.value.(*ast.MappingNode); ok && len(m.Values) == 0 {
				d.problemf(f.line, "roles is empty: add a line \"role: what it is\" for each")
			}
			for _, r := range roles {
				raw.roles = append(raw.roles, rawRole{r.key, d.scalar(r.value, r.line, "role "+quote(r.key)), r.line})
			}
		case "sources":
			for _, r := range d.fields(f.value, "sources", nil) {
				raw.sources = append(raw.sources, rawRole{r.key, d.scalar(r.value, r.line, "source "+quote(r.key)), r.line})
			}
		case "rows":
			raw.rows = d.rawRows(f)
		}
	}
	return raw
}

func (d *document) rawRows(f field) []rawRow {
	seq, ok := f.value.(*ast.SequenceNode)
	if !ok {
		d.problemf(f.line, "rows must be a list: begin each row with \"- id: …\"")
		return nil
	}
	if len(seq.Values) > maxRows {
		d.problemf(f.line, "%d rows, more than %d: split the plan", len(seq.Values), maxRows)
		return nil
	}
	if len(seq.Values) == 0 {
		d.problemf(f.line, "rows is empty: begin each row with \"- id: …\"")
	}
	rows := make([]rawRow, 0, len(seq.Values))
	for _, n := range seq.Values {
		if _, ok := n.(*ast.MappingNode); !ok {
			d.problemf(cmp.Or(lineOf(n), f.line), "a row must be keys with values: write \"- id: …\" and the other keys below it")
			continue
		}
		raw := rawRow{line: lineOf(n), values: make(map[string]scalar)}
		for _, f := range d.fields(n, "a row", rowKeys) {
			switch f.key {
			case "from":
			case "status":
				raw.status = d.scalars(f.value, f.line, f.key)
				continue
			default:
				raw.values[f.key] = d.scalar(f.value, f.line, f.key)
				continue
			}
			raw.values[f.key] = scalar{}
			raw.from = d.scalars(f.value, f.line, f.key)
			if raw.from != nil && len(raw.from) == 0 {
				d.problemf(f.line, "from is empty: name the role that opens the connection")
			}
		}
		rows = append(rows, raw)
	}
	return rows
}

// plan turns what was written into a Plan, noting everything that is wrong.
func (d *document) plan(raw rawPlan) *Plan {
	p := &Plan{Title: raw.title.text, Revised: raw.revised.text, Roles: make(map[Role]string, len(raw.roles)), External: []Role{}, Sources: []Page{}}
	p.Name = d.slug(raw.name, "name")
	for _, key := range []string{"name", "title", "roles", "rows"} {
		if !raw.has[key] {
			d.problemf(raw.line, "the plan has no %q: add it", key)
		}
	}
	for _, r := range raw.roles {
		switch {
		case !isSlug(r.name):
			d.problemf(r.line, "role %s: use lower-case letters, digits and inner hyphens, at most %d", quote(r.name), maxSlug)
		case r.name == "all":
			d.problemf(r.line, "role \"all\" stands for every role: use another name")
		default:
			p.Roles[Role(r.name)] = r.is.text
			p.order = append(p.order, Role(r.name))
		}
	}
	for _, s := range raw.external {
		if r, ok := d.role(s, p); ok && !p.IsExternal(r) {
			p.External = append(p.External, r)
		}
	}
	for _, s := range raw.sources {
		p.Sources = append(p.Sources, Page{s.name, s.is.text})
	}
	lines := make(map[string]int, len(raw.rows))
	for _, r := range raw.rows {
		row := d.row(r, p)
		if line, dup := lines[row.ID]; dup && row.ID != "" {
			d.problemf(r.values["id"].line, "row id %s is already on line %d: give each row its own", quote(row.ID), line)
		} else {
			lines[row.ID] = r.values["id"].line
		}
		if row.Host != "" && row.To != "" && !p.IsExternal(row.To) {
			p.External = append(p.External, row.To)
		}
		p.Rows = append(p.Rows, row)
	}
	return p
}

// isWebPath reports whether s can be asked for over HTTP as it stands.
func isWebPath(s string) bool {
	return strings.HasPrefix(s, "/") && len(s) <= 200 && !strings.Contains(s, "//") && strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/-._~%", r))
	}) < 0
}

// row turns what was written into a Row, noting everything that is wrong.
func (d *document) row(raw rawRow, p *Plan) Row {
	v := raw.values
	what := "the row"
	if id := v["id"]; id.given() {
		what = "row " + quote(id.text)
	}
	for _, part := range []struct{ key, add string }{
		{"id", "a short name of its own"},
		{"service", "the name of the service it belongs to"},
		{"name", "the service's name for people"},
		{"port", "a number from 1 to 65535, or high"},
		{"from", "the role that opens the connection"},
		{"to", "the role that accepts it"},
		{"need", "one of " + join(needs, ", ")},
		{"why", "one sentence on why it is needed"},
		{"source", "who says so"},
	} {
		if _, has := v[part.key]; !has {
			d.problemf(raw.line, "%s has no %q: add %s", what, part.key, part.add)
		}
	}
	r := Row{
		ID:        d.slug(v["id"], "id"),
		Service:   d.slug(v["service"], "service"),
		Name:      v["name"].text,
		Transport: word(d, v["transport"], "transport", transports, TCP),
		Speaks:    word(d, v["speaks"], "speaks", Protocols, ""),
		Need:      word(d, v["need"], "need", needs, ""),
		Expect:    word(d, v["expect"], "expect", expects, ExpectOpen),
		Host:      d.host(v["host"], "host"),
		Why:       v["why"].text,
		Source:    v["source"].text,
	}
	spoken := r.Speaks.Language()
	if r.Speaks != "" && spoken.Transport != r.Transport {
		packets := those(func(l Language) bool { return l.Transport == UDP })
		d.problemf(v["speaks"].line, "speaks %s over %s: only %s is spoken over udp, and over nothing else", r.Speaks, r.Transport, join(packets, " or "))
	}
	webs := join(those(func(l Language) bool { return l.Web }), " or ")
	if s := v["path"]; s.given() {
		if r.Path = s.text; !spoken.Web || !isWebPath(s.text) {
			d.problemf(s.line, "path %s: give it to rows that speak %s, and begin it with / (letters, digits and / - . _ ~ %% only)", quote(s.text), webs)
		}
	}
	for _, s := range raw.status {
		n, err := strconv.Atoi(s.text)
		if err != nil || n < 200 || n > 599 || !spoken.Web {
			d.problemf(s.line, "status %s: give numbers from 200 to 599 to rows that speak %s", quote(s.text), webs)
			continue
		}
		r.Status = append(r.Status, n)
	}
	if s := v["port"]; s.given() && s.text != "high" {
		r.Port = d.port(s, "port", "a number from 1 to 65535, or high")
	}
	if s := v["source_port"]; s.given() {
		r.SourcePort = d.port(s, "source_port", "a number from 1 to 65535, or remove the line")
	}
	r.PlanPort, r.PlanSourcePort = r.Port, r.SourcePort
	if s := v["idle"]; s.given() {
		idle, err := time.ParseDuration(s.text)
		if r.IdleS = int64(idle / time.Second); err != nil || idle < time.Minute || idle > maxIdle {
			d.problemf(s.line, "idle %s: use a time from 1m to 24h, such as 8h, or remove the line", quote(s.text))
		}
	}
	r.Apart, r.Inferred = d.flag(v["apart"], "apart"), d.flag(v["inferred"], "inferred")
	if r.PortAssumed = d.flag(v["port_assumed"], "port_assumed"); r.PortAssumed && v["port"].text == "high" {
		d.problemf(v["port_assumed"].line, "port_assumed with port high: write the usual port, or remove the line")
	}
	for _, s := range raw.from {
		role, ok := d.role(s, p)
		if ok && slices.Contains(r.From, role) {
			d.problemf(s.line, "from names %s twice: keep one", quote(s.text))
		} else if ok {
			r.From = append(r.From, role)
		}
	}
	if s := v["to"]; s.given() {
		r.To, _ = d.role(s, p)
	}
	return r
}

// role returns the role that s names, noting one that the plan does not have.
func (d *document) role(s scalar, p *Plan) (Role, bool) {
	r := Role(s.text)
	if _, ok := p.Roles[r]; ok {
		return r, true
	}
	switch {
	case len(p.Roles) == 0 && len(d.problems) > 0: // the problem is there
	case d.enough():
		d.problemf(s.line, "unknown role")
	default:
		d.problemf(s.line, "unknown role %s: use %s", quote(s.text), oneOf(s.text, p.RoleNames()))
	}
	return "", false
}

func (d *document) slug(s scalar, what string) string {
	if s.given() && !isSlug(s.text) {
		d.problemf(s.line, "%s %s: use lower-case letters, digits and inner hyphens, at most %d", what, quote(s.text), maxSlug)
		return ""
	}
	return s.text
}

// flag returns whether s is true; not given it is not.
func (d *document) flag(s scalar, what string) bool {
	if s.given() && s.text != "true" && s.text != "false" {
		d.problemf(s.line, "%s %s: use true or false", what, quote(s.text))
	}
	return s.text == "true"
}

// port returns the port that s names, 0 after noting that it names none.
func (d *document) port(s scalar, what, use string) int {
	n, err := strconv.Atoi(s.text)
	// What Atoi and YAML would read differently ("010", "+21", "1_433") is refused.
	if err != nil || n < 1 || n > maxPort || strconv.Itoa(n) != s.text {
		d.problemf(s.line, "%s %s: use %s", what, quote(s.text), use)
		return 0
	}
	return n
}

func (d *document) host(s scalar, what string) string {
	if !s.given() {
		return ""
	}
	host, err := paste.Host(s.text)
	if pe, ok := errors.AsType[*paste.Error](err); ok {
		d.problemf(s.line, "%s %s: use one host name or IP address, without port or path (%s)", what, quote(s.text), pe.Do)
	}
	return host
}

// word returns which of known s is, otherwise if it was not given.
func word[T ~string](d *document, s scalar, what string, known []T, otherwise T) T {
	if !s.given() {
		return otherwise
	}
	if !slices.Contains(known, T(s.text)) {
		d.problemf(s.line, "unknown %s %s: use %s", what, quote(s.text), oneOf(s.text, known))
		return otherwise
	}
	return T(s.text)
}
