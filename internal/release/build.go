package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// programs are those of a release, by their directories under cmd.
var programs = []string{"dial", "listen"}

// A built is a platform's programs.
type built struct {
	platform
	dir     string
	golang  string   // the release of Go that built them
	modules []module // in the programs, by their paths
	manuals map[string][]byte
	// completions are by the program's name and the shell's: dial.bash.
	completions map[string][]byte
}

// A module is one that is in the programs.
type module struct{ path, version, sum string }

// program is the file of a program.
func (b built) program(name string) string {
	if b.goos == "windows" {
		name += ".exe"
	}
	return filepath.Join(b.dir, name)
}

// noDocs leaves out of package cli what writes manuals, and the two modules that it
// takes: a quarter of a megabyte for each program.
const noDocs = "urfave_cli_no_docs"

// noInlining keeps the compiler from copying small functions to where they are called: a
// program that mostly waits for a network is no slower for it, and a tenth smaller.
const noInlining = "all=-l"

// most is how large a program of a release may be, in bytes, on any platform. What makes
// one larger is to be looked at (docs/packages.md says how) and is worth it or not; then
// this changes.
var most = map[string]int64{"dial": 16_400_000, "listen": 15_000_000}

// checkSize is an error if a program has grown above what it may be.
func checkSize(program, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > most[program] {
		return fmt.Errorf("%s has %d bytes, and may have %d: find out what is new in it (docs/packages.md), and take it out or raise the bound", file, info.Size(), most[program])
	}
	return nil
}

// build compiles both programs without paths of this machine, symbols, or the
// history's state as Go would record it.
func (r *release) build(ctx context.Context, p platform) (built, error) {
	if b, ok := r.done[p]; ok {
		return b, nil // for its manuals
	}
	b := built{platform: p, dir: filepath.Join(r.scratch, p.goos+"-"+p.goarch)}
	flags := "-s -w"
	if r.commit != "" {
		flags += fmt.Sprintf(" -X 'dialtone/internal/cli.commit=%s'", r.commit)
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", noDocs, "-gcflags", noInlining, "-ldflags", flags, "-o", b.dir + string(filepath.Separator)}
	for _, name := range programs {
		args = append(args, "./cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.root
	// What a user may have set of Go must not change the bytes.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.goos, "GOARCH="+p.goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("go build: %w\n%s", err, out)
	}
	for _, name := range programs {
		if p.goos == "windows" {
			if r.resources {
				if err := r.resourcesOf(ctx, b, name); err != nil {
					return b, err
				}
			}
			if err := r.sign(ctx, b.program(name)); err != nil {
				return b, err
			}
		}
		if err := checkSize(name, b.program(name)); err != nil {
			return b, err
		}
		info, err := buildinfo.ReadFile(b.program(name))
		if err != nil {
			return b, err
		}
		b.golang = info.GoVersion
		for _, d := range info.Deps {
			if d.Replace != nil {
				return b, fmt.Errorf("%s is replaced: what is in the programs would have no name", d.Path)
			}
			if m := (module{d.Path, d.Version, d.Sum}); !slices.Contains(b.modules, m) {
				b.modules = append(b.modules, m)
			}
		}
	}
	slices.SortFunc(b.modules, func(a, c module) int { return strings.Compare(a.path, c.path) })
	if r.done == nil {
		r.done = map[platform]built{}
	}
	r.done[p] = b
	return b, nil
}

// shells are what there is a completion for, and where Debian and Fedora have it.
var shells = map[string][2]string{
	"bash": {"/usr/share/bash-completion/completions/%s", "/usr/share/bash-completion/completions/%s"},
	"zsh":  {"/usr/share/zsh/vendor-completions/_%s", "/usr/share/zsh/site-functions/_%s"},
	"fish": {"/usr/share/fish/vendor_completions.d/%s.fish", "/usr/share/fish/vendor_completions.d/%s.fish"},
}

// manuals makes the manual page of each program of what its --help says, and that of
// each of its commands; and the completion of each shell, by the program's name and the
// shell's.
func (r *release) manuals(ctx context.Context) (pages, completions map[string][]byte, err error) {
	here := platform{runtime.GOOS, runtime.GOARCH}
	b, err := r.build(ctx, here)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", here, err)
	}
	pages, completions = map[string][]byte{}, map[string][]byte{}
	for _, name := range programs {
		says := func(args ...string) ([]byte, error) {
			cmd := exec.CommandContext(ctx, b.program(name), args...)
			cmd.Env = append(os.Environ(), "COLUMNS=80", "DIALTONE_KEY=")
			out, err := cmd.Output()
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
			}
			return out, nil
		}
		help, err := says("--help")
		if err != nil {
			return nil, nil, err
		}
		var more []string
		for _, c := range commandsOf(string(help)) {
			text, err := says(c, "--help")
			if err != nil {
				return nil, nil, err
			}
			more = append(more, string(text))
		}
		pages[name+".1"] = manual(name, r.version, r.at, string(help), more...)
		for shell := range shells {
			if completions[name+"."+shell], err = says("completion", shell); err != nil {
				return nil, nil, err
			}
		}
	}
	return pages, completions, nil
}

// licences are the texts that whoever passes the programs on must pass on, too: those
// of Go and of every module in them.
func (r *release) licences(ctx context.Context, b built) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Dialtone %s is under the Apache License 2.0 (the file LICENSE). Its programs hold what follows.\n", r.version)
	root, err := r.golang(ctx, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	if err := addLicences(&out, "Go's standard library and runtime, "+b.golang, root); err != nil {
		return nil, err
	}
	args := []string{"list", "-m", "-f", "{{.Dir}}"}
	for _, m := range b.modules {
		args = append(args, m.path)
	}
	dirs, err := r.golang(ctx, args...)
	if err != nil {
		return nil, err
	}
	for i, dir := range strings.Split(dirs, "\n") {
		if err := addLicences(&out, b.modules[i].path+" "+b.modules[i].version, dir); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// addLicences adds those of a module, which must have one.
func addLicences(out *bytes.Buffer, of, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	n := 0
	for _, e := range entries {
		if e.IsDir() || !isLicence(e.Name()) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		n++
		line := strings.Repeat("=", 78)
		fmt.Fprintf(out, "\n%s\n%s: %s\n%s\n\n%s\n", line, of, e.Name(), line, bytes.TrimSpace(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))))
	}
	if n == 0 {
		return fmt.Errorf("%s has no licence in %s", of, dir)
	}
	return nil
}

// isLicence reports whether a file's name is one that licences and what goes with
// them have.
func isLicence(name string) bool {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return slices.Contains([]string{"license", "licence", "copying", "notice", "patents", "copyright", "unlicense"}, name)
}

// golang asks the go command.
func (r *release) golang(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.root
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
