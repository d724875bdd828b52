package syncdirectory

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkCold mirrors many small files into nothing, within this process. An
// allocation for each of them would show.
func BenchmarkCold(b *testing.B) {
	const dirs, each = 100, 50
	dir, err := os.MkdirTemp("/dev/shm", "cold")
	if err != nil {
		dir = b.TempDir()
	}
	defer os.RemoveAll(dir)
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for i := range dirs {
		sub := filepath.Join(from, fmt.Sprint(i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range each {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(j)), make([]byte, 4000), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	b.SetBytes(dirs * each * 4000)
	for b.Loop() {
		b.StopTimer()
		if err := os.RemoveAll(to); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := Local(b.Context(), &Sender{Dir: from}, &Receiver{Dir: to, NoFsync: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N)/(dirs*each), "µs/file")
}
