package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/page"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// serving is one run of listen.
type serving struct {
	cli.Common
	roles  []plan.Role
	screen *cli.Spool // standard output
	words  io.Writer  // for people
	errs   io.Writer
	// What was given, for the command that dial is to be run with.
	planArg, siteArg string
	keyFile          string // of --key-file; ""
	portArgs         []string
	quoteNotes       []string   // what other shells want of that command's arguments
	inviteFile, name string     // "": no invitation; no name in it
	public           []string   // what partners dial; none: this machine's addresses
	contact          int        // TCP port for control conversations beside the plan's; 0: none
	user             *sock.User // whom it becomes once all is bound; nil: it stays who it is
	offers           []string   // files of --downloads
	who              *listener.Attendance
	out              *reporting // of --out; nil: none
	page             *page.Page // that browsers get
	dashboard        *dashboard // nil: none
	board            *board     // on a terminal; nil: elsewhere
}

func serve(c *ucli.Context) error {
	if _, err := cli.Positional(c, 0); err != nil {
		return err
	}
	common, err := cli.ReadCommon(c)
	if err != nil {
		return err
	}
	// What it shows must not keep it from answering.
	screen := cli.NewSpool(c.App.Writer)
	s := &serving{
		Common: common, screen: screen, words: screen, errs: c.App.ErrWriter,
		planArg: cli.String(c, "plan"), siteArg: cli.String(c, "site"), portArgs: cli.Strings(c, "port"),
		keyFile: absolute(cli.String(c, "key-file")), inviteFile: c.String("invite"), name: paste.Value(c.String("name")), public: c.StringSlice("public"),
	}
	screen.OnGap = func(dropped int, over bool) string {
		words := fmt.Sprintf("nobody reads what is shown here; so far %d lines were not shown. Contacts are answered and written to the ledger all the same.", dropped)
		if over {
			words = fmt.Sprintf("%d lines were not shown before this, since nobody read them.", dropped)
		}
		if over && s.words == io.Writer(screen) { // in its place, where no program reads
			return "listen: " + words + "\n"
		}
		fmt.Fprintf(s.errs, "listen: %s\n", words)
		return ""
	}
	defer func() {
		screen.Close(700 * time.Millisecond)
		if n := screen.Dropped(); n > 0 {
			fmt.Fprintf(s.errs, "listen: %d lines were not shown, since nobody read them.\n", n)
		}
	}()
	if cli.Bool(c, "json") {
		s.words = c.App.ErrWriter
	}
	if s.roles, err = plan.ParseRoles(s.Plan, cli.Values(c, "role")); err != nil {
		return cli.Usage(err, "")
	}
	allowed, err := parseAllowed(cli.Values(c, "allow"))
	if err != nil {
		return err
	}
	ownKey := s.KeyText == ""
	if ownKey {
		if s.KeyText, err = echo.NewKeyText(); err != nil {
			return err
		}
	}
	key, err := s.Key()
	if err != nil {
		return err
	}
	if bits := echo.KeyBits(s.KeyText); !ownKey && bits < echo.WeakKey {
		s.sayWeakKey(bits)
	}
	if s.KeyText, err = paste.Key(s.KeyText); err != nil { // as everybody is told it
		return cli.Pasted(err)
	}
	for i, p := range s.public {
		if s.public[i], err = cli.Host(p); err != nil {
			return cli.Of("--public", err)
		}
	}
	if s.user, err = readUser(c); err != nil {
		return err
	}
	if s.contact = c.Int("contact"); s.contact < 0 || s.contact > 65535 {
		return cli.Usagef("Give a free TCP port that dial can reach, such as 8999.", "--contact %d", s.contact)
	}
	beside := cli.Bool(c, "beside")
	if beside && s.contact == 0 {
		return cli.Usagef("With --beside nothing of the plan is bound, and dial has to ask somebody: give --contact PORT, a free TCP port that dial can reach, here and for dial.", "--beside without --contact")
	}
	journal := &listener.Journal{JSON: c.Bool("json"), Out: screen, Err: c.App.ErrWriter}
	if file := c.String("ledger"); file != "" && !c.Bool("check") {
		if journal.Ledger, err = openLedger(file, s.errs); err != nil {
			return err
		}
		defer journal.Close()
	}
	s.who = listener.NewAttendance(s.Plan, s.roles, s.Shift)
	if !c.Bool("check") {
		s.watch(journal)
		defer s.board.end()
	}
	if !c.Bool("check") {
		if s.out, err = readReporting(c); err != nil {
			return err
		}
	}
	files, names, closeFiles, err := s.downloads(c.String("downloads"))
	if err != nil {
		return err
	}
	defer closeFiles()
	s.offers = names
	s.page = s.newPage()
	if !c.Bool("check") {
		if s.dashboard, err = newDashboard(c.Context, c.String("dashboard"), s.errs); err != nil {
			return err
		}
	}
	l := listener.New(listener.Config{
		Key: key, Software: cli.Software, Plan: s.Plan, Roles: s.roles, Ports: s.Plan.Ports(s.roles),
		Beside: beside, ContactPort: s.contact, Shift: s.Shift, Addrs: s.Bind, Allowed: allowed, Partners: s.partners(c.Context), OnEvent: func(c listener.Event) {
			journal.Write(c)
			if s.who.Take(c) {
				s.board.changed()
			}
		},
		Lines: s.lines(), Future: s.future(), Web: s.page.Serve, OnReport: s.dashboard.onReport(), Downloads: files, OnUnseen: s.unseen(runtime.GOOS), OnTrouble: func(what string) { fmt.Fprintf(s.errs, "listen: %s\n", what) },
	})
	failed := l.Bind(c.Context)
	another := s.another(c.Context, key, failed)
	if c.Bool("check") {
		l.Close()
		if another != nil {
			fmt.Fprintf(s.errs, "listen: %v\n", s.anotherRuns(another))
		}
		return s.check(l, failed)
	}
	if another != nil {
		l.Close()
		return s.anotherRuns(another)
	}
	s.openPage(l)
	s.sayFailed(failed)
	s.sayFewHops(sock.TTLTowards)
	if len(l.Bound()) == 0 {
		return &cli.Failure{Code: cli.ExitNothing, Err: errors.New("no port could be bound"), Hint: "Mend what is said above, or use --port-shift 10000 here and for dial."}
	}
	return s.run(c, l, journal)
}

// run answers until it is told to stop or its time is up.
func (s *serving) run(c *ucli.Context, l *listener.Listener, journal *listener.Journal) error {
	limit := c.Duration("for")
	if limit <= 0 {
		return cli.Usagef("Give a time such as 8h or 30m.", "--for %v", limit)
	}
	sayFirewall := s.askFirewall(c.Context)
	invitation, err := s.invitation(time.Now(), limit)
	if err != nil {
		return err
	}
	if err := s.out.open(); err != nil {
		return err
	}
	kept := s.keepRecord(l, time.Now().Add(limit))
	defer kept.End()
	if err := s.become(l, c.String("ready-file")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, limit)
	defer cancel()
	if file := c.String("ready-file"); file != "" {
		// Nobody must take an earlier run's file for ours.
		if err := cli.RemoveFile(file); err != nil {
			return cli.Usage(fmt.Errorf("--ready-file: %w", err), "Give a file in a directory that can be written.")
		}
	}
	var watching sync.WaitGroup
	watching.Go(func() { s.dashboard.serve(ctx) })
	defer watching.Wait()
	defer cancel()
	var readyErr error
	var keeping sync.WaitGroup
	err = l.Serve(ctx, func(taken []*listener.BindError) {
		since, run := sock.Now(), echo.NewID()
		if s.out != nil {
			s.out.make = func(goesOn bool) *result.Report { return s.reportOf(l, journal, run, since, goesOn) }
			s.out.tell = func(format string, args ...any) { fmt.Fprintf(s.errs, "listen: "+format+"\n", args...) }
			s.out.write(true)
			keeping.Go(func() { s.out.keep(ctx, writeAgain) })
		}
		s.sayFailed(taken)
		s.sayReady(l, time.Now().Add(limit), invitation)
		sayFirewall(l.Bound())
		s.board.begin()
		if file := c.String("ready-file"); file != "" {
			s.board.flush()
			s.screen.Flush(time.Second) // whoever waits for the file reads what was said
			if readyErr = writeReady(file, l); readyErr != nil {
				cancel()
			}
		}
		debug.FreeOSMemory()   // that the key was stretched in
		_ = sock.GiveUpFiles() // all that is written is open: a hole that anybody finds is to write no more
	})
	if readyErr != nil {
		return cli.Usage(fmt.Errorf("--ready-file: %w", readyErr), "Give a file in a directory that can be written.")
	}
	keeping.Wait()
	s.board.end()
	outErr := s.out.end()
	fmt.Fprint(s.words, "\n", journal.Summary())
	if s.isFromOutside() {
		fmt.Fprint(s.words, "\n", journal.Came(s.Plan.Ports(s.roles)))
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		fmt.Fprintf(s.words, "Stopped after %v (--for).\n", limit)
	}
	return cmp.Or(err, outErr)
}

// absolute is the name of a file for who is in another directory.
func absolute(name string) string {
	if name == "" {
		return ""
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

func parseAllowed(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, item := range list {
		if a, err := paste.Addr(item); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, cli.Usagef("Write networks as 192.0.2.0/24 or addresses as 192.0.2.10.", "--allow %q", item)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// openLedger opens a ledger to append to it. A record that was not written to its end
// is told to errs.
func openLedger(file string, errs io.Writer) (*os.File, error) {
	f, err := cli.OpenFile(file, os.O_APPEND|os.O_WRONLY)
	if err == nil {
		// Find out now, not at the first event, that the disk is full.
		if _, err = f.WriteString(""); err == nil && f.Sync() != nil {
			err = nil // some files, such as pipes, cannot be flushed
		}
	}
	if err == nil && isCutShort(file) {
		fmt.Fprintf(errs, "listen: the last record of %s is not whole: whatever wrote it was ended in the middle (killed, or the machine went down).\n  It stays on a line of its own, and new records go below it.\n", file)
		_, err = f.WriteString("\n")
	}
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--ledger: %w", err), "Give a file that can be appended to, or leave --ledger out.")
	}
	return f, nil
}

// isCutShort reports whether a file's last line has no end. Of what is no file, or
// cannot be read, that is not known.
func isCutShort(name string) bool {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}
