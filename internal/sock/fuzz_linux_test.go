package sock

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// What the kernel shows is text and messages of forms of its own, which grow with its
// releases: whatever they hold is read, or not, and nothing else.

func FuzzProcTables(f *testing.F) {
	f.Add("TcpExt: SyncookiesSent EmbryonicRsts\nTcpExt: 1 2\n")
	f.Add("entries  clashres found new drop early_drop\n00000003  00000000 00000000 00000000 0000000a 00000000\n")
	f.Add("CapEff:\t0000000000000400\n")
	f.Add("0100007F:0050")
	f.Add("00000000000000000000000001000000:1F90")
	f.Fuzz(func(t *testing.T, s string) {
		parseNetstat(s)
		parseConntrack(s)
		lacksCapability(s)
		if a, err := parseProcAddr(s); err == nil && !a.IsValid() {
			t.Errorf("%q is %v", s, a)
		}
	})
}

func FuzzParseRoute(f *testing.F) {
	route := make([]byte, 28)
	route[0], route[4] = 36, 24 // RTM_NEWROUTE
	f.Add(append(route, 8, 0, 4, 0, 2, 0, 0, 0))
	f.Add(append(route, 0, 0, 4, 0))
	f.Add(routeRequest(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := parseRoute(b); err == nil && len(b) < 36 {
			t.Errorf("interface %d, out of %d bytes", i, len(b))
		}
	})
}

// FuzzOffender reads the address of who sent an ICMP error.
func FuzzOffender(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 192, 0, 2, 1})
	f.Add(append([]byte{10, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, b []byte) { offender(b) })
}

func FuzzProxySettings(f *testing.F) {
	f.Add("http_proxy=\"http://user:pw@proxy:3128\"\nexport no_proxy='localhost'\n")
	f.Add("<dictionary> {\n  HTTPEnable : 1\n  HTTPProxy : proxy\n  HTTPPort : 8080\n  ExceptionsList : <array> {\n    0 : *.local\n  }\n}\n")
	f.Add("org.gnome.system.proxy mode 'manual'\norg.gnome.system.proxy.http host 'proxy'\norg.gnome.system.proxy.http port 8080\n")
	f.Fuzz(func(t *testing.T, s string) {
		parseEnvironmentFile(s)
		for _, p := range append(parseScutil(s), parseGNOME(s)...) {
			if len(p.Setting) > 8*maxProxyText {
				t.Errorf("%d bytes", len(p.Setting))
			}
		}
	})
}

// FuzzNameServer: what a name server says, over UDP or TCP in whatever pieces, is
// taken for an answer only if it answers the question.
func FuzzNameServer(f *testing.F) {
	ask := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0x1234, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(asking), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	query, err := ask.Pack()
	if err != nil {
		f.Fatal(err)
	}
	for _, answers := range [][]dnsmessage.Resource{nil, {a4}, {alias, a4}} {
		m := ask
		m.Response, m.RecursionAvailable, m.Answers = true, true, answers
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, stream bool) {
		w := newNameWatch(time.Now().Add(time.Minute))
		of := conversation{watch: w, server: "192.0.2.53:53"}
		if err := of.sends(query); err != nil {
			t.Fatal(err)
		}
		if stream {
			near, far := net.Pipe()
			go func() {
				_, _ = far.Write(b)
				far.Close()
			}()
			c := &watchedStream{Conn: near, of: of}
			for buf := make([]byte, 7); ; {
				if _, err := c.Read(buf); err != nil {
					break
				}
			}
			of = c.of
		} else {
			of.hears(b, false)
			if said := of.asked.said; said > saidNothing && (len(b) < 12 || b[0] != 0x12 || b[1] != 0x34) {
				t.Errorf("%q says %v", b, said)
			}
		}
		_, _ = w.found(context.Background(), asking, nil, nil)
	})
}
