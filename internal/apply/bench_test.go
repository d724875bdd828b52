package apply_test

import (
	"fmt"
	"testing"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// BenchmarkInstall renames 100 staged files over those that are there.
func BenchmarkInstall(b *testing.B) {
	root, err := dirfs.OpenRoot(temp(b), dirfs.Options{})
	ok(b, err)
	defer root.Close()
	area, err := stage.Open(root, stage.Options{NoSync: true})
	ok(b, err)
	handles := dirfs.NewHandles(root, 8)
	defer handles.Close()
	want := &tree.Dir{}
	for i := range 100 {
		want.Entries = append(want.Entries, tree.Entry{Name: fmt.Sprintf("f%02d", i), Type: tree.File, Perm: 0o644})
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		a := apply.New(area, handles, func(path, op string, err error) { b.Errorf("%s %s: %v", op, path, err) })
		for i := range want.Entries {
			name := area.Next()
			_, err := area.Put(area.Files, name, nil, wire.Meta{Perm: 0o644})
			ok(b, err)
			a.Staged(tree.Step{Kind: tree.Fetch, Dir: want, Index: i}, name)
		}
		b.StartTimer()
		ok(b, a.InstallAll(b.Context()))
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/100, "ns/file")
}
