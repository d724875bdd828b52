package syncdirectory

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// onlooker slows the outline of the old file down until something is written to
// the new one, before which it calls do.
type onlooker struct {
	do            func() error
	copies, infos atomic.Int64
	written, late atomic.Bool // late: the outline was there before
}

func (o *onlooker) before(c dirfs.Call) error {
	staged := strings.Contains(c.Name, "-")
	switch {
	case c.Op == "File.ReadAt" && c.Name == "large" && !o.written.Load():
		time.Sleep(3 * time.Millisecond)
	case c.Op == "File.Info" && c.Name == "large": // when it is opened, and when it is outlined
		if o.infos.Add(1) == 2 && !o.written.Load() {
			o.late.Store(true)
		}
	case c.Op == "File.CopyFrom":
		o.copies.Add(1)
	case c.Op == "File.WriteAt" && staged && !o.written.Swap(true):
		return o.do()
	}
	return nil
}

// scribble changes a file in place and puts its time back, so that it is replaced all
// the same.
func scribble(path string, off int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("changed in place"), off)
	return errors.Join(err, f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// writesAhead skips a test where content is shared, and nothing is written ahead.
func writesAhead(t *testing.T, dir string) {
	t.Helper()
	root, err := dirfs.OpenRoot(dir, dirfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	clones := root.Clones()
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	if clones {
		t.Skip("the file system at " + dir + " may share content: nothing is written ahead")
	}
}

// TestWrittenAhead writes a new file while the old one is outlined, and has what
// can go wrong then go wrong.
func TestWrittenAhead(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	old := noise(r, 60<<20)
	appended := append(bytes.Clone(old), "a line\n"...)
	inserted := splice(old, 3<<20, 0, []byte("inserted"))
	none := func(string) error { return nil }
	fails := func(err error) func(string) error { return func(string) error { return err } }
	for _, c := range []struct {
		name    string
		content []byte
		do      func(to string) error
		code    Code
		copies  int64 // most of them
	}{
		{"what is guessed right is not copied again", appended, none, OK, 5},
		{"what is guessed wrong is", inserted, none, OK, 100},
		{"a write fails", appended, fails(syscall.EIO), OK, 0},
		{"the disk is full", appended, fails(syscall.ENOSPC), Disk, 0},
		{"the old file changes", appended, func(to string) error { return scribble(filepath.Join(to, "large"), 19<<20) }, OK, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			grow(t, from)
			grow(t, to, "gone=y")
			for path, b := range map[string][]byte{from: c.content, to: old} {
				if err := os.WriteFile(filepath.Join(path, "large"), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			writesAhead(t, to)
			o := &onlooker{do: func() error { return c.do(to) }}
			sent, received := mirrorInjected(t, from, to, func(dirfs.Call) error { return nil }, o.before)
			if CodeOf(sent) != c.code && sent != nil || CodeOf(received) != c.code && received != nil || (received == nil) != (c.code == OK) {
				t.Fatalf("sender: %v, receiver: %v", sent, received)
			}
			want := c.content
			if c.code != OK {
				want = old
			}
			if got, err := os.ReadFile(filepath.Join(to, "large")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the large file is not what it should be, %v", err)
			}
			if o.late.Load() {
				t.Error("nothing is written ahead")
			}
			if n := o.copies.Load(); n > c.copies {
				t.Errorf("copied %d times", n)
			}
			if _, err := os.Stat(filepath.Join(to, "gone")); (err == nil) != (c.code != OK) {
				t.Errorf("what the source does not have: %v", err)
			}
		})
	}
}

// TestWrittenWhileRead has the receiver make a new file while the sender still reads its
// own: the sender waits half-way until something is written.
func TestWrittenWhileRead(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	old := noise(r, 80<<20)
	edited := bytes.Clone(old)
	edited[1<<20] ^= 0x55
	longer := append(bytes.Clone(old), "a line\n"...)
	const piece = 64 << 10 // which is read at once
	nothing := func(string) error { return nil }
	for _, c := range []struct {
		name          string
		content, want []byte
		open          func(path string) error // done to the source's file before it is opened
		written       int64                   // bytes that the sender waits for, about
	}{
		{"appended", longer, longer, nothing, piece},
		{"of the same size", edited, edited, nothing, piece},
		{"shorter than it was when it was described", longer, old[:60<<20], func(path string) error { return os.Truncate(path, 60<<20) }, 75 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			for path, b := range map[string][]byte{from: c.content, to: old} {
				grow(t, path)
				if err := os.WriteFile(filepath.Join(path, "large"), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			writesAhead(t, to)
			long := time.Unix(1e9, 0)
			if err := os.Chtimes(filepath.Join(from, "large"), long, long); err != nil {
				t.Fatal(err)
			}
			o := &onlooker{do: func() error { return nil }}
			var opened, reads, readThere atomic.Int64
			destination := func(call dirfs.Call) error {
				if call.Op == "File.ReadAt" && call.Name == "large" {
					readThere.Add(piece)
				}
				return o.before(call)
			}
			written := func() bool { return o.written.Load() && readThere.Load() >= c.written }
			source := func(call dirfs.Call) error {
				switch {
				case call.Name != "large":
				case call.Op == "Open" && opened.Add(1) == 1:
					return c.open(filepath.Join(from, "large"))
				case call.Op == "File.ReadAt" && reads.Add(piece) == 40<<20:
					for end := time.Now().Add(20 * time.Second); !written() && time.Now().Before(end); {
						time.Sleep(time.Millisecond)
					}
					if !written() {
						t.Error("nothing is written before the sender has read its file")
					}
				}
				return nil
			}
			if sent, received := mirrorInjected(t, from, to, source, destination); sent != nil || received != nil {
				t.Fatalf("sender: %v, receiver: %v", sent, received)
			}
			if got, err := os.ReadFile(filepath.Join(to, "large")); err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("the file is not what it should be: %d bytes, %v", len(got), err)
			}
		})
	}
}
