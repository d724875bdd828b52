package receiver

import (
	"errors"
	"testing"

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
	s := &session{ranges: tree.MaxEntries - 1}
	d := &descent{s: s}
	b := &building{pieces: []piece{{}}}
	sec := &wire.Section{Ranges: []wire.Range{{End: "m"}, {}}}
	if err := d.ranges(b, 0, sec); !errors.Is(err, wire.ErrProtocol) {
		t.Errorf("got %v", err)
	}
}
