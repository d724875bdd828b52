package syncdirectory

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestOutlinesKept mirrors a large file that has changed into one directory after
// the other: the sender reads it once, unless it has changed since, also where
// its size and time have not.
func TestOutlinesKept(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	dir := t.TempDir()
	from, kept := filepath.Join(dir, "from"), filepath.Join(dir, "kept")
	path := filepath.Join(from, "large")
	old := noise(r, 12<<20)
	content := splice(old, 5<<20, 0, []byte("inserted"))
	grow(t, from, "other=x")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	long := time.Unix(1e9, 0)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	// mirror returns how many bytes the sender read to compare.
	mirror := func(name string) int64 {
		t.Helper()
		to := filepath.Join(dir, name)
		grow(t, to, "other=y")
		if err := os.WriteFile(filepath.Join(to, "large"), old, 0o644); err != nil {
			t.Fatal(err)
		}
		var read Counters
		s := &Sender{Dir: from, Options: Options{Cache: kept, Counters: &read}}
		if _, err := Local(t.Context(), s, &Receiver{Dir: to, NoFsync: true}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(to, "large")); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%s: the file differs, %v", name, err)
		}
		return read.Compared.Load()
	}
	const all = 12 << 20
	if n := mirror("unsettled"); n < all {
		t.Errorf("at first %d bytes are read", n)
	}
	time.Sleep(2100 * time.Millisecond) // until a change would be seen
	if n := mirror("settled"); n < all {
		t.Errorf("what may have changed unseen is trusted: %d bytes are read", n)
	}
	if n := mirror("known"); n > all/4 {
		t.Errorf("%d bytes are read of a file that is known", n)
	}
	content[9<<20]++
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content[9<<20:][:1], 9<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	if n := mirror("changed"); n < all {
		t.Errorf("what has changed is trusted: %d bytes are read", n)
	}
}

// TestCacheUntouched has runs that outline nothing and compare no content leave
// no cache behind.
func TestCacheUntouched(t *testing.T) {
	dir := t.TempDir()
	from, to, kept := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "kept")
	grow(t, from, "a=x", "b/c=y")
	for _, run := range []string{"into nothing", "nothing changed"} {
		o := Options{Cache: kept}
		if _, err := Local(t.Context(), &Sender{Dir: from, Options: o}, &Receiver{Dir: to, NoFsync: true, Options: o}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(kept); !os.IsNotExist(err) {
			t.Errorf("%s: the cache is there, %v", run, err)
		}
	}
}
