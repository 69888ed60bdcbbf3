package sock

import (
	"slices"
	"testing"
)

func TestExcludedPortsAreReadInAnyLanguage(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []PortRange
	}{
		// A runner of Windows Server, as printed (open-telemetry/opentelemetry-collector, pull request 10839).
		"English": {"\r\nProtocol tcp Port Exclusion Ranges\r\n\r\nStart Port    End Port      \r\n----------    --------      \r\n        80          80      \r\n      5986        5986      \r\n     47001       47001      \r\n     55679       55679     *\r\n\r\n* - Administered port exclusions.\r\n\r\n",
			[]PortRange{{80, 80, false}, {5986, 5986, false}, {47001, 47001, false}, {55679, 55679, true}}},
		// A PC with WSL (microsoft/WSL, issue 5306), shortened.
		"Spanish": {"Puerto de inicio    Puerto final\n----------          --------\n      1025        1124\n      1425        1524\n      5357        5357\n     50000       50059\n",
			[]PortRange{{1025, 1124, false}, {1425, 1524, false}, {5357, 5357, false}, {50000, 50059, false}}},
		"none":                {"\nProtocol udp Port Exclusion Ranges\n\nStart Port    End Port      \n----------    --------      \n\n* - Administered port exclusions.\n", nil},
		"a command not known": {"The following command was not found: int ipv4 show excludedportrange protocol=tcp.\n", nil},
		"not a range":         {"  200  100\n  70000  70001\n  1 2 3\n  12\n", nil},
		"the last of all":     {"  65535  65535\n", []PortRange{{65535, 65535, false}}},
		"another mark than *": {"  10  20  +\n", nil},
		"all ports":           {"  0  65535  *\n", []PortRange{{0, 65535, true}}},
	} {
		if got := parseExcluded(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if r := (PortRange{1425, 1524, false}); !r.Has(1425) || !r.Has(1524) || r.Has(1424) || r.Has(1525) {
		t.Error("the ends of a range are in it")
	}
}
