package apply_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// TestChangeOfCase: on a file system that folds letter case, a name that only
// changes its case is one entry, which is not removed. The disk of this test
// need not fold: what is asked is which calls are made.
func TestChangeOfCase(t *testing.T) {
	for name, folds := range map[string]bool{"folds": true, "does not fold": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			treetest.Make(t, dir, "readme @5\nother @5")
			root, err := dirfs.OpenRoot(dir, dirfs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			area, err := stage.Open(root, stage.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			area.Canon.FoldsCase = folds
			handles := dirfs.NewHandles(root, 4)
			defer handles.Close()
			a := apply.New(area, handles, func(path, op string, err error) { t.Errorf("%s %s: %v", op, path, err) })
			plan := tree.Compare(treetest.Parse("other @5\nreadme @5"), treetest.Parse("README"), tree.Exact, nil)
			if err := a.Remove(t.Context(), plan.Removals, func() {}); err != nil {
				t.Fatal(err)
			}
			if err := area.Leave(area.Root.MTime); err != nil {
				t.Fatal(err)
			}
			_, err = os.Lstat(filepath.Join(dir, "readme"))
			if got := err == nil; got != folds {
				t.Errorf("readme is there: %v, want %v", got, folds)
			}
			if _, err := os.Lstat(filepath.Join(dir, "other")); err == nil {
				t.Error("other was not removed")
			}
		})
	}
}
