package service

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"time"
)

// Downloads are the files that whoever comes by browser may fetch, and all of them.
type Downloads struct {
	files []Download
	slots chan struct{}
}

// A Download is one file, which was opened and read before anybody asked for it.
type Download struct {
	Name    string // as it stands in an address: letters, digits, ".", "-", "_", "+"
	Size    int64  // bytes
	SHA256  string // in hexadecimal digits
	Content io.ReaderAt
}

const (
	// downloadsPath is where they are, as a list, and each under its name.
	downloadsPath = "/downloads/"
	// maxDownloads bounds what is fetched at a time, downloadWithin how long one may
	// take: a crowd of slow clients must not keep the connections that proofs need.
	maxDownloads   = 16
	downloadWithin = 10 * time.Minute
	// downloadStep is how much of a file must pass, in bytes, within downloadPatience
	// times the patience for a message: systems let a program write on only once much
	// of what it wrote is gone, which takes long on a slow line.
	downloadStep     = 10_000
	downloadPatience = 4
)

// NewDownloads offers these files. A name that could stand for another place is an error.
func NewDownloads(files []Download) (*Downloads, error) {
	seen := map[string]bool{}
	for _, f := range files {
		if !IsDownloadName(f.Name) || seen[f.Name] {
			return nil, fmt.Errorf("%q cannot be offered by that name", f.Name)
		}
		seen[f.Name] = true
	}
	return &Downloads{files: files, slots: make(chan struct{}, maxDownloads)}, nil
}

// IsDownloadName reports whether a file can be offered by its name as it is: nothing in
// it has a meaning in an address, in a header, or to a file system.
func IsDownloadName(name string) bool {
	ok := name != "" && len(name) <= 100 && name[0] != '.' && name[0] != '-'
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-+", r))
	}
	return ok
}

// find is the file that a path asks for, by its whole name and no other; nil: none.
func (d *Downloads) find(path string) *Download {
	if d == nil {
		return nil
	}
	name, ok := strings.CutPrefix(path, downloadsPath)
	for i := range d.files {
		if ok && d.files[i].Name == name {
			return &d.files[i]
		}
	}
	return nil
}

// list is the page of what there is, or the same as plain text.
func (d *Downloads) list(asPage bool) string {
	var b strings.Builder
	if !asPage {
		for _, f := range d.files {
			fmt.Fprintf(&b, "%10d  %s  %s\n", f.Size, f.SHA256, f.Name)
		}
		return b.String()
	}
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" +
		"<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n<title>Dialtone's files</title>\n<link rel=\"icon\" href=\"data:,\">\n" +
		"<style>\nbody { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, \"Segoe UI\", sans-serif; }\n" +
		"table { border-collapse: collapse; }\nth, td { padding: .4rem 1rem .4rem 0; text-align: left; vertical-align: top; }\ntd:nth-child(2) { text-align: right; }\ncode { overflow-wrap: anywhere; }\n</style>\n" +
		"</head>\n<body>\n<main>\n<h1>Dialtone's files</h1>\n<p>What whoever started listen here offers, and nothing else. After a download compare its SHA-256; in PowerShell: <code>Get-FileHash FILE</code>.</p>\n" +
		"<table>\n<tr><th scope=\"col\">File</th><th scope=\"col\">Bytes</th><th scope=\"col\">SHA-256</th></tr>\n")
	for _, f := range d.files {
		name := html.EscapeString(f.Name)
		fmt.Fprintf(&b, "<tr><td><a href=\"%s%s\" download>%s</a></td><td>%d</td><td><code>%s</code></td></tr>\n", downloadsPath, name, name, f.Size, html.EscapeString(f.SHA256))
	}
	b.WriteString("</table>\n</main>\n</body>\n</html>\n")
	return b.String()
}

// send sends a file, or the part of it that is asked for, as long as it gets on. False:
// as many are under way as there may be.
func (d *Downloads) send(w http.ResponseWriter, r *http.Request, f *Download, patience time.Duration) bool {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+f.Name+`"`)
	h.Set("ETag", `"`+f.SHA256+`"`)
	h.Del("Vary") // there is one form of it
	http.ServeContent(&stepped{ResponseWriter: w, control: http.NewResponseController(w), patience: downloadPatience * patience}, r, "", time.Time{}, io.NewSectionReader(f.Content, 0, f.Size))
	return true
}

// stepped gives each step of a long answer its time.
type stepped struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

func (s *stepped) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		if err := s.control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
			return n, err
		}
		var m int
		m, err = s.ResponseWriter.Write(b[:min(len(b), downloadStep)])
		n, b = n+m, b[m:]
	}
	return n, err
}
