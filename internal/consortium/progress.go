// Package consortium tests the partners of a list side by side. Which were tested
// already it remembers in a file, so that a long run that was interrupted goes on where
// it stopped. The file holds whole reports and no key.
package consortium

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dialtone/internal/merge"
	"dialtone/internal/result"
)

// schema names the form of the file: a line of JSON that says so, then one for
// each partner. A last line that was cut off does not count.
const schema = "dialtone.progress/1"

// MaxSize is the most that a file of progress may have, in bytes; a report
// between two servers has some ten kilobytes.
const MaxSize = 256 << 20

// ErrForeign is a file that holds something else, which is left alone.
var ErrForeign = errors.New("this is no progress of dial odyssey --peers")

type header struct {
	Schema string `json:"schema"`
}

// entry is a partner that was tested.
type entry struct {
	Partner string          `json:"partner"` // name in the list
	Test    string          `json:"test"`    // digest of what was tested
	Report  json.RawMessage `json:"report"`
}

// Progress is a file of what was tested. Only one program may use it at a time.
type Progress struct {
	f    *os.File
	done map[key]*result.Report
	room result.Room // for what is read
}

type key struct{ partner, test string }

// Open reads what an earlier run left in a file, which is open for reading and
// writing and is the Progress' from then on. With again that is dropped. The file is
// to be its owner's alone: who may send to whom is nobody else's business.
func Open(f *os.File, again bool) (*Progress, error) {
	p := &Progress{f: f, done: map[key]*result.Report{}, room: result.Room{Bytes: MaxSize, Objects: 1 << 20}}
	whole, err := p.read(f)
	if err == nil && again {
		whole, p.done = 0, map[key]*result.Report{}
	}
	if err == nil {
		err = p.cut(whole)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("progress: %s: %w", f.Name(), err)
	}
	return p, nil
}

// read reads all whole lines, and returns how many bytes they are.
func (p *Progress) read(from io.Reader) (whole int64, err error) {
	r := bufio.NewReaderSize(io.LimitReader(from, MaxSize), 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && whole == 0 && len(line) > 0 && !bytes.HasPrefix(firstLine(), line):
			return 0, ErrForeign
		case errors.Is(err, io.EOF):
			return whole, nil // what is left was being written when it ended
		case err != nil:
			return 0, err
		case whole == 0 && !bytes.Equal(line, firstLine()):
			return 0, ErrForeign
		case whole > 0:
			p.take(line)
		}
		whole += int64(len(line))
	}
}

// take takes a line. One that is damaged is of no use, and its partner is tested
// again.
func (p *Progress) take(line []byte) {
	var e entry
	if json.Unmarshal(line, &e) != nil {
		return
	}
	if r, err := p.room.Parse(e.Report, result.MaxReport); err == nil {
		p.done[key{e.Partner, e.Test}] = merge.Sound(r) // whoever can write the file can claim anything
	}
}

// cut drops what follows the whole lines, and begins a file that has none.
func (p *Progress) cut(whole int64) error {
	if err := p.f.Truncate(whole); err != nil {
		return err
	}
	if _, err := p.f.Seek(whole, io.SeekStart); err != nil || whole > 0 {
		return err
	}
	return p.append(firstLine())
}

func firstLine() []byte {
	b, _ := json.Marshal(header{schema}) // a string cannot fail
	return append(b, '\n')
}

// Report is that of an earlier run for a partner and the digest of its test; nil
// if there is none.
func (p *Progress) Report(partner, test string) *result.Report { return p.done[key{partner, test}] }

// Add keeps a complete report. It is on the disk when Add returns.
func (p *Progress) Add(partner, test string, r *result.Report) error {
	c := *r
	c.Listened = nil // it is of the listener that all partners share
	report, err := result.Encode(&c)
	if err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	b, err := json.Marshal(entry{partner, test, report})
	if err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	if err := p.append(append(b, '\n')); err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	return nil
}

func (p *Progress) append(line []byte) error {
	if _, err := p.f.Write(line); err != nil {
		return err
	}
	return p.f.Sync()
}

// Close ends the use of the file and leaves it for the next run.
func (p *Progress) Close() error { return p.f.Close() }

// Remove ends the use of the file and removes it: everything is tested.
func (p *Progress) Remove() error {
	err := p.f.Close()
	if removed := os.Remove(p.f.Name()); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}
