package tree_test

import (
	"math/rand/v2"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree"
)

func TestCanonTime(t *testing.T) {
	fat := tree.Canon{Granularity: 2_000_000_000, MinSec: 315532800, MaxSec: 4354819198}
	old := tree.Canon{Granularity: 1_000_000_000, MinSec: -1 << 31, MaxSec: 1<<31 - 1}
	with := func(g uint32) tree.Canon {
		c := tree.Exact
		c.Granularity = g
		return c
	}
	for _, c := range []struct {
		name  string
		canon tree.Canon
		in    tree.Time
		want  tree.Time
	}{
		{"exact", tree.Exact, tree.Time{Sec: 5, Nsec: 123456789}, tree.Time{Sec: 5, Nsec: 123456789}},
		{"100 ns", with(100), tree.Time{Sec: 5, Nsec: 123456789}, tree.Time{Sec: 5, Nsec: 123456700}},
		{"1 µs", with(1000), tree.Time{Sec: 5, Nsec: 123456789}, tree.Time{Sec: 5, Nsec: 123456000}},
		{"1 ms", with(1e6), tree.Time{Sec: 5, Nsec: 999999999}, tree.Time{Sec: 5, Nsec: 999000000}},
		{"10 ms", with(1e7), tree.Time{Sec: 5, Nsec: 999999999}, tree.Time{Sec: 5, Nsec: 990000000}},
		{"1 s", with(1e9), tree.Time{Sec: 5, Nsec: 999999999}, tree.Time{Sec: 5}},
		{"2 s, odd", with(2e9), tree.Time{Sec: 5, Nsec: 1}, tree.Time{Sec: 4}},
		{"2 s, even", with(2e9), tree.Time{Sec: 6, Nsec: 999999999}, tree.Time{Sec: 6}},
		{"before 1970, nanoseconds", with(1e6), tree.Time{Sec: -5, Nsec: 123456789}, tree.Time{Sec: -5, Nsec: 123000000}},
		{"before 1970, 1 s", with(1e9), tree.Time{Sec: -5, Nsec: 999999999}, tree.Time{Sec: -5}},
		{"before 1970, 2 s, odd", with(2e9), tree.Time{Sec: -5}, tree.Time{Sec: -6}},
		{"before 1970, 2 s, even", with(2e9), tree.Time{Sec: -6, Nsec: 5}, tree.Time{Sec: -6}},
		{"too early", old, tree.Time{Sec: -1<<31 - 1, Nsec: 7}, tree.Time{Sec: -1 << 31}},
		{"earliest", old, tree.Time{Sec: -1 << 31, Nsec: 7}, tree.Time{Sec: -1 << 31}},
		{"too late", old, tree.Time{Sec: 1 << 31, Nsec: 7}, tree.Time{Sec: 1<<31 - 1}},
		{"latest", old, tree.Time{Sec: 1<<31 - 1, Nsec: 7}, tree.Time{Sec: 1<<31 - 1}},
		{"too early for 2 s", fat, tree.Time{}, tree.Time{Sec: 315532800}},
		{"too late for 2 s", fat, tree.Time{Sec: 1 << 40}, tree.Time{Sec: 4354819198}},
	} {
		if got := c.canon.Time(c.in); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// What a file system holds it holds again: otherwise a difference would be
// seen for ever.
func TestCanonTimeTwice(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		c := tree.Canon{Granularity: []uint32{1, 100, 1000, 1e6, 1e7, 1e9, 2e9}[r.IntN(7)], MinSec: -r.Int64N(10), MaxSec: r.Int64N(10)}
		in := tree.Time{Sec: r.Int64N(30) - 15, Nsec: r.Uint32N(1e9)}
		once := c.Time(in)
		if twice := c.Time(once); twice != once {
			t.Fatalf("seed %d: %+v: %v becomes %v, and that %v", seed, c, in, once, twice)
		}
	}
}

func TestCanonValid(t *testing.T) {
	for _, c := range []struct {
		name  string
		canon tree.Canon
		want  bool
	}{
		{"exact", tree.Exact, true},
		{"zero", tree.Canon{}, false},
		{"coarsest", tree.Canon{Granularity: 2_000_000_000}, true},
		{"too coarse", tree.Canon{Granularity: 2_000_000_001}, false},
		{"earliest in the future", tree.Canon{Granularity: 1, MinSec: 1, MaxSec: 2}, false},
		{"latest in the past", tree.Canon{Granularity: 1, MinSec: -2, MaxSec: -1}, false},
	} {
		if got := c.canon.Valid(); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
