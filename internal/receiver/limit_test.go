package receiver

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// A description is bounded, whatever its messages say: of one that is streamed every
// entry is kept, of another one some numbers stand for nothing.
func TestEntriesAreBounded(t *testing.T) {
	for _, c := range []struct {
		streaming bool
		most      int
	}{{true, tree.MaxEntries}, {false, wire.MaxNumbers}} {
		s := &session{streaming: c.streaming, index: tree.NewIndex(new(tree.Entry))}
		s.index.Add(nil, 0, c.most-1)
		if err := s.countable(1); err != nil {
			t.Errorf("streaming %v: the last one: %v", c.streaming, err)
		}
		if err := s.countable(2); !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("streaming %v: one more: %v", c.streaming, err)
		}
	}
}

// Nor can a range be told in terms of ranges for ever.
func TestRangesAreBounded(t *testing.T) {
	s := &session{ranges: mostRanges - 1}
	d := &descent{s: s}
	b := &building{pieces: []piece{{}}}
	sec := &wire.Section{Ranges: []wire.Range{{End: "m"}, {}}}
	if err := d.ranges(b, 0, b.pieces[0], sec); !errors.Is(err, wire.ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

// A directory of which a hundred thousand parts differ costs so many steps, not their
// square: each answer finds its part at once.
func TestManyPieces(t *testing.T) {
	const n = 150_000
	s := &session{area: new(stage.Area)}
	s.want = tree.Entry{Type: tree.Directory, Dir: new(tree.Dir)}
	s.index = tree.NewIndex(&s.want)
	d := &descent{s: s, open: make(map[uint64]*building), ignored: make(map[uint64]bool)}
	b := d.build(0, reach{}, s.want.Dir, nil)
	name := func(i int) string { return fmt.Sprintf("%08d", i) }
	ranges := &wire.Section{Ranges: make([]wire.Range, n)}
	for i := range n - 1 {
		ranges.Ranges[i].End = name(i + 1)
	}
	if err := d.section(ranges); err != nil {
		t.Fatal(err)
	}
	b.settle()
	began := time.Now()
	for i := n - 1; i >= 0; i-- {
		sec := &wire.Section{From: name(i), To: name(i + 1), Entries: []tree.Entry{{Name: name(i), Type: tree.File}}}
		if i == 0 {
			sec.From = ""
		}
		if i == n-1 {
			sec.To = ""
		}
		if err := d.section(sec); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	for i := range n {
		id, ok := s.index.ID(s.want.Dir, i)
		if e := &s.want.Dir.Entries[i]; e.Name != name(i) || !ok || id != uint64(n-i) {
			t.Fatalf("entry %d is %s, with number %d", i, e.Name, id)
		}
	}
}
