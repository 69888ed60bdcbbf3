package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// upgradeCode is what every release's installer has, by which a newer one takes the
// place of an older. It never changes.
const upgradeCode = "0C1DE7F2-93B1-4A38-9B3C-5B8A60A2D4C7"

// installer writes an MSI of what a zip has, by wixl (Debian's package of that name),
// which writes the moment and a random code into it: of all that is made, it alone is
// not the same twice.
func (r *release) installer(ctx context.Context, b built, files []file, name string) error {
	dir := filepath.Join(b.dir, "installer")
	var components, references bytes.Buffer
	byFolder := map[string][]file{}
	var folders []string
	for _, f := range files {
		_, rel, _ := strings.Cut(f.name, "/")
		at := path.Dir(rel)
		if byFolder[at] == nil {
			folders = append(folders, at)
		}
		byFolder[at] = append(byFolder[at], file{rel, f.mode, f.data})
	}
	for _, at := range folders {
		open := strings.Split(at, "/")
		if at == "." {
			open = nil
		}
		for i, d := range open {
			fmt.Fprintf(&components, `<Directory Id="%s" Name="%s">`, idOf("D", strings.Join(open[:i+1], "/")+" of "+at), d)
		}
		id := idOf("C", at)
		fmt.Fprintf(&components, `<Component Id="%s" Guid="%s" Win64="yes">`, id, r.uuid("component "+at))
		fmt.Fprintf(&references, `<ComponentRef Id="%s"/>`, id)
		for i, f := range byFolder[at] {
			src := filepath.Join(dir, filepath.FromSlash(f.name))
			if err := os.MkdirAll(filepath.Dir(src), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(src, f.data, 0o644); err != nil {
				return err
			}
			key := ""
			if i == 0 {
				key = ` KeyPath="yes"`
			}
			fmt.Fprintf(&components, `<File Id="%s" Name="%s" Source="%s"%s/>`, idOf("F", f.name), path.Base(f.name), f.name, key)
		}
		components.WriteString("</Component>" + strings.Repeat("</Directory>", len(open)))
	}
	wxs := fmt.Sprintf(`<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
<Product Id="%s" UpgradeCode="%s" Name="Dialtone" Version="%s" Manufacturer="Dialtone" Language="1033">
<Package InstallerVersion="500" Compressed="yes" InstallScope="perMachine" Description="Dialtone %[3]s" Manufacturer="Dialtone"/>
<MajorUpgrade DowngradeErrorMessage="A newer Dialtone is installed."/>
<Media Id="1" Cabinet="dialtone.cab" EmbedCab="yes"/>
<Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFiles64Folder"><Directory Id="INSTALLDIR" Name="Dialtone">
%[4]s
</Directory></Directory></Directory>
<Feature Id="All" Level="1">%[5]s</Feature>
</Product></Wix>
`, r.uuid("product"), upgradeCode, r.version, components.String(), references.String())
	source := filepath.Join(dir, "dialtone.wxs")
	if err := os.WriteFile(source, []byte(wxs), 0o600); err != nil {
		return err
	}
	out, err := filepath.Abs(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "wixl", "--arch", "x64", "--output", out, filepath.Base(source))
	cmd.Dir = dir // where it looks for what it packs
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("wixl: %w\n%s", err, out)
	}
	return r.sign(ctx, out)
}

// uuid names a part of this release's installer, the same each time (RFC 9562, version 8).
func (r *release) uuid(of string) string {
	h := sha256.Sum256([]byte("dialtone " + r.version + " " + of))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16]))
}

// idOf names an element of the installer.
func idOf(kind, of string) string {
	return fmt.Sprintf("%s%x", kind, sha256.Sum256([]byte(of)))[:20]
}
