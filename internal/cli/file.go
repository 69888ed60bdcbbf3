package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// WriteFile writes what a name leads to. A file is written whole or not at all
// where that is possible: to a temporary file beside it, flushed, then renamed. A
// link is followed. What cannot be replaced without losing what it is (another
// user's file, one with several names or with access rules of its own, one that is
// mounted by itself) is written in place. A pipe or device is written and stays
// one; a pipe that nobody reads is waited for a little. A new file is its owner's
// alone: the user's who called sudo, if that was it.
func WriteFile(name string, b []byte) error { return put(name, b, false) }

// WritePrivate is WriteFile for what nobody else may read: a file that was there
// keeps neither owner nor mode.
func WritePrivate(name string, b []byte) error { return put(name, b, true) }

func put(name string, b []byte, private bool) error {
	p, err := placeOf(name)
	switch {
	case err != nil:
	case p.isFile():
		err = p.replace(b, private)
	default:
		err = p.pour(b)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// OpenFile opens a file that is written bit by bit, with a flag as os.OpenFile takes
// it, and makes it if there is none. A new one is as WriteFile makes it. A pipe that
// nobody reads is waited for a little.
func OpenFile(name string, flag int) (*os.File, error) {
	info, err := os.Stat(name)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		p, err := placeOf(name)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		f, err := p.openUnread()
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		return f, nil
	}
	f, err := os.OpenFile(name, flag|os.O_CREATE, 0o600)
	if err == nil && isNew {
		giveToCaller(f)
	}
	return f, err
}

// CheckFile reports what would keep WriteFile from writing to a name, as far as
// that can be known without changing anything.
func CheckFile(name string) error {
	p, err := placeOf(name)
	switch {
	case err != nil || !p.isFile():
		return err
	case p.old != nil:
		var f *os.File
		if f, err = os.OpenFile(p.path, os.O_WRONLY, 0); err == nil {
			err = f.Close()
		}
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(p.path), temporary)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// CheckPlain reports what is no plain file by its own name, for what is read again and
// may be written to no other place. Nothing is there yet is none of that.
func CheckPlain(name string) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file but a %s", name, kindOf(info.Mode()))
	}
	return nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "link"
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	}
	return "device"
}

// RemoveFile removes a file of an earlier run, so that nobody takes it for this
// run's. Where it cannot be removed it is emptied. What is no file stays.
func RemoveFile(name string) error {
	p, err := placeOf(name)
	if err != nil || !p.isFile() || p.old == nil {
		return err
	}
	if os.Remove(p.path) == nil {
		return nil
	}
	return os.Truncate(p.path, 0)
}

// IsSameFile reports whether two names lead to one file.
func IsSameFile(a, b string) bool {
	p, err := placeOf(a)
	q, err2 := placeOf(b)
	if err != nil || err2 != nil || !p.isFile() || !q.isFile() {
		return false
	}
	if p.old != nil && q.old != nil {
		return os.SameFile(p.old, q.old)
	}
	return p.path == q.path
}

// temporary is how files are named that are being written.
const temporary = ".dialtone-*"

// A place is what a name leads to.
type place struct {
	path string      // behind all links, if it is a file
	old  fs.FileInfo // nil: there is nothing yet
	fd   int         // of this program's, if it leads to one of those; else -1
}

// isFile reports whether it is a file, or may become one.
func (p place) isFile() bool { return p.fd < 0 && (p.old == nil || p.old.Mode().IsRegular()) }

func placeOf(name string) (place, error) {
	p := place{path: name, fd: -1}
	var err error
	p.old, err = os.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, cause(err) // a link that the system does not follow is not followed here
	}
	if p.path, p.fd, err = follow(name); err != nil || p.fd >= 0 {
		return p, err
	}
	switch {
	case p.old != nil && p.old.IsDir():
		return p, errDirectory
	case p.old == nil:
		dir := filepath.Dir(p.path)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return p, fmt.Errorf("no directory %s", dir)
		}
	}
	return p, nil
}

// errDirectory is a name that leads to a directory.
var errDirectory = errors.New("it is a directory")

// maxLinks is how many links are followed, as on Linux (path_resolution(7)).
const maxLinks = 40

// follow follows links up to what is none, or is nothing yet. A link to an open
// file of this program is that.
func follow(name string) (string, int, error) {
	for range maxLinks {
		if fd := descriptorOf(name); fd >= 0 {
			return name, fd, nil
		}
		info, err := os.Lstat(name)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return name, -1, nil // what is wrong with it shows when it is written
		}
		to, err := os.Readlink(name)
		if err != nil {
			return name, -1, cause(err)
		}
		if !filepath.IsAbs(to) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(name))
			if err != nil {
				return name, -1, cause(err)
			}
			to = filepath.Join(dir, to)
		}
		name = to
	}
	return name, -1, errors.New("too many links")
}

// cause is an error without the name of a file, which the caller adds.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// replace puts a new file in a file's place; if the new one could not be like the
// old one, it writes that.
func (p place) replace(b []byte, private bool) error {
	create := func(dir string) (*os.File, error) { return os.CreateTemp(dir, temporary) }
	if private {
		create = createPrivate
	}
	f, err := create(filepath.Dir(p.path))
	if err == nil {
		defer os.Remove(f.Name()) // a no-op once it is renamed
		if p.old == nil || private {
			giveToCaller(f)
		} else {
			err = makeLike(f, p.path, p.old)
		}
		if err == nil {
			_, err = f.Write(b)
			err = errors.Join(err, flush(f))
		}
		if err = errors.Join(err, f.Close()); err == nil {
			if err = os.Rename(f.Name(), p.path); err == nil {
				return nil
			}
		}
	}
	if p.old == nil || private || isFull(err) { // in place it would be cut off
		return err
	}
	return p.overwrite(b)
}

// overwrite writes a file where it is.
func (p place) overwrite(b []byte) error {
	f, err := os.OpenFile(p.path, os.O_WRONLY, 0)
	if err != nil {
		return cause(err)
	}
	return errors.Join(overwrite(f, p.old.Size(), b), f.Close())
}

// overwrite puts b in the place of what a file has, so many bytes. What needs more room
// than the old content has comes first: where there is none, that stays as it was.
func overwrite(f *os.File, size int64, b []byte) error {
	had := min(size, int64(len(b)))
	var err error
	if _, err = f.WriteAt(b[had:], size); err == nil && had < int64(len(b)) {
		err = flush(f)
	}
	if err != nil {
		return errors.Join(err, f.Truncate(size))
	}
	if _, err = f.WriteAt(b[:had], 0); err == nil {
		err = f.Truncate(int64(len(b)))
	}
	return errors.Join(err, flush(f))
}

// flush has a file put on the disk, if it has one.
func flush(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil // some file systems and devices have nothing to be flushed
	}
	return err
}

const (
	// readerWithin is how long a pipe is waited for that nobody reads yet.
	readerWithin = 10 * time.Second
	// readerPause is how often that is tried.
	readerPause = 50 * time.Millisecond
)

// pour writes into what is no file.
func (p place) pour(b []byte) error {
	f, err := p.openUnread()
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// openUnread opens what is no file, and waits for whoever reads a pipe.
func (p place) openUnread() (*os.File, error) {
	f, err := p.open()
	isPipe := p.old != nil && p.old.Mode()&fs.ModeNamedPipe != 0
	for until := time.Now().Add(readerWithin); isPipe && isUnread(err); f, err = p.open() {
		if time.Now().After(until) {
			return nil, errors.New("nobody reads this pipe")
		}
		time.Sleep(readerPause)
	}
	return f, cause(err)
}
