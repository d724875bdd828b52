package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// filters are what a container, or a kernel, may make of Landlock.
var filters = map[string]struct {
	call  uint32
	errno syscall.Errno
}{
	"absent":  {unix.SYS_LANDLOCK_CREATE_RULESET, unix.ENOSYS},
	"hidden":  {unix.SYS_LANDLOCK_CREATE_RULESET, unix.EPERM}, // by older container runtimes
	"refused": {unix.SYS_LANDLOCK_RESTRICT_SELF, unix.EPERM},
	"ignored": {unix.SYS_LANDLOCK_RESTRICT_SELF, 0}, // it says that it is done
}

// filtered becomes another program for which Landlock is as the first argument says.
func filtered(args []string) error {
	f, ok := filters[args[0]]
	if !ok {
		return fmt.Errorf("Landlock is not %s", args[0])
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: f.call},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(f.errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread() // whose filter outlives it
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0); err != nil {
		return err
	}
	return syscall.Exec(path, args[1:], os.Environ())
}

// hasLandlock reports whether the command is confined here, and whether one that is not can
// be told from that.
func hasLandlock() bool {
	version, err := ll.LandlockGetABIVersion()
	set, perr := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return err == nil && version >= 2 && perr == nil && set == 0
}
