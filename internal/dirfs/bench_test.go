//go:build linux || darwin

package dirfs_test

import (
	"fmt"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// everyBench runs a benchmark on every bare variant.
func everyBench(b *testing.B, bench func(b *testing.B, d dirfs.Dir)) {
	for _, v := range variants()[:len(variants())/2] {
		b.Run(v.name, func(b *testing.B) {

			d := must(v.open(b.TempDir(), dirfs.Options{}))(b)
			defer d.Close()
			b.ReportAllocs()
			bench(b, d)
		})
	}
}

// BenchmarkList lists 1,000 files.
func BenchmarkList(b *testing.B) {
	everyBench(b, func(b *testing.B, d dirfs.Dir) {
		for i := range 1000 {
			ok(b, must(d.Create(fmt.Sprint(i), 0o600))(b).Close())
		}
		for b.Loop() {
			ok(b, d.List(func([]byte, dirfs.Info, error) error { return nil }))
		}
	})
}

// BenchmarkCreateWrite makes, writes and removes a file of 1 KiB.
func BenchmarkCreateWrite(b *testing.B) {
	everyBench(b, func(b *testing.B, d dirfs.Dir) {
		content := make([]byte, 1<<10)
		for b.Loop() {
			f := must(d.Create("file", 0o600))(b)
			must(f.WriteAt(content, 0))(b)
			ok(b, f.Close())
			ok(b, d.Remove("file"))
		}
	})
}

// BenchmarkOpenRead opens, examines and reads a file of 1 KiB.
func BenchmarkOpenRead(b *testing.B) {
	everyBench(b, func(b *testing.B, d dirfs.Dir) {
		content := make([]byte, 1<<10)
		f := must(d.Create("file", 0o600))(b)
		must(f.WriteAt(content, 0))(b)
		ok(b, f.Close())
		for b.Loop() {
			f := must(d.Open("file"))(b)
			must(f.Info())(b)
			must(f.ReadAt(content, 0))(b)
			ok(b, f.Close())
		}
	})
}
