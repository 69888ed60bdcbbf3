package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// nfpm writes packages of Debian and RPM without either's tools.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"

// maintainer answers for the packages. There is no public home yet: it is this one line
// that changes then.
const maintainer = "Dialtone <dialtone@localhost.localdomain>"

// A content is a file of a package, in nfpm's words (YAML reads JSON).
type content struct {
	Src      string   `json:"src"`
	Dst      string   `json:"dst"`
	Type     string   `json:"type,omitempty"`     // doc: an rpm's documentation
	Packager string   `json:"packager,omitempty"` // deb or rpm; "": both
	Info     fileInfo `json:"file_info"`
}

type fileInfo struct {
	Mode  int       `json:"mode"`
	MTime time.Time `json:"mtime"`
}

// systemPackages writes deb and rpm of a platform's programs.
func (r *release) systemPackages(ctx context.Context, b built, licences []byte) ([]string, error) {
	dir := filepath.Join(b.dir, "package")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var contents []content
	var failed error
	add := func(dst string, mode int, data []byte) {
		src := filepath.Join(dir, strings.ReplaceAll(strings.Trim(dst, "/"), "/", "-"))
		if err := os.WriteFile(src, data, 0o600); err != nil && failed == nil {
			failed = err
		}
		c := content{src, dst, "", "", fileInfo{mode, r.at}}
		switch {
		case strings.HasSuffix(dst, "/copyright"), strings.HasSuffix(dst, ".Debian.gz"), strings.Contains(dst, "/lintian/"):
			c.Packager = "deb" // which alone wants these
		case strings.HasPrefix(dst, "/usr/share/doc/"), strings.HasPrefix(dst, "/usr/share/man/"):
			// In a deb nothing is of that kind, and nfpm would leave it out.
			c.Packager = "deb"
			doc := c
			doc.Packager, doc.Type = "rpm", "doc"
			contents = append(contents, doc)
		}
		contents = append(contents, c)
	}
	for _, name := range programs {
		data, err := os.ReadFile(b.program(name))
		if err != nil {
			return nil, err
		}
		add("/usr/bin/"+name, 0o755, data)
		add("/usr/share/man/man1/"+name+".1.gz", 0o644, r.gzipped(b.manuals[name+".1"]))
		for _, shell := range slices.Sorted(maps.Keys(shells)) {
			at := shells[shell]
			for i, packager := range []string{"deb", "rpm"} {
				if at[0] == at[1] {
					packager = ""
				}
				if i == 0 || packager != "" {
					add(fmt.Sprintf(at[i], name), 0o644, b.completions[name+"."+shell])
					contents[len(contents)-1].Packager = packager
				}
			}
		}
	}
	unit, err := os.ReadFile(filepath.Join(r.root, "docs", "systemd", "dialtone-listen.service"))
	if err != nil {
		return nil, err
	}
	add("/usr/lib/systemd/system/dialtone-listen.service", 0o644, bytes.ReplaceAll(unit, []byte("/usr/local/bin/"), []byte("/usr/bin/")))
	add("/usr/lib/sysusers.d/dialtone.conf", 0o644, []byte("u dialtone - \"Dialtone listen\" / /usr/sbin/nologin\n"))
	docs, err := r.pages()
	if err != nil {
		return nil, err
	}
	for _, f := range docs {
		switch f.name {
		case "LICENSE", "CONTRIBUTING.md": // in copyright; for who has the source
		case "CHANGELOG.md":
			add("/usr/share/doc/dialtone/changelog.gz", 0o644, r.gzipped(f.data))
		case "docs/systemd/dialtone-listen.service": // in its place
		default:
			add("/usr/share/doc/dialtone/"+strings.TrimPrefix(f.name, "docs/"), 0o644, f.data)
		}
	}
	add("/usr/share/doc/dialtone/changelog.Debian.gz", 0o644, r.gzipped(r.debianChangelog()))
	add("/usr/share/lintian/overrides/dialtone", 0o644, []byte(overrides))
	add("/usr/share/doc/dialtone/copyright", 0o644, r.copyright())
	add("/usr/share/doc/dialtone/LICENCES.txt.gz", 0o644, r.gzipped(licences))
	if failed != nil {
		return nil, failed
	}
	scripts := filepath.Join(r.root, "internal", "release", "scripts")
	config := map[string]any{
		"name": "dialtone", "arch": b.goarch, "platform": "linux", "version": r.version, "release": "1", "version_schema": "semver",
		"section": "net", "priority": "optional", "maintainer": maintainer, "license": "Apache-2.0", "mtime": r.at,
		"description": "test every network path that ILLiad needs, before it is installed\n" +
			"listen stands in for an ILLiad server on its ports, dial tests from staff PCs\n" +
			"and partner institutions whether every path works from end to end and in each\n" +
			"direction, and says for those that do not where they stop and what to ask the\n" +
			"firewall team for.",
		"contents": contents,
		"scripts": map[string]string{
			"postinstall": filepath.Join(scripts, "postinstall"), "preremove": filepath.Join(scripts, "preremove"), "postremove": filepath.Join(scripts, "postremove"),
		},
		"overrides": map[string]any{
			"deb": map[string]any{"depends": []string{"libcap2-bin"}},
			"rpm": map[string]any{"depends": []string{"/usr/sbin/setcap"}, "scripts": map[string]string{
				"postinstall": filepath.Join(scripts, "postinstall"), "preremove": filepath.Join(scripts, "preremove-rpm"), "postremove": filepath.Join(scripts, "postremove"),
			}},
		},
		"rpm": map[string]any{"buildhost": "localhost", "group": "Applications/Internet", "summary": "Test every network path that ILLiad needs, before it is installed"},
	}
	yaml, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "nfpm.yaml")
	if err := os.WriteFile(file, yaml, 0o600); err != nil {
		return nil, err
	}
	tool, err := r.tool(ctx, &r.nfpm, nfpm, "nfpm")
	if err != nil {
		return nil, err
	}
	var made []string
	for _, kind := range []string{"deb", "rpm"} {
		cmd := exec.CommandContext(ctx, tool, "package", "--config", file, "--packager", kind, "--target", dir)
		cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.at.Unix()))
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("nfpm, %s: %w\n%s", kind, err, out)
		}
		names, err := filepath.Glob(filepath.Join(dir, "*."+kind))
		if err != nil || len(names) != 1 {
			return nil, fmt.Errorf("nfpm, %s: it made %v", kind, names)
		}
		name := filepath.Base(names[0])
		if err := move(names[0], filepath.Join(r.out, name)); err != nil {
			return nil, err
		}
		made = append(made, name)
	}
	return made, nil
}

// tool is a program written in Go that is built once, unless it was given.
func (r *release) tool(ctx context.Context, given *string, of, name string) (string, error) {
	if *given != "" {
		return *given, nil
	}
	at := filepath.Join(r.scratch, "tools")
	cmd := exec.CommandContext(ctx, "go", "install", of)
	cmd.Env = append(slices.Clone(os.Environ()), "GOBIN="+at, "GOFLAGS=", "CGO_ENABLED=0", "GOAMD64=v1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", of, err, out)
	}
	*given = filepath.Join(at, name)
	return *given, nil
}

// overrides are what lintian finds and is meant so, with the reasons.
const overrides = `# There is no public home yet, and so no address to write to.
dialtone: bogus-mail-host *
dialtone: bogus-mail-host-in-debian-changelog *
# It is no upload to Debian.
dialtone: initial-upload-closes-no-bugs *
# Go links its programs so, and they are to run on any Linux.
dialtone: statically-linked-binary *
`

// debianChangelog has one entry, in Debian's form; the changes are in changelog.gz.
func (r *release) debianChangelog() []byte {
	return fmt.Appendf(nil, "dialtone (%s-1) unstable; urgency=medium\n\n  * Release %[1]s: see changelog.gz.\n\n -- %s  %s\n", r.version, maintainer, r.at.Format(time.RFC1123Z))
}

// copyright begins the file that Debian wants.
func (r *release) copyright() []byte {
	return fmt.Appendf(nil, "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Dialtone\n\n"+
		"Files: *\nCopyright: %d the authors of Dialtone\nLicense: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n\n"+
		"Comment: The programs hold Go's library and runtime and the modules that\n LICENCES.txt.gz names, each with its own licence, whole.\n", r.at.Year())
}

// gzipped compresses a file as Debian wants it: without name and time.
func (r *release) gzipped(data []byte) []byte {
	var out bytes.Buffer
	g, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is one
	_, _ = g.Write(data)                                    // a buffer takes everything
	_ = g.Close()
	return out.Bytes()
}

// move moves a file, to another file system as well.
func move(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
