package result

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"dialtone/internal/plan"
)

// MaxReport is the most that a report may have, in bytes, wherever it comes
// from. The largest plan makes one of less than a megabyte.
const MaxReport = 16 << 20

// errCutOff is a file that ends too early.
var errCutOff = errors.New("it ends in the middle: the file was cut off; copy it again, whole")

// ParseReport reads a report as Encode writes it, of no more than limit bytes,
// from a file, a progress file or another end. What it returns is within bounds,
// and holds no value that this release does not know; that it claims no more
// than its evidence bears is merge.Sound's to see to. The error says what is
// wrong and what to do.
func ParseReport(b []byte, limit int64) (*Report, error) {
	room := Room{Bytes: limit, Objects: limit / bytesOfObject}
	return room.Parse(b, limit)
}

// A Room is what several reports may take together, in bytes and in objects of JSON.
type Room struct{ Bytes, Objects int64 }

// Parse is ParseReport, and takes from the room.
func (m *Room) Parse(b []byte, limit int64) (*Report, error) {
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("it is larger than %d MiB, and no report is", limit>>20)
	}
	b = toUTF8(b)
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("it is empty; give a file that dial --out FILE.json wrote")
	}
	objects, err := bounded(b, limit)
	if err != nil {
		return nil, fmt.Errorf("%w; give a file that dial --out FILE.json wrote", err)
	}
	if m.Bytes, m.Objects = m.Bytes-int64(len(b)), m.Objects-objects; m.Bytes < 0 || m.Objects < 0 {
		return nil, errors.New("with those before it, it is more than this program keeps at a time; give fewer files at a time")
	}
	var form struct {
		Schema *string `json:"schema"`
	}
	if err := decode(b, &form); err != nil {
		return nil, err
	}
	if err := checkSchema(form.Schema); err != nil {
		return nil, err
	}
	r := &Report{}
	if err := decode(b, r); err != nil {
		return nil, err
	}
	if err := check(r); err != nil {
		return nil, fmt.Errorf("%w; the file was changed, or comes from a newer release of Dialtone", err)
	}
	return r, nil
}

// toUTF8 converts what PowerShell's > makes of a program's output, and drops a
// byte order mark.
func toUTF8(b []byte) []byte {
	little, big := bytes.HasPrefix(b, []byte{0xff, 0xfe}), bytes.HasPrefix(b, []byte{0xfe, 0xff})
	if !little && !big {
		return bytes.TrimPrefix(b, []byte("\ufeff"))
	}
	units := make([]uint16, 0, len(b)/2)
	for pair := range slices.Chunk(b[2:len(b)-len(b)%2], 2) {
		if little {
			units = append(units, uint16(pair[0])|uint16(pair[1])<<8)
		} else {
			units = append(units, uint16(pair[1])|uint16(pair[0])<<8)
		}
	}
	return []byte(string(utf16.Decode(units)))
}

// decode reads one JSON value that is all of b.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	err := d.Decode(v)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && syntax.Offset >= int64(len(bytes.TrimRight(b, " \r\n\t"))):
		return errCutOff
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: it is not JSON (%v); give a file that dial --out FILE.json wrote", line(b, syntax.Offset), err)
	case errors.As(err, &typ) && typ.Field == "" && typ.Value != "array": // a text that begins like a number
		return fmt.Errorf("line %d: it is not JSON of a report (it begins with a %s); give a file that dial --out FILE.json wrote", line(b, typ.Offset), typ.Value)
	case errors.As(err, &typ):
		return fmt.Errorf("line %d: %s is %s, which no report has there; give a file that dial --out FILE.json wrote", line(b, typ.Offset), cmp.Or(typ.Field, "the whole"), typ.Value)
	case err != nil:
		return fmt.Errorf("%w; give a file that dial --out FILE.json wrote", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the end of the report; give each report a file of its own", line(b, d.InputOffset()))
	}
	return nil
}

// line is the number of the line in which an offset lies.
func line(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(max(offset, 0), int64(len(b)))], []byte("\n"))
}

func checkSchema(schema *string) error {
	name, version, _ := strings.Cut(Schema, "/")
	switch {
	case schema == nil:
		return fmt.Errorf("it is JSON and no report: it has no \"schema\"; give a file that dial --out FILE.json wrote")
	case *schema == Schema:
		return nil
	case *schema == ComparisonSchema:
		return errors.New("it is a comparison that dial compare made; give the reports that it was made of")
	case *schema == MatrixSchema:
		return errors.New("it is a matrix that dial merge made; give the reports that it was made of")
	}
	own, _ := strconv.Atoi(version)
	if other, v, ok := strings.Cut(*schema, "/"); ok && other == name {
		if n, err := strconv.Atoi(v); err == nil && n > own {
			return fmt.Errorf("it is a report of form %d, and this release reads form %d; use a newer release of Dialtone", n, own)
		}
	}
	return fmt.Errorf("its schema is %.60q and not %q; give a file that dial --out FILE.json wrote", *schema, Schema)
}

// known holds the values of each enumeration that a report may have. An empty one
// says nothing; where that will not do, decisive says so.
var known = func() map[reflect.Type][]string {
	m := map[reflect.Type][]string{}
	add(m, plan.Forward, plan.Reverse)
	add(m, plan.TCP, plan.UDP)
	add(m, plan.ExpectOpen, plan.ExpectClosed)
	add(m, IP4, IP6)
	add(m, ModePaths, ModeInstalled, ModeEgress, ModeListen, ModeBrowser)
	add(m, Verdicts...)
	add(m, ProofNone, ProofPlain, ProofBrowser, ProofService, ProofSeen, ProofKeyed)
	add(m, FetchAnswered, FetchFailed, FetchTimeout, FetchForbidden)
	add(m, ConnectOpen, ConnectTimeout, ConnectRST, ConnectICMP, ConnectDenied, ConnectNoRoute, ConnectFailed)
	add(m, AnswerKeyed, AnswerWrongKey, AnswerForbidden, AnswerVersion, AnswerOwn, AnswerForeign, AnswerEchoed, AnswerClosed, AnswerReset, AnswerSilent, AnswerICMP)
	add(m, TransferIntact, TransferCorrupted, TransferStalled, TransferReset, TransferClosed, TransferUnknown)
	add(m, ConversationCompleted, ConversationRefused, ConversationForeign, ConversationUnread, ConversationSilent, ConversationClosed, ConversationReset, ConversationNotHeld)
	add(m, RefuserService, RefuserTLS, RefuserBetween)
	add(m, Reasons...)
	add(m, StageBegun, StageGreeted, StageTLSBegun, StageTLS, StageAccepted)
	add(m, SpeakerInitiator, SpeakerAcceptor)
	add(m, IdleSurvived, IdleSilent, IdleReset, IdleClosed, IdleNotHeld)
	add(m, PortUnknown, PortBound, PortBusy, PortUnbound)
	add(m, SawUnknown, SawNothing, SawHalfOpen, SawWaiting, SawAccepted)
	add(m, PurposeProof, PurposeSample, PurposeStudy, PurposeConversation, PurposeControl, PurposeHold, PurposeLook, PurposeOrdinary)
	add(m, DrawnConnect, DrawnBind)
	add(m, ReachedNothing, ReachedConnected, ReachedProved, ReachedDone)
	add(m, EndedWell, EndedSilent, EndedReset, EndedClosed, EndedICMP, EndedForeign, EndedElsewhere, EndedCut, EndedLocal, EndedUnknown)
	add(m, MatchProbe, MatchRun, MatchAddress, MatchTime)
	add(m, RelationLater, RelationElsewhere, RelationOtherTarget)
	add(m, Aspects...)
	add(m, ChangeWorse, ChangeBetter, ChangeStill, ChangeBroken, ChangeUnknown, ChangeFirst)
	return m
}()

func add[T ~string](m map[reflect.Type][]string, all ...T) {
	for _, v := range all {
		m[reflect.TypeFor[T]()] = append(m[reflect.TypeFor[T]()], string(v))
	}
}

// check returns the first thing that is wrong with a report.
func check(r *Report) error {
	if r.Run == "" || len(r.Run) > 64 {
		return errors.New("run is missing or too long")
	}
	if err := checkValue("", "", reflect.ValueOf(r)); err != nil {
		return err
	}
	return decisive(r)
}

// checkValue looks through all that a report holds, so that a field that is
// added later is within the same bounds: v is called key, and lies in at.
func checkValue(at, key string, v reflect.Value) error {
	if t, ok := v.Interface().(Time); ok {
		return within(at, checkTime(key, t))
	}
	if all, ok := known[v.Type()]; ok && v.String() != "" {
		return within(at, oneOf(key, v.String(), all))
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkValue(at, key, v.Elem())
		}
	case reflect.Int:
		if (key == "port" || strings.HasSuffix(key, "_port")) && (v.Int() < 0 || v.Int() > 65535) {
			return within(at, fmt.Errorf("%d is no port", v.Int()))
		}
	case reflect.Slice:
		if most := cmp.Or(maxOf[key], maxList); v.Len() > most {
			return within(at, fmt.Errorf("it has %d %s, and %d are the most", v.Len(), key, most))
		}
		for i := range v.Len() {
			if err := checkValue(at, fmt.Sprintf("%s[%d]", key, i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if key != "" {
			at = strings.TrimPrefix(at+"."+key, ".")
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" || name == "" {
				continue // what a type from elsewhere holds it checked itself
			}
			if err := checkValue(at, name, v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// decisive returns the first value that is missing and must not be.
func decisive(r *Report) error {
	if err := oneOf("mode", string(r.Mode), known[reflect.TypeFor[Mode]()]); err != nil {
		return err
	}
	type value struct {
		at, key, value string
	}
	var all []value
	for i, p := range r.Paths {
		at := fmt.Sprintf("paths[%d]", i)
		all = append(all, value{at, "verdict", string(p.Verdict)}, value{at, "direction", string(p.Direction)}, value{at, "transport", string(p.Transport)},
			value{at, "family", string(p.Family)}, value{at, "expect", string(p.Expect)}, value{at, "proof", string(p.Proof)})
		if p.Acceptor != nil {
			all = append(all, value{at + ".acceptor", "saw", string(p.Acceptor.Saw)})
		}
	}
	if r.Listened != nil {
		for i, l := range r.Listened.Ports {
			all = append(all, value{fmt.Sprintf("listened.ports[%d]", i), "state", string(l.State)})
		}
		for i, v := range r.Listened.Arrivals {
			all = append(all, value{fmt.Sprintf("listened.arrivals[%d]", i), "saw", string(v.Saw)})
		}
	}
	for _, v := range all {
		if v.value == "" {
			return fmt.Errorf("%s: %s is missing", v.at, v.key)
		}
	}
	return nil
}

// within says where in a report an error is.
func within(at string, err error) error {
	if err == nil || at == "" {
		return err
	}
	return fmt.Errorf("%s: %w", at, err)
}

func oneOf(name, got string, known []string) error {
	if slices.Contains(known, got) {
		return nil
	}
	return fmt.Errorf("%s is %.60q, which this release does not know", name, got)
}

// checkTime wants a time that can be written again; null is the zero time.
func checkTime(name string, t Time) error {
	if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9000) {
		return fmt.Errorf("%s: year %d", name, y)
	}
	return nil
}
