// Package selfcheck tries on the machine it runs on what this program takes for granted
// of a system, and writes down what it saw. It is for systems that nobody had at hand
// when the program was written (docs/windows.md, "nobody has verified"): a tester runs
// it there and sends the file back.
package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"dialtone/internal/plan"
)

// A State is how a point came out.
type State int

// The states. The zero value is none.
const (
	_        State = iota
	Expected       // as the program takes it to be
	Differs        // not so
	Unknown        // this system, or this user's rights, do not let it be known
	NotHere        // a matter of another system
	Told           // there is nothing to expect: what was seen is told
)

// String names it as the file has it.
func (s State) String() string {
	return [...]string{"?", "as expected", "DIFFERS", "not known", "not here", "told"}[s]
}

// A Point is one thing that was tried.
type Point struct {
	ID    string
	Asks  string // what is asked, and expected
	State State
	Seen  []string // in the system's own words and numbers
	Took  time.Duration
}

// Config is what a Report is made for.
type Config struct {
	Program string     // dial or listen
	Version string     // in one line
	Plan    *plan.Plan // whose ports are tried
	Dir     string     // where files may be made
	// Color asks a terminal for colours, and reports whether it has them.
	Color func(*os.File) bool
	// WritePrivate writes a file that its owner alone may read.
	WritePrivate func(name string, b []byte) error
}

// A Report is what one run found.
type Report struct {
	Config
	At     time.Time
	Points []Point
}

const (
	// within bounds one point, allWithin all of them.
	within    = 30 * time.Second
	allWithin = 3 * time.Minute
	// maxSeen bounds the lines of one point, maxLine each of them, in bytes.
	maxSeen = 200
	maxLine = 400
)

// A try is a point to be tried. It ends with its context, or is left alone.
type try struct {
	id, asks string
	run      func(context.Context, Config) (State, []string)
}

// Run tries every point, one after the other. It sends nothing to another machine, and
// changes nothing: it binds ports for a moment, and makes a file that it removes.
func Run(ctx context.Context, c Config) Report {
	return runAll(ctx, c, slices.Concat(everywhere, systems), within)
}

func runAll(ctx context.Context, c Config, tries []try, each time.Duration) Report {
	r := Report{Config: c, At: time.Now().UTC()}
	ctx, cancel := context.WithTimeout(ctx, allWithin)
	defer cancel()
	hide := hider()
	for _, t := range tries {
		p := t.point(ctx, c, each)
		if len(p.Seen) > maxSeen {
			p.Seen = append(p.Seen[:maxSeen:maxSeen], fmt.Sprintf("… and %d lines more", len(p.Seen)-maxSeen))
		}
		for i, l := range p.Seen {
			p.Seen[i] = line(hide(l))
		}
		r.Points = append(r.Points, p)
	}
	return r
}

func (t try) point(ctx context.Context, c Config, each time.Duration) Point {
	p := Point{ID: t.id, Asks: t.asks, State: Unknown}
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	type answer struct {
		state State
		seen  []string
	}
	got := make(chan answer, 1)
	start := time.Now()
	go func() {
		defer func() {
			if r := recover(); r != nil {
				got <- answer{Differs, []string{fmt.Sprintf("the program failed: %v", r)}}
			}
		}()
		state, seen := t.run(ctx, c)
		got <- answer{state, seen}
	}()
	// A call of the system that does not come back keeps nobody.
	select {
	case a := <-got:
		p.State, p.Seen = a.state, a.seen
	case <-ctx.Done():
		p.Seen = []string{fmt.Sprintf("it did not end within %v", each)}
	}
	p.Took = time.Since(start)
	return p
}

// line makes text from a system fit for one line of the file.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + "…"
	}
	return s
}

// hider takes out who this machine and this user are.
func hider() func(string) string {
	type hidden struct {
		re *regexp.Regexp
		in string
	}
	var all []hidden
	add := func(what, in string) {
		if len(what) >= 3 && !strings.EqualFold(what, "root") {
			// Whole words only: a user "adm" does not make "administrator" illegible.
			all = append(all, hidden{regexp.MustCompile(`(?i)(^|[^\pL\pN_])` + regexp.QuoteMeta(what) + `([^\pL\pN_]|$)`), "${1}" + in + "${2}"})
		}
	}
	if dir, err := os.UserHomeDir(); err == nil {
		add(filepath.Clean(dir), "(home)")
	}
	if name, err := os.Hostname(); err == nil {
		add(name, "(machine)")
		short, _, _ := strings.Cut(name, ".")
		add(short, "(machine)")
	}
	if u, err := user.Current(); err == nil {
		add(u.Username, "(user)")
		add(u.Username[strings.LastIndexAny(u.Username, `\/`)+1:], "(user)")
		if strings.HasPrefix(u.Uid, "S-") {
			add(u.Uid, "(user's SID)")
		}
	}
	return func(s string) string {
		for _, h := range all {
			s = h.re.ReplaceAllString(s, h.in)
		}
		return s
	}
}

// count is how many points came out so.
func (r Report) count(s State) (n int) {
	for _, p := range r.Points {
		if p.State == s {
			n++
		}
	}
	return n
}

// Differs reports whether anything is not as the program takes it to be.
func (r Report) Differs() bool { return r.count(Differs) > 0 }

// Summary says in few lines how it came out.
func (r Report) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d points: %d as expected, %d different, %d not known, %d told, %d not of this system.\n",
		len(r.Points), r.count(Expected), r.count(Differs), r.count(Unknown), r.count(Told), r.count(NotHere))
	for _, p := range r.Points {
		if p.State == Differs {
			fmt.Fprintf(&b, "  %s: %s\n", p.ID, p.Asks)
			for _, l := range p.Seen {
				fmt.Fprintf(&b, "      %s\n", l)
			}
		}
	}
	return b.String()
}

// Text is the file.
func (r Report) Text() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s selfcheck, %s\n%s\n\n", r.Program, r.At.Format(time.RFC3339), r.Version)
	b.WriteString("What the program takes for granted of a system, tried on this one. Nothing was sent to another machine.\n" +
		"It holds no key, and neither the name of this machine nor of its user. Look through it before you send it.\n\n")
	b.WriteString(r.Summary())
	for _, p := range r.Points {
		fmt.Fprintf(&b, "\n[%s] %s (%d ms)\n  asked: %s\n", p.State, p.ID, p.Took.Milliseconds(), p.Asks)
		for _, l := range p.Seen {
			fmt.Fprintf(&b, "  seen:  %s\n", l)
		}
	}
	if len(byEye) > 0 {
		b.WriteString("\nWhat only a person can see. Please put an x before what is so, and a word where it is not:\n\n")
		for _, l := range byEye {
			fmt.Fprintf(&b, "  [ ] %s\n", l)
		}
	}
	text := b.String()
	if runtime.GOOS == "windows" {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return []byte(text)
}

// expect is Expected or Differs.
func expect(ok bool) State {
	if ok {
		return Expected
	}
	return Differs
}

// errorWords are an error and the system's own number of it.
func errorWords(err error) string {
	var no syscall.Errno
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &no):
		return fmt.Sprintf("error %d (%s): %v", uint(no), no.Error(), err)
	}
	return err.Error()
}
