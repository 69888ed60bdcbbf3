// Command listen stands in for a server before its software is installed: it
// binds the plan's ports and proves itself on them to whoever has the key.
package main

import (
	"os"

	"dialtone/internal/cli"
)

func main() {
	os.Exit(cli.Main(app(), nil))
}
