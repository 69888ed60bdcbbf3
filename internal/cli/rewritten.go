package cli

import (
	"os"
)

// A Rewritten is a file that is written again and again, whole each time, by a program
// that may be able to open none any more by then. Since it is open all the while it is
// written where it is: who reads it at that very moment may see it half.
type Rewritten struct {
	Name   string
	f      *os.File
	isFile bool
}

// OpenRewritten opens it. What it has stays until it is written. A new one is as
// WriteFile makes it.
func OpenRewritten(name string) (*Rewritten, error) {
	p, err := placeOf(name)
	if err != nil {
		return nil, err
	}
	r := &Rewritten{Name: name, isFile: p.isFile()}
	if r.isFile {
		r.f, err = OpenFile(name, os.O_WRONLY)
	} else {
		r.f, err = p.openUnread()
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// IsFile reports whether it can be written more than once: a pipe or a device has all
// that was written to it.
func (r *Rewritten) IsFile() bool { return r.isFile }

// Write puts b in the place of what it has.
func (r *Rewritten) Write(b []byte) error {
	if !r.isFile {
		_, err := r.f.Write(b)
		return err
	}
	info, err := r.f.Stat()
	if err != nil {
		return err
	}
	return overwrite(r.f, info.Size(), b)
}

// IsThere reports whether it is still what its name leads to.
func (r *Rewritten) IsThere() bool {
	if !r.isFile {
		return true
	}
	open, err := r.f.Stat()
	named, err2 := os.Stat(r.Name)
	return err == nil && err2 == nil && os.SameFile(open, named)
}

// Close closes it.
func (r *Rewritten) Close() error { return r.f.Close() }
