package supply_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// open makes a directory and opens it, with a hook ahead of its calls.
func open(t *testing.T, text string, before func(dir string, c dirfs.Call) error) (string, dirfs.Dir) {
	t.Helper()
	dir := t.TempDir()
	treetest.Make(t, dir, text)
	d, err := dirfs.OpenRoot(dir, dirfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return dir, dirfs.Inject(d, func(c dirfs.Call) error { return before(dir, c) })
}

func quiet(string, dirfs.Call) error { return nil }

func TestInto(t *testing.T) {
	_, d := open(t, "a 640 @5.25 =hello\nempty @6\nbig +1049560\nl >a\np other\nd/", quiet)
	p := wire.NewPack()
	defer p.Discard()
	m, err := supply.Into(p, d, "a", 3)
	if err != nil || m.Perm != 0o640 || m.MTime.Sec != 5 || m.MTime.Nsec != 250_000_000 || m.Size != 5 || p.Files != 1 {
		t.Errorf("got %+v, %v", m, err)
	}
	if m, err := supply.Into(p, d, "empty", 4); err != nil || m.Size != 0 || p.Files != 2 {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := supply.Into(p, d, "big", 5); !errors.Is(err, supply.ErrLarge) {
		t.Errorf("large: %v", err)
	}
	for name, want := range map[string]error{"p": dirfs.ErrNotRegular, "d": dirfs.ErrNotRegular, "none": fs.ErrNotExist} {
		if _, err := supply.Into(p, d, name, 6); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := supply.Into(p, d, "l", 6); err == nil {
		t.Error("a link was followed")
	}
	if p.Files != 2 {
		t.Errorf("%d files are in it", p.Files)
	}
}

// A file that is written to while it is read is never handed out.
func TestChanged(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"rewritten":   func(path string) error { return os.WriteFile(path, []byte("HELLO"), 0o644) },
		"longer":      func(path string) error { return os.WriteFile(path, []byte("hello, hello"), 0o644) },
		"shorter":     func(path string) error { return os.Truncate(path, 2) },
		"touched":     func(path string) error { return os.Chtimes(path, time.Unix(7, 0), time.Unix(7, 0)) },
		"permissions": func(path string) error { return os.Chmod(path, 0o600) },
	} {
		changing := func(dir string, c dirfs.Call) error {
			if c.Op == "File.ReadAt" {
				return change(filepath.Join(dir, "a"))
			}
			return nil
		}
		_, d := open(t, "a @5 =hello", changing)
		p := wire.NewPack()
		if _, err := supply.Into(p, d, "a", 1); !errors.Is(err, supply.ErrChanged) || p.Files != 0 {
			t.Errorf("%s: %v, %d files", name, err, p.Files)
		}
		p.Discard()
		_, d = open(t, "a @5 =hello", changing)
		f, err := supply.Open(d, "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Sum(func(int) error { return nil }); !errors.Is(err, supply.ErrChanged) {
			t.Errorf("%s: the digest: %v", name, err)
		}
		f.Close()
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, op := range []string{"Open", "File.Info", "File.ReadAt"} {
		_, d := open(t, "a =hello", func(_ string, c dirfs.Call) error {
			if c.Op == op {
				return broken
			}
			return nil
		})
		p := wire.NewPack()
		if _, err := supply.Into(p, d, "a", 1); !errors.Is(err, broken) || p.Files != 0 {
			t.Errorf("%s: %v, %d files", op, err, p.Files)
		}
		p.Discard()
	}
}

func TestChunksAndSum(t *testing.T) {
	_, d := open(t, "a +2500000\nb +1048576\nc", quiet)
	for name, size := range map[string]int{"a": 2_500_000, "b": 1 << 20, "c": 0} {
		f, err := supply.Open(d, name)
		if err != nil {
			t.Fatal(err)
		}
		want, read := treetest.Pattern(size), 0
		sum, err := f.Sum(func(n int) error { read += n; return nil })
		if err != nil || sum != digest.ContentOf(want) || read != size {
			t.Errorf("%s: digest %s, %v, %d bytes", name, sum, err, read)
		}
		var got strings.Builder
		for i := range f.Chunks() {
			part := f.Part(i)
			b := make([]byte, part.Data())
			if err := f.Read(part, b); err != nil {
				t.Fatal(err)
			}
			got.Write(b)
		}
		if got.String() != string(want) {
			t.Errorf("%s: the chunks are not the file", name)
		}
		stop := errors.New("stop")
		if _, err := f.Sum(func(int) error { return stop }); size > 0 && err != stop {
			t.Errorf("%s: not stopped: %v", name, err)
		}
		f.Close()
	}
}
