package merge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// MaxSize is the most that a report may have, in bytes. The largest plan makes
// one of less than a megabyte.
const MaxSize = 16 << 20

// Most that a report may hold of each.
const (
	maxPaths    = 4096
	maxArrivals = 16384
	maxFailed   = 1024
)

// errCutOff is a file that ends too early.
var errCutOff = errors.New("it ends in the middle: the file was cut off; copy it again, whole")

// Parse reads a report as dial writes it with --out FILE.json. What it returns
// is within bounds, and holds no value that this release does not know. The
// error says what is wrong and what to do.
func Parse(b []byte) (*result.Report, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("it is larger than %d MiB, and no report is", MaxSize>>20)
	}
	b = toUTF8(b)
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("it is empty; give a file that dial --out FILE.json wrote")
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
	r := &result.Report{}
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
	case errors.As(err, &typ):
		return fmt.Errorf("line %d: %s is %s, which no report has there; give a file that dial --out FILE.json wrote", line(b, typ.Offset), orElse(typ.Field, "the whole"), typ.Value)
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
	name, version, _ := strings.Cut(result.Schema, "/")
	switch {
	case schema == nil:
		return fmt.Errorf("it is JSON and no report: it has no \"schema\"; give a file that dial --out FILE.json wrote")
	case *schema == result.Schema:
		return nil
	case *schema == result.MatrixSchema:
		return errors.New("it is a matrix that dial merge made; give the reports that it was made of")
	}
	own, _ := strconv.Atoi(version)
	if other, v, ok := strings.Cut(*schema, "/"); ok && other == name {
		if n, err := strconv.Atoi(v); err == nil && n > own {
			return fmt.Errorf("it is a report of form %d, and this release reads form %d; use a newer release of Dialtone", n, own)
		}
	}
	return fmt.Errorf("its schema is %.60q and not %q; give a file that dial --out FILE.json wrote", *schema, result.Schema)
}

// check returns the first thing that is wrong with a report.
func check(r *result.Report) error {
	if r.Run == "" || len(r.Run) > 64 {
		return errors.New("run is missing or too long")
	}
	if len(r.Paths) > maxPaths {
		return fmt.Errorf("it has %d paths, and %d are the most", len(r.Paths), maxPaths)
	}
	if err := oneOf("mode", r.Mode, result.ModePaths, result.ModeInstalled, result.ModeEgress); err != nil {
		return err
	}
	if err := checkTimes("started", r.Started); err != nil {
		return err
	}
	for i := range r.Paths {
		if err := checkPath(&r.Paths[i]); err != nil {
			return fmt.Errorf("paths[%d]: %w", i, err)
		}
	}
	if r.Listened != nil {
		if err := checkListened(r.Listened); err != nil {
			return fmt.Errorf("listened: %w", err)
		}
	}
	if r.Joined != nil {
		if err := checkTimes("joined", r.Joined.Started); err != nil {
			return err
		}
	}
	return nil
}

func checkPath(p *result.Path) error {
	if err := errors.Join(
		oneOf("verdict", p.Verdict, result.Verdicts...),
		oneOf("direction", p.Direction, plan.Forward, plan.Reverse),
		oneOf("transport", p.Transport, plan.TCP, plan.UDP),
		oneOf("family", p.Family, result.IP4, result.IP6),
		oneOf("expect", p.Expect, plan.ExpectOpen, plan.ExpectClosed),
		oneOf("proof", p.Proof, result.ProofNone, result.ProofPlain, result.ProofService, result.ProofKeyed),
		checkPort(p.Port), checkPort(p.PlanPort), checkTimes("at", p.At),
	); err != nil {
		return firstOf(err)
	}
	if i := p.Initiator; i != nil {
		if len(i.Failed) > maxFailed {
			return fmt.Errorf("%d earlier attempts, and %d are the most", len(i.Failed), maxFailed)
		}
		times := []time.Time{i.At}
		for _, f := range i.Failed {
			times = append(times, f.At)
		}
		if err := checkTimes("initiator", times...); err != nil {
			return err
		}
		if err := oneOf("connect", i.Connect, "", result.ConnectOpen, result.ConnectTimeout, result.ConnectRST, result.ConnectICMP,
			result.ConnectDenied, result.ConnectNoRoute, result.ConnectFailed); err != nil {
			return err
		}
	}
	if a := p.Acceptor; a != nil {
		if err := oneOf("saw", a.Saw, result.SawUnknown, result.SawNothing, result.SawHalfOpen, result.SawAccepted); err != nil {
			return err
		}
		if j := a.Joined; j != nil {
			return checkTimes("joined", j.Attempt, j.Since, j.Until, j.Arrived)
		}
	}
	return nil
}

func checkListened(l *result.Listened) error {
	if len(l.Arrivals) > maxArrivals || len(l.Ports) > maxPaths {
		return fmt.Errorf("%d arrivals at %d ports, and %d and %d are the most", len(l.Arrivals), len(l.Ports), maxArrivals, maxPaths)
	}
	if err := checkTimes("since, until", l.Since, l.Until); err != nil {
		return err
	}
	for i, p := range l.Ports {
		if err := errors.Join(checkPort(p.Port), oneOf("state", p.State, result.PortUnknown, result.PortBound, result.PortBusy, result.PortUnbound)); err != nil {
			return fmt.Errorf("ports[%d]: %w", i, firstOf(err))
		}
	}
	for i, v := range l.Arrivals {
		if err := errors.Join(checkPort(v.Port), checkTimes("first, last", v.First, v.Last),
			oneOf("saw", v.Saw, result.SawUnknown, result.SawNothing, result.SawHalfOpen, result.SawAccepted)); err != nil {
			return fmt.Errorf("arrivals[%d]: %w", i, firstOf(err))
		}
	}
	return nil
}

// firstOf is the first of joined errors: one thing at a time.
func firstOf(err error) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()[0]
	}
	return err
}

func oneOf[T ~string](name string, got T, known ...T) error {
	if slices.Contains(known, got) {
		return nil
	}
	return fmt.Errorf("%s is %.60q, which this release does not know", name, string(got))
}

func checkPort(n int) error {
	if n < 0 || n > 65535 {
		return fmt.Errorf("%d is no port", n)
	}
	return nil
}

// checkTimes wants times that can be written again; null is the zero time.
func checkTimes(name string, times ...time.Time) error {
	for _, t := range times {
		if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9000) {
			return fmt.Errorf("%s: year %d", name, y)
		}
	}
	return nil
}
