package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// random returns n bytes that do not repeat.
func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		v := r.Uint64()
		for j := i; j < min(n, i+8); j++ {
			b[j] = byte(v)
			v >>= 8
		}
	}
	return b
}

// seeded returns random numbers whose seed the test prints.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// mutate changes content in one of the ways in which files change.
func mutate(r *rand.Rand, b []byte) []byte {
	at := r.IntN(len(b) + 1)
	n := min(1+r.IntN(1+len(b)/8), len(b)-at)
	switch r.IntN(6) {
	case 0: // overwrite
		c := bytes.Clone(b)
		copy(c[at:at+n], random(r, n))
		return c
	case 1: // insert
		return append(append(append([]byte(nil), b[:at]...), random(r, 1+r.IntN(1000))...), b[at:]...)
	case 2: // delete
		return append(append([]byte(nil), b[:at]...), b[at+n:]...)
	case 3: // move
		cut := append(append([]byte(nil), b[:at]...), b[at+n:]...)
		to := r.IntN(len(cut) + 1)
		return append(append(append([]byte(nil), cut[:to]...), b[at:at+n]...), cut[to:]...)
	case 4: // append
		return append(bytes.Clone(b), random(r, 1+r.IntN(1000))...)
	default: // truncate
		return bytes.Clone(b[:at])
	}
}

// rebuild makes the new content of the old one by signature and operations.
func rebuild(old, content []byte, block int, key uint64) (got, ops []byte, s Signature, err error) {
	s = Sign(old, block, key, len(content))
	ops = Encode(nil, &s, content)
	err = Patch(ops, s.Shape(), len(content),
		func(b []byte) error { got = append(got, b...); return nil },
		func(off, n int) error { got = append(got, old[off:off+n]...); return nil })
	return got, ops, s, err
}

func TestRebuild(t *testing.T) {
	r := seeded(t)
	lies := 0
	for i := range 1000 {
		old := random(r, r.IntN(20_000))
		content := old
		for range r.IntN(4) {
			content = mutate(r, content)
		}
		block := 64 + r.IntN(500)
		got, ops, s, err := rebuild(old, content, block, r.Uint64()|1)
		if err != nil || len(got) != len(content) {
			t.Fatalf("mutation %d: %v, %d bytes of %d", i, err, len(got), len(content))
		}
		// A short sum lies about one file in 2¹⁶, which who verifies the content finds out.
		if !bytes.Equal(got, content) {
			t.Logf("mutation %d: a sum lies", i)
			if lies++; lies > 1 {
				t.Fatalf("%d of %d contents are not what they were", lies, i+1)
			}
		}
		if s.Shape().Size() != len(old) {
			t.Fatalf("signature of %d bytes says %d", len(old), s.Shape().Size())
		}
		if len(ops) > len(content)+16+len(content)/block*8 {
			t.Fatalf("%d bytes take %d", len(content), len(ops))
		}
	}
}

// TestLastByte changes the last byte of a block: its weak sum tells in nearly all cases.
func TestLastByte(t *testing.T) {
	r := seeded(t)
	same := 0
	for range 1000 {
		b, key := random(r, 1+r.IntN(500)), r.Uint64()|1
		plainly := uint64(0)
		for _, c := range b {
			plainly = (plainly + uint64(c) + 1) * key
		}
		if got := rollOver(b, key); got != plainly {
			t.Fatalf("of %d bytes: %x, want %x", len(b), got, plainly)
		}
		was := mix(rollOver(b, key))
		b[len(b)-1] ^= byte(1 + r.IntN(255))
		if mix(rollOver(b, key)) == was {
			same++
		}
	}
	if same > 1 {
		t.Errorf("%d of 1000 sums are the same", same)
	}
}

// TestShapes holds every old shape against every new one at several block sizes.
func TestShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	base := random(r, 5000)
	half := func(b []byte) []byte { return b[:len(b)/2] }
	shapes := map[string][]byte{
		"nothing": nil, "one byte": {1}, "base": base, "first half": half(base), "second half": base[2500:],
		"twice": append(bytes.Clone(base), base...), "zeros": make([]byte, 5000), "with zeros": append(make([]byte, 1000), base...),
		"other": random(r, 5000), "swapped": append(bytes.Clone(base[2500:]), base[:2500]...), "a block": base[:64],
	}
	for _, block := range []int{64, 65, 700, 4999, 5000, 8000} {
		for a, old := range shapes {
			for b, content := range shapes {
				got, _, _, err := rebuild(old, content, block, 0x9e3779b97f4a7c15)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s → %s in blocks of %d: %v", a, b, block, err)
				}
			}
		}
	}
}

// TestCost holds operations to the change: what was kept costs next to nothing.
func TestCost(t *testing.T) {
	r := seeded(t)
	old := random(r, 200_000)
	block := BlockFor(len(old))
	insert := append(append(bytes.Clone(old[:100_000]), 'x'), old[100_000:]...)
	edit := bytes.Clone(old)
	edit[77_777] ^= 1
	for name, content := range map[string][]byte{
		"unchanged": old, "insert": insert, "edit": edit, "append": append(bytes.Clone(old), "line\n"...),
		"truncate": old[:150_000], "move": append(bytes.Clone(old[50_000:]), old[:50_000]...),
	} {
		_, ops, s, err := rebuild(old, content, block, r.Uint64()|1)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes of sums, %d of operations", name, len(s.Sums), len(ops))
		if len(ops) > 2*block+40 {
			t.Errorf("%s: %d bytes of operations in blocks of %d", name, len(ops), block)
		}
	}
}

func segments(content []byte, scale uint8) (nodes []Node) {
	c := NewCutter(scale)
	for len(content) > 0 {
		n, ends := c.Cut(content)
		if !ends && n != len(content) {
			panic("a segment that neither ends nor goes on")
		}
		nodes = append(nodes, Node{digest.ContentOf(content[:n]), int64(n)})
		content = content[n:]
	}
	return nodes
}

// TestCutPieces cuts the same content given in pieces of any length.
func TestCutPieces(t *testing.T) {
	r := seeded(t)
	content := random(r, 8<<20)
	for _, scale := range []uint8{0, 1} {
		want := segments(content, scale)
		c := NewCutter(scale)
		var got []int64
		length := int64(0)
		for rest := content; len(rest) > 0; {
			piece := rest[:min(len(rest), 1+r.IntN(300_000))]
			n, ends := c.Cut(piece)
			length += int64(n)
			rest = rest[n:]
			if ends || len(rest) == 0 {
				got = append(got, length)
				length = 0
			}
		}
		for i := range want {
			if i >= len(got) || got[i] != want[i].Length {
				t.Fatalf("scale %d: segment %d differs", scale, i)
			}
		}
	}
}

// survey finds what old has of content, and counts what was told of it.
func survey(t *testing.T, old, content *Outline) (s *Survey, told int) {
	t.Helper()
	top := content.Level(content.Top())
	size := int64(0)
	for _, n := range content.Level(0) {
		size += n.Length
	}
	s, ok := NewSurvey(old, 0, size, content.Top(), top)
	if !ok {
		t.Fatal("a top that cannot be")
	}
	told = len(top)
	for {
		level, numbers := s.Doubts()
		if len(numbers) == 0 {
			return s, told
		}
		var groups []Members
		for _, n := range numbers {
			m := content.Members(level, n)
			told += len(m.Nodes)
			groups = append(groups, m)
		}
		if !s.Resolve(groups) {
			t.Fatal("what is told does not fit")
		}
	}
}

// A content that is said to have any size has no more pieces than anybody can keep.
func TestSurveyIsBounded(t *testing.T) {
	old := NewOutline([]Node{{Length: 1}})
	for _, c := range []struct {
		scale uint8
		size  int64
		most  int
	}{{0, 1, 1}, {0, 10 * leastSegment, 11}, {0, 1<<63 - 1, mostSegments}, {MaxScale, 1<<63 - 1, mostSegments}} {
		s, _ := NewSurvey(old, c.scale, c.size, 0, nil)
		if s.Most() != c.most {
			t.Errorf("%d bytes at scale %d: %d pieces, not %d", c.size, c.scale, s.Most(), c.most)
		}
	}
}

// TestSurvey finds in an old version what a new one has of it, whatever was
// changed, and is told of little more than that.
func TestSurvey(t *testing.T) {
	r := seeded(t)
	old := random(r, 64<<20)
	before := NewOutline(segments(old, 0))
	at := len(old)/2 + 12_345
	for name, content := range map[string][]byte{
		"unchanged":      old,
		"a byte more":    append(append(bytes.Clone(old[:at]), 7), old[at:]...),
		"a piece moved":  append(bytes.Clone(old[at:]), old[:at]...),
		"longer":         append(bytes.Clone(old), random(r, 3<<20)...),
		"shorter":        old[:at],
		"nothing is old": random(r, 10<<20),
	} {
		after := NewOutline(segments(content, 0))
		s, told := survey(t, before, after)
		at, lacks := int64(0), int64(0)
		for _, p := range s.Pieces() {
			if p.From < 0 {
				lacks += p.Length
			} else if !bytes.Equal(content[at:at+p.Length], old[p.From:p.From+p.Length]) {
				t.Fatalf("%s: a piece at %d is not what it says", name, at)
			}
			at += p.Length
		}
		if at != int64(len(content)) {
			t.Errorf("%s: pieces of %d bytes, want %d", name, at, len(content))
		}
		t.Logf("%s: lacks %d KiB of %d, told of %d nodes of %d", name, lacks>>10, len(content)>>10, told, len(after.Level(0)))
		if name != "nothing is old" && name != "longer" && lacks > 8<<20 {
			t.Errorf("%s: lacks %d bytes", name, lacks)
		}
	}
}

// TestGolden freezes what both sides of a session must agree on.
func TestGolden(t *testing.T) {
	content := random(rand.New(rand.NewPCG(42, 42)), 96<<20)
	o := NewOutline(segments(content, 0))
	top := o.Level(o.Top())
	if got, want := fmt.Sprintf("%d segments, %d levels, %s", len(o.Level(0)), o.Top(), top[len(top)-1].Digest), "382 segments, 1 levels, 92024f947819696a68b5e7ee6735463d2001c999b76971ba306284e05d09e095"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	s := Sign(content[:1000], 300, 12345, 1000)
	if got, want := fmt.Sprintf("%d %d %x", s.Tail, s.Strong, s.Sums), "100 1 3e345dcbb367232d365b29378f3ef36a4199224a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	ops := Encode(nil, &s, append([]byte("new"), content[300:700]...))
	if got, want := fmt.Sprintf("%x", ops[:12]), "036e65770102645a9ccee442"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Sums that are made to be found everywhere, and are of nothing, cost no more than a part
// of what rolling over the content does.
func TestSumsThatLie(t *testing.T) {
	content := make([]byte, 1<<20)
	for _, block := range []int{LeastBlock, MostBlock} {
		s := Signature{Block: block, Tail: block - 1, Strong: MostStrong, Key: 12345}
		weak := mix(rollOver(content[:block], s.Key))
		for i := range 2000 {
			s.Sums = binary.LittleEndian.AppendUint32(s.Sums, weak)
			s.Sums = binary.LittleEndian.AppendUint64(s.Sums, uint64(i))
		}
		e := encoder{s: &s, content: content}
		e.index(s.Blocks())
		e.scan()
		if e.alarms > falseAlarms+chainLimit {
			t.Errorf("blocks of %d: %d strong sums were compared in vain", block, e.alarms)
		}
		ops := Encode(nil, &s, content)
		if want := append(binary.AppendUvarint(nil, 1<<20), content...); !bytes.Equal(ops, want) {
			t.Errorf("blocks of %d: %d bytes of operations, not the content", block, len(ops))
		}
	}
}

func FuzzPatch(f *testing.F) {
	s := Sign(make([]byte, 1000), 300, 1, 1000)
	f.Add(Encode(nil, &s, make([]byte, 900)), 300, 100, 4, 900)
	f.Add([]byte{0, 4, 0}, 300, 100, 4, 1000)
	f.Add([]byte{0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0}, 300, 100, 4, 1000)
	f.Fuzz(func(t *testing.T, ops []byte, block, tail, n, size int) {
		if block < 1 || block > MostBlock || tail < 0 || tail >= block || n < 0 || n > 2000 || n == 0 && tail > 0 || size < 0 || size > MaxSigned {
			return
		}
		shape := Shape{block, tail, n}
		got, old := 0, shape.Size()
		err := Patch(ops, shape, size,
			func(b []byte) error { got += len(b); return nil },
			func(off, n int) error {
				if off < 0 || n <= 0 || off+n > old {
					t.Fatalf("copies %d bytes from %d of %d", n, off, old)
				}
				got += n
				return nil
			})
		if got > size || err == nil && got != size {
			t.Fatalf("made %d bytes of %d, %v", got, size, err)
		}
	})
}

func BenchmarkCut(b *testing.B) {
	content := random(rand.New(rand.NewPCG(1, 1)), 32<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		c := NewCutter(0)
		for rest := content; len(rest) > 0; {
			n, _ := c.Cut(rest)
			rest = rest[n:]
		}
	}
}

func BenchmarkSign(b *testing.B) {
	content := random(rand.New(rand.NewPCG(1, 1)), 1<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		Sign(content, 2048, 12345, 1<<20)
	}
}

func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	old, content := random(r, 1<<20), random(r, 1<<20)
	s := Sign(old, 2048, 0x9e3779b97f4a7c15, 1<<20)
	for name, c := range map[string][]byte{"different": content, "equal": old} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(1 << 20)
			for b.Loop() {
				Encode(nil, &s, c)
			}
		})
	}
}
