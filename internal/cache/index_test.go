package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// TestIndex finds every record and no other key, however inodes are numbered: in a
// row, far apart, with a stride that has few bits, the same ones on several devices.
func TestIndex(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, stride := range []uint64{1, 2, 63, 64, 65, 1 << 20, 1 << 32, 1 << 57} {
		for _, n := range []uint64{0, 1, 2, 100, 5000} {
			t.Run(fmt.Sprintf("%d times %d", n, stride), func(t *testing.T) {
				keys := make(map[Key]bool)
				for i := range n {
					k := key(1 + i*stride + r.Uint64N(stride))
					k.Dev = 1 + r.Uint64N(3)
					keys[k] = true
				}
				checkIndex(t, keys)
			})
		}
	}
}

func checkIndex(t *testing.T, keys map[Key]bool) {
	t.Helper()
	var records []record
	for k := range keys {
		records = append(records, record{k, digest.Sum([]byte(fmt.Sprint(k)))})
	}
	slices.SortFunc(records, func(a, b record) int { return compare(a.Key, b.Key) })
	var b []byte
	for i := range records {
		b = append(records[i].append(b), records[i].sum[:]...)
	}
	file := string(b)
	slots := blocks(file)
	for i := range records {
		if at, ok := index(file, slots, records[i].Key); !ok || at != i {
			t.Fatalf("%+v: %d %v, want %d", records[i].Key, at, ok, i)
		}
		for _, near := range []uint64{records[i].Ino - 1, records[i].Ino + 1, records[i].Ino + 64, records[i].Ino ^ 1<<63} {
			k := records[i].Key
			k.Ino = near
			if _, ok := index(file, slots, k); ok != keys[k] {
				t.Fatalf("%+v: %v", k, ok)
			}
		}
	}
	if _, ok := index(file, slots, Key{}); ok {
		t.Error("a key of nothing is found")
	}
}
