//go:build unix

package syncdirectory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sync-directory/sync-directory/internal/linksim"
)

// TestContinuation breaks the connection again and again. What has come is not
// sent again: all sessions together take little more than one would.
func TestContinuation(t *testing.T) {
	for _, c := range []struct {
		name    string
		have    func(y *yard) // what the destination holds before
		content func(y *yard)
		size    int64
		cuts    []int64
		again   int64 // bytes that a break may cost
	}{
		{"small files into nothing", nil, smallFiles, 200 * 40_000, []int64{3 << 20, 2 << 20, 2 << 20}, 1200 << 10},
		{"small files beside others", func(y *yard) { grow(y.T, y.to, "extra=x", "d1/f3=old", "d2/more/x=y") }, smallFiles, 200 * 40_000, []int64{3 << 20, 2 << 20}, 1200 << 10},
		{"a large file into nothing", nil, largeFile, 40 << 20, []int64{18 << 20, 14 << 20}, 8 << 20},
		{"a large file beside others", func(y *yard) { grow(y.T, y.to, "extra=x") }, largeFile, 40 << 20, []int64{18 << 20, 14 << 20}, 8 << 20},
		{"a large file in a new directory", func(y *yard) { grow(y.T, y.to, "extra=x") }, func(y *yard) { largeFile(y); y.mv("large", "new/deep/large"); y.age() }, 40 << 20, []int64{18 << 20, 14 << 20}, 8 << 20},
		{"a large file in place of a small one", func(y *yard) { grow(y.T, y.to, "large=x") }, largeFile, 40 << 20, []int64{18 << 20, 14 << 20}, 8 << 20},
		{"a large file that has changed much", func(y *yard) { y.half("large") }, largeFile, 20 << 20, []int64{9 << 20, 7 << 20}, 8 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			y := &yard{t, filepath.Join(dir, "from"), filepath.Join(dir, "to")}
			c.content(y)
			grow(t, y.to)
			if c.have != nil {
				c.have(y)
			}
			total := int64(0)
			for _, cut := range c.cuts {
				sent, _, _, err := across(t, y.from, y.to, linksim.Link{Cut: cut})
				if CodeOf(err) != Interrupted {
					t.Fatalf("after %d bytes: %v", sent, err)
				}
				t.Logf("%d bytes until the break", sent)
				total += sent
			}
			sent, _, serr, rerr := across(t, y.from, y.to, linksim.Link{})
			if serr != nil || rerr != nil {
				t.Fatalf("sender: %v, receiver: %v", serr, rerr)
			}
			t.Logf("%d bytes at last", sent)
			total += sent
			if most := c.size + c.size/50 + int64(len(c.cuts))*c.again; total > most {
				t.Errorf("%d bytes in all, want %d at most", total, most)
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

func smallFiles(y *yard) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
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
