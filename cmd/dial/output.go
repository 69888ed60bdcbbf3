package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/paste"
	"dialtone/internal/report"
)

// outputs are where the report goes.
type outputs struct {
	format report.Format
	files  map[string]report.Format
	order  []string
	opts   report.Options // as for a file; what the screen can show is added
}

// readOutputs reads where a kind of document goes.
func readOutputs[T any](c *ucli.Context, k report.Kind[T]) (outputs, error) {
	o := outputs{files: map[string]report.Format{}}
	var err error
	if o.opts, err = readRequests(c); err != nil {
		return o, err
	}
	o.opts.Verbose = cli.Bool(c, "verbose")
	if o.format, err = k.Parse(paste.Value(cli.String(c, "format"))); err != nil {
		return o, cli.Usage(err, "")
	}
	if o.order, err = cli.OutFiles(c); err != nil {
		return o, err
	}
	for _, name := range o.order {
		if o.files[name], err = k.ForFile(name); err != nil {
			return o, cli.Usage(err, "")
		}
	}
	o.sayUnused(c)
	return o, nil
}

// check reports a file that cannot be written: better to know before a test than
// after it.
func (o outputs) check() error {
	for _, name := range o.order {
		if err := cli.CheckFile(name); err != nil {
			return cli.Usage(fmt.Errorf("--out %s: %w", name, err), "Give a file that can be written, in a directory that exists.")
		}
	}
	return nil
}

// write writes a document to everywhere that it is to go.
func write[T any](o outputs, w io.Writer, k report.Kind[T], v T) error {
	return o.write(w, func(w io.Writer, f report.Format, opts report.Options) error { return k.Write(w, f, v, opts) })
}

// write writes what render makes to everywhere it is to go, each whatever becomes of the
// others: one may fail, or wait for ever for a reader. What went wrong is one
// error that says where the report is.
func (o outputs) write(w io.Writer, render func(w io.Writer, f report.Format, o report.Options) error) error {
	texts := make([]bytes.Buffer, len(o.order))
	errs := make([]error, len(o.order))
	var all sync.WaitGroup
	for i, name := range o.order {
		if errs[i] = render(&texts[i], o.files[name], o.opts); errs[i] == nil {
			all.Go(func() { errs[i] = cli.WriteFile(name, texts[i].Bytes()) })
		}
	}
	var screened bytes.Buffer
	outErr := render(&screened, o.format, o.screen(w))
	if outErr == nil {
		_, outErr = w.Write(screened.Bytes())
	}
	all.Wait()
	var failed []error
	var written []string
	for i, err := range errs {
		if err == nil {
			written = append(written, o.order[i])
			continue
		}
		failed = append(failed, fmt.Errorf("--out: %w", err))
		if name := rescue(o.order[i], texts[i].Bytes()); name != "" {
			written = append(written, name)
		}
	}
	switch {
	case outErr == nil:
		written = append(written, "standard output")
	case cli.IsReaderGone(outErr) && len(written) > 0: // it has read what it wanted, and the rest is kept
	default:
		failed = append(failed, fmt.Errorf("standard output: %w", outErr))
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(written) == 0:
		return cli.Usage(errors.Join(failed...), "Give --out FILE, too.")
	}
	return cli.Usage(errors.Join(failed...), "It was written to "+strings.Join(written, ", ")+".")
}

// rescue keeps what could not be written where it was to be, and returns where
// it is; "" if there was no way.
func rescue(name string, b []byte) string {
	if len(b) == 0 {
		return ""
	}
	f, err := os.CreateTemp("", "dialtone-*-"+filepath.Base(name))
	if err != nil {
		return ""
	}
	if err = errors.Join(f.Close(), cli.WritePrivate(f.Name(), b)); err != nil {
		os.Remove(f.Name())
		return ""
	}
	return f.Name()
}

// screen says how to render on w: in colour, and to what width.
func (o outputs) screen(w io.Writer) report.Options {
	opts := o.opts
	opts.Width = cli.Width(w)
	if f := cli.Terminal(w); f != nil {
		opts.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && cli.EnableColor(f)
	}
	return opts
}
