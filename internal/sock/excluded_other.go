//go:build !windows

package sock

import (
	"context"

	"dialtone/internal/plan"
)

// ExcludedPorts are none: this system keeps no ranges from programs.
func ExcludedPorts(context.Context, plan.Transport) []PortRange { return nil }
