package supply_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
)

// TestOutlineAlong outlines a file with somebody alongside, who sees all of it once,
// and can end it.
func TestOutlineAlong(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(5, 5))
	content := make([]byte, 11<<20+77)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := dirfs.OpenRoot(dir, dirfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, err := supply.Open(root, "f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	var mu sync.Mutex
	seen := make([]byte, len(content))
	total := 0
	var known []delta.Node
	read := 0
	o, err := f.Outline(0, func(n int, g *delta.Growing) error {
		read += n
		known = slices.Clone(g.Level(0))
		return nil
	}, func(off int64, b []byte) error {
		mu.Lock()
		defer mu.Unlock()
		total += copy(seen[off:], b)
		return nil
	})
	if err != nil || read != len(content) || total != len(content) || !bytes.Equal(seen, content) {
		t.Fatalf("%v, read %d bytes and saw %d of %d", err, read, total, len(content))
	}
	if whole := segments(content); !slices.Equal(o.Level(0), whole) {
		t.Errorf("%d segments, want %d, or they are others", len(o.Level(0)), len(whole))
	}
	if alone, err := f.Outline(0, func(int, *delta.Growing) error { return nil }, nil); err != nil || !slices.Equal(alone.Level(0), o.Level(0)) {
		t.Errorf("alone it is another one, %v", err)
	}
	if !slices.Equal(known, o.Level(0)) {
		t.Errorf("%d segments were known at last, not those of the outline", len(known))
	}

	enough := errors.New("enough")
	for at := range int64(3) {
		var calls atomic.Int64
		end := func() error {
			if calls.Add(1) == at+1 {
				return enough
			}
			return nil
		}
		none := func(int, *delta.Growing) error { return nil }
		if _, err := f.Outline(0, none, func(int64, []byte) error { return end() }); !errors.Is(err, enough) || calls.Load() > at+20 {
			t.Errorf("along ends it after %d of %d calls with %v", calls.Load(), at+1, err)
		}
		calls.Store(0)
		if _, err := f.Outline(0, func(int, *delta.Growing) error { return end() }, nil); !errors.Is(err, enough) || calls.Load() != at+1 {
			t.Errorf("progress ends it after %d of %d calls with %v", calls.Load(), at+1, err)
		}
	}
}

// segments returns what a content consists of, at scale 0.
func segments(content []byte) (nodes []delta.Node) {
	c := delta.NewCutter(0)
	for len(content) > 0 {
		n, _ := c.Cut(content)
		nodes = append(nodes, delta.Node{Digest: digest.ContentOf(content[:n]), Length: int64(n)})
		content = content[n:]
	}
	return nodes
}
