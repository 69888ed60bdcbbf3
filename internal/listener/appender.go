package listener

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// ledgerPatience is how long whoever is answered waits for its line of the ledger. A
	// pipe whose reader stands still, or a disk that is not there any more, must not hold
	// it up.
	ledgerPatience = time.Second
	// maxWaiting bounds the bytes that wait while the ledger stands still.
	maxWaiting = 1 << 20
)

// An appender appends lines to a file, each whole, and flushes them to the disk. Those
// that come while it writes are written and flushed together: on a slow disk many that
// come at once wait no longer than one does. Its zero value is ready for use.
type appender struct {
	mu      sync.Mutex
	now     *batch // is being written; nil: none is
	waiting *batch // is written next; nil: nothing waits
	torn    bool   // the file's last line has no end
	stands  bool   // one that was waited for was not written in time: nobody waits
	failure error  // of the last batch
	lost    int    // lines that are not in the file, since it failed
}

// A disk is a file, or what takes its time like one.
type disk interface {
	io.Writer
	Sync() error
}

// A batch is lines that are written together.
type batch struct {
	to    disk
	text  []byte
	lines int
	done  chan struct{} // closed when it is written, or could not be
}

// append has a line written, and waits until it is on the disk, but not for long. errs
// is told once that it cannot be, and once that it can be again.
func (a *appender) append(to disk, errs io.Writer, line []byte) {
	a.mu.Lock()
	if a.waiting == nil {
		a.waiting = &batch{to: to, done: make(chan struct{})}
	}
	b := a.waiting
	if len(b.text)+len(line) > maxWaiting {
		a.lost++
		a.mu.Unlock()
		return
	}
	b.text = append(b.text, line...)
	b.lines++
	if a.now == nil {
		a.now, a.waiting = b, nil
		go a.write(b, a.torn, errs)
	}
	stands := a.stands
	a.mu.Unlock()
	if stands {
		return
	}
	late := time.NewTimer(ledgerPatience)
	defer late.Stop()
	select {
	case <-b.done:
	case <-late.C:
		a.isLate(b, errs)
	}
}

// write writes a batch, and those that wait by then.
func (a *appender) write(b *batch, torn bool, errs io.Writer) {
	for b != nil {
		text := b.text
		if torn {
			text = append([]byte{'\n'}, text...)
		}
		n, err := b.to.Write(text)
		own := len(text) - len(b.text)
		missing := b.lines - bytes.Count(text[own:max(n, own)], []byte{'\n'})
		if err == nil {
			if err = b.to.Sync(); errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
				err = nil // a pipe or a device: it has no disk to be flushed to
			}
			if err != nil {
				missing = b.lines
			}
		}
		a.mu.Lock()
		if n > 0 {
			a.torn = text[n-1] != '\n'
		}
		a.lost += missing
		a.wrote(err, errs)
		close(b.done)
		a.now, a.waiting = a.waiting, nil
		b, torn = a.now, a.torn
		a.mu.Unlock()
	}
}

// wrote takes in what became of a batch. The lock is held.
func (a *appender) wrote(err error, errs io.Writer) {
	was := a.stands || a.failure != nil
	a.stands, a.failure = false, err
	switch {
	case err != nil && !was:
		tellLedger(errs, err)
	case err == nil && was:
		lacks := "nothing is missing from it"
		if a.lost > 0 {
			lacks = "it lacks " + counted(a.lost, "contact") + " that came in between, only shown above"
		}
		fmt.Fprintf(errs, "listen: the ledger can be written again; %s.\n", lacks)
		a.lost = 0
	}
}

// isLate takes in that a batch was waited for too long.
func (a *appender) isLate(b *batch, errs io.Writer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-b.done: // just now
		return
	default:
	}
	if !a.stands && a.failure == nil {
		tellLedger(errs, os.ErrDeadlineExceeded)
	}
	a.stands = true
}

func tellLedger(errs io.Writer, err error) {
	fmt.Fprintf(errs, "listen: the ledger cannot be written: %v\n  Contacts are still answered and shown here. Free space or mend the file; writing goes on by itself.\n", err)
}

// flush waits until all is written, but no longer than so long.
func (a *appender) flush(within time.Duration) {
	a.mu.Lock()
	b := a.waiting
	if b == nil {
		b = a.now
	}
	a.mu.Unlock()
	if b == nil {
		return
	}
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-b.done:
	case <-late.C:
	}
}

// summary says what the file lacks as it is now, "" if nothing.
func (a *appender) summary() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.lost
	if a.waiting != nil {
		n += a.waiting.lines
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("The ledger lacks %s: it could not be written.\n", counted(n, "contact"))
}
