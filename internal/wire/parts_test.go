package wire_test

import (
	"errors"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// added is a part with a checksum that tells its index.
type added struct {
	index  uint64
	length int64
}

func sumOf(index uint64) digest.Checksum { return digest.Check([]byte{byte(index), byte(index >> 8)}) }

func TestParts(t *testing.T) {
	const full = digest.ChunkSize
	for _, c := range []struct {
		name  string
		parts []added
		good  bool // all but the last always are
		size  int64
		order []uint64 // nil: parts are missing
	}{
		{"none", nil, true, 0, []uint64{}},
		{"in order", []added{{0, full}, {1, full}, {2, 5}}, true, 2*full + 5, []uint64{0, 1, 2}},
		{"out of order", []added{{2, 5}, {1, full}, {0, full}}, true, 2*full + 5, []uint64{0, 1, 2}},
		{"one missing", []added{{0, full}, {2, 5}}, true, full, nil},
		{"longer than a chunk", []added{{3, 1}, {0, 3 * full}}, true, 3*full + 1, []uint64{0, 3}},
		{"twice", []added{{0, full}, {0, full}}, false, 0, nil},
		{"twice, early", []added{{1, full}, {1, full}}, false, 0, nil},
		{"within a longer one", []added{{0, 3 * full}, {1, full}}, false, 0, nil},
		{"within a longer one, early", []added{{1, full}, {0, 3 * full}}, true, 3 * full, nil},
		{"after a short one", []added{{0, 5}, {1, full}}, false, 0, nil},
		{"before a short one", []added{{1, full}, {0, 5}}, false, 0, nil},
		{"just near enough", []added{{wire.MaxLead, full}}, true, 0, nil},
		{"too far ahead", []added{{wire.MaxLead + 1, full}}, false, 0, nil},
		{"no number higher", []added{{1<<64 - 1, full}}, false, 0, nil},
	} {
		var p wire.Parts
		for i, a := range c.parts {
			err := p.Add(a.index, a.length, sumOf(a.index))
			if want := c.good || i < len(c.parts)-1; (err == nil) != want || err != nil && !errors.Is(err, wire.ErrProtocol) {
				t.Errorf("%s: part %d: %v", c.name, i, err)
			}
		}
		if !c.good {
			continue
		}
		var want digest.Checks
		for _, index := range c.order {
			want.Add(sumOf(index))
		}
		n, size, sum, ok := p.Whole()
		if ok != (c.order != nil) || n != uint64(len(c.parts)) || size != c.size || ok && sum != want.Sum() {
			t.Errorf("%s: %d parts, %d bytes, %s, %v", c.name, n, size, sum, ok)
		}
	}
}
