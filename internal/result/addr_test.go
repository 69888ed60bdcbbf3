package result

import (
	"encoding/json"
	"testing"
)

func TestAnAddressThatCannotBeReadIsUnknown(t *testing.T) {
	for in, want := range map[string]string{
		`"192.0.2.7"`: `"192.0.2.7"`, `"2001:DB8::7"`: `"2001:db8::7"`, `"fe80::1%eth0"`: `"fe80::1%eth0"`,
		`""`: `""`, `"illiad.example.edu"`: `""`, `"192.0.2.7:80"`: `""`, `"192.0.2.300"`: `""`, `null`: `""`,
	} {
		var a Addr
		if err := json.Unmarshal([]byte(in), &a); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if got, err := json.Marshal(a); err != nil || string(got) != want {
			t.Errorf("%s became %s (%v), want %s", in, got, err, want)
		}
	}
	// Where a path has none, its key is left out as ever.
	var p map[string]any
	b, err := json.Marshal(Path{})
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if _, ok := p["address"]; err != nil || ok || p["others_seen_as"] != "" {
		t.Errorf("%s (%v)", b, err)
	}
}
