package syncdirectory_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	syncdirectory "github.com/sync-directory/sync-directory"
)

// A source so small that it is scanned before it is described.
func TestRootOfASmallSourceKeepsItsMetadata(t *testing.T) {
	from := t.TempDir()
	when := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	if err := os.Chmod(from, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(from, when, when); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		to := filepath.Join(t.TempDir(), "to")
		s, r := &syncdirectory.Sender{Dir: from}, &syncdirectory.Receiver{Dir: to, NoFsync: true}
		if _, err := syncdirectory.Local(t.Context(), s, r); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(to)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o750 || !info.ModTime().Equal(when) {
			t.Fatalf("root: %v %v", info.Mode(), info.ModTime())
		}
	}
}
