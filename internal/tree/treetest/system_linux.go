package treetest

import (
	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

func lutime(path string, t tree.Time) error {
	ts := unix.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
