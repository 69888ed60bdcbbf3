package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/merge"
	"dialtone/internal/report"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// maxFiles bounds the reports that are merged at once.
const maxFiles = 4096

// mergeReports runs dial merge.
func mergeReports(c *ucli.Context) error {
	names, err := cli.Positional(c, maxFiles)
	if err != nil {
		return err
	}
	if names, err = expand(names); err != nil {
		return err
	}
	if len(names) < 2 {
		return cli.Usagef("Name the files that dial --out FILE.json wrote: dial merge ours.json theirs.json", "dial merge needs at least two reports")
	}
	out, err := readOutputs(c, report.Matrix)
	if err != nil {
		return err
	}
	if err := out.readAsker(c); err != nil {
		return err
	}
	in, err := readReports(names)
	if err != nil {
		return err
	}
	in, findings := merge.Unique(in)
	given := in
	in, more := merge.WithListens(in)
	findings = append(findings, more...)
	if len(in) == 0 {
		return cli.Usagef("Give the reports of dial, too, that dialed it: dial merge ours.json listen.json", "these are reports of listen alone, which tested nothing")
	}
	if len(in) == 2 {
		if p, ok := merge.Pair(in[0].Report, in[1].Report, true); ok {
			joined := merge.Join(in[0].Report, in[1].Report, p)
			joined.Tool = cli.Software
			return writeJoined(c, out, joined, findings)
		}
	}
	if len(in) == 1 { // both ends have the same joined report already, or it was joined with listen's
		r := merge.Sound(in[0].Report)
		if len(given) == 2 {
			if f := merge.OtherKey(given[0].Report, given[1].Report); f != nil {
				findings = []result.Finding{*f}
			}
		}
		r.Tool = cli.Software
		return writeJoined(c, out, r, findings)
	}
	for i := range in {
		in[i].Name = "" // the machine's name says more than the file's
	}
	m := merge.Tabulate(cli.Software, in)
	if len(in) == 2 {
		if f := merge.OtherKey(in[0].Report, in[1].Report); f != nil {
			findings = append(findings, *f)
		}
	}
	m.Findings = slices.Concat(findings, m.Findings)
	return endWith(merge.ExitCode(m), write(out, c.App.Writer, report.Matrix, m))
}

// expand replaces each pattern by the files that it matches, in the order of
// their names: Windows' command prompt hands patterns over as they are. A file
// that is really called so is no pattern.
func expand(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil || !strings.ContainsAny(name, "*?[") {
			out = append(out, name)
			continue
		}
		files, err := filepath.Glob(name)
		if err != nil || len(files) == 0 {
			return nil, cli.Usagef("Name the files that dial --out FILE.json wrote.", "%s matches no file", name)
		}
		if out = append(out, files...); len(out) > maxFiles {
			return nil, cli.Usagef("Merge them in parts.", "more than %d files", maxFiles)
		}
	}
	return out, nil
}

// writeJoined writes one report; in a format that only a matrix has, as a
// matrix of one row.
func writeJoined(c *ucli.Context, out outputs, r *result.Report, findings []result.Finding) error {
	r.Findings = slices.Concat(findings, r.Findings)
	err := out.write(c.App.Writer, func(w io.Writer, f report.Format, o report.Options) error {
		if f == report.CSV {
			return report.Matrix.Write(w, f, merge.Tabulate(cli.Software, []merge.Input{{Report: r}}), o)
		}
		return report.Paths.Write(w, f, r, o)
	})
	return endWith(verdict.ExitCode(r), err)
}

// endWith ends the program with a code, unless something went wrong before.
func endWith(code int, err error) error {
	if err == nil && code != cli.ExitOK {
		return &cli.Failure{Code: code}
	}
	return err
}

// mergeRoom is what all files together may be: those of a consortium's every site
// are a tenth of it. The collector keeps what is read and thrown away small.
func mergeRoom() *result.Room {
	debug.SetMemoryLimit(384 << 20)
	return &result.Room{Bytes: 128 << 20, Objects: 1 << 20}
}

func readReports(names []string) ([]merge.Input, error) {
	var out []merge.Input
	room := mergeRoom()
	for _, name := range names {
		r, err := readReport(name, room)
		if err != nil {
			return nil, cli.Usage(fmt.Errorf("%s: %w", name, err), "")
		}
		out = append(out, merge.Input{Name: name, Report: r})
	}
	return out, nil
}

// readReport reads one file, and no more of it than a report may have.
func readReport(name string, room *result.Room) (*result.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, result.MaxReport+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return room.Parse(b, result.MaxReport)
}
