package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A file is one of an archive.
type file struct {
	name string // with slashes
	mode fs.FileMode
	data []byte
}

// pages are the files of the checkout that go into every archive, as they are.
var pages = []string{"README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"}

// pack writes a platform's archive, its packages and its list of parts.
func (r *release) pack(ctx context.Context, b built) ([]string, error) {
	base := fmt.Sprintf("dialtone-%s-%s-%s", r.version, b.goos, b.goarch)
	licences, err := r.licences(ctx, b)
	if err != nil {
		return nil, err
	}
	parts, err := r.partsList(b)
	if err != nil {
		return nil, err
	}
	files := []file{{"LICENCES.txt", 0o644, licences}, {"dialtone.cdx.json", 0o644, parts}}
	for _, name := range programs {
		data, err := os.ReadFile(b.program(name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(r.said, "release: %s: %s has %d bytes\n", b.platform, filepath.Base(b.program(name)), len(data))
		files = append(files, file{filepath.Base(b.program(name)), 0o755, data})
	}
	shared, err := r.pages()
	if err != nil {
		return nil, err
	}
	files = append(files, shared...)
	write, name := writeTar, base+".tar.gz"
	if b.goos == "windows" {
		start, err := os.ReadFile(filepath.Join(r.root, "docs", "release", "START-HERE.txt"))
		if err != nil {
			return nil, err
		}
		// For Notepad of any age.
		files = append(files, file{"START-HERE.txt", 0o644, bytes.ReplaceAll(start, []byte("\n"), []byte("\r\n"))})
		write, name = writeZip, base+".zip"
	} else {
		for page, data := range b.manuals {
			files = append(files, file{"man/" + page, 0o644, data})
		}
	}
	slices.SortFunc(files, func(a, c file) int { return strings.Compare(a.name, c.name) })
	for i := range files {
		files[i].name = path.Join(base, files[i].name)
	}
	var out bytes.Buffer
	if err := write(&out, files, r.at); err != nil {
		return nil, err
	}
	made := []string{name}
	if err := os.WriteFile(filepath.Join(r.out, name), out.Bytes(), 0o644); err != nil {
		return nil, err
	}
	if b.String() == "windows/amd64" && r.msi {
		if err := r.installer(ctx, b, files, base+".msi"); err != nil {
			return nil, err
		}
		made = append(made, base+".msi")
	}
	if b.goos == "linux" && r.packages {
		packages, err := r.systemPackages(ctx, b, licences)
		if err != nil {
			return nil, err
		}
		made = append(made, packages...)
	}
	return made, nil
}

// pages are the documents: those of the root, and docs but for what is only there to
// make a release of.
func (r *release) pages() ([]file, error) {
	var out []file
	for _, name := range pages {
		data, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return nil, err
		}
		out = append(out, file{name, 0o644, data})
	}
	docs := filepath.Join(r.root, "docs")
	err := filepath.WalkDir(docs, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "release":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(r.root, name)
		out = append(out, file{filepath.ToSlash(rel), 0o644, data})
		return err
	})
	return out, err
}

// writeZip writes an archive that says nothing of who made it, where, or when.
func writeZip(w io.Writer, files []file, at time.Time) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(f.mode)
		e, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := e.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeTar writes an archive that says nothing of who made it, where, or when.
func writeTar(w io.Writer, files []file, at time.Time) error {
	g, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(g)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: at, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return g.Close()
}
