package syncdirectory

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/linksim"
)

// noise returns n bytes that neither repeat nor shrink.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func splice(b []byte, at, cut int, insert []byte) []byte {
	return append(append(bytes.Clone(b[:at]), insert...), b[at+cut:]...)
}

// TestChangedFiles makes changed files of old ones, and holds the bytes that
// cross the wire to what has changed.
func TestChangedFiles(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	small, large := noise(r, 90_000), noise(r, 12<<20)
	edits := bytes.Clone(large)
	for range 20 {
		edits[r.IntN(len(edits))] ^= 0x55
	}
	pages := bytes.Clone(large)
	for range 10 {
		copy(pages[r.IntN(len(pages)/4096)*4096:], noise(r, 4096))
	}
	const each = 7 << 10 // what a change at one place takes, and all else that is not the change
	for _, c := range []struct {
		name     string
		old, new []byte
		most     int64
	}{
		{"a line appended", small, append(bytes.Clone(small), "line\n"...), each},
		{"a byte inserted", small, splice(small, 45_000, 0, []byte{1}), each},
		{"a byte changed", small, splice(small, 45_000, 1, []byte{small[45_000] ^ 1}), each},
		{"cut short", small, small[:50_000], each},
		{"halves swapped", small, append(bytes.Clone(small[45_000:]), small[:45_000]...), each},
		{"a small file of nothing old", small, noise(r, 90_000), 100_000},
		{"a large file with a byte inserted", large, splice(large, 6<<20+123, 0, []byte{1}), 2 * each},
		{"a large file with a byte removed", large, splice(large, 5<<20, 1, nil), 2 * each},
		{"a large log with lines appended", large, append(bytes.Clone(large), noise(r, 5000)...), 5000 + 2*each},
		{"a large file cut short", large, large[:7<<20+1], 2 * each},
		{"a large file of nothing old", large, noise(r, 9<<20), 10 << 20},
		{"a large file with a megabyte moved", large, splice(splice(large, 1<<20, 1<<20, nil), 8<<20, 0, large[1<<20:2<<20]), 12 * each},
		{"bytes all over a large file", large, edits, 20 * each},
		{"pages all over a large file", large, pages, 10*4096 + 10*each},
		{"a small file that grew large", small, append(bytes.Clone(small), noise(r, 300_000)...), 300_000 + 2*each},
		{"a large file that shrank", large[:1<<20], large[:200_000], 2 * each},
		{"a part taken out of a large file", large, splice(large, 2<<20, 3<<20, nil), 4 * each},
		{"a part put into a large file", large, splice(large, 2<<20, 0, noise(r, 3<<20)), 3<<20 + 10*each},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			for path, content := range map[string][]byte{from: c.new, to: c.old} {
				if err := os.MkdirAll(path, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(path, "file"), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			sent, _, serr, rerr := across(t, from, to, linksim.Link{})
			if serr != nil || rerr != nil {
				t.Fatalf("sender: %v, receiver: %v", serr, rerr)
			}
			if got, err := os.ReadFile(filepath.Join(to, "file")); err != nil || !bytes.Equal(got, c.new) {
				t.Fatalf("the file differs, %v", err)
			}
			t.Logf("%d bytes", sent)
			if sent > c.most {
				t.Errorf("%d bytes crossed the wire, want %d at most", sent, c.most)
			}
		})
	}
}

// TestChangedTrees changes many files of all sizes in all ways at once.
func TestChangedTrees(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		for i := range 60 {
			content := noise(r, 1<<(8+r.IntN(14))+r.IntN(1000))
			path := fmt.Sprintf("d%d/f%d", i%7, i)
			for root := range map[string]bool{from: true, to: true} {
				if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(to, path), content, 0o644); err != nil {
				t.Fatal(err)
			}
			for range r.IntN(3) {
				at := r.IntN(len(content) + 1)
				cut := r.IntN(len(content) - at + 1)
				if r.IntN(2) == 0 {
					cut = min(cut, 100)
				}
				content = splice(content, at, cut, noise(r, r.IntN(2000)))
			}
			if err := os.WriteFile(filepath.Join(from, path), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, _, serr, rerr := across(t, from, to, linksim.Link{})
		if serr != nil || rerr != nil {
			t.Fatalf("round %d: sender: %v, receiver: %v", round, serr, rerr)
		}
		if want, got := read(t, from), read(t, to); !maps.Equal(want, got) {
			t.Fatalf("round %d: the directories differ", round)
		}
	}
}

// nth calls do ahead of the n-th call of one kind on a file of that name, or of
// any where that is "". A test in which it never came to that fails.
func nth(t *testing.T, op, name string, n int64, do func() error) func(dirfs.Call) error {
	var calls atomic.Int64
	t.Cleanup(func() {
		if calls.Load() < n {
			t.Errorf("%s of %q only %d times, want %d", op, name, calls.Load(), n)
		}
	})
	return func(c dirfs.Call) error {
		if c.Op == op && (name == "" || c.Name == name) && calls.Add(1) == n {
			return do()
		}
		return nil
	}
}

// outlined calls do ahead of the first read of a file of that name after it was
// outlined: when it was opened, and then, the system said how it is.
func outlined(t *testing.T, name string, do func() error) func(dirfs.Call) error {
	var infos atomic.Int64
	read := nth(t, "File.ReadAt", name, 1, do)
	return func(c dirfs.Call) error {
		if c.Op == "File.Info" && c.Name == name {
			infos.Add(1)
		}
		if infos.Load() < 2 {
			return nil
		}
		return read(c)
	}
}

// TestLargeFileMeanwhile has a large file change, or fail, on either side at the
// worst moment while it is made of the old one: the session goes on.
func TestLargeFileMeanwhile(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	old := noise(r, 12<<20)
	content := splice(splice(old, 9<<20, 0, []byte("inserted")), 3<<20, 100, nil)
	none := func(dirfs.Call) error { return nil }
	scribbles := func(path string) func() error { return func() error { return scribble(path, 5<<20) } }
	fails := func(err error) func() error { return func() error { return err } }
	for _, c := range []struct {
		name                string
		source, destination func(t *testing.T, from, to string) func(dirfs.Call) error
		sent, received      Code
	}{
		{name: "the new file changes while it is outlined", source: func(t *testing.T, from, _ string) func(dirfs.Call) error {
			return nth(t, "File.ReadAt", "large", 2, scribbles(filepath.Join(from, "large")))
		}},
		{name: "the new file changes while fragments are sent", source: func(t *testing.T, from, _ string) func(dirfs.Call) error {
			return outlined(t, "large", scribbles(filepath.Join(from, "large")))
		}},
		{name: "the new file is cut short while fragments are sent", source: func(t *testing.T, from, _ string) func(dirfs.Call) error {
			return outlined(t, "large", func() error { return os.Truncate(filepath.Join(from, "large"), 1<<20) })
		}},
		{name: "the new file can not be outlined", sent: Partial, received: Partial, source: func(t *testing.T, _, _ string) func(dirfs.Call) error {
			return nth(t, "File.ReadAt", "large", 2, fails(syscall.EIO))
		}},
		{name: "a fragment can not be read", sent: Partial, received: Partial, source: func(t *testing.T, _, _ string) func(dirfs.Call) error {
			return outlined(t, "large", fails(syscall.EIO))
		}},
		{name: "the old file changes while it is copied", destination: func(t *testing.T, _, to string) func(dirfs.Call) error {
			return nth(t, "File.CopyFrom", "", 1, scribbles(filepath.Join(to, "large")))
		}},
		{name: "the old file can not be read", destination: func(t *testing.T, _, _ string) func(dirfs.Call) error {
			return nth(t, "File.ReadAt", "large", 1, fails(syscall.EIO))
		}},
		{name: "the old file can not be read again", destination: func(t *testing.T, _, _ string) func(dirfs.Call) error {
			return outlined(t, "large", fails(syscall.EIO))
		}},
		{name: "the disk is full", sent: Disk, received: Disk, destination: func(t *testing.T, _, _ string) func(dirfs.Call) error {
			return func(c dirfs.Call) error {
				if c.Op == "File.CopyFrom" {
					return syscall.ENOSPC
				}
				return nil
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			grow(t, from, "other=x")
			grow(t, to, "gone=y")
			for path, b := range map[string][]byte{from: content, to: old} {
				if err := os.WriteFile(filepath.Join(path, "large"), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			source, destination := none, none
			if c.source != nil {
				source = c.source(t, from, to)
			}
			if c.destination != nil {
				destination = c.destination(t, from, to)
			}
			sent, received := mirrorInjected(t, from, to, source, destination)
			if CodeOf(sent) != c.sent && sent != nil || CodeOf(received) != c.received && received != nil {
				t.Fatalf("sender: %v, receiver: %v", sent, received)
			}
			want, err := os.ReadFile(filepath.Join(from, "large"))
			if c.sent != OK {
				want = old
			}
			got, rerr := os.ReadFile(filepath.Join(to, "large"))
			if err != nil || rerr != nil || !bytes.Equal(want, got) {
				t.Errorf("the large file is not what it should be, %v, %v", err, rerr)
			}
			if _, err := os.Stat(filepath.Join(to, "gone")); (err == nil) != (c.sent != OK) {
				t.Errorf("what the source does not have: %v", err)
			}
			if _, err := os.Stat(filepath.Join(to, "other")); err != nil && c.sent != Disk {
				t.Error(err)
			}
		})
	}
}
