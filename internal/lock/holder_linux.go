package lock

import (
	"bufio"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Holder returns the process that holds the lock of the directory at path, or
// 0 where the system does not say.
func Holder(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4242 fe:00:1310722 0 EOF
		var n, pid int
		var kind, mode, access string
		var major, minor uint32
		var ino uint64
		_, err := fmt.Sscanf(lines.Text(), "%d: %s %s %s %d %x:%x:%d", &n, &kind, &mode, &access, &pid, &major, &minor, &ino)
		here := major == unix.Major(st.Dev) && minor == unix.Minor(st.Dev)
		if err == nil && kind == "FLOCK" && here && ino == st.Ino && pid > 0 {
			return pid
		}
	}
	return 0
}
