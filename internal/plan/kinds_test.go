package plan

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEachKindOfPartnerStandsInTheDocumentWithItsSource(t *testing.T) {
	page, err := os.ReadFile("../../docs/consortium.md")
	if err != nil {
		t.Fatal(err)
	}
	services := []string{"odyssey", "iso"}
	for _, k := range Kinds {
		if !strings.Contains(string(page), "| `"+k.Name+"`") || !strings.Contains(string(page), "["+k.Source.Name+"]("+k.Source.At+")") || !strings.Contains(string(page), k.Title) {
			t.Errorf("docs/consortium.md does not show %s (%s) with its source %+v", k.Name, k.Title, k.Source)
		}
		for _, s := range append(slices.Clone(k.Takes), k.Sends...) {
			if !slices.Contains(services, s) {
				t.Errorf("%s: service %s is none of dial odyssey", k.Name, s)
			}
		}
		if len(k.Sends) == 0 {
			t.Errorf("%s sends nothing", k.Name)
		}
	}
}

func TestRowsOfAKindOfPartner(t *testing.T) {
	flows, _, err := load(t, "illiad").Select(Query{Local: []Role{RoleServer}, Remote: []Role{RolePeer}, Only: []string{"odyssey", "iso"}})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string][]string{
		"": {"odyssey-out", "odyssey-in", "iso-out", "iso-in"}, "illiad": {"odyssey-out", "odyssey-in", "iso-out", "iso-in"},
		"odyssey": {"odyssey-out", "odyssey-in"}, "rapidx": {"odyssey-in"}, "alma": {"iso-out", "iso-in"}, "reprints-desk": {"odyssey-in"},
	} {
		if got := (Partner{Kind: kind}).KindOf().RowsOf(flows); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", kind, got, want)
		}
	}
}

func TestAListOfPartnersOfOtherKinds(t *testing.T) {
	got, _, err := decodePartners("a.csv", []byte("name,kind,host,port,sends\nA,Alma,a.example.edu,5000,\"192.0.2.1, 2001:DB8::1 b.example.edu.\"\nB,rapidx,,,\n"))
	want := []Partner{{Name: "A", Host: "a.example.edu", Kind: "alma", Port: 5000, Sends: "192.0.2.1 2001:db8::1 b.example.edu", Line: 2}, {Name: "B", Kind: "rapidx", Line: 3}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v %v", got, err)
	}
}
