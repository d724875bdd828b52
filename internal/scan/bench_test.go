package scan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/scan"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// BenchmarkScan walks 5,000 files in 100 directories.
func BenchmarkScan(b *testing.B) {
	var text strings.Builder
	for d := range 100 {
		fmt.Fprintf(&text, "d%d/\n", d)
		for f := range 50 {
			fmt.Fprintf(&text, "d%d/file-%d =x\n", d, f)
		}
	}
	dir := b.TempDir()
	treetest.Make(b, dir, text.String())
	for _, portable := range []bool{false, true} {
		b.Run(map[bool]string{false: "native", true: "portable"}[portable], func(b *testing.B) {
			root, err := dirfs.OpenRoot(dir, dirfs.Options{Portable: portable})
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			b.ReportAllocs()
			for b.Loop() {
				h := dirfs.NewHandles(root, dirfs.DefaultHandles())
				if _, err := scan.Scan(b.Context(), h, scan.Options{Workers: 2}); err != nil {
					b.Fatal(err)
				}
				h.Close()
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/5100, "ns/entry")
		})
	}
}
