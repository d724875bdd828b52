package sender

import (
	"testing"

	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func jobOf(size int64) job {
	return job{entry: &tree.Entry{Type: tree.File, Size: size}, size: size}
}

// Messages of small files get full, beginning with a short one; chunks of files
// that are open come before all else, and digests last.
func TestDeskOrder(t *testing.T) {
	squeezed := false
	d := newDesk(func() bool { return squeezed })
	var jobs []job
	for i := range 400 {
		jobs = append(jobs, jobOf(10_000))
		if i%100 == 50 {
			jobs = append(jobs, jobOf(packed+1))
		}
	}
	digest := jobOf(5)
	digest.how = byDigest
	d.put(append([]job{digest}, jobs...))

	batch := func() int {
		t.Helper()
		w, ok := d.take()
		if !ok || w.batch == nil {
			t.Fatalf("no batch: %+v", w)
		}
		for i := range w.batch {
			w.batch[i].entry.Size = 0 // as may happen once it is handed out
		}
		return len(w.batch)
	}
	for i, want := range []int{6, 13, 26, 51, 51} { // 64 KiB, doubled up to 500 KiB
		if got := batch(); got != want {
			t.Errorf("batch %d of %d files, want %d", i, got, want)
		}
	}
	squeezed = true
	batch()
	if got := batch(); got != 102 {
		t.Errorf("a batch to be compressed of %d files", got)
	}
	for i := range 4 { // what is left does not fill a message
		w, ok := d.take()
		if !ok || w.open == nil {
			t.Fatalf("%d: no file to open: %+v", i, w)
		}
		d.spread(&large{file: &supply.File{Meta: wire.Meta{Size: packed + 1}}})
		if w, ok := d.take(); !ok || w.large == nil {
			t.Fatalf("%d: no part: %+v", i, w)
		}
	}
	if got := batch(); got != 400-6-13-26-51*3-102 {
		t.Errorf("the rest is %d files", got)
	}
	if w, ok := d.take(); !ok || w.sum == nil {
		t.Errorf("no digest: %+v", w)
	}
	if w, ok := d.next(); ok {
		t.Errorf("more: %+v", w)
	}
	d.close()
	if _, ok := d.take(); ok {
		t.Error("more after the end")
	}
}
