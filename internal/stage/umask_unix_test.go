//go:build unix

package stage_test

import "syscall"

// umask sets the umask and returns what sets it back.
func umask(mask int) func() {
	old := syscall.Umask(mask)
	return func() { syscall.Umask(old) }
}
