package supply_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
)

// TestOutlineAlong outlines a file with somebody alongside, who sees all of it in
// order, and can end it.
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

	var seen []byte
	var known []delta.Node
	read := 0
	o, err := f.Outline(0, func(n int, g *delta.Growing) error {
		read += n
		known = slices.Clone(g.Level(0))
		return nil
	}, func(off int64, b []byte) error {
		if off != int64(len(seen)) {
			t.Errorf("%d bytes from %d on come after %d", len(b), off, len(seen))
		}
		seen = append(seen, b...)
		return nil
	})
	if err != nil || read != len(content) || !bytes.Equal(seen, content) {
		t.Fatalf("%v, read %d bytes and saw %d of %d", err, read, len(seen), len(content))
	}
	if alone, err := f.Outline(0, func(int, *delta.Growing) error { return nil }, nil); err != nil || !slices.Equal(alone.Level(0), o.Level(0)) {
		t.Errorf("alone it is another one, %v", err)
	}
	if len(known) == 0 || !slices.Equal(known, o.Level(0)[:len(known)]) {
		t.Errorf("%d segments were known before the last piece, not those of the outline", len(known))
	}

	enough := errors.New("enough")
	for at := range 3 {
		n := 0
		if _, err := f.Outline(0, func(int, *delta.Growing) error { return nil }, func(int64, []byte) error {
			if n++; n == at+1 {
				return enough
			}
			return nil
		}); !errors.Is(err, enough) || n != at+1 {
			t.Errorf("ended after %d of %d calls with %v", n, at+1, err)
		}
	}
}
