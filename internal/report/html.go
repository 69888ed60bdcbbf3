package report

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"reflect"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/request"
)

//go:embed html
var htmlFiles embed.FS

// What every page has in it: its style and its script, known to the page's own
// policy by their hashes, so that nothing else runs even if it got in.
var (
	htmlStyle  = embedded("style.css")
	htmlScript = embedded("copy.js")
	htmlPolicy = "default-src 'none'; img-src data:; style-src '" + sourceHash(htmlStyle) + "'; script-src '" + sourceHash(htmlScript) + "'; base-uri 'none'; form-action 'none'"
)

// A sheet is what the frame of every page shows, whatever it is about.
type sheet struct {
	Kind   string // of document
	Title  string // of the browser's window
	Class  string // of the answer, as a badge's
	Answer string // in a sentence
	Limits string // what it does not speak for
	Next   []todo
	Body   any
	Tool   string
}

// A todo is something to do next, and the place on the page that has more of it; ""
// if none has.
type todo struct{ Text, Href string }

// letterOf is the requests as a text for a firewall's people: the form of that name, in
// the words and for the asker that the options name; "" if there is nothing to ask for.
func letterOf(l request.List, render func(Options) ([]byte, error), o Options) (asIs, error) {
	if len(l.Requests) == 0 {
		return "", nil
	}
	b, err := render(Options{Ask: o.Ask, Dialect: o.Dialect})
	return asIs(clean.Text(b)), err
}

// A labelledTexts is what is said under one label.
type labelledTexts struct {
	Label string
	Texts []string
}

// labelled joins texts that have the same label, or "" behind one.
func labelled(fields [][2]string) []labelledTexts {
	var out []labelledTexts
	for _, f := range fields {
		if n := len(out); n > 0 && (f[0] == "" || f[0] == out[n-1].Label) {
			out[n-1].Texts = append(out[n-1].Texts, f[1])
			continue
		}
		out = append(out, labelledTexts{f[0], []string{f[1]}})
	}
	return out
}

// asIs is text that is clean already and has line breaks of our own.
type asIs string

// htmlTemplate parses the template of one kind of page, which is in a file of that name.
func htmlTemplate(name string) *template.Template {
	return template.Must(template.New("frame.html").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(htmlStyle) },
		"script": func() template.JS { return template.JS(htmlScript) },
		"policy": func() string { return htmlPolicy },
		"add":    func(a, b int) int { return a + b },
		"line":   func(i int) int { return 30 + boxLine*i }, // where a machine's i-th line stands on a picture
	}).ParseFS(htmlFiles, "html/frame.html", "html/parts.html", "html/"+name))
}

// renderHTML makes a page of a sheet. The template escapes for HTML; everything on the
// sheet goes through clean.Line first, as on a page of text.
func renderHTML(t *template.Template, s sheet) ([]byte, error) {
	s.Body = cleaned(reflect.ValueOf(s.Body)).Interface()
	top := s
	top.Body = nil
	top = cleaned(reflect.ValueOf(top)).Interface().(sheet)
	top.Body = s.Body
	var b bytes.Buffer
	if err := t.Execute(&b, top); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// cleaned returns a copy of v, of structs, slices and strings, whose strings are clean.
func cleaned(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[asIs]() {
			return v
		}
		return reflect.ValueOf(clean.Line(v.String(), maxText)).Convert(v.Type())
	case reflect.Slice:
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(cleaned(v.Index(i)))
		}
		return out
	case reflect.Array:
		out := reflect.New(v.Type()).Elem()
		for i := range v.Len() {
			out.Index(i).Set(cleaned(v.Index(i)))
		}
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			out.Field(i).Set(cleaned(v.Field(i)))
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(cleaned(v.Elem()))
		return out
	}
	return v
}

// embedded is a file that goes into every page as it is.
func embedded(name string) string {
	b, err := htmlFiles.ReadFile("html/" + name)
	if err != nil {
		panic(err) // it is embedded, or this does not build
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// sourceHash names a style or script in a policy (CSP Level 3, section 2.3.1).
func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// classes are how marks look on a page, by their words. No meaning is in the look alone.
var classes = map[string]string{markOK.word: "ok", markBroken.word: "bad", markUnknown.word: "unknown", markIgnored.word: "ignored"}
