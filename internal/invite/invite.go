// Package invite makes and reads invitations: one line of text that carries all
// that another institution needs to dial a listener, fit to be pasted into an
// e-mail and found in it again. docs/invitation.md specifies the form.
package invite

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dialtone/internal/echo"
	"dialtone/internal/paste"
)

// An Invitation says how to dial a listener. It holds the key, and prints
// without it.
type Invitation struct {
	Name string // of the institution, for people; "" if it was not given
	// Hosts are names and addresses of the listener as others dial them, the
	// preferred first; one at least.
	Hosts   []string
	KeyText string // the pairing key's text; secret
	// Plan is the plan's name, PlanDigest its digest (plan.Plan.Digest).
	Plan, PlanDigest string
	Shift            int            // of every port that Ports does not set
	Ports            map[string]int // row id to port, where it is not the plan's
	// Rows are the ids of the rows that the two servers are to test between
	// them; none leaves it to the one who dials.
	Rows            []string
	Issued, Expires time.Time // UTC, whole seconds
	By              string    // name and version of the program that made it
}

// Why an invitation is refused: every error of this package wraps one of these.
var (
	ErrNone    = errors.New("this is no invitation")
	ErrCutOff  = errors.New("the invitation is cut off")
	ErrAltered = errors.New("the invitation was altered on its way")
	ErrExpired = errors.New("the invitation has expired")
	ErrNewer   = errors.New("the invitation is of another version")
	ErrInvalid = errors.New("the invitation is whole, but of no use")
	ErrSeveral = errors.New("there is more than one invitation")
	ErrPlan    = errors.New("the invitation is for another plan")
	ErrRow     = errors.New("the invitation names a row that its plan does not have")
)

// Skew is how far the clocks of the two ends may differ without a word.
const Skew = 5 * time.Minute

// MaxHosts is how many names and addresses an invitation holds.
const MaxHosts = 16

// Bounds of what else it holds.
const (
	maxRows  = 256
	maxWords = 100 // characters of Name and of By
	maxText  = 64  // bytes of a plan's name and of a row's id
	maxPort  = 65535
)

// String says who invites, without the key.
func (i Invitation) String() string {
	host := "nowhere"
	if len(i.Hosts) > 0 {
		host = i.Hosts[0]
	}
	if i.Name == "" {
		return host
	}
	return fmt.Sprintf("%s (%s)", i.Name, host)
}

// GoString says who invites, without the key.
func (i Invitation) GoString() string { return "invite.Invitation(" + i.String() + ")" }

// ClockDoubt says that the clocks of the two ends do not agree, as far as an
// invitation shows it; "" if it does not.
func (i Invitation) ClockDoubt(now time.Time) string {
	ahead := i.Issued.Sub(now)
	if ahead <= Skew {
		return ""
	}
	return fmt.Sprintf("The invitation was made at %s, and by this machine's clock it is only %s: one of the two clocks is wrong, by %v at least. Set it right, or the times in the two ends' reports will not agree.",
		stamp(i.Issued), stamp(now), ahead.Round(time.Second))
}

// check finds what must not be in an invitation, whoever made it.
func (i Invitation) check() error {
	if _, err := echo.ParseKey(i.KeyText); err != nil {
		return err
	}
	for _, part := range []func() error{i.checkWords, i.checkHosts, i.checkPlan, i.checkTimes} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (i Invitation) checkWords() error {
	for _, s := range []string{i.Name, i.By} {
		if utf8.RuneCountInString(s) > maxWords || !printable(s) {
			return fmt.Errorf("%.100q is no name: use at most %d characters that can be printed", s, maxWords)
		}
	}
	return nil
}

func (i Invitation) checkHosts() error {
	if n := len(i.Hosts); n == 0 || n > MaxHosts {
		return fmt.Errorf("%d names and addresses: give 1 to %d", n, MaxHosts)
	}
	for _, h := range i.Hosts {
		// Which cable a zone means only its own machine knows.
		if host, err := paste.Host(h); err != nil || !printable(h) || strings.Contains(host, "%") {
			return fmt.Errorf("%.100q is no name or address that a partner could dial: give it without port or path", h)
		}
	}
	return nil
}

func (i Invitation) checkPlan() error {
	if len(i.Rows) > maxRows || len(i.Ports) > maxRows {
		return fmt.Errorf("more than %d rows: leave some out", maxRows)
	}
	names := append([]string{i.Plan, i.PlanDigest}, i.Rows...)
	for id, port := range i.Ports {
		if names = append(names, id); port < 1 || port > maxPort {
			return fmt.Errorf("port %d of row %.100q: use one of 1 to %d", port, id, maxPort)
		}
	}
	for _, s := range names {
		if s == "" || len(s) > maxText || !printable(s) {
			return fmt.Errorf("%.100q is no name of a plan or row", s)
		}
	}
	if i.Shift < -maxPort || i.Shift > maxPort {
		return fmt.Errorf("port shift %d: use one within %d", i.Shift, maxPort)
	}
	return nil
}

func (i Invitation) checkTimes() error {
	if i.Issued.IsZero() || !i.Expires.After(i.Issued) {
		return fmt.Errorf("made at %s, to expire at %s: give it some time", stamp(i.Issued), stamp(i.Expires))
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// hosts returns names and addresses in their usual form; what is none of them
// stays, for check to find.
func hosts(list []string) []string {
	var out []string
	for _, h := range list {
		if usual, err := paste.Host(h); err == nil {
			h = usual
		}
		out = append(out, h)
	}
	return out
}
