package contents

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

func file(ino uint64, size int64) dirfs.Info {
	old := tree.Time{Sec: 1_000_000}
	return dirfs.Info{Type: tree.File, Dev: 1, Ino: ino, Size: size, MTime: old, CTime: old}
}

// TestLookup ends, once, when more is not known than may be, and finds nothing
// from then on.
func TestLookup(t *testing.T) {
	dir, known, d := t.TempDir(), file(1, 5), digest.Sum([]byte("known"))
	c := cache.Open(dir, "/root")
	k, _ := cache.KeyOf(known)
	c.Add(k, d, time.Now())
	if err := c.Save(true); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		most    int64
		unknown []dirfs.Info
		ends    int
	}{
		"nothing unknown":     {Few, nil, 0},
		"few bytes":           {Few, []dirfs.Info{file(2, Few-opening)}, 0},
		"a byte too many":     {Few, []dirfs.Info{file(2, Few-opening+1), file(3, 0)}, 1},
		"too many files":      {10 * opening, slices.Repeat([]dirfs.Info{file(2, 0)}, 12), 1},
		"as long as there is": {Any, slices.Repeat([]dirfs.Info{file(2, math.MaxInt64)}, 12), 0},
	} {
		t.Run(name, func(t *testing.T) {
			ended := 0
			l := NewLookup(cache.Open(dir, "/root"), test.most, func() { ended++ })
			if got := l.Find(known); got != string(d[:]) {
				t.Errorf("%x", got)
			}
			for _, info := range test.unknown {
				if got := l.Find(info); got != "" {
					t.Errorf("%+v: %x", info, got)
				}
			}
			if ended != test.ends || l.Ended() != (test.ends > 0) {
				t.Errorf("ended %d times, %v", ended, l.Ended())
			}
			if got := l.Find(known); (got == "") != l.Ended() {
				t.Errorf("then %x", got)
			}
		})
	}
}
