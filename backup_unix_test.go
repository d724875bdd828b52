//go:build unix

package syncdirectory

import (
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// On another file system all is copied there.
func TestBackupOnAnotherFileSystem(t *testing.T) {
	memory, err := os.MkdirTemp("/dev/shm", "backup")
	if err != nil {
		t.Skip("SKIPPED: needs a second file system, in /dev/shm")
	}
	t.Cleanup(func() { os.RemoveAll(memory) })
	dir := t.TempDir()
	a, b := stat(t, memory), stat(t, dir)
	if a.Dev == b.Dev {
		t.Skip("SKIPPED: needs a second file system, and /dev/shm is none")
	}
	from, to, saved := filepath.Join(dir, "from"), filepath.Join(memory, "to"), filepath.Join(dir, "saved")
	grow(t, from, faultyWant...)
	grow(t, to, faultyHave...)
	if err := syscall.Mkfifo(filepath.Join(to, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := read(t, filepath.Join(to, "extra"))
	if _, err := Local(t.Context(), &Sender{Dir: from, Links: true}, &Receiver{Dir: to, BackupDir: saved}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(saved, "extra")); !maps.Equal(got, before) {
		t.Errorf("saved %v of %v", got, before)
	}
	if got := read(t, saved); got["changed"] != "file old!" || got["large"] != "file old" || got["link"] != "link elsewhere" || got["to-file/a/b"] != "file b" {
		t.Errorf("saved %v", got)
	}
}

func stat(t *testing.T, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}
