package dirfs

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// listBuffer holds what one getdents64 returns. 32 KiB is about a thousand
// entries; more saved nothing that could be measured.
const listBuffer = 32 << 10

// Layout of struct linux_dirent64.
const (
	direntSize = 16 // uint16: length of the record
	direntName = 19 // the name and its NUL
)

// errStop ends a listing early and is nobody's failure.
var errStop = errors.New("stop")

// List implements Dir. It allocates nothing for an entry: the name that is
// examined and passed on stands in the buffer that the kernel filled.
func (d *linuxDir) List(fn func(name []byte, info Info, err error) error) error {
	var st unix.Stat_t
	return d.each(func(fd int, name []byte) error {
		err := fstatAt(fd, &name[0], &st)
		switch err {
		case nil:
			return fn(name, statInfo(&st), nil)
		case unix.ENOENT: // RACE: removed since getdents
			return nil
		}
		return fn(name, Info{}, fail("stat", string(name), err))
	})
}

// Names implements Dir.
func (d *linuxDir) Names(fn func(name []byte) bool) error {
	err := d.each(func(_ int, name []byte) error {
		if !fn(name) {
			return errStop
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}

// each calls fn for every entry. A NUL follows each name in its array.
func (d *linuxDir) each(fn func(fd int, name []byte) error) error {
	fd, err := d.startList()
	if err != nil {
		return fail("list", "", err)
	}
	defer d.endList(fd)
	buf := d.shared.buffers.Get().(*[listBuffer]byte)
	defer d.shared.buffers.Put(buf)
	for {
		n, err := getdents(fd, buf[:])
		if err != nil {
			return fail("list", "", err)
		}
		if n <= 0 {
			return nil
		}
		if err := eachDirent(fd, buf[:n], fn); err != nil {
			return err
		}
	}
}

// startList returns a descriptor that stands at the first entry. That is d's
// own unless another listing uses it, be it a concurrent one or one whose
// callback lists again: then the directory is opened anew, so no listing ever
// waits for another.
func (d *linuxDir) startList() (int, error) {
	if !d.mu.TryLock() {
		return openDot(d.fd)
	}
	if d.listed {
		if _, err := unix.Seek(d.fd, 0, unix.SEEK_SET); err != nil {
			d.mu.Unlock()
			return -1, err
		}
	}
	d.listed = true
	return d.fd, nil
}

// endList gives back what startList returned.
func (d *linuxDir) endList(fd int) {
	if fd == d.fd {
		d.mu.Unlock()
		return
	}
	_ = closeFD(fd) // nothing was written
}

// openDot opens the directory of fd once more.
func openDot(fd int) (int, error) {
	r, e := at(unix.SYS_OPENAT, fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if e != 0 {
		return -1, e
	}
	return r, nil
}

// getdents fills buf with records.
func getdents(fd int, buf []byte) (int, error) {
	for {
		if n, err := unix.Getdents(fd, buf); err != unix.EINTR {
			return n, err
		}
	}
}

// eachDirent calls fn for every record in b but "." and "..".
func eachDirent(fd int, b []byte, fn func(fd int, name []byte) error) error {
	for len(b) > 0 {
		size := binary.NativeEndian.Uint16(b[direntSize:])
		name := b[direntName:size]
		b = b[size:]
		name = name[:bytes.IndexByte(name, 0)]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		if err := fn(fd, name); err != nil {
			return err
		}
	}
	return nil
}
