package report

import (
	"encoding/xml"
	"fmt"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/result"
)

// The form that continuous integration reads, as JUnit's Ant task writes it and
// Jenkins, GitLab and others take it.
type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Time     string     `xml:"time,attr"` // seconds
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr,omitempty"` // without a zone, as that form has it: UTC
	Hostname   string          `xml:"hostname,attr,omitempty"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
	Out        string          `xml:"system-out,omitempty"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitOutcome `xml:"failure"`
	Error   *junitOutcome `xml:"error"`
	Skipped *junitOutcome `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// renderJUnit writes a case for each path. One that counts and is not ok fails; one
// that counts and was not tested is an error, since whoever reads must not take it
// for passed; one that is not ok and does not count is skipped. What is wrong with
// the run itself is a case of its own.
func renderJUnit(r *result.Report, _ Options) ([]byte, error) {
	line := func(s string) string { return clean.Line(s, maxText) }
	s := junitSuite{Name: line("dialtone " + r.Plan), Hostname: line(r.From.Host), Time: seconds(float64(r.ElapsedMS))}
	if !r.Started.IsZero() {
		s.Timestamp = r.Started.UTC().Format("2006-01-02T15:04:05")
	}
	for _, p := range [][2]string{{"from", endName(r.From)}, {"to", endName(r.To)}, {"plan", r.Plan}, {"run", r.Run}, {"tool", r.Tool}, {"mode", string(r.Mode)}} {
		s.Properties = append(s.Properties, junitProperty{p[0], line(p[1])})
	}
	for i := range r.Paths {
		p := &r.Paths[i]
		c := junitCase{Class: line("dialtone." + string(p.Direction)), Name: line(junitName(r, p)), Time: "0.000"}
		if p.Initiator != nil {
			c.Time = seconds(p.Initiator.ElapsedMS)
		}
		out := &junitOutcome{Type: line(string(p.Verdict)), Message: line(junitMessage(p)), Text: line(junitText(p))}
		switch {
		case p.OK:
		case !p.Counted:
			c.Skipped = &junitOutcome{Message: line("does not count: " + junitMessage(p))}
			s.Skipped++
		case p.Verdict == result.Untested:
			c.Error = out
			s.Errors++
		default:
			c.Failure = out
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	if len(r.Paths) == 0 || r.Interrupted {
		s.Cases = append(s.Cases, junitCase{Class: "dialtone.run", Name: "the run", Time: s.Time, Error: &junitOutcome{Message: line(answer(r)), Type: "run"}})
		s.Errors++
	}
	s.Tests = len(s.Cases)
	words := []string{answer(r)}
	for _, f := range r.Findings {
		words = append(words, f.Text, f.Advice)
	}
	s.Out = line(strings.Join(words, " "))
	b, err := xml.MarshalIndent(junitSuites{Name: "dialtone", Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Time: s.Time, Suite: s}, "", "  ")
	return append(append([]byte(xml.Header), b...), '\n'), err
}

func seconds(ms float64) string { return fmt.Sprintf("%.3f", ms/1000) }

// junitName tells a path from all others of the report.
func junitName(r *result.Report, p *result.Path) string {
	name := labels(r, []*result.Path{p}, false)[0]
	if p.Host != "" {
		name += " at " + p.Host
	}
	return fmt.Sprintf("%s, %s, %s", name, p.Service, port(p))
}

func junitMessage(p *result.Path) string {
	s := outcome(p)
	if p.Finding != nil && p.Finding.Text != "" {
		s += ": " + p.Finding.Text
	}
	return s
}

func junitText(p *result.Path) string {
	s := endpoints(p)
	if p.Finding != nil && p.Finding.Advice != "" {
		s += " " + p.Finding.Advice
	}
	return s
}
