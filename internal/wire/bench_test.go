package wire_test

import (
	"fmt"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// million are directories with a million entries in all, as sources have
// them: names of some twenty bytes, times and sizes that differ.
func million() (dirs [][]tree.Entry) {
	const each = 1000
	for d := range 1000 {
		entries := make([]tree.Entry, each)
		for i := range entries {
			entries[i] = tree.Entry{
				Name: fmt.Sprintf("module_%03d_part%04d.go", d, i), Type: tree.File, Perm: 0o644,
				Sec: 1_700_000_000 + int64(i*d%100_000), Nsec: uint32(i*d*7919) % 1_000_000_000, Size: int64(i * d),
			}
		}
		dirs = append(dirs, entries)
	}
	return dirs
}

func encodeMillion(dirs [][]tree.Entry, each func([]byte)) {
	l := wire.NewListing(48 << 10)
	for i, entries := range dirs {
		l.Entries(uint64(i), "", "", entries)
		if l.Len() > 48<<10 || i == len(dirs)-1 {
			b := l.Finish(0)
			each(b.Bytes()[2:])
			b.Free()
			l = wire.NewListing(48 << 10)
		}
	}
}

func BenchmarkEncodeMillion(b *testing.B) {
	dirs := million()
	n := 0
	for b.Loop() {
		n = 0
		encodeMillion(dirs, func(body []byte) { n += len(body) })
	}
	b.ReportMetric(float64(n)/1e6, "MB/op")
}

func BenchmarkDecodeMillion(b *testing.B) {
	var bodies [][]byte
	encodeMillion(million(), func(body []byte) { bodies = append(bodies, append([]byte(nil), body...)) })
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, body := range bodies {
			_, sections, err := wire.DecodeListing(body)
			if err != nil {
				b.Fatal(err)
			}
			for i := range sections {
				n += len(sections[i].Entries)
			}
		}
		if n != 1_000_000 {
			b.Fatal(n)
		}
	}
}
