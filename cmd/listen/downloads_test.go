package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Exactly the plain files of the folder are offered; what leads elsewhere is not, and
// each that is left out is told.
func TestWhichFilesAreOffered(t *testing.T) {
	dir := t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "secret")
	for name, at := range map[string]string{"dial.exe": dir, "SHA256SUMS": dir, ".key": dir, "a b.txt": dir, filepath.Base(elsewhere): filepath.Dir(elsewhere)} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "link.zip")); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	s := &serving{errs: &said}
	_, names, done, err := s.downloads(dir)
	if err != nil {
		t.Fatal(err)
	}
	done()
	if !slices.Equal(names, []string{"SHA256SUMS", "dial.exe"}) {
		t.Errorf("%q", names)
	}
	for _, out := range []string{".key", "a b.txt", "folder", "link.zip"} {
		if !strings.Contains(said.String(), `"`+out+`" is not offered: `) {
			t.Errorf("nothing is said of %s in\n%s", out, &said)
		}
	}
	// Beside the test there is nothing of Dialtone's.
	s.errs = io.Discard
	for _, none := range []string{"auto", filepath.Join(dir, "folder"), filepath.Join(dir, "nowhere")} {
		if _, _, _, err := s.downloads(none); err == nil || !strings.Contains(err.Error(), "--downloads") {
			t.Errorf("%s: %v", none, err)
		}
	}
	for name, own := range map[string]bool{
		"dial": true, "dial.exe": true, "dialtone-0.1.0-windows-amd64.zip": true, "dialtone_0.1.0-1_amd64.deb": true, "SHA256SUMS": true,
		"key.txt": false, "ledger.jsonl": false, "dialtone-key.txt": false, "site.yaml": false, "listen": false, "dialog.exe": false,
	} {
		if ownFile.MatchString(name) != own {
			t.Errorf("auto offers %s: %v", name, !own)
		}
	}
}
