// Command dial tells, for every path of the plan, whether it works end to end,
// and if not, where it stops and what to ask the firewall team for.
package main

import (
	"os"

	"dialtone/internal/cli"
)

func main() {
	os.Exit(cli.Main(app(), ask))
}
