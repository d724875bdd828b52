package supply_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const mega = 1 << 20

// sparse makes a file with data at the given offsets, a block at each.
func sparse(t *testing.T, path string, size int64, offsets ...int64) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(size)
	}
	for _, off := range offsets {
		if err == nil {
			_, err = f.WriteAt(bytes.Repeat([]byte{'x'}, 4096), off)
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestParts(t *testing.T) {
	dir, d := open(t, "", quiet)
	hole := []wire.Extent{}
	for _, c := range []struct {
		name    string
		size    int64
		offsets []int64
		parts   []wire.Part
	}{
		{"nothing but a hole", 5*mega + 7, nil, []wire.Part{{Index: 0, Length: 5*mega + 7, Extents: hole}}},
		{"a hole in front", 3 * mega, []int64{2*mega + 8192}, []wire.Part{{Index: 0, Length: 2 * mega, Extents: hole}, {Index: 2, Length: mega, Extents: []wire.Extent{{Off: 8192, Len: 4096}}}}},
		{"a hole at the end", 3*mega + 1, []int64{0}, []wire.Part{{Index: 0, Length: mega, Extents: []wire.Extent{{Off: 0, Len: 4096}}}, {Index: 1, Length: 2*mega + 1, Extents: hole}}},
		{"two extents", mega, []int64{4096, 65536}, []wire.Part{{Index: 0, Length: mega, Extents: []wire.Extent{{Off: 4096, Len: 4096}, {Off: 65536, Len: 4096}}}}},
		{"a long hole", 3 << 30, []int64{3<<30 - 4096}, []wire.Part{{Index: 0, Length: 1 << 30, Extents: hole}, {Index: 1024, Length: 1 << 30, Extents: hole}, {Index: 2048, Length: 1<<30 - mega, Extents: hole}, {Index: 3071, Length: mega, Extents: []wire.Extent{{Off: mega - 4096, Len: 4096}}}}},
	} {
		sparse(t, filepath.Join(dir, "f"), c.size, c.offsets...)
		f, err := supply.Open(d, "f")
		if err != nil {
			t.Fatal(err)
		}
		if p := f.Part(0); p.Extents == nil {
			t.Skip("HOLES NOT TESTED: the file system of the temporary directory has none")
		}
		var parts []wire.Part
		for chunk := int64(0); chunk < f.Chunks(); {
			p := f.Part(chunk)
			parts = append(parts, p)
			chunk += digest.Chunks(p.Length)
			b := make([]byte, p.Data())
			if err := f.Read(p, b); err != nil || bytes.Contains(b, []byte{0}) {
				t.Errorf("%s: chunk %d: %v", c.name, chunk, err)
			}
		}
		if !reflect.DeepEqual(parts, c.parts) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, parts, c.parts)
		}
		if c.size < 10*mega {
			all, err := os.ReadFile(filepath.Join(dir, "f"))
			if err != nil {
				t.Fatal(err)
			}
			if sum, err := f.Sum(func(int) error { return nil }); err != nil || sum != digest.ContentOf(all) {
				t.Errorf("%s: digest %s, %v", c.name, sum, err)
			}
		}
		f.Close()
	}
	// More extents than a part has: the rest of the chunk goes as data.
	var offsets []int64
	for i := range int64(mega / 8192) {
		offsets = append(offsets, 8192*i)
	}
	sparse(t, filepath.Join(dir, "many"), mega, offsets...)
	f, err := supply.Open(d, "many")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := f.Part(0)
	if n := len(p.Extents); n != wire.MaxExtents || p.Extents[n-1].Off+p.Extents[n-1].Len != mega {
		t.Errorf("%d extents, the last one %+v", n, p.Extents[n-1])
	}
}
