package cli_test

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// immutableFlag is FS_IMMUTABLE_FL of linux/fs.h.
const immutableFlag = 0x10

// setImmutable says whether anybody, root too, may change what is at path.
func setImmutable(path string, immutable bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	flags &^= immutableFlag
	if immutable {
		flags |= immutableFlag
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
}

// canImmutable reports whether this user and file system can do that.
func canImmutable() bool {
	dir, err := os.MkdirTemp("", "immutable")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	return setImmutable(dir, true) == nil && setImmutable(dir, false) == nil
}

// cmdImmutable: immutable PATH… forbids changes to anybody, until the end of the script;
// ! immutable PATH… allows them.
func cmdImmutable(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		path := ts.MkAbs(arg)
		ts.Check(setImmutable(path, !neg))
		if !neg {
			w := worldOf(ts)
			w.closers = append(w.closers, func() { _ = setImmutable(path, false) }) // it may be gone
		}
	}
}
