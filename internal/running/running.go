// Package running keeps a record of each listen that runs on this machine, so that one
// that is started beside it knows whom it finds on its ports.
//
// A record is two files: what anybody may know, as far as they may look into the
// directory, and the key, for the same user alone. That it holds is shown by a lock on
// the first, which ends with the program however that ends.
package running

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"dialtone/internal/clean"
)

// A Port is one that a listen has.
type Port struct {
	Transport string         `json:"transport"`
	At        netip.AddrPort `json:"at"`
}

// A Record is one listen.
type Record struct {
	PID     int       `json:"pid"`
	User    string    `json:"user"`
	Started time.Time `json:"started"`
	Until   time.Time `json:"until"`
	Plan    string    `json:"plan"`
	Tag     string    `json:"tag"`     // of its key
	Network string    `json:"network"` // that its ports are of, where a machine has several; "": its one
	Ports   []Port    `json:"ports"`
	Flags   string    `json:"flags"` // by which dial means the same ports, with a space before
	// KeyFile is where its key is kept.
	KeyFile string `json:"key_file"`
}

// Found is a listen that runs.
type Found struct {
	Record
	Key string // "": this user may not read it
}

const (
	// maxRecord and maxRecords bound what is read: in a user's own directory may be
	// anything.
	maxRecord  = 256 << 10
	maxRecords = 256
	// maxText bounds each text of a record, in letters.
	maxText = 4096
	// maxKey is more than any key has.
	maxKey = 8 << 10
)

// A Place is where records are.
type Place struct {
	own  string   // directory of this user's; "": there is none
	dirs []string // that may have records which this user may read
}

// A Kept is the record of this program. A nil Kept is of a program that has none.
type Kept struct {
	record, key *os.File
	names       []string
}

// Keep writes the record of this program. key is kept beside it unless it is "", as one
// that has a file already.
func (p Place) Keep(r Record, key string) (*Kept, error) {
	if p.own == "" {
		return nil, errors.New("this user has no directory for what runs")
	}
	err := os.MkdirAll(p.own, dirMode())
	if err != nil {
		return nil, err
	}
	p.Others() // which clears up
	k := &Kept{}
	name := filepath.Join(p.own, fmt.Sprintf("listen-%d", r.PID))
	if key != "" {
		r.KeyFile = name + ".key"
		if k.key, err = create(r.KeyFile, 0o600); err == nil {
			_, err = k.key.WriteString(key + "\n")
		}
	}
	if err == nil {
		k.record, err = createLocked(name + ".json")
	}
	k.names = []string{r.KeyFile, name + ".json"}
	if key == "" {
		k.names = k.names[1:] // that file is somebody's own
	}
	var b []byte
	if err == nil {
		b, err = json.Marshal(r)
	}
	if err == nil {
		_, err = k.record.Write(append(b, '\n'))
	}
	if err != nil {
		k.End()
		return nil, err
	}
	return k, nil
}

// create makes a file anew: whatever an ended program left under its name is gone.
func create(name string, mode os.FileMode) (*os.File, error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	return f, f.Chmod(mode) // whatever the umask is
}

// createLocked makes a record that nobody sees before it is locked: one that is not is
// what an ended program left.
func createLocked(name string) (*os.File, error) {
	first := name
	if runtime.GOOS != "windows" { // where no open file is renamed, nor removed by others
		first = strings.TrimSuffix(name, ".json") + ".new"
	}
	f, err := create(first, 0o644)
	if err != nil {
		return nil, err
	}
	if err = lock(f); err == nil && first != name {
		err = os.Rename(first, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(first))
	}
	return f, nil
}

// End takes the record away. A program that may remove nothing any more empties it, and
// the next one removes it.
func (k *Kept) End() {
	if k == nil {
		return
	}
	for _, f := range []*os.File{k.key, k.record} {
		if f != nil {
			_ = f.Truncate(0)
			_ = f.Close()
		}
	}
	for _, name := range k.names {
		_ = os.Remove(name)
	}
}

// Others are the listens that run on this machine's network, as far as this user may
// know, but for this program. What ended ones left is removed.
func (p Place) Others() (out []Found) {
	for _, dir := range p.dirs {
		names, _ := filepath.Glob(filepath.Join(dir, "listen-*.json"))
		for _, name := range names[:min(len(names), maxRecords)] {
			r, runs := read(name)
			switch {
			case !runs && dir == p.own:
				_ = os.Remove(name)
				_ = os.Remove(strings.TrimSuffix(name, ".json") + ".key")
			case !runs || r.PID == os.Getpid() || r.Network != Network():
			default:
				f := Found{Record: r}
				if dir == p.own {
					f.Key = keyIn(r.KeyFile)
				}
				f.clean()
				out = append(out, f)
			}
		}
	}
	return out
}

// clean makes what a record says a line of text each: another user may have written it.
func (r *Record) clean() {
	for _, s := range []*string{&r.User, &r.Plan, &r.Tag, &r.Flags, &r.KeyFile} {
		*s = clean.Line(*s, maxText)
	}
	r.Ports = slices.DeleteFunc(r.Ports, func(p Port) bool { return p.Transport != "tcp" && p.Transport != "udp" })
}

// read reads a record, and reports whether its program runs.
func read(name string) (r Record, runs bool) {
	f, err := open(name)
	if err != nil {
		return r, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || !isLocked(f) {
		return r, false
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	return r, err == nil && json.Unmarshal(b, &r) == nil
}

// keyIn is the key in a file, "" if it cannot be read.
func keyIn(name string) string {
	f, err := open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Has reports whether it has one of these ports, at an address that keeps others from it.
func (r Record) Has(transport string, at netip.AddrPort) bool {
	return slices.ContainsFunc(r.Ports, func(p Port) bool {
		a, b := p.At.Addr(), at.Addr()
		return p.Transport == transport && p.At.Port() == at.Port() &&
			(a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified()))
	})
}
