package stage_test

import (
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func benchArea(b *testing.B) *stage.Area {
	d, err := dirfs.OpenRoot(b.TempDir(), dirfs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	a, err := stage.Open(d, stage.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Leave(a.Root.MTime); d.Close() })
	return a
}

// BenchmarkPut stages a file of 4 KB, and removes it.
func BenchmarkPut(b *testing.B) {
	a := benchArea(b)
	content := make([]byte, 4000)
	b.ReportAllocs()
	b.SetBytes(4000)
	for b.Loop() {
		if _, err := a.Put(a.Files, "f", content, wire.Meta{Perm: 0o644, Size: 4000}); err != nil {
			b.Fatal(err)
		}
		if err := a.Files.Remove("f"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLarge stages a file of 64 MiB, a chunk at a time, and removes it.
func BenchmarkLarge(b *testing.B) {
	a := benchArea(b)
	content := make([]byte, digest.ChunkSize)
	b.ReportAllocs()
	b.SetBytes(64 * digest.ChunkSize)
	for b.Loop() {
		l, err := a.Create(a.Files, "f", false)
		if err != nil {
			b.Fatal(err)
		}
		for i := range uint64(64) {
			if err := l.Write(wire.Chunk{Part: wire.Part{Index: i, Length: digest.ChunkSize}, Content: content}); err != nil {
				b.Fatal(err)
			}
		}
		l.Discard()
	}
}
