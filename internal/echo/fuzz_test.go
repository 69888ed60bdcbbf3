package echo

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/result"
)

// seeds are whole messages of every kind, and beginnings of other protocols.
func seeds(f *testing.F) {
	v := readVectors(f)
	for _, s := range []string{v.Request, v.Answer4, v.Answer6, v.Hello, v.Transfer, v.WrongKey} {
		f.Add(fromHex(f, s))
	}
	plain, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	f.Add(plain.Raw)
	f.Add(slices.Concat(plain.Raw, fromHex(f, v.Request), fromHex(f, v.Hello)))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0x16, 3, 1, 2, 0, 1})
	f.Add([]byte{})
}

func FuzzReadMessage(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &endless{b: slices.Clone(b)}
		m, raw, err := readMessage(r, maxFirst)
		if len(raw) > maxFirst || r.n > maxFirst {
			t.Fatalf("took %d bytes and kept %d", r.n, len(raw))
		}
		if err != nil {
			return
		}
		if len(raw) != headerSize+int(m.Length) {
			t.Fatalf("%d bytes for a length of %d", len(raw), m.Length)
		}
		_ = rightKey.check(m)
		_, _ = getXORMapped(m)
		_, _ = getOrigin(m)
		_, _ = getID(m, attrRun)
		_, _ = getU32(m, attrCounter)
		_ = unknownRequired(m)
	})
}

// FuzzAnswer: whatever a stranger says, nothing is done for it, it gets no
// proof, and it is left in the end.
func FuzzAnswer(f *testing.F) {
	seeds(f)
	key := mustKey("a key that no seed has")
	f.Fuzz(func(t *testing.T, b []byte) {
		asker, answerer := pipe()
		h := &fakeHost{}
		a := &Answerer{Key: key, Host: h, Patience: guardTime}
		go func() {
			_, _ = asker.Write(b)
			asker.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, asker) }()
		over := make(chan ended, 1)
		go func() {
			k, first := a.Answer(t.Context(), answerer)
			answerer.Close()
			over <- ended{k, first}
		}()
		select {
		case e := <-over:
			if e.kind == KindAsked || h.did() != 0 || slices.Contains(h.kinds(), KindAsked) || len(e.first) > maxFirst {
				t.Errorf("%s, %d bytes, told %v, did %d", e.kind, len(e.first), h.kinds(), h.did())
			}
		case <-time.After(guardTime):
			t.Error("a hang")
		}
	})
}

func FuzzAnswerPacket(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &fakeHost{}
		resp, kind := newAnswerer(h).AnswerPacket(someone, here, b)
		if len(resp) > len(b) || h.did() != 0 {
			t.Errorf("%s: %d bytes for %d", kind, len(resp), len(b))
		}
		m, err := decode(b)
		if resp != nil && (err != nil || rightKey.check(m) != nil) {
			t.Errorf("answered without the key")
		}
	})
}

// FuzzVerify: no answer proves the key that was not sealed with it.
func FuzzVerify(f *testing.F) {
	seeds(f)
	v := readVectors(f)
	key := mustKey("a key that no seed has")
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		req, err := decode(fromHex(t, v.Request))
		if err != nil {
			t.Fatal(err)
		}
		ask := Ask{Key: key, Run: v.Run, Probe: v.Probe, Flow: v.Flow}
		if p, _, err := ask.verify(m, b, req); err == nil {
			t.Errorf("proved %+v", p)
		}
	})
}

// controlMethods are the numbers of all control messages, from the smallest on: what
// is new in the table is fuzzed too.
var controlMethods = slices.Sorted(maps.Keys(handlers))

// askBare asks with a request of zero values.
func (d method[Req, Resp]) askBare(ctx context.Context, c *Conn) error {
	var req Req
	_, err := d.ask(ctx, c, req)
	return err
}

// FuzzControlAnswers: what a holder of the key may put into the body of an answer
// never makes the asking end fail, or take more than it asked for.
func FuzzControlAnswers(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, `"x"`, `{"answers":[{"saw":"accepted"}],"paused":[{}]}`, `{"halves":[{"probe":"00"}]}`, `{"conversations":[{"speaks":"tds"}]}`,
		`{"instance":"00112233445566778899aabbccddeeff","bound":{"tcp4":[1,2]},"busy":[{"port":1}],"clock":-1}`, `{"report":"H4sIAAAAAAAA"}`, `{"borne":[true]}`, `{"received":9223372036854775807}`,
	} {
		for m := range controlMethods {
			f.Add([]byte(s), uint8(m))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, method uint8) {
		if len(body) > maxMessage-1024 {
			return
		}
		asker, answerer := pipe()
		defer asker.Close()
		nonce := []byte(NewID().String())
		go func() {
			defer answerer.Close()
			m, _, err := readMessage(answerer, maxMessage)
			if err != nil {
				return
			}
			far := &answering{Answerer: newAnswerer(&fakeHost{}), ctx: t.Context(), conn: answerer, nonce: nonce, counter: 1, peer: Peer{Key: rightKey}}
			far.write(m, stun.ClassSuccessResponse, attrBody, body)
		}()
		c := &Conn{conn: asker, ask: newAsk(), nonce: nonce}
		ctx := within(t, guardTime)
		var err error
		switch asked := controlMethods[int(method)%len(controlMethods)]; asked {
		case methodTransfer.number:
			if got := c.Receive(ctx, 1); got.Outcome == result.TransferIntact {
				t.Errorf("a byte came of %q", body)
			}
		case methodWitness.number:
			w, werr := c.Witness(ctx, make([]WitnessQuery, 1))
			if err = werr; err == nil && len(w.Answers) != 1 {
				t.Errorf("%d answers to one query", len(w.Answers))
			}
		case methodDialBack.number:
			h, herr := c.DialBack(ctx, DialBack{Paths: make([]BackPath, 1)})
			if err = herr; err == nil && len(h) != 1 {
				t.Errorf("%d halves of one path", len(h))
			}
		case methodConverseBack.number:
			v, verr := c.ConverseBack(ctx, ConverseBack{Paths: make([]BackPath, 1)})
			if err = verr; err == nil && len(v) != 1 {
				t.Errorf("%d conversations of one path", len(v))
			}
		case methodVouch.number:
			v, verr := c.Vouch(ctx, Vouch{Claims: make([]Claim, 1)})
			if err = verr; err == nil && len(v.Borne) != 1 {
				t.Errorf("%d answers to one claim", len(v.Borne))
			}
		default:
			err = handlers[asked].declared.(interface {
				askBare(context.Context, *Conn) error
			}).askBare(ctx, c)
		}
		if isTimeout(err) {
			t.Errorf("a hang: %v", err)
		}
	})
}

// FuzzDelivery: what a far end delivers is a report, or refused; and it is given back
// as it came.
func FuzzDelivery(f *testing.F) {
	for _, s := range []string{`{}`, `{"schema":"dialtone.report/1","run":"x","mode":"paths","paths":[]}`, `[[[[`, ""} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(s))
		_ = z.Close()
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:b.Len()-5])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxMessage {
			return
		}
		r, err := Delivery{Report: b}.Open()
		if (err == nil) == (r == nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if err != nil {
			return
		}
		if d, err := NewDelivery(r); err == nil {
			if _, err := d.Open(); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzControlBodies: what a holder of the key may put into a body never makes
// the answering end fail, or hold more than it should.
func FuzzControlBodies(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, `{"queries":[{"probe":"00","began_ms":-1}]}`,
		`{"timeout_ms":1,"bytes":1,"paths":[{"flow":"odyssey","transport":"tcp","port":7968}]}`,
		`{"host":"h","summary":{"verdicts":{"open":1,"x":2}},"broken":["a\nb"]}`,
		`{"from":"asker","bytes":0,"deadline_ms":1}`, `{"from":"\u001b","bytes":9223372036854775807,"deadline_ms":-9223372036854775808}`,
	} {
		for m := range controlMethods {
			f.Add([]byte(s), uint8(m))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, method uint8) {
		if len(body) > maxMessage-1024 {
			return
		}
		asked := controlMethods[int(method)%len(controlMethods)]
		var o transferOrder
		var wait holdOrder
		switch {
		case asked == methodTransfer.number && json.Unmarshal(body, &o) == nil && o.Bytes > 0:
			return // a payload of its own would have to follow
		case asked == methodHold.number && json.Unmarshal(body, &wait) == nil && wait.GapMS > 10, asked == methodBacklog.number:
			return // it is meant to wait
		}
		asker, answerer := pipe()
		h := &fakeHost{}
		go func() { newAnswerer(h).Answer(t.Context(), answerer); answerer.Close() }()
		defer asker.Close()
		c, err := Prove(within(t, guardTime), asker, newAsk())
		if err != nil {
			t.Fatal(err)
		}
		req, err := c.request(asked, json.RawMessage(nil))
		if err != nil {
			t.Fatal(err)
		}
		m, _ := stun.Build(req, req.Type)
		m.Add(stun.AttrNonce, c.nonce)
		m.Add(attrCounter, u32(c.counter))
		m.Add(attrBody, body)
		if err := rightKey.seal(m); err != nil {
			t.Fatal(err)
		}
		defer guard(within(t, guardTime), asker)()
		go func() { _, _ = asker.Write(m.Raw) }()
		resp, err := c.response(m)
		if isTimeout(err) {
			t.Errorf("a hang: %v", err)
		}
		_ = resp
		for _, s := range h.submitted {
			if len(s.Broken) > maxBroken || len(s.Host) > 253 || len(s.Summary.Verdicts) > 32 {
				t.Errorf("kept %+v", s)
			}
		}
		for _, d := range h.dialed {
			if len(d.Paths) > MaxDialBack || d.Bytes > maxTransfer || d.TimeoutMS <= 0 {
				t.Errorf("to dial %+v", d)
			}
		}
	})
}

// Whatever a datagram holds, it is believed only if it answers our question.
func FuzzMapped(f *testing.F) {
	req, err := plainBinding()
	if err != nil {
		f.Fatal(err)
	}
	req.TransactionID = [stun.TransactionIDSize]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	req.WriteHeader()
	from := netip.MustParseAddrPort("192.0.2.7:50000")
	for _, b := range honest(req, from) {
		f.Add(b)
		f.Add(b[:len(b)-8]) // without FINGERPRINT
	}
	f.Add(req.Raw)
	f.Add(message(req, stun.BindingError, stun.CodeForbidden))
	to := netip.MustParseAddrPort("192.0.2.1:3478")
	f.Fuzz(func(t *testing.T, b []byte) {
		out := MappedPacket{Err: context.DeadlineExceeded}
		x := exchange{pending: map[[stun.TransactionIDSize]byte]*asked{req.TransactionID: {req: req, to: to, out: &out}}}
		x.take(bytes.Clone(b), to)
		if (out.Err == nil) != out.SeenAs.IsValid() || out.Err == nil && !bytes.Contains(b, req.TransactionID[:]) {
			t.Errorf("%+v", out)
		}
		x.take(bytes.Clone(b), netip.MustParseAddrPort("192.0.2.2:3478"))
		if len(out.Software) > maxFlow {
			t.Errorf("%d bytes of software", len(out.Software))
		}
	})
}
