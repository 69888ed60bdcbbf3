package echo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/pion/stun/v3"
)

// vectors are those of docs/wire.md. testdata/vectors.py made them from the
// specification with Python's hashlib and hmac and the command lines of argon2
// and OpenSSL; nothing of this package took part.
type vectors struct {
	KeyText     string `json:"key_text"`
	Key         string `json:"key"`
	Run         ID     `json:"run"`
	Probe       ID     `json:"probe"`
	Instance    ID     `json:"instance"`
	Nonce       string `json:"nonce"`
	Flow        string `json:"flow"`
	Software    string `json:"software"`
	Transaction string `json:"transaction"`
	Second      string `json:"second_transaction"`
	Request     string `json:"binding_request"`
	Answer4     string `json:"binding_answer_ip4"`
	Answer6     string `json:"binding_answer_ip6"`
	UDPRequest  string `json:"udp_request_sha256"`
	UDPAnswer   string `json:"udp_answer_sha256"`
	FromAsker   string `json:"keystream_asker"`
	FromAnswer  string `json:"keystream_answerer"`
	Payload     string `json:"payload_asker_sha256"`
	Hello       string `json:"hello_request"`
	Transfer    string `json:"transfer_request"`
	Body        string `json:"transfer_body"`
	WrongKey    string `json:"wrong_key_answer"`
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// renumbered returns a sealed message of ours under another transaction id.
func renumbered(t *testing.T, m *stun.Message, id string) []byte {
	t.Helper()
	out, err := stun.Build(stun.NewTransactionIDSetter([12]byte(fromHex(t, id))), m.Type)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range m.Attributes {
		if a.Type != stun.AttrMessageIntegrity && a.Type != stun.AttrFingerprint {
			out.Add(a.Type, a.Value)
		}
	}
	if err := rightKey.seal(out); err != nil {
		t.Fatal(err)
	}
	return out.Raw
}

func TestMessagesEqualTheSpecificationsVectors(t *testing.T) {
	v := readVectors(t)
	key, err := ParseKey(v.KeyText)
	if err != nil {
		t.Fatal(err)
	}
	equal := func(what string, got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("%s\n got %x\nwant %s", what, got, want)
		}
	}
	equal("stretched key", key.b[:], v.Key)

	ask := Ask{Key: key, Run: v.Run, Probe: v.Probe, Flow: v.Flow}
	m, err := ask.binding(0)
	if err != nil {
		t.Fatal(err)
	}
	equal("Binding request", renumbered(t, m, v.Transaction), v.Request)
	if m, err = ask.binding(1200); err != nil {
		t.Fatal(err)
	}
	udp := sha256.Sum256(renumbered(t, m, v.Transaction))
	equal("Binding request over UDP", udp[:], v.UDPRequest)

	req, err := decode(fromHex(t, v.Request))
	if err != nil {
		t.Fatal(err)
	}
	a := &Answerer{Key: key, Instance: v.Instance, Software: v.Software}
	for _, c := range []struct{ remote, local, want string }{
		{"192.0.2.7:50000", "198.51.100.9:1433", v.Answer4},
		{"[2001:db8::7]:50000", "[2001:db8::9]:1433", v.Answer6},
	} {
		kind, p := a.judge(req, Peer{Remote: netip.MustParseAddrPort(c.remote), Local: netip.MustParseAddrPort(c.local)})
		if a.seen = (repeats{}); kind != KindAsked || p.Run != v.Run || p.Probe != v.Probe || p.Flow != v.Flow {
			t.Errorf("judged as %s, %+v", kind, p)
		}
		resp, err := a.proof(req, p, []byte(v.Nonce), 0)
		if err != nil {
			t.Fatal(err)
		}
		equal("Binding answer", resp.Raw, c.want)
		proof, nonce, err := ask.verify(resp, fromHex(t, c.want), req)
		if err != nil || string(nonce) != v.Nonce || proof.SeenAs.String() != c.remote || proof.Origin.String() != c.local ||
			proof.Instance != v.Instance || proof.Version != 1 || proof.Software != v.Software {
			t.Errorf("verified as %+v, %q, %v", proof, nonce, err)
		}
		if c.want == v.Answer4 {
			resp, err := a.proof(req, p, []byte(v.Nonce), 1200)
			if err != nil {
				t.Fatal(err)
			}
			udp := sha256.Sum256(resp.Raw)
			equal("Binding answer over UDP", udp[:], v.UDPAnswer)
		}
	}
	resp, err := errorAnswer(req, stun.CodeUnauthorized, "another key")
	if err != nil {
		t.Fatal(err)
	}
	equal("401", resp.Raw, v.WrongKey)

	c := &Conn{ask: ask, nonce: []byte(v.Nonce)}
	if m, err = c.request(methodHello.number, struct{}{}); err != nil {
		t.Fatal(err)
	}
	equal("Hello request", renumbered(t, m, v.Second), v.Hello)
	if m, err = c.request(methodTransfer.number, transferOrder{From: "asker", Bytes: PayloadSize, DeadlineMS: 3000}); err != nil {
		t.Fatal(err)
	}
	equal("Transfer request", renumbered(t, m, v.Second), v.Transfer)

	for s, want := range map[side]string{fromAsker: v.FromAsker, fromAnswerer: v.FromAnswer} {
		got := make([]byte, 32)
		key.keystream(v.Probe, s).XORKeyStream(got, got)
		equal("keystream "+string(rune(s)), got, want)
	}
	var payload bytes.Buffer
	if err := sendPayload(&payload, key.keystream(v.Probe, fromAsker), PayloadSize); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(payload.Bytes())
	equal("payload", sum[:], v.Payload)
}

func TestWirePageShowsTheVectors(t *testing.T) {
	b, err := os.ReadFile("../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(b)), "")
	var all map[string]string
	if b, err = os.ReadFile("testdata/vectors.json"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range all {
		if !strings.Contains(page, strings.Join(strings.Fields(value), "")) {
			t.Errorf("docs/wire.md does not show %s: %s", name, value)
		}
	}
}

func TestKeyIsNormalisedAsSpecified(t *testing.T) {
	for _, text := range []string{
		" correct horse\tbattery staple  dial\u00a0tone\r\n", // U+00A0 is white space too
		"correct-horse-battery-staple-dial-tone",
		"Correct-HORSE-battery-staple-dial-tone",
		"\ufeff\u201ccorrect\u2011horse\u2013battery\u200b staple \u00addial\u2014tone\u201d.", // as a word processor has it, docs/wire.md section 1
	} {
		if k, err := ParseKey(text); err != nil || k != rightKey {
			t.Errorf("%q is another key (%v)", text, err)
		}
	}
	if mustKey("corect-horse-battery-staple-dial-tone") == rightKey {
		t.Error("other words are the same key")
	}
	for _, text := range []string{"", "  ", "elevenchars", "éééééééééé\xff\xfe", strings.Repeat("x", maxKeyLength+1)} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%.20q is taken for a key", text)
		}
	}
	if _, err := ParseKey("äöüäöüäöüäöü"); err != nil {
		t.Errorf("twelve characters are refused: %v", err)
	}
}

func TestKeyPrintsAsNothing(t *testing.T) {
	for _, s := range []string{rightKey.String(), rightKey.GoString()} {
		if s != "(key)" {
			t.Errorf("key prints as %q", s)
		}
	}
}

func TestNewKeyTextsAreSixWordsAndDiffer(t *testing.T) {
	a, err := NewKeyText()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := NewKeyText()
	// The list has four words with a hyphen of their own.
	if n := strings.Count(a, "-"); n < 5 || a == b {
		t.Errorf("%q, %q", a, b)
	}
	if _, err := ParseKey(a); err != nil {
		t.Error(err)
	}
}
