//go:build unix

package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// TestForPeer tells the other side what went wrong, and nothing of where.
func TestForPeer(t *testing.T) {
	dir := t.TempDir()
	_, missing := os.Open(filepath.Join(dir, "missing"))
	renamed := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	_, unreachable := net.DialTimeout("unix", filepath.Join(dir, "socket"), time.Second)
	known := fault.Errorf("changed while it was read")
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.ENOSPC, "no space left on device"},
		{missing, "no such file or directory"},
		{renamed, "no such file or directory"},
		{unreachable, "no such file or directory"},
		{os.NewSyscallError("flock", syscall.EIO), "input/output error"},
		{fmt.Errorf("open %s: %w", dir, fs.ErrPermission), "permission denied"},
		{context.Canceled, "context canceled"},
		{known, "changed while it was read"},
		{fmt.Errorf("%s: %w", dir, known), "changed while it was read"},
		{errors.Join(errors.New(dir), known, missing), "changed while it was read; no such file or directory"},
		{errors.New(dir), "otherwise"},
		{errors.Join(errors.New(dir), errors.New(dir)), "otherwise"},
		{fmt.Errorf("in %s", dir), "otherwise"},
		{fault.With(fault.Disk, errors.New(dir)), "the destination's disk failed"},
		{fault.New(fault.Path, "destination %s: %w", dir, known), "destination: changed while it was read"},
		{fault.New(fault.Path, "destination %s: %w", dir, missing), "destination: no such file or directory"},
		{fault.New(fault.Path, "destination %s: %w%s", dir, known, ", process 77"), "destination: changed while it was read"},
		{fault.New(fault.Disk, "sync: %w", errors.New(dir)), "sync: the destination's disk failed"},
		{fault.New(fault.Disk, "%s: %w", fault.Told("write a/b"), missing), "write a/b: no such file or directory"},
		{fault.New(fault.Guard, "%d entries, more than %v in %s", 6, 5*time.Second, dir), "6 entries, more than 5s in"},
		{fault.New(fault.Protocol, "digest %s, %s", [2]byte{1, 2}, fault.Partial), "digest \x01\x02, some entries failed"},
		{fault.New(fault.Lost, "bytes %x, names %q, a list %v, nothing %v", []byte(dir), dir, []string{dir}, nil), "bytes, names, a list, nothing"},
		{fault.New(fault.Interrupted, "interrupted by a signal (%v)", os.Interrupt), "interrupted by a signal (interrupt)"},
		{fault.New(fault.Path, "outer %s: %w", dir, fault.New(fault.Guard, "inner %s: %w", dir, errors.New(dir))), "outer: inner: refused by a guard"},
	} {
		if got := fault.ForPeer(c.err, "otherwise"); got != c.want || strings.Contains(got, dir) {
			t.Errorf("of %q the other side is told %q, want %q", c.err, got, c.want)
		}
	}
	if !errors.Is(fault.New(fault.Path, "a: %w", fs.ErrExist), fs.ErrExist) || !errors.Is(fault.New(fault.Path, "%w: %w", known, fs.ErrExist), known) {
		t.Error("what an error wraps is not found")
	}
}

func TestPeer(t *testing.T) {
	err := fault.Peer(fault.Guard, "no\x1b[2J\nway")
	if e := (*fault.Error)(nil); !errors.As(err, &e) || !e.Peer || e.Code != fault.Guard || err.Error() != `no\x1b[2J\nway` {
		t.Errorf("got %#v, %v", err, err)
	}
	if err := fault.Peer(fault.Guard, ""); err.Error() != "refused by a guard" {
		t.Errorf("got %v", err)
	}
}
