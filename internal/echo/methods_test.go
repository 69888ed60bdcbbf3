package echo

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pion/stun/v3"
)

// wireSection is the text of one numbered section of docs/wire.md.
func wireSection(t *testing.T, number int) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(b), fmt.Sprintf("\n## %d. ", number))
	if !ok {
		t.Fatalf("docs/wire.md has no section %d", number)
	}
	section, _, _ := strings.Cut(after, "\n## ")
	return section
}

// Both ends go by one table, and docs/wire.md has the same messages: none more,
// none less, under the same names and numbers.
func TestWirePageHasTheControlMessages(t *testing.T) {
	ours := map[string]string{} // name → number and types, as the page has them
	for n, h := range handlers {
		number, name := h.is()
		if number != n || ours[name] != "" {
			t.Errorf("%s has number %#x and stands under %#x, or stands there twice", name, number, n)
		}
		types := fmt.Sprintf("0x%X", uint16(number))
		for i, class := range []stun.MessageClass{stun.ClassRequest, stun.ClassSuccessResponse, stun.ClassErrorResponse} {
			types += []string{" | ", ", ", ", "}[i] + fmt.Sprintf("0x%04X", stun.NewType(number, class).Value())
		}
		ours[name] = types
	}

	listed := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\w+) \| (0x[^|]* \| 0x.*) \|$`).FindAllStringSubmatch(wireSection(t, 6), -1) {
		if listed[row[1]] != "" {
			t.Errorf("docs/wire.md section 6 lists %s twice", row[1])
		}
		listed[row[1]] = row[2]
	}
	if !maps.Equal(ours, listed) {
		t.Errorf("docs/wire.md section 6 lists\n%v\nand the table of messages has\n%v", listed, ours)
	}

	var described []string
	for _, h := range regexp.MustCompile(`(?m)^### 7\.\d+ (.*)$`).FindAllStringSubmatch(wireSection(t, 7), -1) {
		described = append(described, regexp.MustCompile(`, | and `).Split(h[1], -1)...)
	}
	slices.Sort(described)
	if names := slices.Sorted(maps.Keys(ours)); !slices.Equal(described, names) {
		t.Errorf("docs/wire.md section 7 describes\n%v\nand the table of messages has\n%v", described, names)
	}
}

// A request that has no keys is one whatever stands in its place, JSON or not.
func TestBareRequestsAreNotLookedAt(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	c := prove(t, at, newAsk())
	defer guard(within(t, guardTime), c.conn)()
	for _, body := range []string{`"x"`, `[1]`, `{"new":{}}`, "\x00", ""} {
		for _, number := range []stun.Method{methodHello.number, methodCollect.number} {
			req, err := c.request(number, nothing{})
			if err != nil {
				t.Fatal(err)
			}
			m, _ := stun.Build(req, req.Type)
			m.Add(stun.AttrNonce, c.nonce)
			m.Add(attrCounter, u32(c.counter))
			m.Add(attrBody, []byte(body))
			if err := rightKey.seal(m); err != nil {
				t.Fatal(err)
			}
			if _, err := c.conn.Write(m.Raw); err != nil {
				t.Fatal(err)
			}
			if _, err := c.response(m); err != nil {
				t.Errorf("%#x with %q: %v", number, body, err)
			}
		}
	}
}

// isBare reports whether a request has no keys.
func (d method[Req, Resp]) isBare() bool {
	var req Req
	_, bare := any(req).(nothing)
	return bare
}

// What is refused is refused by its name, in the same words for every message.
func TestWhatIsNotUnderstoodIsRefusedByName(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	c := prove(t, at, newAsk())
	refused := 0
	for number, h := range handlers {
		if h.declared.(interface{ isBare() bool }).isBare() {
			continue
		}
		_, name := h.is()
		_, err := method[any, nothing]{number: number}.ask(within(t, guardTime), c, []int{1})
		if want := "the far end refused: 400 a " + name + " request that this version does not understand"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		refused++
	}
	if refused < 12 {
		t.Errorf("%d messages refused", refused)
	}
	unknown := slices.Max(slices.Collect(maps.Keys(handlers))) + 1
	_, err := method[any, nothing]{number: unknown}.ask(within(t, guardTime), c, nothing{})
	if err == nil || err.Error() != "the far end refused: 400 a method that this version does not know" {
		t.Errorf("%v", err)
	}
}
