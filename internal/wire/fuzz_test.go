package wire_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// same fails unless what was decoded encodes to the bytes that it came from.
func same(t *testing.T, body []byte, b *wire.Buffer) {
	t.Helper()
	defer b.Free()
	if got := b.Bytes()[2:]; !bytes.Equal(got, body) {
		t.Errorf("encodes to\n%q, came from\n%q", got, body)
	}
}

// reseal puts the right checksum before what is fuzzed, which would never find
// it.
func reseal(rest []byte) []byte {
	c := digest.Check(rest)
	return append(c[:], rest...)
}

func FuzzSplit(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte) {
		typ, body, err := wire.Split(message)
		if err == nil && !bytes.Equal(append([]byte{byte(typ), 0}, body...), message) {
			t.Errorf("%q is split into %d and %q", message, typ, body)
		}
	})
}

func FuzzListing(f *testing.F) {
	f.Fuzz(func(t *testing.T, rest []byte) {
		if len(rest) > 64<<10 {
			return
		}
		body := reseal(rest)
		answered, sections, err := wire.DecodeListing(body)
		if err == nil {
			same(t, body, encodeListing(answered, sections))
		}
	})
}

func FuzzAsk(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		questions, err := wire.DecodeAsk(body)
		if err != nil {
			return
		}
		// Questions may be spread over more messages than they came in.
		var all []byte
		for _, b := range wire.EncodeAsk(questions) {
			all = append(all, b.Bytes()[2:]...)
			b.Free()
		}
		if !bytes.Equal(all, body) {
			t.Errorf("encodes to\n%q, came from\n%q", all, body)
		}
	})
}

func FuzzWant(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		what, ids, err := wire.DecodeWant(body)
		if err == nil && len(ids) < 6000 {
			same(t, body, wire.EncodeWant(what, ids)[0])
		}
	})
}

func FuzzProve(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		ids, err := wire.DecodeProve(body)
		if err == nil && len(ids) < 6000 {
			same(t, body, wire.EncodeProve(ids)[0])
		}
	})
}

func FuzzProof(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := wire.DecodeProof(body); err == nil {
			same(t, body, wire.EncodeProof(&p))
		}
	})
}

func FuzzPack(f *testing.F) {
	f.Fuzz(func(t *testing.T, rest []byte) {
		if len(rest) > 64<<10 {
			return
		}
		body := reseal(rest)
		p := wire.NewPack()
		err := wire.DecodePack(body, func(f wire.Packed) bool {
			copy(p.Add(f.ID, f.Meta), f.Content)
			return true
		})
		if err != nil {
			p.Discard()
			return
		}
		same(t, body, p.Finish())
	})
}

func FuzzChunk(f *testing.F) {
	f.Fuzz(func(t *testing.T, head, content []byte) {
		body := reseal(append(bytes.Clone(head), content...))
		c, err := wire.DecodeChunk(body)
		if err != nil {
			return
		}
		m, place := wire.NewChunk(c.ID, c.Part)
		copy(place, c.Content)
		b, sum := m.Finish()
		if sum != c.Checksum {
			t.Errorf("checksum %s, want %s", sum, c.Checksum)
		}
		same(t, body, b)
	})
}

func FuzzEnd(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		if e, err := wire.DecodeEnd(body); err == nil {
			same(t, body, wire.EncodeEnd(e))
		}
	})
}

func FuzzSums(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		sums, err := wire.DecodeSums(body)
		if err == nil && len(sums) <= wire.MaxSums {
			same(t, body, wire.EncodeSums(sums))
		}
	})
}

// Unknown fields go back out in another order, so that a control message is
// stable only after one pass.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, typ byte, body []byte) {
		if len(body) > 32<<10 {
			return
		}
		once, err := wire.Decode(wire.Type(typ), body)
		if err != nil {
			return
		}
		b := wire.Encode(once)
		defer b.Free()
		if b.Bytes()[0] != typ {
			t.Fatalf("type %d encodes as %d", typ, b.Bytes()[0])
		}
		again, err := wire.Decode(wire.Type(typ), b.Bytes()[2:])
		if err != nil || !proto.Equal(once, again) {
			t.Fatalf("decodes to %v, and that to %v, %v", once, again, err)
		}
		same(t, b.Bytes()[2:], wire.Encode(again))
	})
}

// A fuzz target without seeds finds nothing and tells nobody.
func TestCorporaAreNotEmpty(t *testing.T) {
	for _, target := range targets(t) {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
		if err != nil || len(seeds) < 2 {
			t.Errorf("%s has %d seeds, %v", target, len(seeds), err)
		}
		for _, s := range seeds {
			if info, err := os.Stat(s); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", s, err)
			}
		}
	}
}

// targets returns the names of all fuzz targets here, as their sources have them.
func targets(t *testing.T) (names []string) {
	t.Helper()
	sources, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	if len(names) < 16 {
		t.Errorf("the fuzz targets are %v, which can not be all", names)
	}
	return names
}

func FuzzSignatures(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > wire.SmallMessage-2 {
			return
		}
		signed, err := wire.DecodeSignatures(body)
		if err == nil {
			same(t, body, encodeSignatures(t, signed))
		}
	})
}

func FuzzDeltas(f *testing.F) {
	f.Fuzz(func(t *testing.T, rest []byte) {
		if len(rest) > 64<<10 {
			return
		}
		m := wire.NewDeltas()
		body := reseal(rest)
		err := wire.DecodeDeltas(body, func(d *wire.Delta) bool { return m.Add(d) })
		if err == nil {
			same(t, body, m.Finish())
		}
	})
}

func FuzzProbe(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := wire.DecodeProbe(body); err == nil {
			same(t, body, wire.EncodeProbe(p))
		}
	})
}

func FuzzOutline(f *testing.F) {
	f.Fuzz(func(t *testing.T, rest []byte) {
		if len(rest) > 64<<10 {
			return
		}
		body := reseal(rest)
		if o, err := wire.DecodeOutline(body); err == nil {
			same(t, body, wire.EncodeOutline(o))
		}
	})
}

func FuzzKnock(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		if k, err := wire.DecodeKnock(body); err == nil {
			same(t, body, wire.EncodeKnock(&k))
		}
		if c, err := wire.DecodeChallenge(body); err == nil {
			same(t, body, wire.EncodeChallenge(&c))
		}
		if p, err := wire.DecodeResponse(body); err == nil {
			same(t, body, wire.EncodeResponse(&p))
		}
	})
}
