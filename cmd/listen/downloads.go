package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"dialtone/internal/cli"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
)

const (
	// maxDownloads bounds how many files are offered, maxDownload each of them, in bytes.
	maxDownloads = 64
	maxDownload  = 1 << 30
)

// ownFile is how Dialtone's own files are named, which --downloads auto looks for.
var ownFile = regexp.MustCompile(`^(?:dialtone[-_][\w.+-]+\.(?:zip|tar\.gz|deb|rpm|msi)|SHA256SUMS|LICENCES\.txt|START-HERE\.txt|dial(?:\.exe)?)$`)

// downloads are the files that --downloads offers, opened now: what appears in the
// folder later, and what a name leads to later, is not offered. close closes them.
func (s *serving) downloads(from string) (d *listener.Downloads, names []string, done func(), err error) {
	done = func() {}
	if from == "" {
		return nil, nil, done, nil
	}
	const hint = "Give the folder that has the files for staff PCs, or auto for Dialtone's own files beside listen."
	dir, own := from, from == "auto"
	if own {
		program, err := os.Executable()
		if err != nil {
			return nil, nil, done, cli.Usage(fmt.Errorf("--downloads auto: %w", err), hint)
		}
		dir = filepath.Dir(program)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, done, cli.Usage(fmt.Errorf("--downloads: %w", err), hint)
	}
	var files []listener.Download
	var open []io.Closer
	done = func() {
		for _, f := range open {
			_ = f.Close() // only read
		}
	}
	for _, e := range entries {
		if own && !ownFile.MatchString(e.Name()) {
			continue
		}
		f, content, why := download(dir, e)
		if why == "" && len(files) == maxDownloads {
			_ = content.Close()
			why = fmt.Sprintf("there are more than %d", maxDownloads)
		}
		if why != "" {
			fmt.Fprintf(s.errs, "listen: --downloads: %q is not offered: %s\n", e.Name(), why)
			continue
		}
		files, open, names = append(files, f), append(open, content), append(names, f.Name)
	}
	if len(files) == 0 {
		done()
		return nil, nil, func() {}, cli.Usage(fmt.Errorf("--downloads %s: no file in %s can be offered", from, dir), hint)
	}
	if d, err = listener.NewDownloads(files); err != nil {
		done()
		return nil, nil, func() {}, cli.Usage(fmt.Errorf("--downloads: %w", err), hint)
	}
	return d, names, done, nil
}

// download opens one file of a folder; why it is not offered: "" if it is.
func download(dir string, e os.DirEntry) (d listener.Download, content *os.File, why string) {
	switch {
	case e.IsDir():
		return d, nil, "it is a folder"
	case !e.Type().IsRegular(): // a link leads out of the folder; a pipe waits
		return d, nil, "it is a link, or no file"
	case !listener.IsDownloadName(e.Name()):
		return d, nil, "its name has something else than letters, digits, and . _ + - within"
	}
	f, err := os.Open(filepath.Join(dir, e.Name()))
	if err != nil {
		return d, nil, err.Error()
	}
	info, err := f.Stat()
	switch listed, errListed := e.Info(); {
	case err != nil:
		why = err.Error()
	case errListed != nil || !os.SameFile(info, listed): // changed meanwhile
		why = "it was replaced just now"
	case info.Size() > maxDownload:
		why = fmt.Sprintf("it is larger than %d bytes", maxDownload)
	}
	sum := sha256.New()
	if why == "" {
		if _, err := io.Copy(sum, io.NewSectionReader(f, 0, info.Size())); err != nil {
			why = err.Error()
		}
	}
	if why != "" {
		_ = f.Close()
		return d, nil, why
	}
	return listener.Download{Name: e.Name(), Size: info.Size(), SHA256: hex.EncodeToString(sum.Sum(nil)), Content: f}, f, ""
}

// downloadWords say where the files are; "" with why there is no place.
func downloadWords(addr string, names []string, bound []listener.Bound) string {
	if len(names) == 0 {
		return ""
	}
	what := fmt.Sprintf("%d files", len(names))
	if len(names) == 1 {
		what = names[0]
	}
	for _, inTLS := range []bool{false, true} {
		for _, b := range bound {
			l := (plan.Binding{Rows: b.Rows}).Speaks().Language()
			if b.Transport != plan.TCP || !l.Web || (l.Within != "") != inTLS {
				continue
			}
			usual, note := 80, ""
			if inTLS {
				usual, note = 443, " (the browser will warn: the certificate is of listen's own making)"
			}
			host := addr
			if strings.Contains(addr, ":") {
				host = "[" + addr + "]"
			}
			if port := int(b.Addr.Port()); port != usual {
				host = net.JoinHostPort(addr, strconv.Itoa(port))
			}
			return fmt.Sprintf("Staff PCs fetch %s by browser, without the key, at:\n  %s://%s/downloads/%s\n", what, l.Protocol, host, note)
		}
	}
	return "Nobody can fetch the files of --downloads: no port of the plan for HTTP or HTTPS could be bound.\n"
}
