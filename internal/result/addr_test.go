package result

import (
	"encoding/json"
	"net/netip"
	"testing"
)

// Whatever stands among the addresses of a report from elsewhere, what is no address is
// not there, and no reason to refuse the report.
func TestAddressesFromElsewhereAreAddressesOrAbsent(t *testing.T) {
	var e End
	if err := json.Unmarshal([]byte(`{"addresses":["10.1.0.10","\u001b[2J","","::ffff:10.1.0.11","fe80::1%eth0","10.1.0"]}`), &e); err != nil {
		t.Fatal(err)
	}
	if got, want := e.Addresses.String(), "10.1.0.10, 10.1.0.11, fe80::1%eth0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	var back End
	if err := json.Unmarshal(b, &back); err != nil || back.Addresses.String() != e.Addresses.String() {
		t.Errorf("%s: %v", b, err)
	}
	var none End
	if err := json.Unmarshal([]byte(`{"addresses":null}`), &none); err != nil || none.Addresses != nil {
		t.Errorf("null is read as %#v, %v: what is written again is another document", none.Addresses, err)
	}
	if err := json.Unmarshal([]byte(`{"addresses":[1]}`), &e); err == nil {
		t.Error("a number is taken for an address")
	}
}

func TestAddressesStandInTheOrderOfTheirText(t *testing.T) {
	a := netip.MustParseAddr
	if got, want := AddrsOf(a("10.1.0.9"), a("2001:db8::1"), a("10.1.0.10"), a("10.1.0.9")).String(), "10.1.0.10, 10.1.0.9, 2001:db8::1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if b, err := json.Marshal(AddrsOf()); err != nil || string(b) != "[]" {
		t.Errorf("none: %s, %v", b, err)
	}
}
