package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever people type, paste or save is read by package paste. A caller that
// strips characters of its own soon reads another text than the next one does.
func TestNobodyElseStripsCharacters(t *testing.T) {
	for _, dir := range []string{"cmd/dial", "cmd/listen", "internal/cli", "internal/invite", "internal/plan", "internal/echo"} {
		for _, file := range goFiles(t)[dir] {
			b, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, own := range []string{`\ufeff`, `\u200b`, `\u00a0`, `"[]"`, "unicode.Cf", "unicode.IsSpace", "html.Unescape", `"net/mail"`, `"mime`, "quotedprintable", "utf16.Decode", "strings.TrimSpace(args", "strings.TrimSpace(host", "idna."} {
				if strings.Contains(string(b), own) {
					t.Errorf("%s has %s: have package paste read it", file, own)
				}
			}
		}
	}
}
