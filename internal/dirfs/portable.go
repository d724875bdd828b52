package dirfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// portableDir is a Dir over an os.Root of its own, so that every name it
// passes on is one component. What os.Root does otherwise than Dir promises,
// and what is done about it:
//
//   - It follows links that stay inside, also with O_NOFOLLOW: an entry is
//     examined first, and what was opened is compared with it.
//   - Opening a FIFO waits: the same look avoids it; where the entry was
//     replaced in between O_NONBLOCK helps, and for a directory the "." below it.
//   - The FileInfo of ReadDir may be of something outside: only names are
//     read, and each is examined through the Root.
//   - Chmod and Chtimes by name follow links: they are done on a handle.
//   - It enters other file systems: device numbers are compared. Another
//     mount of the same file system goes unnoticed.
//   - Two Roots have no common Rename: see portable_rename.go.
type portableDir struct {
	root *os.Root
	top  *portableTop
	path string // below top when it was opened, with slashes; "" for the top
}

// portableTop is what all handles below one root share.
type portableTop struct {
	root   *os.Root
	cross  bool
	byPath bool // rename by path even where handles could do it
}

// swapTries bounds the repeats when an entry is replaced while it is opened.
const swapTries = 8

// openPortable opens a root.
func openPortable(path string, o Options) (Dir, error) {
	// os.OpenRoot would wait on a FIFO before it found that it is none.
	fi, err := os.Stat(path)
	if err == nil && !fi.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, fail("open", path, err)
	}
	r, err := os.OpenRoot(path)
	if err != nil {
		return nil, fail("open", path, err)
	}
	return &portableDir{root: r, top: &portableTop{root: r, cross: o.CrossMounts}}, nil
}

// checkPortable is tree.CheckName, and refuses what the system would take for
// more than one component or for another name than it is.
func checkPortable(op, name string) error {
	err := tree.CheckName(name)
	if err == nil && os.PathSeparator != '/' &&
		(strings.ContainsAny(name, `\:`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")) {
		err = tree.ErrNameByte
	}
	if err != nil {
		return fail(op, name, err)
	}
	return nil
}

// infoOf translates what package os says.
func infoOf(fi fs.FileInfo) Info {
	m := fi.ModTime()
	i := Info{
		Type:  typeOfMode(fi.Mode()),
		Perm:  permOf(fi.Mode()),
		Nlink: 1,
		Size:  fi.Size(),
		Alloc: fi.Size(),
		MTime: tree.Time{Sec: m.Unix(), Nsec: uint32(m.Nanosecond())},
	}
	sysInfo(&i, fi.Sys())
	return i
}

// typeOfMode returns the type in a mode.
func typeOfMode(m fs.FileMode) tree.Type {
	switch {
	case m.IsRegular():
		return tree.File
	case m.IsDir():
		return tree.Directory
	case m&fs.ModeSymlink != 0:
		return tree.Link
	}
	return tree.Other
}

// highBits pairs the bits beyond 0777 with those of package fs.
var highBits = [...]struct {
	mode fs.FileMode
	perm uint16
}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}

// permOf returns the twelve bits of a mode.
func permOf(m fs.FileMode) uint16 {
	p := uint16(m.Perm())
	for _, b := range highBits {
		if m&b.mode != 0 {
			p |= b.perm
		}
	}
	return p
}

// modeOf is the inverse of permOf.
func modeOf(perm uint16) fs.FileMode {
	m := fs.FileMode(perm & 0o777)
	for _, b := range highBits {
		if perm&b.perm != 0 {
			m |= b.mode
		}
	}
	return m
}

// List implements Dir.
func (d *portableDir) List(fn func(name []byte, info Info, err error) error) error {
	return d.each(func(name string, buf []byte) error {
		fi, err := d.root.Lstat(name)
		switch {
		case err == nil:
			return fn(buf, infoOf(fi), nil)
		case errors.Is(err, fs.ErrNotExist): // RACE: removed since it was read
			return nil
		}
		return fn(buf, Info{}, fail("stat", name, err))
	})
}

// Names implements Dir.
func (d *portableDir) Names(fn func(name []byte) bool) error {
	err := d.each(func(_ string, buf []byte) error {
		if !fn(buf) {
			return io.EOF
		}
		return nil
	})
	if err == io.EOF {
		return nil
	}
	return err
}

// each calls fn for every name, as a string and as bytes.
func (d *portableDir) each(fn func(name string, buf []byte) error) error {
	f, err := d.root.Open(".")
	if err != nil {
		return fail("list", "", err)
	}
	defer f.Close()
	var buf []byte
	for {
		// A thousand names at a time bound the memory for a wide directory.
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			buf = append(buf[:0], name...)
			if err := fn(name, buf); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fail("list", "", err)
		}
	}
}

// Stat implements Dir.
func (d *portableDir) Stat(name string) (Info, error) {
	if err := checkPortable("stat", name); err != nil {
		return Info{}, err
	}
	fi, err := d.root.Lstat(name)
	if err != nil {
		return Info{}, fail("stat", name, err)
	}
	return infoOf(fi), nil
}

// Self implements Dir.
func (d *portableDir) Self() (Info, error) {
	fi, err := d.root.Stat(".")
	if err != nil {
		return Info{}, fail("stat", "", err)
	}
	return infoOf(fi), nil
}

// OpenDir implements Dir.
func (d *portableDir) OpenDir(name string) (Dir, error) {
	if err := checkPortable("open", name); err != nil {
		return nil, err
	}
	r, err := d.openRoot(name)
	if err != nil {
		return nil, fail("open", name, err)
	}
	path := name
	if d.path != "" {
		path = d.path + "/" + name
	}
	return &portableDir{root: r, top: d.top, path: path}, nil
}

// openRoot opens the directory called name and nothing that a link of that
// name points to.
//
// RACE: between the look and the opening the directory may become a link to
// another one inside, which the comparison notices; or a FIFO, which is not
// waited for, since only a directory can have a "." in it.
func (d *portableDir) openRoot(name string) (*os.Root, error) {
	for range swapTries {
		want, err := d.root.Lstat(name)
		if err != nil {
			return nil, err
		}
		if !want.IsDir() {
			return nil, syscall.ENOTDIR
		}
		if err := d.checkMount(want); err != nil {
			return nil, err
		}
		r, err := d.root.OpenRoot(name + "/.")
		if err != nil {
			return nil, err
		}
		if got, err := r.Stat("."); err == nil && os.SameFile(want, got) {
			return r, nil
		}
		r.Close()
	}
	return nil, ErrReplaced
}

// checkMount returns ErrMount if child is on another device than d.
func (d *portableDir) checkMount(child fs.FileInfo) error {
	if d.top.cross {
		return nil
	}
	self, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	if infoOf(self).Dev != infoOf(child).Dev {
		return ErrMount
	}
	return nil
}

// ReadLink implements Dir.
func (d *portableDir) ReadLink(name string) (string, error) {
	if err := checkPortable("readlink", name); err != nil {
		return "", err
	}
	target, err := d.root.Readlink(name)
	if errors.Is(err, syscall.EINVAL) {
		err = ErrNotLink
	}
	if err != nil {
		return "", fail("readlink", name, err)
	}
	return target, nil
}

// Chmod implements Dir.
func (d *portableDir) Chmod(perm uint16) error {
	return d.onSelf("chmod", func(f *os.File) error { return f.Chmod(modeOf(perm)) })
}

// SetTime implements Dir.
func (d *portableDir) SetTime(t tree.Time) error {
	err := checkTime(t)
	if err == nil {
		err = setDirTime(d.root, t)
	}
	return own("utimes", err)
}

// Sync implements Dir.
func (d *portableDir) Sync() error {
	if !syncsDirs {
		return nil
	}
	return d.onSelf("fsync", (*os.File).Sync)
}

// TellsChanges implements Dir.
func (*portableDir) TellsChanges() bool { return runtime.GOOS != "windows" }

// Clones implements Dir.
func (*portableDir) Clones() bool { return false }

// SyncsFS says what SyncFS can do here.
func (*portableDir) SyncsFS() bool { return false }

// SyncFS implements Dir.
func (d *portableDir) SyncFS() error { return fail("syncfs", "", errors.ErrUnsupported) }

// Space implements Dir.
func (d *portableDir) Space() (s Space, err error) {
	err = d.onSelf("statfs", func(f *os.File) error {
		s, err = space(int(f.Fd()))
		return err
	})
	return s, err
}

// Close implements Dir.
func (d *portableDir) Close() error { return own("close", d.root.Close()) }

// onSelf makes a call on the directory's own handle.
func (d *portableDir) onSelf(op string, call func(*os.File) error) error {
	f, err := d.root.Open(".")
	if err != nil {
		return fail(op, "", err)
	}
	defer f.Close()
	return own(op, call(f))
}

// own returns the error of a call on the directory itself.
func own(op string, err error) error {
	if err != nil {
		return fail(op, "", err)
	}
	return nil
}
