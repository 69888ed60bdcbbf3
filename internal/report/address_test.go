package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

const addressSchema = "../../docs/address.schema.json"

func addressReportOf(t *testing.T) *result.AddressReport {
	t.Helper()
	rtt := 1.5
	endpoint := func(s string) (e result.Endpoint) {
		if err := e.UnmarshalJSON([]byte(`"` + s + `"`)); err != nil {
			t.Fatal(err)
		}
		return e
	}
	view := result.View{
		Observer: "stun:stun.example.org", Test: result.TestFirst, Transport: plan.TCP, Family: result.IP4,
		Source: endpoint("10.0.0.9:4000"), Target: endpoint("192.0.2.1:3478"), SeenAs: endpoint("198.51.100.1:4000"),
		Outcome: result.ViewAnswered, Attempts: 1, RTTMS: &rtt,
	}
	again := view
	again.Test, again.Source = result.TestAgain, endpoint("10.0.0.9:4001")
	unresolved := result.View{Observer: "nosuch.example.org", Test: result.TestFirst, Outcome: result.ViewUnresolved, Error: "nosuch.example.org: no such name"}
	return &result.AddressReport{
		Schema: result.AddressSchema, Tool: "dialtone 0.1.0", Started: result.TimeOf(time.Date(2026, 3, 17, 21, 51, 40, 0, time.UTC)), ElapsedMS: 4300, Host: "illiad",
		AddressEvidence: result.AddressEvidence{
			Own: []string{"10.0.0.9"}, Port: 7968, Published: []result.Published{{Name: "odyssey.example.edu", Error: "no such name"}},
			Views:   []result.View{view, again, unresolved},
			Inbound: []result.Inbound{{Observer: "peer", Family: result.IP4, Target: endpoint("198.51.100.1:7968"), Outcome: result.InboundSilent}},
		},
		AddressConclusion: result.AddressConclusion{
			Seen: []string{"198.51.100.1"},
			Mappings: []result.Mapping{{Transport: plan.TCP, Family: result.IP4, Behaviour: result.MappingIndependent,
				Method: result.MethodRFC5780, Ports: result.PortsKept, Destinations: []result.Endpoint{view.Target}}},
			Findings: []result.Finding{{Code: "seen", Text: "Partners see you as 198.51.100.1.", Advice: "Tell them."}, {Code: "nat", Text: "A NAT."}},
		},
	}
}

func renderAddress(t *testing.T, f Format, r *result.AddressReport, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Address.Write(&b, f, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAddressReportsMatchTheirSchema(t *testing.T) {
	schema := compile(t, addressSchema)
	for name, r := range map[string]*result.AddressReport{"full": addressReportOf(t), "empty": {Schema: result.AddressSchema, Started: result.TimeOf(time.Now())}} {
		if err := schema.Validate(decode(t, renderAddress(t, JSON, r, Options{}))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{"schema", "started", "seen", "findings", "views", "views.0.outcome", "views.0.seen_as", "mappings.0.behaviour", "inbound.0.outcome", "findings.0.code"} {
		for _, value := range []any{gone, "nonsense!"} {
			v := decode(t, renderAddress(t, JSON, addressReportOf(t), Options{}))
			set(t, v, path, value)
			if schema.Validate(v) == nil {
				t.Errorf("%s = %v (%v: taken away) passes", path, value, value == any(gone))
			}
		}
	}
}

func TestAddressSchemaDescribesEveryField(t *testing.T) {
	doc := readSchema(t, addressSchema)
	defs := doc["$defs"].(map[string]any)
	describes(t, doc, reflect.TypeFor[result.AddressReport]())
	for def, typ := range map[string]reflect.Type{
		"published": reflect.TypeFor[result.Published](), "view": reflect.TypeFor[result.View](), "mapping": reflect.TypeFor[result.Mapping](),
		"inbound": reflect.TypeFor[result.Inbound](), "finding": reflect.TypeFor[result.Finding](),
	} {
		describes(t, defs[def].(map[string]any), typ)
	}
}

func TestAddressTextSaysTheConclusionFirst(t *testing.T) {
	const head, tail = `Partners see you as 198.51.100.1.
  -> Tell them.

A NAT.

Address report

`, `
  From     illiad (10.0.0.9)
  Started  2026-03-17 21:51:40 UTC, took 4.3 s
  By       dialtone 0.1.0

Partners see you as 198.51.100.1.
`
	for width, want := range map[int]string{
		80: `  198.51.100.1  stun:stun.example.org 192.0.2.1:3478 tcp 2 times, port
                4000 -> 4000
  -  nosuch.example.org - 1 time, unresolved

  TCP over IPv4  keeps the source port; the same for every destination
                 (endpoint-independent mapping), by the two addresses of one
                 server (RFC 5780)
`,
		120: `  seen as       by                     asked at        over  times  port here -> port seen
  198.51.100.1  stun:stun.example.org  192.0.2.1:3478  tcp   2      4000 -> 4000
  -             nosuch.example.org     -                     1      (unresolved)

  TCP over IPv4  keeps the source port; the same for every destination (endpoint-independent
                 mapping), by the two addresses of one server (RFC 5780)
`,
	} {
		if got := renderAddress(t, Text, addressReportOf(t), Options{Width: width}); got != head+want+tail {
			t.Errorf("at %d columns got\n%s\nwant\n%s", width, got, head+want+tail)
		}
	}
}

func TestAddressTextTellsEveryQuestionIfAsked(t *testing.T) {
	got := strings.Join(strings.Fields(renderAddress(t, Text, addressReportOf(t), Options{Verbose: true})), " ")
	for _, want := range []string{
		"stun:stun.example.org: again at 192.0.2.1:3478 over tcp from 10.0.0.9:4001: answered as 198.51.100.1:4000, round trip 1.5 ms",
		"nosuch.example.org: first: unresolved, nosuch.example.org: no such name", "peer dialed 198.51.100.1:7968: silent",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestAddressTextLetsNoControlCharacterThrough(t *testing.T) {
	r := addressReportOf(t)
	evil := "\x1b[31mred\r\n\u202e"
	r.Host, r.Own[0], r.Views[0].Observer, r.Findings[0].Text = evil, evil, evil, evil
	for _, f := range []Format{Text, JSON, HTML} {
		if got := renderAddress(t, f, r, Options{}); strings.ContainsAny(got, "\x1b\r\u202e") {
			t.Errorf("%s: %q", f, got)
		}
	}
}

func TestEveryBehaviourHasItsWords(t *testing.T) {
	consts := constants(t, "../result")
	for _, b := range consts["MappingBehaviour"] {
		if behaviourWords[result.MappingBehaviour(b)] == "" {
			t.Errorf("%s has no words", b)
		}
	}
}

func TestAddressReportsHaveTheirForms(t *testing.T) {
	if _, err := Address.Parse("pdf"); err == nil || !strings.Contains(err.Error(), "text, json or html") {
		t.Error(err)
	}
	if err := Address.Write(&bytes.Buffer{}, "pdf", addressReportOf(t), Options{}); err == nil {
		t.Error("wrote pdf")
	}
}
