package delta

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// FuzzEncode has a signature say anything of a content: the operations that come of it are
// well formed, and make as many bytes as there are; those that are in it as they are, are
// where they belong.
func FuzzEncode(f *testing.F) {
	f.Fuzz(func(t *testing.T, key uint64, block, tail uint16, strong uint8, sums, content []byte) {
		s := Signature{Block: LeastBlock + int(block)%200, Strong: LeastStrong + int(strong)%MostStrong, Key: key | 1}
		s.Tail = int(tail) % s.Block
		s.Sums = sums[:len(sums)/(WeakSize+s.Strong)*(WeakSize+s.Strong)]
		if len(s.Sums) == 0 {
			s = Signature{}
		} else if len(content) >= s.Block { // which chance would never find
			binary.LittleEndian.PutUint32(s.Sums, mix(rollOver(content[:s.Block], s.Key)))
		}
		at := 0
		err := Patch(Encode(nil, &s, content), s.Shape(), len(content),
			func(b []byte) error {
				if !bytes.Equal(b, content[at:at+len(b)]) {
					t.Errorf("%q is not what there is at %d", b, at)
				}
				at += len(b)
				return nil
			},
			func(off, n int) error { at += n; return nil })
		if err != nil || at != len(content) {
			t.Errorf("%d bytes of %d, %v", at, len(content), err)
		}
	})
}

// FuzzSurvey has a sender tell of an outline whatever it likes: the survey ends, and what
// comes of it is a plan of as many bytes, of ranges that the old content has.
func FuzzSurvey(f *testing.F) {
	var old []Node
	for i := range 100 {
		old = append(old, Node{digest.Sum([]byte{byte(i)}), int64(200_000 + i)})
	}
	before := NewOutline(old)
	var size int64
	for _, n := range old {
		size += n.Length
	}
	f.Fuzz(func(t *testing.T, level uint8, data []byte) {
		// Nodes of the old outline, and others: of each byte one.
		take := func(level, n int) (nodes []Node) {
			for ; n > 0 && len(data) > 0; n-- {
				b := int(data[0])
				data = data[1:]
				if known := before.levels[min(level, before.Top())]; b < 200 && b < len(known) {
					nodes = append(nodes, known[b])
				} else {
					nodes = append(nodes, Node{digest.Sum([]byte{byte(b), 1}), int64(b) << (b % 20)})
				}
			}
			return nodes
		}
		top := int(level) % MaxLevels
		nodes := take(top, MaxTop)
		var told int64
		for _, n := range nodes {
			told += n.Length
		}
		s, ok := NewSurvey(before, 0, told, top, nodes)
		for ok {
			level, numbers := s.Doubts()
			if len(numbers) == 0 {
				break
			}
			groups := make([]Members, len(numbers))
			for i := range groups {
				groups[i] = Members{First: i * MaxGroup, Nodes: take(level-1, 1+i%MaxGroup)}
			}
			ok = s.Resolve(groups)
		}
		if !ok {
			return
		}
		plan := NewPlan(s.Pieces(), size)
		made := int64(0)
		for _, r := range plan.Runs {
			if r.From < 0 || r.From+r.Length > size {
				t.Errorf("a run from %d on of %d bytes, of %d", r.From, r.Length, size)
			}
			made += r.Length
		}
		fragments := plan.Fragments()
		for {
			one, more := fragments.Next()
			if !more {
				break
			}
			made += one.Length
			for _, span := range one.Signed {
				if span.Off < 0 || span.Length < 0 || span.end() > size {
					t.Errorf("%+v is signed, of %d", span, size)
				}
			}
		}
		if made != told {
			t.Errorf("%d bytes are made, of %d", made, told)
		}
	})
}
