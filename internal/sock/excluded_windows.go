package sock

import (
	"context"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"

	"dialtone/internal/plan"
)

// ExcludedPorts are the ranges that Windows keeps from programs; none if it does not
// tell within seconds.
func ExcludedPorts(ctx context.Context, t plan.Transport) []PortRange {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	dir, err := windows.GetSystemDirectory() // not one that PATH names
	if err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "netsh.exe"), "int", "ipv4", "show", "excludedportrange", "protocol="+string(t)).Output()
	if err != nil {
		return nil
	}
	return parseExcluded(string(out))
}
