package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"dialtone/internal/paste"
)

// Limits of a plan or site file. Those on structure are far above what any
// such file needs and keep the YAML parser, which recurses, from being led
// into deep recursion or quadratic time.
const (
	maxFileBytes = 1 << 20
	maxRows      = 4096
	maxKeys      = 4096 // in one mapping
	maxColumn    = 128  // where a key or a "-" may begin
	maxFlowDepth = 8    // of [ and {
	maxText      = 2000 // bytes in one value
	maxProblems  = 20   // that one error lists
)

// A document is one YAML file being read. It collects everything that is
// wrong with the file, so that one run tells all of it.
type document struct {
	file     string
	problems []problem
	doubts   []string // about a list that is read all the same
}

type problem struct {
	line int // 1-based; 0 is the file as a whole
	text string
}

// problemf notes a problem. Its text ends with what to do.
func (d *document) problemf(line int, format string, args ...any) {
	d.problems = append(d.problems, problem{line, fmt.Sprintf(format, args...)})
}

// enough reports whether a further problem would only be counted, so that its
// words need no effort.
func (d *document) enough() bool { return len(d.problems) > 2*maxProblems }

// err returns all problems in the order of their lines, or nil.
func (d *document) err() error {
	slices.SortStableFunc(d.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for i, p := range d.problems {
		switch {
		case i == maxProblems:
			errs = append(errs, fmt.Errorf("%s: %d more problems: mend these first", d.file, len(d.problems)-i))
			return errors.Join(errs...)
		case p.line == 0:
			errs = append(errs, fmt.Errorf("%s: %s", d.file, p.text))
		default:
			errs = append(errs, fmt.Errorf("%s:%d: %s", d.file, p.line, p.text))
		}
	}
	return errors.Join(errs...)
}

// readLimited reads a file that may be no larger than maxFileBytes. One byte
// more is returned for a larger one, which parse then refuses.
func readLimited(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	return data, nil
}

// parse returns the root mapping of data, or nil after noting why there is none.
func (d *document) parse(data []byte) *ast.MappingNode {
	body := d.body(data)
	if body == nil {
		return nil
	}
	m, ok := body.(*ast.MappingNode)
	if !ok {
		d.problemf(lineOf(body), "not a list of keys: begin with \"name: …\"")
		return nil
	}
	return m
}

// text returns data as UTF-8, cleaned (paste.Text), or false after noting that it
// is no text of bearable length.
func (d *document) text(data []byte) ([]byte, bool) {
	if len(data) > maxFileBytes {
		d.problemf(0, "larger than %d bytes: shorten it", maxFileBytes)
		return nil, false
	}
	text, err := paste.Text(data)
	if pe, ok := errors.AsType[*paste.Error](err); ok {
		d.problemf(pe.Line, "%s: %s", pe.Problem, pe.Do)
		return nil, false
	}
	return []byte(text), true
}

// body returns what data holds as YAML, or nil after noting why it is nothing.
func (d *document) body(data []byte) ast.Node {
	data, ok := d.text(data)
	if !ok {
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if !d.structureAllowed(tokens) {
		return nil
	}
	// Duplicate keys are noted by fields, with both lines.
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		// Not err.Error(): it quotes the source, in quadratic time.
		line, text := 0, "unreadable"
		if se, ok := errors.AsType[*yaml.SyntaxError](err); ok {
			text = se.GetMessage()
			if tk := se.GetToken(); tk != nil && tk.Position != nil {
				line = tk.Position.Line
			}
		}
		d.problemf(line, "not YAML (%s): check indentation, quotes and brackets there", text)
		return nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil {
			body = doc.Body
			break
		}
	}
	if body == nil || body.Type() == ast.NullType {
		d.problemf(1, "the file is empty: start from a copy of an existing one")
		return nil
	}
	return body
}

// structureAllowed notes what is refused before parsing: the parts of YAML
// that these files have no use for and that make it hard to bound (anchors,
// aliases, tags, merge keys, complex keys, directives, further documents),
// too deep nesting, and too many keys in one mapping.
func (d *document) structureAllowed(tokens token.Tokens) bool {
	var (
		depth   int
		content bool
		prev    *token.Token
		keys    [maxColumn + 1]int // in the open mapping whose keys begin in this column
		inFlow  int                // keys within the outermost bracket
	)
	refuse := func(tk *token.Token, format string, args ...any) bool {
		d.problemf(tk.Position.Line, format, args...)
		return false
	}
	for _, tk := range tokens {
		if tk.Position == nil {
			continue
		}
		switch tk.Type {
		case token.CommentType:
			continue
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType, token.MappingKeyType, token.DirectiveType:
			shown := strings.TrimSpace(tk.Origin)
			if (tk.Type == token.AnchorType || tk.Type == token.AliasType) && tk.Next != nil {
				shown += tk.Next.Value
			}
			return refuse(tk, "%s is YAML that is not read here (anchors, aliases, tags, merge keys, complex keys, directives): write the value out, or quote it", quote(shown))
		case token.DocumentHeaderType, token.DocumentEndType:
			if content && tk.Type == token.DocumentHeaderType {
				return refuse(tk, "a second YAML document: keep one per file")
			}
			content = content || tk.Type == token.DocumentEndType
			continue
		case token.SequenceStartType, token.MappingStartType:
			if depth++; depth > maxFlowDepth {
				return refuse(tk, "brackets nest deeper than %d: write lists as lines that begin with \"- \"", maxFlowDepth)
			}
		case token.SequenceEndType, token.MappingEndType:
			if depth--; depth <= 0 {
				depth, inFlow = 0, 0
			}
		case token.SequenceEntryType:
			if depth > 0 {
				break
			}
			c := tk.Position.Column
			if c > maxColumn {
				return refuse(tk, "a list that begins in column %d: indent it less", c)
			}
			clear(keys[c+1:])
		case token.MappingValueType:
			if depth > 0 {
				if inFlow++; inFlow > maxKeys {
					return refuse(tk, "more than %d keys: remove some", maxKeys)
				}
				break
			}
			c := tk.Position.Column
			if prev != nil {
				c = prev.Position.Column
			}
			if c > maxColumn {
				return refuse(tk, "a key that begins in column %d: indent it less, or quote the text around the colon", c)
			}
			if c < 1 {
				break
			}
			clear(keys[c+1:])
			if keys[c]++; keys[c] > maxKeys {
				return refuse(tk, "more than %d keys: remove some", maxKeys)
			}
		}
		content = true
		prev = tk
	}
	return true
}

// A field is one key of a mapping and its value.
type field struct {
	key   string
	line  int
	value ast.Node
}

// fields returns the entries of a mapping, without those it notes as wrong:
// keys given twice and, unless allowed is nil, keys not in it. What says what
// the mapping is.
func (d *document) fields(n ast.Node, what string, allowed []string) []field {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.problemf(lineOf(n), "%s must be keys with values: write \"key: value\" lines", what)
		return nil
	}
	if len(m.Values) > maxKeys {
		d.problemf(lineOf(n), "%s has %d keys, more than %d: remove some", what, len(m.Values), maxKeys)
		return nil
	}
	first := make(map[string]int, len(m.Values))
	out := make([]field, 0, len(m.Values))
	for _, v := range m.Values {
		f := field{line: lineOf(v.Key), value: v.Value}
		f.key, ok = scalarText(v.Key)
		if !ok {
			d.problemf(f.line, "a key of %s is not plain text: write \"key: value\"", what)
			continue
		}
		if line, dup := first[f.key]; dup {
			d.problemf(f.line, "key %s is already on line %d: keep one", quote(f.key), line)
			continue
		}
		first[f.key] = f.line
		if allowed != nil && !slices.Contains(allowed, f.key) {
			d.problemf(f.line, "unknown key %s in %s: use %s", quote(f.key), what, oneOf(f.key, allowed))
			continue
		}
		out = append(out, f)
	}
	return out
}

// A scalar is one value as written, with its line. Line 0: it was not given.
type scalar struct {
	text string
	line int
}

func (s scalar) given() bool { return s.line != 0 }

// scalar returns the text of n, which is the value of what; white space is
// collapsed. It notes a value that is no text and returns the zero scalar.
func (d *document) scalar(n ast.Node, line int, what string) scalar {
	return d.scalarUpTo(maxText, n, line, what)
}

// scalarUpTo is scalar with another bound of its length in bytes.
func (d *document) scalarUpTo(limit int, n ast.Node, line int, what string) scalar {
	if n == nil || n.Type() == ast.NullType {
		d.problemf(line, "%s has no value: write one, or remove the line", what)
		return scalar{}
	}
	text, ok := scalarText(n)
	if !ok {
		d.problemf(lineOf(n), "%s must be one value, not a list or keys: write \"%s: value\"", what, what)
		return scalar{}
	}
	text = paste.Line(text)
	if text == "" {
		d.problemf(line, "%s is empty: write a value, or remove the line", what)
		return scalar{}
	}
	return d.checked(limit, scalar{text, line}, what)
}

// checked returns s, or the zero scalar after noting that it is too long or
// cannot be shown.
func (d *document) checked(limit int, s scalar, what string) scalar {
	if len(s.text) > limit {
		d.problemf(s.line, "%s is longer than %d bytes: shorten it", what, limit)
		return scalar{}
	}
	for _, r := range s.text {
		if !unicode.IsPrint(r) {
			d.problemf(s.line, "%s contains the unprintable character %U: remove it", what, r)
			return scalar{}
		}
	}
	return s
}

// scalars returns the text of n, which is one value or a list of them. A list
// in brackets may be empty; it is then returned as empty and not nil.
func (d *document) scalars(n ast.Node, line int, what string) []scalar {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if s := d.scalar(n, line, what); s.given() {
			return []scalar{s}
		}
		return nil
	}
	if len(seq.Values) > maxRows {
		d.problemf(line, "%s lists %d values, more than %d: remove some", what, len(seq.Values), maxRows)
		return nil
	}
	out := make([]scalar, 0, len(seq.Values))
	for _, v := range seq.Values {
		at := line
		if l := lineOf(v); l > 0 {
			at = l
		}
		if s := d.scalar(v, at, what); s.given() {
			out = append(out, s)
		}
	}
	return out
}

// scalarText returns the text of a scalar node as the file writes it, so that
// a port or a name of digits is not lost in a number's notation.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", true
		}
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		tk := n.GetToken()
		if tk == nil {
			return "", false
		}
		return tk.Value, true
	}
	return "", false
}

// lineOf returns the line where n begins, 0 if it does not say.
func lineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return lineOf(m.Values[0].Key)
	}
	tk := n.GetToken()
	if tk == nil || tk.Position == nil {
		return 0
	}
	return tk.Position.Line
}
