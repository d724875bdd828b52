package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	syncdirectory "github.com/sync-directory/sync-directory"
	"github.com/sync-directory/sync-directory/internal/fault"
)

// cacheDir returns where digests and outlines are kept: in the state directory of the XDG
// base directory specification, or nowhere where that is not known.
func cacheDir() string {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // which the specification says to ignore
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "sync-directory")
}

func (f *flags) cache() string {
	if f.noCache {
		return ""
	}
	return cacheDir()
}

// cacheCommand returns the command that clears the cache.
func (c *command) cacheCommand() *cobra.Command {
	of := &cobra.Command{Use: "cache", Short: "what is known of contents from earlier runs", Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return usage("cache does one thing: clear") }}
	of.AddCommand(&cobra.Command{Use: "clear", Short: "forget it, so that everything that is compared is read anew", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := syncdirectory.ClearCache(cacheDir())
			if err != nil {
				return fault.With(fault.Disk, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "forgot the contents of %s\n", plural(uint64(n), "directory", "directories"))
			return nil
		}})
	return of
}
