package wire_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// refused fails unless decoding gave an error about the protocol.
func refused(t *testing.T, name string, err error) {
	t.Helper()
	if !errors.Is(err, wire.ErrProtocol) {
		t.Errorf("%s: got %v, want an error about the protocol", name, err)
	}
}

func TestSplitRefuses(t *testing.T) {
	for name, m := range map[string]string{
		"nothing":            "",
		"one byte":           "\x05",
		"flag compressed":    "\x05\x01",
		"high flag":          "\x05\x80",
		"long control":       "\x01\x00" + strings.Repeat("x", wire.SmallMessage-1),
		"long ask":           "\x04\x00" + strings.Repeat("x", wire.SmallMessage-1),
		"long prove":         "\x14\x00" + strings.Repeat("x", wire.SmallMessage-1),
		"long proof":         "\x15\x00" + strings.Repeat("x", wire.SmallMessage-1),
		"compressed proof":   "\x15\x01" + strings.Repeat("x", 100),
		"long, unknown type": "\xff\x00" + strings.Repeat("x", wire.SmallMessage-1),
	} {
		_, _, err := wire.Split([]byte(m))
		refused(t, name, err)
	}
	for _, typ := range []string{"\x05", "\x07", "\x08"} {
		if _, _, err := wire.Split([]byte(typ + "\x00" + strings.Repeat("x", wire.SmallMessage))); err != nil {
			t.Errorf("a long message of type %q: %v", typ, err)
		}
	}
}

func TestListingRefuses(t *testing.T) {
	const (
		head  = "\x00\x01\x00\x00\x00" // one section of the root, without a count
		f     = "\x19\x00\x01f\x00"    // a file
		after = "\x19\x00\x01g\x00"
	)
	name := func(bits byte, shared string, rest string) string { return string(bits) + shared + rest }
	zero := raw(digest.Digest{})
	for n, b := range map[string]string{
		"nothing":                           "",
		"no section":                        "\x00",
		"too many answers":                  "\x80\x01\x01\x00\x00\x00\x00",
		"kind of section":                   "\x00\x03\x00\x00\x00\x00",
		"kind zero":                         "\x00\x00\x00\x00\x00\x00",
		"id too long":                       "\x00\x01\x80\x00\x00\x00\x00",
		"id beyond 64 bits":                 "\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00",
		"id without end":                    "\x00\x01\xff",
		"bound with a slash":                "\x00\x01\x00\x01/\x00\x00",
		"bound of dots":                     "\x00\x01\x00\x02..\x00\x00",
		"bound that is too long":            "\x00\x01\x00\x81\x08" + strings.Repeat("x", 1025) + "\x00\x00",
		"empty range":                       "\x00\x01\x00\x01a\x01a\x00",
		"range the wrong way round":         "\x00\x01\x00\x01b\x01a\x00",
		"count beyond the message":          head + "\x02" + f,
		"count of millions":                 head + "\xff\xff\xff\xff\x0f" + f,
		"count of everything":               head + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + f,
		"count that is not shortest":        head + "\x81\x00" + f,
		"bytes after the end":               head + "\x01" + f + "x",
		"half an entry":                     head + "\x01" + "\x19\x00\x01f",
		"name beyond the end":               head + "\x01" + "\x19\x00\x7ff",
		"name twice":                        head + "\x02" + f + "\x19\x01\x00\x00",
		"names out of order":                head + "\x02" + after + f,
		"name before the range":             "\x00\x01\x00\x01g\x00\x01" + f,
		"name at the range's end":           "\x00\x01\x00\x00\x01f\x01" + f,
		"name after the range":              "\x00\x01\x00\x00\x01a\x01" + f,
		"empty name":                        head + "\x01" + "\x19\x00\x00\x00",
		"name .":                            head + "\x01" + "\x19\x00\x01.\x00",
		"name ..":                           head + "\x01" + "\x19\x00\x02..\x00",
		"name .. by a shared prefix":        head + "\x02" + "\x04\x00\x01!" + name(0x19, "\x00", "\x02..\x00"),
		"name with a slash":                 head + "\x01" + "\x19\x00\x03a/b\x00",
		"name with NUL":                     head + "\x01" + "\x19\x00\x03a\x00b\x00",
		"name too long":                     head + "\x01" + "\x19\x00\x81\x08" + strings.Repeat("x", 1025) + "\x00",
		"name too long by a shared prefix":  head + "\x02" + "\x19\x00\x80\x08" + strings.Repeat("x", 1024) + "\x00" + "\x19\x80\x08\x01x\x00",
		"shared prefix beyond the name":     head + "\x02" + f + "\x19\x02\x01a\x00",
		"shared prefix of the first":        head + "\x01" + "\x19\x01\x01f\x00",
		"prefix not shared":                 head + "\x02" + "\x19\x00\x02fa\x00" + "\x19\x00\x02fb\x00",
		"prefix shared in part":             head + "\x02" + "\x19\x00\x03faa\x00" + "\x19\x01\x02ab\x00",
		"permission repeated":               head + "\x01" + "\x09\x00\x01f\x00\x00",
		"permission too large":              head + "\x01" + "\x09\x00\x01f\x80\x04\x00",
		"time repeated":                     head + "\x01" + "\x11\x00\x01f\x00\x00\x00",
		"nanoseconds too many":              head + "\x01" + "\x11\x00\x01f\x00\x80\x94\xeb\xdc\x03\x00",
		"size too large":                    head + "\x01" + "\x19\x00\x01f\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
		"type 0":                            head + "\x01" + "\x18\x00\x01f\x00",
		"type other":                        head + "\x01" + "\x1d\x00\x01f\x00",
		"type unknown":                      head + "\x01" + "\x1e\x00\x01f\x00",
		"type 7":                            head + "\x01" + "\x1f\x00\x01f\x00",
		"a directory with holes":            head + "\x01" + "\x9a\x00\x01f",
		"bit 7 of a directory":              head + "\x01" + "\x9a\x00\x01f",
		"digest of a file":                  head + "\x01" + "\x39\x00\x01f\x00",
		"closed file":                       head + "\x01" + "\x59\x00\x01f\x00",
		"closed link":                       head + "\x01" + "\x5b\x00\x01f\x01t",
		"bits of an opaque entry":           head + "\x01" + "\x0c\x00\x01f",
		"digest of zero":                    head + "\x01" + "\x3a\x00\x01f" + zero,
		"digest that is short":              head + "\x01" + "\x3a\x00\x01f" + zero[1:],
		"link without target":               head + "\x01" + "\x1b\x00\x01f\x00",
		"link target too long":              head + "\x01" + "\x1b\x00\x01f\x81\x20" + strings.Repeat("t", 4097),
		"no range":                          "\x00\x02\x00\x00\x00\x00",
		"one range":                         "\x00\x02\x00\x00\x00\x01" + "\x00\x01" + zero,
		"ranges beyond the message":         "\x00\x02\x00\x00\x00\x03" + "\x01m\x01" + zero + "\x00\x01" + zero,
		"ranges end before the section":     "\x00\x02\x00\x00\x00\x02" + "\x01m\x01" + zero + "\x01z\x01" + zero,
		"ranges end after the section":      "\x00\x02\x00\x00\x01p\x02" + "\x01m\x01" + zero + "\x01z\x01" + zero,
		"ranges out of order":               "\x00\x02\x00\x00\x00\x03" + "\x01m\x01" + zero + "\x01b\x01" + zero + "\x00\x01" + zero,
		"range twice":                       "\x00\x02\x00\x00\x00\x03" + "\x01m\x01" + zero + "\x01m\x01" + zero + "\x00\x01" + zero,
		"range before the section":          "\x00\x02\x00\x01n\x00\x02" + "\x01m\x01" + zero + "\x00\x01" + zero,
		"range beyond the section's end":    "\x00\x02\x00\x00\x01p\x03" + "\x01q\x01" + zero + "\x01r\x01" + zero + "\x01p\x01" + zero,
		"range without bound in the middle": "\x00\x02\x00\x00\x00\x02" + "\x00\x01" + zero + "\x00\x01" + zero,
		"bound of a range with a slash":     "\x00\x02\x00\x00\x00\x02" + "\x01/\x01" + zero + "\x00\x01" + zero,
	} {
		_, _, err := wire.DecodeListing([]byte(sealed(b)))
		refused(t, n, err)
	}
	good := sealed(head + "\x01" + f)
	if _, _, err := wire.DecodeListing([]byte(good)); err != nil {
		t.Errorf("the good one: %v", err)
	}
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 4
		_, _, err := wire.DecodeListing(bad)
		refused(t, fmt.Sprintf("a bit of byte %d", i), err)
		_, _, err = wire.DecodeListing([]byte(good[:i]))
		refused(t, fmt.Sprintf("%d bytes of it", i), err)
	}
}

func TestSmallRefuses(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for n, b := range map[string]string{
		"nothing":         "",
		"half a question": "\x00\x00\x00",
		"empty range":     "\x00\x01a\x01a\x00",
		"wrong way round": "\x00\x01b\x01a\x00",
		"bound ..":        "\x00\x02..\x00\x00",
		"bound with NUL":  "\x00\x01\x00\x00\x00",
		"bound too long":  "\x00\x81\x08" + long + "\x00\x00",
		"long form":       "\x80\x00\x00\x00\x00",
		"bytes after":     "\x00\x00\x00\x00\x00",
	} {
		_, err := wire.DecodeAsk([]byte(b))
		refused(t, "ask: "+n, err)
	}
	for n, b := range map[string]string{
		"nothing":   "",
		"no file":   "\x01",
		"kind 0":    "\x00\x01",
		"kind 3":    "\x03\x01",
		"long form": "\x01\x81\x00",
		"half":      "\x01\x02\xff",
	} {
		_, _, err := wire.DecodeWant([]byte(b))
		refused(t, "want: "+n, err)
	}
	for n, b := range map[string]string{
		"nothing":                  "",
		"no file":                  sealed(""),
		"half a meta":              sealed("\x02\xa4\x03\x02"),
		"size beyond the message":  sealed("\x02\x00\x00\x00\x05abcd"),
		"size of everything":       sealed("\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
		"size beyond 63 bits":      sealed("\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"permission too large":     sealed("\x02\x80\x04\x00\x00\x00"),
		"nanoseconds too many":     sealed("\x02\x00\x00\x80\x94\xeb\xdc\x03\x00"),
		"does not match its bytes": sealed("\x02\x00\x00\x00\x01a")[:21] + "b",
		"bytes after":              sealed("\x02\x00\x00\x00\x01ab"),
	} {
		_, err := decodePack([]byte(b))
		refused(t, "pack: "+n, err)
	}
	for n, b := range map[string]string{
		"nothing":             "",
		"no content":          sealed("\x01\x00\x00"),
		"hole of nothing":     sealed("\x01\x00\x01\x00\x00"),
		"hole with content":   sealed("\x01\x00\x01\x05\x00x"),
		"hole without a hole": sealed("\x01\x00\x01\x01\x01\x00\x01x"),
		"extent of nothing":   sealed("\x01\x00\x01\x05\x01\x01\x00"),
		"extent beyond":       sealed("\x01\x00\x01\x05\x01\x04\x02xx"),
		"extents that touch":  sealed("\x01\x00\x01\x05\x02\x00\x01\x00\x01xx"),
		"extents in much":     sealed("\x01\x00\x01\x81\x80\x40\x01\x00\x01x"),
		"extents too many":    sealed("\x01\x00\x01\xff\x7f\x41" + strings.Repeat("\x01\x01", 65) + strings.Repeat("x", 65)),
		"extents that lack":   sealed("\x01\x00\x01\x05\x02\x00\x01"),
		"beyond any file":     sealed("\x01\xff\xff\xff\xff\xff\xff\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"),
		"too long a hole":     sealed("\x01\x00\x01\x81\x80\x80\x80\x04\x00"),
		"index beyond":        sealed("\x01\x80\x80\x80\x80\x80\x80\x02\x00x"),
		"kind 2":              sealed("\x01\x00\x02x"),
		"long form":           sealed("\x81\x00\x00\x00x"),
		"too long":            sealed("\x01\x00\x00" + strings.Repeat("x", 1<<20+1)),
		"another content":     sealed("\x01\x00\x00x")[:19] + "y",
		"another chunk":       sealed("\x01\x00\x00x")[:17] + "\x01\x00x",
		"checksum of more":    sealed("\x01\x00\x00xy")[:20],
		"nothing but the sum": sealed(""),
	} {
		_, err := wire.DecodeChunk([]byte(b))
		refused(t, "chunk: "+n, err)
	}
	for n, b := range map[string]string{
		"nothing":              "",
		"kind 2":               "\x01\x02",
		"again with more":      "\x01\x01\x00",
		"complete with less":   "\x01\x00" + metaBytes + "\x01" + raw(d1)[:15],
		"complete with more":   "\x01\x00" + metaBytes + "\x01" + raw(d1)[:17],
		"permission too large": "\x01\x00\x80\x04\x00\x00\x00\x01" + raw(d1)[:16],
		"more parts than can":  "\x01\x00" + metaBytes + "\x02" + raw(d1)[:16],
	} {
		_, err := wire.DecodeEnd([]byte(b))
		refused(t, "end: "+n, err)
	}
	for n, b := range map[string]string{
		"nothing":     "",
		"short":       "\x02" + metaBytes + raw(d1)[1:],
		"bytes after": "\x02" + metaBytes + raw(d1) + "x",
	} {
		_, err := wire.DecodeSums([]byte(b))
		refused(t, "sums: "+n, err)
	}
	for n, b := range map[string]string{
		"nothing":           "",
		"half":              "\x02\xff",
		"long form":         "\x81\x00",
		"id beyond 64 bits": "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
		"id without end":    strings.Repeat("\xff", 11),
	} {
		_, err := wire.DecodeProve([]byte(b))
		refused(t, "prove: "+n, err)
	}
	for n, b := range map[string]string{
		"nothing":         "",
		"no kind":         "\x01",
		"kind 2":          "\x01\x02" + raw(d1),
		"long form":       "\x81\x00\x00",
		"none with more":  "\x01\x00\x00",
		"none and digest": "\x01\x00" + raw(d1),
		"short":           "\x01\x01" + raw(d1)[1:],
		"bytes after":     "\x01\x01" + raw(d1) + "x",
	} {
		_, err := wire.DecodeProof([]byte(b))
		refused(t, "proof: "+n, err)
	}
}

func TestControlRefuses(t *testing.T) {
	id := []byte("0123456789abcdef")
	canon := &wire.Canon{Granularity: 1}
	hello := func(change func(*wire.Hello)) *wire.Hello {
		h := &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_RECEIVER, Session: id, Destination: &wire.Destination{Id: id, Canon: canon}}
		change(h)
		return h
	}
	d := d1[:]
	for n, m := range map[string]proto.Message{
		"hello: no version":               hello(func(h *wire.Hello) { h.Version = 0 }),
		"hello: no lowest version":        hello(func(h *wire.Hello) { h.VersionMin = 0 }),
		"hello: lowest above highest":     hello(func(h *wire.Hello) { h.VersionMin = 2 }),
		"hello: no role":                  hello(func(h *wire.Hello) { h.Role = 0 }),
		"hello: role 3":                   hello(func(h *wire.Hello) { h.Role = 3 }),
		"hello: program":                  hello(func(h *wire.Hello) { h.Program = strings.Repeat("x", 1025) }),
		"hello: session":                  hello(func(h *wire.Hello) { h.Session = id[1:] }),
		"hello: receiver without place":   hello(func(h *wire.Hello) { h.Destination = nil }),
		"hello: sender with place":        hello(func(h *wire.Hello) { h.Role = wire.Role_SENDER }),
		"hello: place without id":         hello(func(h *wire.Hello) { h.Destination.Id = nil }),
		"hello: place without canon":      hello(func(h *wire.Hello) { h.Destination.Canon = nil }),
		"hello: place with granularity 0": hello(func(h *wire.Hello) { h.Destination.Canon = &wire.Canon{} }),
		"hello: place with coarse times":  hello(func(h *wire.Hello) { h.Destination.Canon = &wire.Canon{Granularity: 2_000_000_001} }),
		"seal: permission":                &wire.Seal{Perm: 0o1000, Digest: d, Counts: &wire.Counts{}},
		"seal: nanoseconds":               &wire.Seal{Nsec: 1e9, Digest: d, Counts: &wire.Counts{}},
		"seal: digest":                    &wire.Seal{Digest: d[1:], Counts: &wire.Counts{}},
		"seal: counts":                    &wire.Seal{Digest: d},
		"done: code":                      &wire.Done{Code: 256, Digest: d, Changes: &wire.Changes{}},
		"done: digest":                    &wire.Done{Changes: &wire.Changes{}},
		"done: changes":                   &wire.Done{Digest: d},
		"verdict: code":                   &wire.Verdict{Code: 1 << 20, Digest: d},
		"verdict: digest":                 &wire.Verdict{Digest: append(d[:32:32], 0)},
	} {
		message := wire.Encode(m).Bytes()
		_, err := wire.Decode(wire.Type(message[0]), message[2:])
		refused(t, n, err)
	}
	long := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	for n, m := range map[string]*wire.Problem{
		"problem: path":      {Path: long(32<<10 + 1)},
		"problem: operation": {Operation: string(long(1025))},
		"problem: cause":     {Cause: string(long(1025))},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = wire.Decode(wire.TypeProblem, b)
		refused(t, n, err)
	}
	for n, b := range map[string]string{"half a field": "\x08", "a group": "\x0b", "text that is none": "\x12\x01\xff"} {
		_, err := wire.Decode(wire.TypeProblem, []byte(b))
		refused(t, n, err)
	}
	for typ := range 256 {
		switch typ := wire.Type(typ); typ {
		case wire.TypeHello, wire.TypeSeal, wire.TypeProblem, wire.TypeDone, wire.TypeVerdict, wire.TypeProgress, wire.TypeKnown, wire.TypeAck:
		default:
			_, err := wire.Decode(typ, nil)
			refused(t, fmt.Sprintf("type %d", typ), err)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// stairs is a body whose names share nearly everything: few bytes stand for
// many.
func stairs(size int) string {
	var b strings.Builder
	b.WriteString("\x00")
	for b.Len() < size {
		n := 0
		var entries strings.Builder
		entries.WriteString("\x04\x00\x80\x08" + strings.Repeat("x", 1023) + "\x01")
		for ; n < 200 && b.Len()+entries.Len() < size; n++ {
			entries.WriteString("\x04\xff\x07\x01" + string([]byte{byte(n + 48)}))
		}
		if n == 0 {
			break
		}
		b.WriteString("\x01\x00\x00\x00")
		for u := n + 1; ; u >>= 7 {
			if u < 0x80 {
				b.WriteByte(byte(u))
				break
			}
			b.WriteByte(byte(u)&0x7f | 0x80)
		}
		b.WriteString(entries.String())
	}
	return b.String()
}

// No message makes its reader allocate more than a multiple of its length.
func TestAllocations(t *testing.T) {
	const size = 1 << 20
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	small := wire.SmallMessage - 2
	for _, c := range []struct {
		name   string
		body   string
		times  int // the limit, as a multiple of the body's length
		decode func([]byte) error
	}{
		{"listing: a count of a million", sealed("\x00\x01\x00\x00\x00\xc0\x84\x3d" + zeros(size)), 64, listing},
		{"listing: as many entries as fit", sealed("\x00\x01\x00\x00\x00\x80\x80\x10" + zeros(size)), 64, listing},
		{"listing: as many ranges as fit", sealed("\x00\x02\x00\x00\x00\x80\xf0\x01" + zeros(size)), 64, listing},
		{"listing: empty sections", sealed("\x00" + strings.Repeat("\x01\x00\x00\x00\x00", size/5)), 120, listing},
		{"listing: names that share all", sealed(stairs(size)), 120, listing},
		{"ask: as many as fit", strings.Repeat("\x00\x00\x00\x00", small/4), 64, func(b []byte) error { _, err := wire.DecodeAsk(b); return err }},
		{"want: as many as fit", "\x01" + zeros(small-1), 64, func(b []byte) error { _, _, err := wire.DecodeWant(b); return err }},
		{"prove: as many as fit", zeros(small), 64, func(b []byte) error { _, err := wire.DecodeProve(b); return err }},
		{"proof: with much after it", "\x00\x01" + zeros(small-2), 1, func(b []byte) error { _, err := wire.DecodeProof(b); return err }},
		{"pack: a size of everything", sealed("\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + zeros(size)), 1, func(b []byte) error { _, err := decodePack(b); return err }},
		{"sums: as many as fit", strings.Repeat(zeros(37), small/37), 64, func(b []byte) error { _, err := wire.DecodeSums(b); return err }},
	} {
		b := []byte(c.body)
		var err error
		n := allocated(func() { err = c.decode(b) })
		t.Logf("%s: %d bytes allocated for %d, %.1f times; %v", c.name, n, len(b), float64(n)/float64(len(b)), err)
		if n > uint64(c.times*len(b)+4096) {
			t.Errorf("%s: %d bytes allocated for %d", c.name, n, len(b))
		}
	}
}

func listing(b []byte) error { _, _, err := wire.DecodeListing(b); return err }
