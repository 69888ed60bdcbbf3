package cli

import (
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestVersionIsALineForABugReport(t *testing.T) {
	var out strings.Builder
	app := &cli.App{Name: "dial", Action: func(*cli.Context) error { t.Error("taken for a host"); return nil }}
	if code := Run(app, []string{"dial", "version"}, &out, &out); code != ExitOK {
		t.Errorf("exit %d", code)
	}
	// dial 0.1.0, commit 271aefb3c0de of 2026-11-27T08:00:00Z, go1.26.8, windows/amd64
	line := regexp.MustCompile(`^dial \d+\.\d+\.\d+, commit (unknown|[0-9a-f]{12}( of [0-9T:Z-]+)?(, with changes)?), go1\.\d+\S*, ` + runtime.GOOS + "/" + runtime.GOARCH + `\n$`)
	if !line.MatchString(out.String()) {
		t.Errorf("%q", &out)
	}
}

func TestWhatAProgramWasBuiltFrom(t *testing.T) {
	set := func(kv ...string) *debug.BuildInfo {
		var b debug.BuildInfo
		for i := 0; i < len(kv); i += 2 {
			b.Settings = append(b.Settings, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return &b
	}
	const id = "271aefb3c0de4f5061728394a5b6c7d8e9f00112"
	for _, c := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"", nil, "commit unknown"},
		{"", set("GOOS", "windows"), "commit unknown"},
		{"", set("vcs.revision", id, "vcs.time", "2026-11-27T08:00:00Z", "vcs.modified", "false"), "commit 271aefb3c0de of 2026-11-27T08:00:00Z"},
		{"", set("vcs.revision", id, "vcs.time", "2026-11-27T08:00:00Z", "vcs.modified", "true"), "commit 271aefb3c0de of 2026-11-27T08:00:00Z, with changes"},
		{"", set("vcs.revision", "abc"), "commit abc"},
		{"271aefb3c0de of 2026-11-27T08:00:00Z", set("vcs.revision", "other"), "commit 271aefb3c0de of 2026-11-27T08:00:00Z"},
	} {
		if got := commitWords(c.linked, c.info); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
