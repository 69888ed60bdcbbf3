package plan

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"dialtone/internal/paste"
)

// A Partner is another institution's server, in a list of many.
type Partner struct {
	Name       string // for people; no two of a list have the same
	Host       string // name or address; "" leaves it to the invitation
	Invitation string // its line, or "@" and the file that has it; "" if there is none
	Kind       string // the name of what it runs (Kinds); "": the usual one
	// Port is that of the first service it takes, where it is not the plan's; 0: the
	// plan's.
	Port int
	// Sends are the addresses or names that its connections come from, where they
	// are not Host's, or not Host's alone, between spaces; "": the list does not say.
	Sends string
	Line  int // in the list, from 1
}

// Bounds of a partner's name and invitation, in bytes. An invitation that was
// wrapped and quoted is longer than its line.
const (
	maxPartnerName = 200
	maxInvitation  = 32 << 10
)

// notRead is the key of a column that is not read.
const notRead = "-"

var partnerKeys = []string{"name", "host", "invitation", "kind", "port", "sends"}

// LoadPartners reads a list of partners: YAML, if the file's name ends in .yaml
// or .yml, else CSV (RFC 4180) whose first line names the columns; a semicolon
// or a tab may stand in place of the comma, as a spreadsheet program writes it
// where the comma is the decimal point. Columns of other names are not read; doubts
// are those whose names have one of a column that is missing in them. The error
// lists everything that is wrong with the file, each with its line.
func LoadPartners(file string) (list []Partner, doubts []string, err error) {
	data, err := readLimited(file)
	if err != nil {
		return nil, nil, fmt.Errorf("list of partners: %w", err)
	}
	return decodePartners(file, data)
}

func decodePartners(file string, data []byte) (list []Partner, doubts []string, err error) {
	d := &document{file: file}
	var raw []rawPartner
	switch strings.ToLower(filepath.Ext(file)) {
	case ".yaml", ".yml":
		raw = d.yamlPartners(data)
	default:
		raw = d.csvPartners(data)
	}
	out := d.partners(raw)
	if err := d.err(); err != nil {
		return nil, nil, err
	}
	return out, d.doubts, nil
}

// rawPartner is a partner as written, with the zero scalar where a value was not
// given, or is bad and already noted.
type rawPartner struct {
	line   int
	values map[string]scalar
	bad    bool // a value is
}

func (d *document) yamlPartners(data []byte) []rawPartner {
	body := d.body(data)
	if body == nil {
		return nil
	}
	seq, ok := body.(*ast.SequenceNode)
	if !ok {
		d.problemf(lineOf(body), "not a list: begin each partner with \"- name: …\"")
		return nil
	}
	var out []rawPartner
	for _, n := range seq.Values {
		if _, ok := n.(*ast.MappingNode); !ok {
			d.problemf(cmp.Or(lineOf(n), lineOf(seq)), "a partner must be keys with values: write \"- name: …\" and the other keys below it")
			continue
		}
		raw := rawPartner{line: lineOf(n), values: map[string]scalar{}}
		for _, f := range d.fields(n, "a partner", partnerKeys) {
			if f.value != nil && f.value.Type() == ast.NullType {
				continue
			}
			s := d.scalarUpTo(limitOf(f.key), f.value, f.line, f.key)
			raw.values[f.key] = s
			raw.bad = raw.bad || !s.given()
		}
		out = append(out, raw)
	}
	return out
}

func limitOf(key string) int {
	if key == "invitation" {
		return maxInvitation
	}
	return maxText
}

func (d *document) csvPartners(data []byte) []rawPartner {
	data, ok := d.text(data)
	if !ok {
		return nil
	}
	data, announced := announcedSeparator(data)
	r := csv.NewReader(bytes.NewReader(data))
	if r.Comma = announced; r.Comma == 0 {
		r.Comma = separator(data)
	}
	r.FieldsPerRecord = -1
	r.Comment = '#'
	r.TrimLeadingSpace = r.Comma != '\t' // it would take a tab for white space
	head, err := r.Read()
	for err == nil && !slices.ContainsFunc(head, func(h string) bool { return paste.Value(h) != "" }) {
		head, err = r.Read() // empty lines, as a spreadsheet program writes them
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			d.problemf(1, "the file is empty: begin with the line name,host,invitation")
		} else {
			d.csvProblem(err)
		}
		return nil
	}
	at, _ := r.FieldPos(0)
	columns, ok := d.columns(head, at)
	if !ok {
		return nil
	}
	var out []rawPartner
	for {
		record, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			d.csvProblem(err)
			continue
		}
		if raw, ok := d.csvPartner(r, columns, record); ok {
			out = append(out, raw)
		}
	}
}

var announcement = regexp.MustCompile(`^"?(?i:sep)= ?([;,|:\t])"?[;,|:\t ]*(\n|$)`)

// announcedSeparator is the one that a first line "sep=;" tells a spreadsheet
// program, 0 without such a line. The line is made empty: the others keep their
// numbers.
func announcedSeparator(data []byte) ([]byte, rune) {
	at := announcement.FindSubmatchIndex(data)
	if at == nil {
		return data, 0
	}
	return data[at[4]:], rune(data[at[2]])
}

// separator is the one by which the line of the columns has the most that are
// known.
func separator(data []byte) rune {
	var first []byte
	for line := range bytes.Lines(data) {
		if first = line; len(bytes.Trim(line, "\n\t \",;|")) > 0 && line[0] != '#' {
			break
		}
	}
	best, most := ',', 0
	for _, r := range ",;\t|" {
		known := 0
		for h := range strings.SplitSeq(string(first), string(r)) {
			if slices.Contains(partnerKeys, columnName(h)) {
				known++
			}
		}
		if known > most || most == 0 && known == 0 && r != ',' && strings.ContainsRune(string(first), r) {
			best, most = r, known
		}
	}
	return best
}

// columnName is a column's name as it is compared.
func columnName(text string) string { return strings.ToLower(paste.Value(text)) }

func (d *document) csvProblem(err error) {
	line, why := 0, err
	if pe, ok := errors.AsType[*csv.ParseError](err); ok {
		line, why = pe.StartLine, pe.Err
	}
	d.problemf(line, "not CSV (%v): put a value with quotes, separators or line breaks into quotes, and write each quote in it twice", why)
}

// columns returns the key of each column, notRead for one of the user's own: people
// keep more in such a list. A column that may be a slip for one that is missing is
// refused.
func (d *document) columns(head []string, line int) ([]string, bool) {
	ok := true
	all := slices.Clone(head)
	for i, h := range head {
		h = columnName(h)
		switch near := paste.Nearest(h, partnerKeys); {
		case h == "": // a column that a spreadsheet program added
		case !slices.Contains(partnerKeys, h):
			if slices.ContainsFunc(near, func(k string) bool {
				// Lists often have no kind, port or sends: other words with those in them are other words.
				return !slices.ContainsFunc(all, func(h string) bool { return columnName(h) == k }) && (slices.Contains(partnerKeys[:3], k) || len(k)-len(h) <= 1 && len(h)-len(k) <= 1)
			}) {
				d.problemf(line, "unknown column %s: use %s, and begin with the line name,host,invitation", quote(h), oneOf(h, partnerKeys))
				ok = false
			}
			if k := wordOf(h); k != "" && !slices.ContainsFunc(all, func(h string) bool { return columnName(h) == k }) {
				d.doubts = append(d.doubts, fmt.Sprintf("%s:%d: the column %s is not read; if it has the partners' %s, name it %s", d.file, line, quote(h), k, k))
			}
			h = notRead
		case slices.Contains(head[:i], h):
			d.problemf(line, "column %s is there twice: keep one", quote(h))
			ok = false
		}
		head[i] = h
	}
	if ok && !slices.Contains(head, "name") {
		d.problemf(line, "there is no column \"name\": begin with the line name,host,invitation")
		ok = false
	}
	// Who has no column of these would be told the same of each line.
	if ok && !slices.ContainsFunc(head, func(h string) bool { return h == "host" || h == "invitation" || h == "kind" }) {
		d.problemf(line, "there is no column \"host\" and none \"invitation\" (%s): name the one with the hosts so, as in name,host,invitation", quote(strings.Join(all, ", ")))
		ok = false
	}
	return head, ok
}

// wordOf returns which key is a word of a column's name, in one form or another, "" if
// none is.
func wordOf(column string) string {
	for _, k := range partnerKeys {
		for word := range strings.FieldsFuncSeq(column, func(r rune) bool { return !unicode.IsLetter(r) }) {
			if stem := strings.TrimSuffix(k, "s"); word == k || slices.Contains([]string{stem, stem + "s", stem + "er", stem + "ing"}, word) {
				return k
			}
		}
	}
	return ""
}

// csvPartner takes a partner from a record; false if the line is empty, as those
// are that a spreadsheet program leaves at the end.
func (d *document) csvPartner(r *csv.Reader, columns, record []string) (rawPartner, bool) {
	line, _ := r.FieldPos(0)
	raw := rawPartner{line: line, values: map[string]scalar{}}
	empty := true
	for i, text := range record {
		text = paste.Line(text)
		if text == "" {
			continue
		}
		if i < len(columns) && columns[i] == notRead {
			continue
		}
		empty = false
		at, _ := r.FieldPos(i)
		if i >= len(columns) || columns[i] == "" {
			d.problemf(at, "%s is in a column without a name: put a value that contains the separator into quotes", quote(text))
			raw.bad = true
			continue
		}
		s := d.checked(limitOf(columns[i]), scalar{text, at}, columns[i])
		raw.values[columns[i]] = s
		raw.bad = raw.bad || !s.given()
	}
	return raw, !empty
}

// sends reads what a partner's connections come from, between spaces, commas or
// semicolons.
func (d *document) sends(s scalar) string {
	var out []string
	for text := range strings.FieldsFuncSeq(s.text, func(r rune) bool { return r == ' ' || r == ',' || r == ';' }) {
		host, err := paste.Host(text)
		if err != nil {
			d.problemf(s.line, "sends %s: write addresses or host names, with spaces between them", quote(text))
			continue
		}
		out = append(out, canonicalHost(host))
	}
	return strings.Join(out, " ")
}

// partners turns what was written into partners, noting everything that is
// wrong.
func (d *document) partners(raw []rawPartner) []Partner {
	if len(raw) == 0 && len(d.problems) == 0 {
		d.problemf(0, "there is no partner in it: write one in each line, below name,host,invitation")
	}
	if len(raw) > maxRows {
		d.problemf(0, "%d partners, more than %d: split the list", len(raw), maxRows)
		return nil
	}
	first := map[string]int{}
	var out []Partner
	for _, r := range raw {
		name := r.values["name"]
		p := Partner{Name: name.text, Host: d.host(r.values["host"], "host"), Invitation: r.values["invitation"].text, Line: r.line}
		kind := d.kind(r.values["kind"])
		if r.values["kind"].given() {
			p.Kind = kind.Name
		}
		if s := r.values["port"]; s.given() {
			if p.Port = d.port(s, "port", "a number from 1 to 65535, or leave it empty for the plan's"); len(kind.Takes) == 0 {
				d.problemf(s.line, "port %s: nothing is sent to a partner of kind %s: leave it empty", quote(s.text), kind.Name)
			}
		}
		p.Sends = d.sends(r.values["sends"])
		if kind.Hosted && p.Invitation != "" {
			d.problemf(r.values["invitation"].line, "%s is of kind %s, where nobody runs listen: leave the invitation out, and give its host", quote(p.Name), kind.Name)
		}
		switch line, dup := first[p.Name]; {
		case !name.given():
			if !r.bad {
				d.problemf(r.line, "a partner without a name: give it one, by which the result names it")
			}
		case len(p.Name) > maxPartnerName:
			d.problemf(name.line, "name is longer than %d bytes: shorten it", maxPartnerName)
		case dup:
			d.problemf(name.line, "name %s is already on line %d: give each partner its own", quote(p.Name), line)
		default:
			first[p.Name] = r.line
			if !r.bad && !r.values["host"].given() && p.Invitation == "" && len(kind.Takes) > 0 {
				d.problemf(r.line, "%s has neither host nor invitation: give one of them", quote(p.Name))
			}
		}
		out = append(out, p)
	}
	return out
}
