//go:build !windows

package main

import (
	"runtime"

	ucli "github.com/urfave/cli/v2"
)

// noServices says what there is in the place of a service of Windows.
var noServices = map[string]string{
	"linux":  "Here systemd does that: docs/systemd.md has the unit, and how to put it in place; a .deb or .rpm brings it (systemctl start dialtone-listen).",
	"darwin": "Here start it so that it outlives the terminal: nohup listen --key-file FILE --ledger FILE &",
}[runtime.GOOS]

func installService(*ucli.Context, []string) error { return nil }
func removeService(*ucli.Context, []string) error  { return nil }
func serviceStatus(*ucli.Context, []string) error  { return nil }
func runService(*ucli.Context, []string) error     { return nil }
