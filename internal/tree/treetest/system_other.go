//go:build !linux

package treetest

import (
	"errors"

	"github.com/sync-directory/sync-directory/internal/tree"
)

func mkfifo(string) error { return errors.ErrUnsupported }

func lutime(string, tree.Time) error { return errors.ErrUnsupported }
