package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"debug/pe"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"dialtone/internal/cli"
)

// tool builds a program once for both runs: this one, which compresses many megabytes
// that the race detector would watch one by one, and nfpm.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0", "GOAMD64=v1")
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("%v made %v", args, made)
	}
	t.Logf("%s: %v", filepath.Base(made[0]), time.Since(start).Round(time.Second))
	return made[0]
}

// makeTwo makes a release twice side by side, each of a copy of the checkout without
// its history, the second in other habits.
func makeTwo(t *testing.T, releaser string, habits []string, args ...string) (dirs [2]string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range dirs {
		root := copyOf(t)
		dirs[i] = filepath.Join(t.TempDir(), "dist")
		cmd := exec.Command(releaser, append([]string{"--root", root, "--scratch", t.TempDir(), "--out", dirs[i]}, args...)...)
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1790000000")
		if i == 1 {
			cmd.Env = append(cmd.Env, habits...)
		}
		start := time.Now()
		all.Go(func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("made in %v\n%s", time.Since(start).Round(time.Second), out)
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return dirs
}

// copyOf copies what is built, and the documents, to a directory of its own.
func copyOf(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "a copy")
	for _, name := range []string{"cmd", "internal", "docs", "go.mod", "go.sum", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"} {
		from := filepath.Join("..", "..", name)
		err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(filepath.Join("..", ".."), p)
			switch at := filepath.Join(to, rel); {
			case d.IsDir() && d.Name() == "testdata":
				return filepath.SkipDir
			case d.IsDir():
				return os.MkdirAll(at, 0o755)
			default:
				b, err := os.ReadFile(p)
				return errors.Join(err, os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, b, 0o644))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// A release is made twice, in other directories, time zones and habits, and not a byte
// differs.
func TestTwoRunsMakeTheSameBytes(t *testing.T) {
	only := "--only=windows/amd64,linux/amd64"
	if os.Getenv("DIALTONE_SOAK") != "" { // scripts/test --long
		only = "--only="
	}
	// nfpm comes by Go's proxy: with all that the tests of other machines take.
	all := os.Getenv("DIALTONE_LAB") != ""
	args := []string{only, fmt.Sprintf("--packages=%v", all), fmt.Sprintf("--resources=%v", all)}
	if all {
		args = append(args, "--nfpm="+tool(t, "install", nfpm), "--winres="+tool(t, "install", winres))
	}
	made := makeTwo(t, tool(t, "install", "."), []string{"TZ=Asia/Kathmandu", "LC_ALL=C", "GOFLAGS=-buildvcs=false -trimpath=false", "GOAMD64=v2"}, args...)
	first, second := made[0], made[1]
	names, err := filepath.Glob(filepath.Join(first, "*"))
	if err != nil || len(names) < 3 || all && len(names) < 5 {
		t.Fatalf("%v, %v: want zip, tar.gz and SHA256SUMS, and with packages deb and rpm", names, err)
	}
	for _, name := range names {
		a, err1 := os.ReadFile(name)
		b, err2 := os.ReadFile(filepath.Join(second, filepath.Base(name)))
		if err := errors.Join(err1, err2); err != nil {
			t.Error(err)
		} else if !bytes.Equal(a, b) {
			t.Errorf("%s differs: %d bytes, then %d", filepath.Base(name), len(a), len(b))
		}
	}
	// What everybody has checks the checksums.
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = second
	if out, err := check.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != len(names)-1 {
		t.Errorf("%v\n%s", err, out)
	}
	t.Run("zip", func(t *testing.T) { checkArchive(t, readZip(t, first), "windows-amd64", ".exe") })
	t.Run("tar", func(t *testing.T) { checkArchive(t, readTar(t, first), "linux-amd64", "") })
	if all {
		t.Run("resources", func(t *testing.T) { checkResources(t, readZip(t, first)) })
		t.Run("signed", func(t *testing.T) { checkSigned(t, readZip(t, first)) })
		t.Run("rpm", func(t *testing.T) { checkRPM(t, first) })
	}
	if all && os.Geteuid() == 0 {
		t.Run("deb", func(t *testing.T) { checkInstalled(t, first) })
	}
}

// programOf is a program of Windows in an archive, as a file.
func programOf(t *testing.T, files map[string]file, name string) string {
	t.Helper()
	f, ok := files["dialtone-"+cli.Version+"-windows-amd64/"+name]
	if !ok {
		t.Fatalf("no %s", name)
	}
	at := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(at, f.data, 0o755); err != nil {
		t.Fatal(err)
	}
	return at
}

// checkResources looks for what Explorer shows of a program.
func checkResources(t *testing.T, files map[string]file) {
	for _, name := range []string{"dial", "listen"} {
		p, err := pe.Open(programOf(t, files, name+".exe"))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		section := p.Section(".rsrc")
		if section == nil {
			t.Fatalf("%s has no resources", name)
		}
		data, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{descriptions[name], "ProductVersion", cli.Version, name + ".exe"} {
			var wide []byte // UTF-16, as Windows has it
			for _, u := range utf16.Encode([]rune(text)) {
				wide = binary.LittleEndian.AppendUint16(wide, u)
			}
			if !bytes.Contains(data, wide) {
				t.Errorf("%s: no %q", name, text)
			}
		}
		if n := bytes.Count(data, []byte("\x89PNG\r\n")); n == 0 {
			t.Errorf("%s has no icon", name)
		}
		if !bytes.Contains(data, []byte("asInvoker")) || !bytes.Contains(data, []byte("longPathAware")) {
			t.Errorf("%s has no manifest", name)
		}
	}
}

// checkSigned signs a program with a certificate that is thrown away, and has it verified
// by what everybody has; a changed byte is found, and what is released has no signature.
func checkSigned(t *testing.T, files map[string]file) {
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	run := func(name string, args ...string) (string, error) {
		out, err := exec.Command(name, args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=a throwaway certificate", "-addext", "extendedKeyUsage=codeSigning"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	verify := func(file string) (string, error) { return run("osslsigncode", "verify", "-CAfile", cert, "-in", file) }
	program := programOf(t, files, "dial.exe")
	if out, err := verify(program); err == nil || !strings.Contains(out, "No signature found") {
		t.Errorf("as released: %v\n%s", err, out)
	}
	unsigned, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	r := &release{options: options{signCert: cert, signKey: key}, at: time.Unix(1790000000, 0)}
	var signed [2][]byte
	for i := range signed {
		if err := os.WriteFile(program, unsigned, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := r.sign(t.Context(), program); err != nil {
			t.Fatal(err)
		}
		if signed[i], err = os.ReadFile(program); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(signed[0], signed[1]) {
		t.Error("signed twice, it is not the same")
	}
	if out, err := verify(program); err != nil || !strings.Contains(out, "CN=a throwaway certificate") || !strings.Contains(out, "Succeeded") {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
	changed := slices.Clone(signed[0])
	changed[len(unsigned)/2] ^= 1
	if err := os.WriteFile(program, changed, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(program); err == nil {
		t.Errorf("with a byte changed\n%s", out)
	}
}

// checkRPM has rpmlint look over the package, and rpm at what is in it.
func checkRPM(t *testing.T, dir string) {
	rpms, err := filepath.Glob(filepath.Join(dir, "*.rpm"))
	if err != nil || len(rpms) != 1 {
		t.Fatal(rpms, err)
	}
	// rpmlint has cpio unpack the package, whose files have names from the root on: without
	// this they would land there.
	shim := t.TempDir()
	if err := os.WriteFile(filepath.Join(shim, "cpio"), []byte("#!/bin/sh\nPATH=${PATH#*:} exec cpio --no-absolute-filenames \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	lint := exec.Command("rpmlint", "--config", filepath.Join("testdata", "rpmlint.toml"), rpms[0])
	lint.Env = append(os.Environ(), "PATH="+shim+":"+os.Getenv("PATH"))
	out, err := lint.CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 errors, 0 warnings") {
		t.Errorf("%v\n%s", err, out)
	}
	all, err := exec.Command("rpm", "-qlp", rpms[0]).Output()
	for _, file := range []string{"/usr/share/bash-completion/completions/dial", "/usr/share/zsh/site-functions/_listen", "/usr/share/fish/vendor_completions.d/dial.fish"} {
		if err != nil || !strings.Contains(string(all), file+"\n") {
			t.Errorf("%s is missing: %v\n%s", file, err, all)
		}
	}
	docs, err := exec.Command("rpm", "-qlp", "--docfiles", rpms[0]).Output()
	for _, file := range []string{"/usr/share/man/man1/dial.1.gz", "/usr/share/doc/dialtone/README.md", "/usr/share/doc/dialtone/LICENCES.txt.gz"} {
		if err != nil || !strings.Contains(string(docs), file+"\n") {
			t.Errorf("%s is no documentation: %v\n%s", file, err, docs)
		}
	}
}

func readZip(t *testing.T, dir string) map[string]file {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join(dir, "dialtone-"+cli.Version+"-windows-amd64.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string]file{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name] = file{f.Name, f.Mode(), b}
		if !f.Modified.Equal(time.Unix(1790000000, 0)) {
			t.Errorf("%s is of %v", f.Name, f.Modified)
		}
	}
	return out
}

func readTar(t *testing.T, dir string) map[string]file {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "dialtone-"+cli.Version+"-linux-amd64.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]file{}
	for r := tar.NewReader(g); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = file{h.Name, fs.FileMode(h.Mode), b}
		if h.Uid != 0 || h.Uname != "" || !h.ModTime.Equal(time.Unix(1790000000, 0)) {
			t.Errorf("%s is of %d %q, %v", h.Name, h.Uid, h.Uname, h.ModTime)
		}
	}
}

// checkArchive looks at an archive as who unpacks it does.
func checkArchive(t *testing.T, files map[string]file, of, ending string) {
	base := "dialtone-" + cli.Version + "-" + of + "/"
	at := func(name string) file {
		t.Helper()
		f, ok := files[base+name]
		if !ok {
			t.Fatalf("no %s in %v", name, slices.Sorted(maps.Keys(files)))
		}
		return f
	}
	licences := string(at("LICENCES.txt").data)
	parts := partsOf(t, at("dialtone.cdx.json").data)
	texts, err := licenceTexts()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dial" + ending, "listen" + ending} {
		f := at(name)
		if f.mode.Perm() != 0o755 {
			t.Errorf("%s has mode %v", name, f.mode)
		}
		info, err := buildinfo.Read(bytes.NewReader(f.data))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range info.Deps {
			if !strings.Contains(licences, "\n"+d.Path+" "+d.Version+": ") {
				t.Errorf("%s holds %s, whose licence is not there", name, d.Path)
			}
			if text := texts[d.Path]; text == "" || !strings.Contains(licences, text) {
				t.Errorf("the licence of %s is not whole (it has %d bytes)", d.Path, len(text))
			}
			if !parts["pkg:golang/"+d.Path+"@"+d.Version] {
				t.Errorf("%s holds %s %s, which the list of parts lacks", name, d.Path, d.Version)
			}
		}
		for _, s := range info.Settings {
			if s.Key == "CGO_ENABLED" && s.Value != "0" || s.Key == "GOAMD64" && s.Value != "v1" {
				t.Errorf("%s: %s=%s", name, s.Key, s.Value)
			}
		}
		home, _ := os.UserHomeDir()
		for _, ours := range []string{os.TempDir() + "/", home + "/go/pkg/mod"} {
			if bytes.Contains(f.data, []byte(ours)) {
				t.Errorf("%s holds the path %s of this machine", name, ours)
			}
		}
	}
	if !strings.Contains(licences, "Go's standard library and runtime, go1.") || !strings.Contains(licences, "Redistribution and use in source and binary forms") {
		t.Error("Go's own licence is missing")
	}
	// No link of a page leads out of the archive, but for those to the source.
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for name, f := range files {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(f.data), -1) {
			to := path.Join(path.Dir(name), m[1])
			if _, ok := files[to]; !ok && !strings.HasPrefix(to, base+"internal/") {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}

// licenceTexts are the modules' own, from where Go keeps them.
var licenceTexts = sync.OnceValues(func() (map[string]string, error) {
	list, err := exec.Command("go", "list", "-m", "-f", "{{.Path}}\t{{.Dir}}", "all").Output()
	out := map[string]string{}
	for line := range strings.Lines(string(list)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		for _, file := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "License"} {
			if b, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
				out[name] = strings.TrimSpace(string(b))
			}
		}
	}
	return out, err
})

// partsOf reads a list of parts, by their package URLs, and checks what CycloneDX 1.5
// demands of each.
func partsOf(t *testing.T, data []byte) map[string]bool {
	t.Helper()
	var bom struct {
		BOMFormat, SpecVersion string
		Version                int
		Components             []struct {
			Type, Name, Version, PURL string
			BOMRef                    string `json:"bom-ref"`
			Hashes                    []struct{ Alg, Content string }
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(data, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.5" || bom.Version != 1 {
		t.Errorf("it calls itself %s %s, version %d", bom.BOMFormat, bom.SpecVersion, bom.Version)
	}
	out := map[string]bool{}
	hash := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for _, c := range bom.Components {
		if out[c.PURL] || c.BOMRef == "" || c.Type != "library" || c.Name == "" || c.Version == "" {
			t.Errorf("%+v", c)
		}
		out[c.PURL] = true
		for _, h := range c.Hashes {
			if h.Alg != "SHA-256" || !hash.MatchString(h.Content) {
				t.Errorf("%s: %+v", c.Name, h)
			}
		}
	}
	for _, d := range bom.Dependencies {
		for _, on := range d.DependsOn {
			if !out[on] {
				t.Errorf("%s depends on %s, which is no part", d.Ref, on)
			}
		}
	}
	return out
}

// checkInstalled installs, uses and removes the package on a copy of this machine's
// files.
func checkInstalled(t *testing.T, dir string) {
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		t.Fatal(debs, err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "installed.sh"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", script, t.TempDir(), debs[0])
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestManualStaysWhatTheHelpIs(t *testing.T) {
	help := "NAME:\n   dial - test every path\n\nUSAGE:\n   dial [flags] HOST  from here\n   .hidden 'quoted'\n\nGLOBAL OPTIONS:\n   --key WORDS  the key (C:\\x)\n"
	want := `.TH DIAL 1 2026-09-21 "Dialtone 9.9"
.SH NAME
dial \- test every path
.SH USAGE
.nf
dial [flags] HOST  from here
\&.hidden 'quoted'

.fi
.SH GLOBAL OPTIONS
.nf
\-\-key WORDS  the key (C:\ex)
.fi
`
	if got := string(manual("dial", "9.9", time.Unix(1790000000, 0).UTC(), help)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	help = "NAME:\n   dial - test every path\n\nCOMMANDS:\n   merge     make one\n             of several\n   dial COMMAND --help has the flags of each.\n\nOPTIONS:\n  How\n   --key W  the key\n"
	if got, want := commandsOf(help), []string{"merge"}; !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
	got := string(manual("dial", "9.9", time.Unix(1790000000, 0).UTC(), help, "NAME:\n   dial merge - make one\n\nUSAGE:\n   dial merge FILE\n"))
	for _, want := range []string{".SH OPTIONS\n.nf\n.fi\n.SS How\n.nf\n\\-\\-key W  the key\n.fi\n", ".SH DIAL MERGE\nmake one\n.SS Usage\n.nf\ndial merge FILE\n.fi\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestWrongUseIsToldBeforeAnythingIsBuilt(t *testing.T) {
	for _, args := range [][]string{{"--only", "plan9/amd64"}, {"extra"}, {"--nothing"}, {"--sign-cert", "x"}, {"--sign-timestamp", "x"}} {
		var said strings.Builder
		if err := run(t.Context(), args, io.Discard, &said); !errors.Is(err, errUsage) || said.Len() == 0 {
			t.Errorf("%v: %v, %q", args, err, &said)
		}
	}
}

// A program that grows does so unnoticed, a library at a time: a release says so.
func TestAProgramThatGrewIsNotReleased(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dial")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for size, ok := range map[int64]bool{0: true, most["dial"]: true, most["dial"] + 1: false} {
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
		if err := checkSize("dial", file); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	for _, name := range programs {
		if most[name] == 0 {
			t.Errorf("%s has no bound", name)
		}
	}
}

func TestOnlyItsOwnFilesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"dialtone-0.0.9-linux-amd64.tar.gz", "dialtone_0.0.9_amd64.deb", "SHA256SUMS", "mine.txt", "dialtone"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&release{options: options{out: dir}}).clear(); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if got := fmt.Sprintln(len(left), filepath.Base(left[0])); got != "2 dialtone\n" {
		t.Errorf("left: %v", left)
	}
}
