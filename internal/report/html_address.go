package report

import (
	"cmp"
	"fmt"
	"strings"

	"dialtone/internal/result"
)

var addressPage = htmlTemplate("address.html")

// renderAddressHTML makes a page of an address report.
func renderAddressHTML(r *result.AddressReport, _ Options) ([]byte, error) {
	s := sheet{
		Kind: "Address report", Title: "Address report: " + cmp.Or(r.Host, "this machine"), Class: classes[markUnknown.word], Answer: addressAnswer(r),
		Limits: "This speaks for this machine, and for those who were asked.", Tool: r.Tool,
	}
	if len(r.Findings) > 0 && !r.Interrupted {
		switch r.Findings[0].Code {
		case result.CodePublish, result.CodePublishedConfirmed:
			s.Class = classes[markOK.word] // it leads here, which was tested
		case result.CodeNothingLearned:
			s.Class = classes[markBroken.word]
		}
	}
	b := addressBody{Pictures: addressPictures(r), Mappings: labelled(mappingWords(r.Mappings)), Facts: labelled(addressFacts(r))}
	if len(r.Findings) > 0 {
		b.Findings = r.Findings[1:]
		if advice := r.Findings[0].Advice; advice != "" {
			s.Next = append(s.Next, todo{advice, ""})
		}
	}
	for i, row := range viewRows(r.Views) {
		var words []string
		for _, c := range row {
			words = append(words, c.s)
		}
		if i == 0 {
			b.Heads = words
			continue
		}
		b.Views = append(b.Views, words)
	}
	s.Body = b
	return renderHTML(addressPage, s)
}

// An addressBody is what a page has of an address report beside its frame.
type addressBody struct {
	Findings []result.Finding
	Pictures []picture
	Heads    []string
	Views    [][]string
	Mappings []labelledTexts
	Facts    []labelledTexts
}

// addressPictures draws who saw this machine as what, and who reached it at which
// address.
func addressPictures(r *result.AddressReport) []picture {
	left := box{Name: "This machine", Lines: addressLines(r.Own)}
	out := picture{Title: "Who sees this machine as what", Left: left, Right: box{Name: "Those who were asked"}}
	in := picture{Title: "Whether those addresses lead here", Left: left, Right: box{Name: "Those who dialed"}}
	type seen struct{ observer, over, as string }
	drawn := map[seen]bool{}
	for _, v := range r.Views {
		l := lane{Class: classes[markOK.word], State: "not seen: " + string(v.Outcome), From: percent(0, false), To: percent(1, false), Symbol: "arrow"}
		switch {
		case v.Outcome == result.ViewAnswered && v.SeenAs.IsValid():
			l.By, l.State = "seen as "+v.SeenAs.Addr().String(), v.SeenAs.Addr().String()
			if v.Source.IsValid() && !result.IsSameAddr(v.Source.Addr(), v.SeenAs.Addr()) {
				out.translate(fmt.Sprintf("NAT: %s is seen as %s", v.Source.Addr(), v.SeenAs.Addr()))
			}
		case v.Outcome == result.ViewUnresolved, v.Outcome == result.ViewUnreachable:
			l.Class, l.To, l.Symbol = classes[markUnknown.word], percent(0.03, false), "stop"
		default:
			l.Class, l.To, l.Symbol = classes[markUnknown.word], percent(0.5, false), "unknown"
		}
		k := seen{v.Observer, string(v.Transport), l.State}
		if drawn[k] {
			continue
		}
		drawn[k] = true
		l.name(strings.TrimSuffix(v.Observer+" over "+strings.ToUpper(string(v.Transport)), " over "))
		out.Lanes = append(out.Lanes, l)
	}
	for _, i := range r.Inbound {
		l := lane{Class: classes[markBroken.word], State: "NO " + string(i.Outcome), From: percent(0, true), To: percent(0.5, true), Symbol: "unknown", Mirrored: true}
		switch i.Outcome {
		case result.InboundReached:
			l.Class, l.State, l.To, l.Symbol = classes[markOK.word], "ok "+string(i.Outcome), percent(1, true), "arrow"
		case result.InboundArrived:
			l.To, l.Symbol = percent(1, true), "flaw"
		case result.InboundUntried:
			l.Class, l.State, l.To = classes[markUnknown.word], "? "+string(i.Outcome), percent(0.03, true)
		}
		l.name(strings.TrimSuffix(fmt.Sprintf("%s dialed %s", i.Observer, i.Target), " dialed invalid AddrPort"))
		in.Lanes = append(in.Lanes, l)
	}
	var pics []picture
	for _, p := range []picture{out, in} {
		if len(p.Lanes) > 0 {
			p.lay()
			pics = append(pics, p)
		}
	}
	return pics
}

// addressLines are the first of a machine's addresses.
func addressLines(all []string) []string {
	if len(all) > 2 {
		return []string{all[0], fmt.Sprintf("and %d more", len(all)-1)}
	}
	return all
}
