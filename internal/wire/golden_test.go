package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// d1 and d2 are digests, and raw the bytes of one.
var d1, d2 = digest.Digest(bytes.Repeat([]byte{0xd1}, 32)), digest.Digest(bytes.Repeat([]byte{0xd2}, 32))

// short returns the bytes of a digest that is cut short.
func short(d digest.Digest) string { return string(d[:digest.ShortSize]) }

func raw(d digest.Digest) string { return string(d[:]) }

// sealed is a body that begins with the checksum of the rest.
func sealed(rest string) string {
	c := digest.Check([]byte(rest))
	return string(c[:]) + rest
}

func text(b *wire.Buffer) string {
	defer b.Free()
	return string(b.Bytes())
}

// body splits the head off a message.
func body(t testing.TB, message string, want wire.Type) []byte {
	t.Helper()
	typ, b, err := wire.Split([]byte(message))
	if err != nil || typ != want {
		t.Fatalf("Split: type %d, %v, want %d", typ, err, want)
	}
	return b
}

func dir(name string, d digest.Digest, closed bool) tree.Entry {
	return tree.Entry{Name: name, Type: tree.Directory, Perm: 0o755, Sec: 5, Dir: &tree.Dir{Name: name, Digest: d, Closed: closed}}
}

func file(name string, size int64) tree.Entry {
	return tree.Entry{Name: name, Type: tree.File, Perm: 0o644, Sec: 5, Size: size}
}

// listings are Listing messages, in both forms.
var listings = []struct {
	name     string
	answered int
	sections []wire.Section
	bytes    string // after the checksum
}{
	{"an empty directory", 1, []wire.Section{{Entries: []tree.Entry{}}}, "\x01" + "\x01\x00\x00\x00\x00"},
	{"nothing answered", 0, []wire.Section{{Dir: 300, From: "a", To: "b", Entries: []tree.Entry{}}}, "\x00" + "\x01\xac\x02\x01a\x01b\x00"},
	{"one file", 0, []wire.Section{{Entries: []tree.Entry{file("ab", 300)}}},
		"\x00" + "\x01\x00\x00\x00\x01" + "\x01\x00\x02ab" + "\xa4\x03" + "\x0a\x00" + "\xac\x02"},
	{"a file from 1970 without permission", 0, []wire.Section{{Entries: []tree.Entry{{Name: "a", Type: tree.File}}}},
		"\x00" + "\x01\x00\x00\x00\x01" + "\x19\x00\x01a\x00"},
	{"a file with holes", 0, []wire.Section{{Entries: []tree.Entry{{Name: "a", Type: tree.File, Size: 5, Flags: tree.Sparse}}}},
		"\x00" + "\x01\x00\x00\x00\x01" + "\x99\x00\x01a\x05"},
	{"before 1970", 0, []wire.Section{{Entries: []tree.Entry{{Name: "a", Type: tree.File, Sec: -1, Nsec: 999_999_999}}}},
		"\x00" + "\x01\x00\x00\x00\x01" + "\x11\x00\x01a" + "\x01\xff\x93\xeb\xdc\x03" + "\x00"},
	{"what is the same as before", 127, []wire.Section{{Dir: 1, Entries: []tree.Entry{
		file("aa", 1), file("ab", 2), dir("abc", d1.Short(), false), dir("b", digest.Digest{}, true),
		{Name: "c", Type: tree.Link, Sec: 3, Nsec: 7, Target: "t"}, {Name: "d", Type: tree.Opaque}, {Name: "da", Type: tree.File, Sec: 3, Nsec: 7, Size: 1<<63 - 1},
	}}}, "\x7f" + "\x01\x01\x00\x00\x07" +
		"\x01\x00\x02aa\xa4\x03\x0a\x00\x01" +
		"\x19\x01\x01b\x02" +
		"\x2a\x02\x01c\xed\x03" + short(d1) +
		"\x5a\x00\x01b" +
		"\x03\x00\x01c\x00\x03\x07\x01t" +
		"\x04\x00\x01d" +
		"\x19\x01\x01a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
	{"ranges", 2, []wire.Section{{Dir: 2, From: "b", To: "x", Ranges: []wire.Range{{End: "m", Count: 300, Digest: d1.Short()}, {End: "x", Count: 1, Digest: d2.Short()}}}},
		"\x02" + "\x02\x02\x01b\x01x\x02" + "\x01m\xac\x02" + short(d1) + "\x01x\x01" + short(d2)},
	{"two sections", 0, []wire.Section{{Entries: []tree.Entry{file("a", 0)}}, {Dir: 1, Ranges: []wire.Range{{End: "m"}, {}}}},
		"\x00" + "\x01\x00\x00\x00\x01" + "\x01\x00\x01a\xa4\x03\x0a\x00\x00" + "\x02\x01\x00\x00\x02" + "\x01m\x00" + short(digest.Digest{}) + "\x00\x00" + short(digest.Digest{})},
	{"bytes that are no text", 0, []wire.Section{{Entries: []tree.Entry{{Name: "\xfe", Type: tree.Opaque}, {Name: "\xff\n", Type: tree.Opaque}}}},
		"\x00" + "\x01\x00\x00\x00\x02" + "\x04\x00\x01\xfe" + "\x04\x00\x02\xff\n"},
}

func encodeListing(answered int, sections []wire.Section) *wire.Buffer {
	l := wire.NewListing(1 << 10)
	for _, s := range sections {
		if s.Ranges != nil {
			l.Ranges(s.Dir, s.From, s.To, s.Ranges)
		} else {
			l.Entries(s.Dir, s.From, s.To, s.Entries)
		}
	}
	return l.Finish(answered)
}

func TestListing(t *testing.T) {
	for _, c := range listings {
		got, want := text(encodeListing(c.answered, c.sections)), "\x05\x00"+sealed(c.bytes)
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, want)
		}
		answered, sections, err := wire.DecodeListing(body(t, want, wire.TypeListing))
		if err != nil || answered != c.answered || !reflect.DeepEqual(sections, c.sections) {
			t.Errorf("%s: decoded %d, %+v, %v", c.name, answered, sections, err)
		}
	}
	l := wire.NewListing(100)
	if !l.Empty() || l.Len() != 2+16+1 {
		t.Errorf("a new listing of %d bytes is empty: %v", l.Len(), l.Empty())
	}
	l.Entries(0, "", "", nil)
	if l.Empty() {
		t.Error("a listing of an empty directory is empty")
	}
	l.Finish(0).Free()
}

func TestAsk(t *testing.T) {
	questions := []wire.Question{{Dir: 0, Budget: 4096}, {Dir: 300, From: "a", To: "b\xff"}}
	want := "\x04\x00" + "\x00\x00\x00\x80\x20" + "\xac\x02\x01a\x02b\xff\x00"
	messages := wire.EncodeAsk(questions)
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	if got := text(messages[0]); got != want {
		t.Errorf(" got %q\nwant %q", got, want)
	}
	got, err := wire.DecodeAsk(body(t, want, wire.TypeAsk))
	if err != nil || !reflect.DeepEqual(got, questions) {
		t.Errorf("decoded %+v, %v", got, err)
	}
	if m := wire.EncodeAsk(nil); m != nil {
		t.Errorf("no questions: %d messages", len(m))
	}
}

// Many long questions go into several messages, each of which is let in.
func TestAskMany(t *testing.T) {
	// A buffer that has grown must not let a message grow too.
	l := wire.NewListing(60 << 10)
	for range 10 {
		l.Entries(0, strings.Repeat("x", 1024), strings.Repeat("y", 1024), []tree.Entry{file(strings.Repeat("x", 1024), 0)})
	}
	l.Finish(0).Free()
	var questions []wire.Question
	for i := range 5000 {
		questions = append(questions, wire.Question{Dir: 1<<64 - 1, From: strings.Repeat("x", i%1025), To: strings.Repeat("y", 1024), Budget: 1<<64 - 1})
	}
	var got []wire.Question
	for _, m := range wire.EncodeAsk(questions) {
		q, err := wire.DecodeAsk(body(t, text(m), wire.TypeAsk))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, q...)
	}
	if !reflect.DeepEqual(got, questions) {
		t.Errorf("%d questions came, want %d", len(got), len(questions))
	}
}

func TestWant(t *testing.T) {
	for _, c := range []struct {
		what  wire.Wanted
		ids   []uint64
		bytes string
	}{
		{wire.WantContent, []uint64{1, 2, 300, 3}, "\x06\x00" + "\x01\x02\x02\xd4\x04\xd1\x04"},
		{wire.WantDigest, []uint64{0}, "\x06\x00" + "\x02\x00"},
		{wire.WantDigest, []uint64{1<<64 - 1, 1<<63 - 1}, "\x06\x00" + "\x02\x01" + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
	} {
		if got := text(wire.EncodeWant(c.what, c.ids)[0]); got != c.bytes {
			t.Errorf("%v:\n got %q\nwant %q", c.ids, got, c.bytes)
		}
		what, ids, err := wire.DecodeWant(body(t, c.bytes, wire.TypeWant))
		if err != nil || what != c.what || !reflect.DeepEqual(ids, c.ids) {
			t.Errorf("%v: decoded %d %v, %v", c.ids, what, ids, err)
		}
	}
	// Numbers that are far apart fill messages, which stay small.
	ids := make([]uint64, 30_000)
	for i := range ids {
		ids[i] = uint64(i%2) << 62
	}
	var got []uint64
	for _, m := range wire.EncodeWant(wire.WantContent, ids) {
		_, some, err := wire.DecodeWant(body(t, text(m), wire.TypeWant))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, some...)
	}
	if !reflect.DeepEqual(got, ids) {
		t.Errorf("%d ids came, want %d", len(got), len(ids))
	}
}

// proves are Prove messages, in both forms.
var proves = []struct {
	ids   []uint64
	bytes string
}{
	{[]uint64{0}, "\x00"},
	{[]uint64{1, 2, 300, 3}, "\x02\x02\xd4\x04\xd1\x04"},
	{[]uint64{1<<64 - 1, 1<<63 - 1}, "\x01" + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
}

func TestProve(t *testing.T) {
	for _, c := range proves {
		want := "\x14\x00" + c.bytes
		if got := text(wire.EncodeProve(c.ids)[0]); got != want {
			t.Errorf("%v:\n got %q\nwant %q", c.ids, got, want)
		}
		ids, err := wire.DecodeProve(body(t, want, wire.TypeProve))
		if err != nil || !reflect.DeepEqual(ids, c.ids) {
			t.Errorf("%v: decoded %v, %v", c.ids, ids, err)
		}
	}
	if m := wire.EncodeProve(nil); m != nil {
		t.Errorf("nothing to prove: %d messages", len(m))
	}
	// Numbers that are far apart fill messages, which stay small.
	ids := make([]uint64, 30_000)
	for i := range ids {
		ids[i] = uint64(i%2) << 62
	}
	var got []uint64
	for _, m := range wire.EncodeProve(ids) {
		some, err := wire.DecodeProve(body(t, text(m), wire.TypeProve))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, some...)
	}
	if !reflect.DeepEqual(got, ids) {
		t.Errorf("%d ids came, want %d", len(got), len(ids))
	}
}

// proofs are Proof messages, in both forms.
var proofs = []struct {
	proof wire.Proof
	bytes string
}{
	{wire.Proof{ID: 300}, "\xac\x02\x00"},
	{wire.Proof{ID: 0, Known: true, Sum: d1}, "\x00\x01" + raw(d1)},
	{wire.Proof{ID: 1<<64 - 1, Known: true, Sum: d2}, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01" + raw(d2)},
}

func TestProof(t *testing.T) {
	for _, c := range proofs {
		want := "\x15\x00" + c.bytes
		if got := text(wire.EncodeProof(&c.proof)); got != want {
			t.Errorf("%+v:\n got %q\nwant %q", c.proof, got, want)
		}
		got, err := wire.DecodeProof(body(t, want, wire.TypeProof))
		if err != nil || got != c.proof {
			t.Errorf("%+v: decoded %+v, %v", c.proof, got, err)
		}
	}
}

var meta = wire.Meta{Perm: 0o640, MTime: tree.Time{Sec: -2, Nsec: 3}, Size: 5}

const metaBytes = "\xa0\x03\x03\x03\x05"

type packed struct {
	id      uint64
	meta    wire.Meta
	content string
}

func decodePack(b []byte) (files []packed, err error) {
	err = wire.DecodePack(b, func(f wire.Packed) bool {
		files = append(files, packed{f.ID, f.Meta, string(f.Content)})
		return true
	})
	return files, err
}

func TestPack(t *testing.T) {
	p := wire.NewPack()
	copy(p.Add(7, meta), "hello")
	mark := p.Mark()
	copy(p.Add(9, wire.Meta{Size: 3}), "bad")
	p.Undo(mark)
	p.Add(5, wire.Meta{})
	if p.Files != 2 {
		t.Errorf("%d files", p.Files)
	}
	want := "\x07\x00" + sealed("\x0e"+metaBytes+"hello"+"\x03\x00\x00\x00\x00")
	if got := text(p.Finish()); got != want {
		t.Errorf(" got %q\nwant %q", got, want)
	}
	got, err := decodePack(body(t, want, wire.TypePack))
	if err != nil || !reflect.DeepEqual(got, []packed{{7, meta, "hello"}, {5, wire.Meta{}, ""}}) {
		t.Errorf("decoded %+v, %v", got, err)
	}
	n := 0
	if err := wire.DecodePack(body(t, want, wire.TypePack), func(wire.Packed) bool { n++; return false }); n != 1 || err == nil {
		t.Errorf("stopped after %d files, %v", n, err)
	}
	wire.NewPack().Discard()
}

func TestPackFull(t *testing.T) {
	p := wire.NewPack()
	if !p.Fits(wire.MaxPacked) || p.Fits(wire.MaxPacked+1) {
		t.Errorf("MaxPacked fits: %v, one more: %v", p.Fits(wire.MaxPacked), p.Fits(wire.MaxPacked+1))
	}
	p.Add(1<<64-1, wire.Meta{Perm: 0o777, MTime: tree.Time{Sec: -1 << 63, Nsec: 999_999_999}, Size: wire.MaxPacked})
	if p.Fits(0) && len(p.Finish().Bytes()) > wire.MaxMessage {
		t.Error("a message is longer than it may be")
	}
	p.Discard()
}

func TestChunk(t *testing.T) {
	part := wire.Part{Index: 2, Length: 7}
	c, content := wire.NewChunk(300, part)
	copy(content, "content")
	b, sum := c.Finish()
	if want := digest.Check([]byte("\xac\x02\x02\x00content")); sum != want {
		t.Errorf("checksum %s, want %s", sum, want)
	}
	want := "\x08\x00" + sealed("\xac\x02\x02\x00content")
	got := text(b)
	if got != want {
		t.Errorf(" got %q\nwant %q", got, want)
	}
	decoded, err := wire.DecodeChunk(body(t, got, wire.TypeChunk))
	if err != nil || !reflect.DeepEqual(decoded, wire.Chunk{ID: 300, Part: part, Checksum: sum, Content: []byte("content")}) {
		t.Errorf("decoded %+v, %v", decoded, err)
	}
	full, _ := wire.NewChunk(1<<64-1, wire.Part{Index: 1<<64 - 1, Length: digest.ChunkSize})
	b, _ = full.Finish()
	if n := len(b.Bytes()); n > wire.MaxMessage {
		t.Errorf("a message of %d bytes", n)
	}
	full.Discard()
}

func TestChunkWithHoles(t *testing.T) {
	for _, c := range []struct {
		part    wire.Part
		content string
		bytes   string
	}{
		{wire.Part{Index: 2, Length: 300 << 20, Extents: []wire.Extent{}}, "", "\x01\x02\x01\x80\x80\x80\x96\x01\x00"},
		{wire.Part{Index: 2, Length: 10, Extents: []wire.Extent{{Off: 0, Len: 2}, {Off: 5, Len: 4}}}, "abcdef", "\x01\x02\x01\x0a\x02\x00\x02\x03\x04abcdef"},
	} {
		m, content := wire.NewChunk(1, c.part)
		if len(content) != len(c.content) {
			t.Fatalf("%+v has room for %d bytes", c.part, len(content))
		}
		copy(content, c.content)
		b, sum := m.Finish()
		want := "\x08\x00" + sealed(c.bytes)
		got := text(b)
		if got != want {
			t.Errorf(" got %q\nwant %q", got, want)
		}
		decoded, err := wire.DecodeChunk(body(t, got, wire.TypeChunk))
		if err != nil || !reflect.DeepEqual(decoded, wire.Chunk{ID: 1, Part: c.part, Checksum: sum, Content: []byte(c.content)}) {
			t.Errorf("decoded %+v, %v", decoded, err)
		}
	}
	most := wire.Part{Index: 1 << 43, Length: digest.ChunkSize}
	for i := range int64(wire.MaxExtents) {
		most.Extents = append(most.Extents, wire.Extent{Off: 2 * i, Len: 1})
	}
	most.Extents[wire.MaxExtents-1].Len = digest.ChunkSize - 2*(wire.MaxExtents-1)
	m, _ := wire.NewChunk(1<<64-1, most)
	if b, _ := m.Finish(); len(b.Bytes()) > wire.MaxMessage {
		t.Errorf("a message of %d bytes", len(b.Bytes()))
	}
	m.Discard()
}

func TestEnd(t *testing.T) {
	for _, c := range []struct {
		end   wire.End
		bytes string
	}{
		{wire.End{ID: 300, Meta: meta, Parts: 1, Checksum: digest.Checksum(d1[:16])}, "\x09\x00\xac\x02\x00" + metaBytes + "\x01" + raw(d1)[:16]},
		{wire.End{ID: 1, Again: true}, "\x09\x00\x01\x01"},
	} {
		if got := text(wire.EncodeEnd(c.end)); got != c.bytes {
			t.Errorf(" got %q\nwant %q", got, c.bytes)
		}
		got, err := wire.DecodeEnd(body(t, c.bytes, wire.TypeEnd))
		if err != nil || got != c.end {
			t.Errorf("decoded %+v, %v", got, err)
		}
	}
}

func TestSums(t *testing.T) {
	sums := []wire.Sum{{ID: 7, Meta: meta, Digest: d1}, {ID: 5, Digest: d2}}
	want := "\x0a\x00" + "\x0e" + metaBytes + raw(d1) + "\x03\x00\x00\x00\x00" + raw(d2)
	if got := text(wire.EncodeSums(sums)); got != want {
		t.Errorf(" got %q\nwant %q", got, want)
	}
	got, err := wire.DecodeSums(body(t, want, wire.TypeSums))
	if err != nil || !reflect.DeepEqual(got, sums) {
		t.Errorf("decoded %+v, %v", got, err)
	}
	many := make([]wire.Sum, wire.MaxSums)
	for i := range many {
		many[i] = wire.Sum{ID: uint64(i%2) << 63, Meta: wire.Meta{Perm: 0o777, MTime: tree.Time{Sec: -1 << 63, Nsec: 999_999_999}, Size: wire.MaxSize}}
	}
	if _, err := wire.DecodeSums(body(t, text(wire.EncodeSums(many)), wire.TypeSums)); err != nil {
		t.Error(err)
	}
}

// controls are control messages, in both forms.
var controls = []struct {
	typ     wire.Type
	message proto.Message
	bytes   string
}{
	{wire.TypeHello, &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Session: []byte("0123456789abcdef"), Checksum: true, Policy: &wire.Policy{MaxDelete: proto.Uint64(0), AllowEmpty: true}},
		"\x08\x01\x10\x01\x18\x01\x2a\x100123456789abcdef\x48\x01\x52\x04\x08\x00\x18\x01"},
	{wire.TypeHello, &wire.Hello{Version: 3, VersionMin: 1, Role: wire.Role_RECEIVER, Program: "p", Session: []byte("0123456789abcdef"), Destination: &wire.Destination{Id: []byte("fedcba9876543210"), Empty: true, Canon: &wire.Canon{Granularity: 1, MinSec: -2, MaxSec: 3, LinkTimes: true}}},
		"\x08\x03\x10\x01\x18\x02\x22\x01p\x2a\x100123456789abcdef\x5a\x1e\x0a\x10fedcba9876543210\x10\x01\x1a\x08\x08\x01\x10\x03\x18\x06\x20\x01"},
	{wire.TypeSeal, &wire.Seal{Perm: 0o755, Sec: -1, Nsec: 2, Digest: d1[:], Counts: &wire.Counts{Files: 1, Directories: 2, Links: 3, Opaque: 4, Bytes: 5}, Incomplete: true},
		"\x08\xed\x03\x10\x01\x18\x02\x22\x20" + raw(d1) + "\x2a\x0a\x08\x01\x10\x02\x18\x03\x20\x04\x28\x05\x30\x01"},
	{wire.TypeProblem, &wire.Problem{Path: []byte("a/\xff"), Operation: "read", Cause: "c", Vanished: true, Answers: 300},
		"\x0a\x03a/\xff\x12\x04read\x1a\x01c\x20\x01\x28\xac\x02"},
	{wire.TypeDone, &wire.Done{Code: 23, Digest: d1[:], Changes: &wire.Changes{Created: 1, Replaced: 2, Touched: 3, Removed: 4, Bytes: 5}},
		"\x08\x17\x12\x20" + raw(d1) + "\x1a\x0a\x08\x01\x10\x02\x18\x03\x20\x04\x28\x05"},
	{wire.TypeDone, &wire.Done{Digest: d1[:], Changes: &wire.Changes{}, Contents: true},
		"\x12\x20" + raw(d1) + "\x1a\x00\x20\x01"},
	{wire.TypeVerdict, &wire.Verdict{Code: 24, Digest: d2[:]}, "\x08\x18\x12\x20" + raw(d2)},
	{wire.TypeProgress, &wire.Progress{}, ""},
	{wire.TypeHello, &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Session: []byte("0123456789abcdef"), Resume: &wire.Resume{Received: 300}},
		"\x08\x01\x10\x01\x18\x01\x2a\x100123456789abcdef\x8a\x01\x03\x08\xac\x02"},
	{wire.TypeAck, &wire.Ack{Received: 300}, "\x08\xac\x02"},
}

func TestControl(t *testing.T) {
	for _, c := range controls {
		want := string([]byte{byte(c.typ), 0}) + c.bytes
		if got := text(wire.Encode(c.message)); got != want {
			t.Errorf("type %d:\n got %q\nwant %q", c.typ, got, want)
		}
		got, err := wire.Decode(c.typ, body(t, want, c.typ))
		if err != nil || !proto.Equal(got, c.message) {
			t.Errorf("type %d: decoded %v, %v", c.typ, got, err)
		}
		// A field of a later version is passed over.
		if _, err := wire.Decode(c.typ, []byte(c.bytes+"\xa0\x06\x01")); err != nil {
			t.Errorf("type %d with an unknown field: %v", c.typ, err)
		}
	}
}

// What a side says of itself is cut to what the other lets in.
func TestControlClipped(t *testing.T) {
	m := &wire.Problem{Path: bytes.Repeat([]byte("p"), 100<<10), Operation: "\xff", Cause: strings.Repeat("ü", 2000)}
	got, err := wire.Decode(wire.TypeProblem, body(t, text(wire.Encode(m)), wire.TypeProblem))
	if err != nil {
		t.Fatal(err)
	}
	p := got.(*wire.Problem)
	if len(p.Path) != 32<<10 || p.Operation != "\uFFFD" || len(p.Cause) > 1<<10 || !strings.HasSuffix(p.Cause, "ü...") {
		t.Errorf("path of %d bytes, operation %q, cause of %d bytes ending in %q", len(p.Path), p.Operation, len(p.Cause), p.Cause[len(p.Cause)-5:])
	}
	defer func() {
		if recover() == nil {
			t.Error("something else is encoded as a control message")
		}
	}()
	wire.Encode(&wire.Counts{})
}

func TestBuffer(t *testing.T) {
	b := wire.NewBuffer(10)
	b.Append('a', 'b')
	copy(b.Extend(3), "cde")
	b.Truncate(4)
	if got := string(b.Bytes()); got != "abcd" {
		t.Errorf("got %q", got)
	}
	if f := b.Framed(wire.Headroom); len(f) != wire.Headroom+4 || string(f[wire.Headroom:]) != "abcd" {
		t.Errorf("framed %q", f)
	}
	if b.Room() < 6 {
		t.Errorf("room for %d", b.Room())
	}
	b.Free()
	(*wire.Buffer)(nil).Free()
	for _, n := range []int{0, 4 << 10, 4<<10 + 1, wire.MaxMessage} {
		b := wire.NewBuffer(n)
		if b.Room() < n || len(b.Bytes()) != 0 {
			t.Errorf("a buffer for %d bytes has room for %d after %d", n, b.Room(), len(b.Bytes()))
		}
		b.Free()
	}
	defer func() {
		if recover() == nil {
			t.Error("a buffer over MaxMessage")
		}
	}()
	wire.NewBuffer(wire.MaxMessage + 1)
}
