package dirfs_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// TestOpenWhileReplaced opens a name that is a file, a FIFO and a link in
// quick succession: what is opened is the file, and nothing ever waits.
func TestOpenWhileReplaced(t *testing.T) {
	everywhere(t, func(p *place) {
		p.write("x", "good")
		p.write("secret", "secret")
		ok(p, os.Symlink("secret", p.at("link")))
		ok(p, unix.Mkfifo(p.at("fifo"), 0o600))
		stop := replace(p, "x", "link", "fifo")
		defer stop()
		opened := 0
		for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
			f, err := p.Open("x")
			if err != nil {
				wants(p, err, dirfs.ErrNotRegular, dirfs.ErrReplaced, syscall.ELOOP)
				continue
			}
			opened++
			buf := make([]byte, 10)
			n, _ := f.ReadAt(buf, 0)
			if string(buf[:n]) != "good" {
				p.Fatalf("read %q", buf[:n])
			}
			ok(p, f.Close())
		}
		if opened == 0 {
			p.Error("never opened the file")
		}
	})
}

// TestOpenDirWhileReplaced does the same with a directory and a link to
// another.
func TestOpenDirWhileReplaced(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, os.MkdirAll(p.at("x/good"), 0o700))
		ok(p, os.MkdirAll(p.at("secret/bad"), 0o700))
		ok(p, os.Symlink("secret", p.at("link")))
		stop := replace(p, "x", "link")
		defer stop()
		opened := 0
		for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
			d, err := p.OpenDir("x")
			if err != nil {
				wants(p, err, dirfs.ErrReplaced, syscall.ELOOP, syscall.ENOTDIR)
				continue
			}
			opened++
			must(d.Stat("good"))(p)
			ok(p, d.Close())
		}
		if opened == 0 {
			p.Error("never opened the directory")
		}
	})
}

// replace exchanges name with the others in turn until stop is called.
func replace(p *place, name string, others ...string) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, other := range others {
				for range 2 { // there and back
					err := unix.Renameat2(unix.AT_FDCWD, p.at(name), unix.AT_FDCWD, p.at(other), unix.RENAME_EXCHANGE)
					if err != nil && !errors.Is(err, unix.EINTR) {
						p.Error(err)
					}
				}
			}
			select {
			case <-quit:
				return
			default:
			}
		}
	}()
	return func() { close(quit); <-done }
}
