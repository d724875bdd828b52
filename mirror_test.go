package syncdirectory_test

import (
	"fmt"
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

// Whether the end or a chunk of a large file is written last is a race that
// either may win.
func TestManyLargeFiles(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	const n = 300
	for i := range n {
		name := filepath.Join(from, fmt.Sprint(i))
		if err := os.WriteFile(name, []byte{byte(i)}, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, 1<<20+int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	s, r := &syncdirectory.Sender{Dir: from}, &syncdirectory.Receiver{Dir: to, NoFsync: true}
	s.Transfers, r.Transfers = 4, 8
	result, err := syncdirectory.Local(t.Context(), s, r)
	if err != nil || result.Changes.Created != n {
		t.Errorf("%+v %v", result.Changes, err)
	}
}
