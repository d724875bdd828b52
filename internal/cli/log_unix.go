//go:build unix

package cli

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// logFlags keep from following a link, and from waiting.
const logFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY

// isNoLog reports whether the system has refused with these flags: a link, or what
// nobody reads.
func isNoLog(err error) bool {
	return errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK) || errors.Is(err, syscall.ENXIO)
}

// isTrusted reports whether a file belongs to us or to root.
func isTrusted(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}
