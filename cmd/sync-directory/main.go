// Command sync-directory makes one directory equal another over one
// WebSocket.
package main

import (
	"os"

	"github.com/sync-directory/sync-directory/internal/cli"
)

func main() {
	cli.GrowFirst()
	signals, stop := cli.Signals()
	defer stop()
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr, signals))
}
