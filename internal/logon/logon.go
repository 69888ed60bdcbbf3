// Package logon finds where a staff PC's ILLiad client keeps its database
// connection, so that the host which is dialed is the one that the client dials. It
// reads, and only what this user may read.
package logon

import (
	"slices"
	"strings"

	"dialtone/internal/paste"
)

// maxFile bounds what is read of a connection file, in bytes.
const maxFile = 64 << 10

// A Connection is a file with a database connection, the first of the places where
// the client looks (Atlas, "Creating a New ILLiad DBC File", article 360016045353).
type Connection struct {
	File  string // its path
	Place string // which place that is, for people
	// Servers are the hosts that it names, in their usual form; none if its form is
	// not one that can be read, which no public page describes.
	Servers []string
	Err     error // why it could not be read; nil: it was
}

// A system is what is asked of the PC.
type system struct {
	folders  []string                      // of the client
	files    func(folder string) []string  // the paths of the files in it; none: no such folder
	settings []func() (place, file string) // of the user, of the machine; "": not set
	legacy   string                        // the path of old installations
	read     func(file string, most int) ([]byte, error)
	exists   func(file string) bool
}

// find looks where the client does, in its order.
func (s system) find() (Connection, bool) {
	for _, folder := range s.folders {
		var found []string
		for _, f := range s.files(folder) {
			if strings.HasSuffix(strings.ToLower(f), ".dbc") {
				found = append(found, f)
			}
		}
		// Of several, the usual name counts, as Atlas says.
		slices.SortStableFunc(found, func(a, b string) int { return order(a) - order(b) })
		if len(found) > 0 {
			return s.connection(found[0], "the program's folder"), true
		}
	}
	for _, setting := range s.settings {
		if place, file := setting(); file != "" {
			return s.connection(file, place), true
		}
	}
	if s.exists(s.legacy) {
		return s.connection(s.legacy, "the folder of old installations"), true
	}
	return Connection{}, false
}

func order(file string) int {
	if strings.EqualFold(file[strings.LastIndexAny(file, `\/`)+1:], "logon.dbc") {
		return 0
	}
	return 1
}

func (s system) connection(file, place string) Connection {
	c := Connection{File: file, Place: place}
	b, err := s.read(file, maxFile)
	if c.Err = err; err == nil {
		c.Servers = servers(b)
	}
	return c
}

// servers finds the hosts in a file that may be a connection; none if there are
// none, or it is no text.
func servers(data []byte) []string {
	text, err := paste.Text(data)
	if err != nil {
		return nil
	}
	return paste.Servers(text)
}
