//go:build !unix && !windows

package lock

import (
	"errors"
	"os"
)

func open(path string) (*os.File, error) { return os.Open(path) }

// lock refuses: a system without locks cannot keep the promise.
func lock(*os.File) error { return errors.ErrUnsupported }

func on(*os.File, uint64, uint64) bool { return true }
