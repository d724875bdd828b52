package syncdirectory

import (
	"bytes"
	"os"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// newLocation says which directory of which machine root is. What the system
// does not say stays empty, and then matches nothing.
func newLocation(root dirfs.Dir) *wire.Location {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	info, err := root.Self()
	if err != nil {
		return nil
	}
	// A peer learns whether it is on the same machine, and nothing else.
	machine := digest.Sum(append([]byte("sync-directory machine "), bytes.TrimSpace(boot)...))
	return &wire.Location{Machine: machine[:], Device: info.Dev, Inode: info.Ino}
}
