//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package dirfs

import (
	"errors"
	"os"
	"time"

	"github.com/sync-directory/sync-directory/internal/tree"
)

const (
	nonblock       = 0
	hasPermBits    = false // only whether a file can be written
	renamesBetween = false // by path, then
	syncsDirs      = false // the file system's journal orders its entries
)

// renameBetween is never called here.
func renameBetween(*os.Root, string, *os.Root, string) error { return errors.ErrUnsupported }

// linkBetween is never called here.
func linkBetween(*os.Root, string, *os.Root, string) error { return errors.ErrUnsupported }

// setLinkTime has no call that leaves the link's target alone.
func setLinkTime(*os.Root, string, tree.Time) error { return errors.ErrUnsupported }

// setDirTime sets the modification time of the directory itself.
func setDirTime(r *os.Root, t tree.Time) error {
	return r.Chtimes(".", time.Time{}, time.Unix(t.Sec, int64(t.Nsec)))
}
