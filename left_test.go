//go:build unix

package syncdirectory

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/linksim"
)

// TestContinuation breaks the connection again and again. What has come is not
// sent again.
func TestContinuation(t *testing.T) {
	for _, c := range []struct {
		name    string
		have    func(y *yard) // what the destination holds before
		content func(y *yard)
		size    int64 // of what it lacks
		again   int64 // how much of what has come may be sent again
	}{
		{"small files into nothing", nil, smallFiles, 600 * 40_000, 400_000},
		{"small files beside others", func(y *yard) { grow(y.T, y.to, "extra=x", "d1/f3=old", "d2/more/x=y") }, smallFiles, 600 * 40_000, 400_000},
		{"a large file into nothing", nil, largeFile, 40 << 20, 8 << 20},
		{"a large file beside others", func(y *yard) { grow(y.T, y.to, "extra=x") }, largeFile, 40 << 20, 8 << 20},
		{"a large file in a new directory", func(y *yard) { grow(y.T, y.to, "extra=x") }, func(y *yard) { largeFile(y); y.mv("large", "new/deep/large"); y.age() }, 40 << 20, 8 << 20},
		{"a large file in place of a small one", func(y *yard) { grow(y.T, y.to, "large=x") }, largeFile, 40 << 20, 8 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			y := &yard{t, filepath.Join(dir, "from"), filepath.Join(dir, "to")}
			c.content(y)
			grow(t, y.to)
			if c.have != nil {
				c.have(y)
			}
			for _, cut := range []int64{c.size * 2 / 5, c.size / 4} {
				sent, _, _, err := across(t, y.from, y.to, linksim.Link{Cut: cut, Rate: 50 << 20})
				if CodeOf(err) != Interrupted {
					t.Fatalf("after %d bytes: %v", sent, err)
				}
			}
			kept := y.kept()
			sent, _, serr, rerr := across(t, y.from, y.to, linksim.Link{})
			if serr != nil || rerr != nil {
				t.Fatalf("sender: %v, receiver: %v", serr, rerr)
			}
			t.Logf("%d bytes were kept, %d sent at last", kept, sent)
			if kept < c.size/4 {
				t.Errorf("%d bytes were kept, which is too little to be a test", kept)
			}
			if most := c.size - kept + c.again; sent > most {
				t.Errorf("%d bytes at last, want %d at most", sent, most)
			}
			if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
				t.Error("the directories differ")
			}
			if _, err := os.Lstat(filepath.Join(y.to, ".sync-directory")); !os.IsNotExist(err) {
				t.Errorf("something is left: %v", err)
			}
			unshared(t, y.to)
		})
	}
}

// TestContinuationOfAChange breaks the connection while a large file is made of the
// old one: what had come of the rest counts, and the old one does.
func TestContinuationOfAChange(t *testing.T) {
	dir := t.TempDir()
	y := &yard{t, filepath.Join(dir, "from"), filepath.Join(dir, "to")}
	y.write("large", noise(rand.New(rand.NewPCG(7, 8)), 80<<20))
	y.age()
	grow(t, y.to)
	y.half("large")
	total := int64(0)
	for range 2 {
		sent, _, _, err := across(t, y.from, y.to, linksim.Link{Cut: 16 << 20, Rate: 50 << 20})
		if CodeOf(err) != Interrupted {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
		total += sent
	}
	sent, _, serr, rerr := across(t, y.from, y.to, linksim.Link{})
	if serr != nil || rerr != nil {
		t.Fatalf("sender: %v, receiver: %v", serr, rerr)
	}
	if total += sent; total > 40<<20+2*8<<20 {
		t.Errorf("%d bytes in all for 40 MiB, and %d of them at last", total, sent)
	}
	if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
		t.Error("the directories differ")
	}
}

// kept returns how many bytes of content the working directory holds. What is
// staged for one path counts once.
func (y *yard) kept() (n int64) {
	y.Helper()
	most := make(map[string]int64)
	y.ok(filepath.WalkDir(filepath.Join(y.to, ".sync-directory"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			most[info.Name()] = max(most[info.Name()], info.Size())
			if strings.Count(info.Name(), "-") == 2 {
				tag := info.Name()[strings.LastIndex(info.Name(), "-"):]
				delete(most, info.Name())
				most[tag] = max(most[tag], info.Size())
			}
		}
		return err
	}))
	for _, size := range most {
		n += size
	}
	return n
}

func smallFiles(y *yard) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 600 {
		y.write(fmt.Sprintf("d%d/f%d", i%9, i), noise(r, 40_000))
	}
	y.age()
}

func largeFile(y *yard) {
	y.write("large", noise(rand.New(rand.NewPCG(5, 6)), 40<<20))
	y.age()
}

// half gives the destination the first half of a file of the source, of other
// size and time.
func (y *yard) half(path string) {
	y.Helper()
	b, err := os.ReadFile(filepath.Join(y.from, path))
	y.ok(err)
	y.ok(os.WriteFile(filepath.Join(y.to, path), b[:len(b)/2], 0o644))
}

// TestLeftoversOnASmallDisk has staged so much of a file that it fits twice nowhere:
// the next run does without.
func TestLeftoversOnASmallDisk(t *testing.T) {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("SKIPPED: it needs root on Linux, to mount a small file system")
	}
	small := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", small).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no file system can be mounted: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", small).Run() })
	y := &yard{t, filepath.Join(t.TempDir(), "from"), filepath.Join(small, "to")}
	largeFile(y)
	grow(t, y.to, "extra=x")
	if _, _, _, err := across(t, y.from, y.to, linksim.Link{Cut: 24 << 20, Rate: 50 << 20}); CodeOf(err) != Interrupted {
		t.Fatal(err)
	}
	if _, _, serr, rerr := across(t, y.from, y.to, linksim.Link{}); serr != nil || rerr != nil {
		t.Fatalf("sender: %v, receiver: %v", serr, rerr)
	}
	if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
		t.Error("the directories differ")
	}
}

// TestLeftoversDoNotAddUp interrupts again and again.
func TestLeftoversDoNotAddUp(t *testing.T) {
	dir := t.TempDir()
	y := &yard{t, filepath.Join(dir, "from"), filepath.Join(dir, "to")}
	largeFile(y)
	y.mv("large", "new/large")
	y.age()
	grow(t, y.to, "extra=x")
	for range 8 {
		if _, _, _, err := across(t, y.from, y.to, linksim.Link{Cut: 3 << 20, Rate: 50 << 20}); CodeOf(err) != Interrupted {
			t.Fatal(err)
		}
	}
	total := int64(0)
	y.ok(filepath.WalkDir(filepath.Join(y.to, ".sync-directory"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	}))
	if total > 2*8*3<<20 {
		t.Errorf("%d bytes are staged of what came, twice %d at most", total, 8*3<<20)
	}
}
