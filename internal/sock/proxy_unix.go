//go:build linux || darwin

package sock

import (
	"context"
	"os/exec"
	"time"
)

// settingsTime bounds how long a system's own tool may take to tell a setting.
const settingsTime = 2 * time.Second

// settingsOf is what a system's own tool prints, "" where there is none or it
// fails: then the system has no such settings.
func settingsOf(tool string, args ...string) string {
	path, err := exec.LookPath(tool)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), settingsTime)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	c.WaitDelay = settingsTime
	out, err := c.Output()
	if err != nil {
		return ""
	}
	return string(out)
}
