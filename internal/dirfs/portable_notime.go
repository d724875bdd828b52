//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package dirfs

import (
	"errors"
	"os"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// setFileTime has no call on a handle here.
func setFileTime(*os.File, tree.Time) error { return errors.ErrUnsupported }
