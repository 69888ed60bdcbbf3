package echo

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Meet is what one of two ends that dial each other says once it gets
// through: only one of them needs to make the run.
type Meet struct {
	QuietMS int64 `json:"quiet_ms"` // for how long its run may leave the other end alone
}

// A Turn answers a Meet.
type Turn string

const (
	TurnLead   Turn = "lead"   // make the run, and deliver its report
	TurnFollow Turn = "follow" // the answering end makes it: wait for its report
)

// Met is a Turn as it is sent.
type Met struct {
	Turn Turn `json:"turn"`
}

// Leads reports whether of two runs whose ends ask each other at the same time
// the first makes the run. Both ends come to the same answer.
func Leads(a, b ID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// A Delivery hands over a whole report.
type Delivery struct {
	Report []byte `json:"report"` // JSON, compressed with gzip (RFC 1952)
	Last   bool   `json:"last"`   // it holds what the other end asked for besides
	// Board: it is for whoever watches the listener alone, and nobody collects it.
	Board bool `json:"board,omitempty"`
}

// A Receipt answers a Delivery.
type Receipt struct {
	// More: the answering end has further paths to test, such as over another
	// address family. The asking end stays, and gets a report of all of them.
	More bool `json:"more"`
}

// maxReport bounds a delivered report's JSON, in bytes: compressed text may
// claim to be anything.
const maxReport = 4 << 20

// NewDelivery packs a report: the document that a file would have, without its
// indentation.
func NewDelivery(r *result.Report) (Delivery, error) {
	doc, err := result.Encode(r)
	if err != nil {
		return Delivery{}, fmt.Errorf("pack a report: %w", err)
	}
	var dense, packed bytes.Buffer
	if err := json.Compact(&dense, doc); err != nil {
		return Delivery{}, fmt.Errorf("pack a report: %w", err)
	}
	z := gzip.NewWriter(&packed)
	_, err = z.Write(dense.Bytes())
	if err := errors.Join(err, z.Close()); err != nil {
		return Delivery{}, fmt.Errorf("pack a report: %w", err)
	}
	return Delivery{Report: packed.Bytes()}, nil
}

// Open unpacks the report, and checks its form. Its text is the far end's: bound
// and escape it before it is shown. What it claims is the far end's too: hold it
// against its evidence before it is believed (merge.Sound, listener.Vouch).
func (d Delivery) Open() (*result.Report, error) {
	z, err := gzip.NewReader(bytes.NewReader(d.Report))
	if err != nil {
		return nil, fmt.Errorf("unpack a report: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(z, maxReport+1))
	if err != nil {
		return nil, fmt.Errorf("unpack a report: %w", err)
	}
	r, err := result.ParseReport(b, maxReport)
	if err != nil {
		return nil, fmt.Errorf("unpack a report: %w", err)
	}
	return r, nil
}

// Collected is the newest report that was delivered and waits to be fetched.
type Collected struct {
	Delivery *Delivery `json:"delivery"` // null: there is none
	AgeMS    int64     `json:"age_ms"`   // since it was delivered
}

// A Vouch asks a listener of the same machine what it can bear out itself of a
// run whose report came from elsewhere.
type Vouch struct {
	Run    ID      `json:"run"`
	Claims []Claim `json:"claims"` // at most MaxClaims
}

// MaxClaims is how many claims one message may carry.
const MaxClaims = 256

// A Claim is a path that is said to work.
type Claim struct {
	Direction plan.Direction `json:"direction"` // forward: this machine dialed it
	Transport plan.Transport `json:"transport"`
	Port      int            `json:"port"` // that was dialed
	Family    result.Family  `json:"family"`
	// Service: by the service's own conversation, not by the keyed proof.
	Service bool `json:"service"`
}

// A Vouched answers a Vouch.
type Vouched struct {
	Borne []bool `json:"borne"` // of each claim, in the same order
}

// Meet asks the far end which of the two is to make the run.
func (c *Conn) Meet(ctx context.Context, m Meet) (Turn, error) {
	met, err := methodMeet.ask(ctx, c, m)
	if err != nil {
		return "", fmt.Errorf("meet: %w", err)
	}
	return met.Turn, nil
}

// Deliver hands a report over.
func (c *Conn) Deliver(ctx context.Context, d Delivery) (Receipt, error) {
	got, err := methodDeliver.ask(ctx, c, d)
	if err != nil {
		return got, fmt.Errorf("deliver: %w", err)
	}
	return got, nil
}

// Collect fetches the newest report that was delivered to a listener of this
// machine.
func (c *Conn) Collect(ctx context.Context) (Collected, error) {
	got, err := methodCollect.ask(ctx, c, nothing{})
	if err != nil {
		return got, fmt.Errorf("collect: %w", err)
	}
	return got, nil
}

// Vouch asks a listener of this machine what it can bear out itself.
func (c *Conn) Vouch(ctx context.Context, v Vouch) (Vouched, error) {
	got, err := methodVouch.ask(ctx, c, v)
	if err == nil && len(got.Borne) != len(v.Claims) {
		err = fmt.Errorf("%d answers to %d claims", len(got.Borne), len(v.Claims))
	}
	if err != nil {
		return Vouched{}, fmt.Errorf("vouch: %w", err)
	}
	return got, nil
}
