package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const key = "\x01\x02\x00\x00\x00\x00\x00\x80"

var signatures = []struct {
	name   string
	signed []wire.Signed
	bytes  string
}{
	{"of a file", []wire.Signed{{ID: 300, Whole: true, Signature: delta.Signature{Block: 64, Tail: 3, Strong: 1, Sums: []byte("abcdeABCDE")}}},
		key + "\xac\x02\x00" + "\x02\x40\x03\x01abcdeABCDE"},
	{"of nothing", []wire.Signed{{ID: 1, Off: 300, Length: 5}}, key + "\x01\x01\xac\x02\x05" + "\x00"},
	{"of two", []wire.Signed{{ID: 1, Off: 0, Length: 983040, Signature: delta.Signature{Block: 2048, Strong: 8, Sums: []byte("abcdefghijkl")}}, {ID: 2, Whole: true}},
		key + "\x01\x01\x00\x80\x80\x3c" + "\x01\x80\x10\x00\x08abcdefghijkl" + "\x02\x00\x00"},
}

func encodeSignatures(t *testing.T, signed []wire.Signed) *wire.Buffer {
	t.Helper()
	k := uint64(0x8000000000000201)
	if len(signed) > 0 && signed[0].Key != 0 {
		k = signed[0].Key
	}
	m := wire.NewSignatures(k)
	for i := range signed {
		if !m.Add(&signed[i]) {
			t.Fatal("no room in a message")
		}
	}
	return m.Finish()
}

func TestSignatures(t *testing.T) {
	for _, c := range signatures {
		got := text(encodeSignatures(t, c.signed))
		if want := "\x10\x00" + c.bytes; got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, want)
		}
		signed, err := wire.DecodeSignatures([]byte(c.bytes))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for i := range signed {
			if signed[i].Key != 0x8000000000000201 {
				t.Errorf("%s: key %x", c.name, signed[i].Key)
			}
			signed[i].Key = 0
		}
		if !reflect.DeepEqual(signed, c.signed) {
			t.Errorf("%s: decoded %+v", c.name, signed)
		}
	}
}

var deltas = []struct {
	name  string
	delta wire.Delta
	bytes string // after the checksum
}{
	{"of a file", wire.Delta{ID: 300, Whole: true, Meta: meta, Sum: d1, Ops: []byte("ops")}, "\xac\x02\x00" + metaBytes + raw(d1) + "\x03ops"},
	{"of a fragment", wire.Delta{ID: 1, Off: 300, Ops: []byte("x")}, "\x01\x01\xac\x02\x01x"},
}

func TestDeltas(t *testing.T) {
	for _, c := range deltas {
		m := wire.NewDeltas()
		if !m.Add(&c.delta) {
			t.Fatal("no room in an empty message")
		}
		got, want := text(m.Finish()), "\x11\x00"+sealed(c.bytes)
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, want)
		}
		n := 0
		err := wire.DecodeDeltas(body(t, want, wire.TypeDelta), func(d *wire.Delta) bool {
			n++
			if !reflect.DeepEqual(*d, c.delta) {
				t.Errorf("%s: decoded %+v", c.name, d)
			}
			return true
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
	}
}

var probes = []struct {
	name  string
	probe wire.Probe
	bytes string
}{
	{"open", wire.Probe{ID: 300, Kind: wire.ProbeOpen, Scale: 3}, "\xac\x02\x00\x03"},
	{"groups", wire.Probe{ID: 1, Kind: wire.ProbeGroups, Level: 2, Numbers: []int{0, 1, 302}}, "\x01\x01\x02\x00\x00\xac\x02"},
	{"close", wire.Probe{ID: 1, Kind: wire.ProbeClose}, "\x01\x02"},
}

func TestProbe(t *testing.T) {
	for _, c := range probes {
		if got, want := text(wire.EncodeProbe(&c.probe)), "\x12\x00"+c.bytes; got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, want)
		}
		p, err := wire.DecodeProbe([]byte(c.bytes))
		if err != nil || !reflect.DeepEqual(*p, c.probe) {
			t.Errorf("%s: decoded %+v, %v", c.name, p, err)
		}
	}
}

var outlines = []struct {
	name    string
	outline wire.Outline
	bytes   string // after the checksum
}{
	{"top", wire.Outline{ID: 300, Kind: wire.OutlineTop, Meta: meta, Level: 1, Groups: []delta.Members{{Nodes: []delta.Node{{Digest: d1, Length: 5}}}}},
		"\xac\x02\x00" + metaBytes + "\x01\x00\x01\x05" + raw(d1)},
	{"groups", wire.Outline{ID: 1, Kind: wire.OutlineGroups, Groups: []delta.Members{{First: 300, Nodes: []delta.Node{{Digest: d1, Length: 300}, {Digest: d2, Length: 1}}}, {First: 2}}},
		"\x01\x01\x00" + "\xac\x02\x02\xac\x02" + raw(d1) + "\x01" + raw(d2) + "\x02\x00"},
	{"early", wire.Outline{ID: 1, Kind: wire.OutlineEarly, Level: 1, Groups: []delta.Members{{First: 300, Nodes: []delta.Node{{Digest: d1, Length: 300}, {Digest: d2, Length: 1}}}}},
		"\x01\x02\x01" + "\xac\x02\x02\xac\x02" + raw(d1) + "\x01" + raw(d2)},
}

func TestOutline(t *testing.T) {
	for _, c := range outlines {
		got, want := text(wire.EncodeOutline(&c.outline)), "\x13\x00"+sealed(c.bytes)
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, want)
		}
		o, err := wire.DecodeOutline(body(t, want, wire.TypeOutline))
		if err != nil || !reflect.DeepEqual(*o, c.outline) {
			t.Errorf("%s: decoded %+v, %v", c.name, o, err)
		}
	}
}

// TestHostileDeltas refuses what no sender or receiver of good faith says.
func TestHostileDeltas(t *testing.T) {
	refuse := func(name string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, bytes := range map[string]string{
		"a signature without a key":           "\x01\x02",
		"a signature with an even key":        "\x02\x02\x00\x00\x00\x00\x00\x80" + "\x01\x00\x00",
		"a signature message without any":     key,
		"a signature of no kind":              key + "\x01\x02\x00",
		"an empty fragment":                   key + "\x01\x01\x00\x00\x00",
		"a fragment too long":                 key + "\x01\x01\x00\x81\x80\x3c\x00",
		"a fragment beyond any file":          key + "\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x00",
		"blocks too short":                    key + "\x01\x00\x01\x3f\x00\x01abcde",
		"blocks too long":                     key + "\x01\x00\x01\x81\x10\x00\x01abcde",
		"a tail that is a block":              key + "\x01\x00\x01\x40\x40\x01abcde",
		"no strong sum":                       key + "\x01\x00\x01\x40\x00\x00abcd",
		"a strong sum too long":               key + "\x01\x00\x01\x40\x00\x09abcdefghijklm",
		"more blocks than there are sums":     key + "\x01\x00\x02\x40\x00\x01abcde",
		"more blocks than a signature has":    key + "\x01\x00\xff\xff\xff\x7f\x40\x00\x01abcde",
		"a signature of more than it may be":  key + "\x01\x00\x82\x10\x80\x10\x00\x01" + strings.Repeat("abcde", 2050),
		"bytes after the end of a signature":  key + "\x01\x00\x00\x01",
		"a block count in two ways to say it": key + "\x01\x00\x81\x00\x40\x00\x01abcde",
	} {
		_, err := wire.DecodeSignatures([]byte(bytes))
		refuse(name, err)
	}
	for name, bytes := range map[string]string{
		"a delta of no kind":                     "\x01\x02\x00",
		"operations beyond the end":              "\x01\x01\x00\x05x",
		"a delta of a large file as a small one": "\x01\x00\xa4\x03\x0a\x00\x81\x80\x3c" + raw(d1) + "\x00",
	} {
		refuse(name, wire.DecodeDeltas([]byte(sealed(bytes)), func(*wire.Delta) bool { return true }))
	}
	refuse("a delta that was damaged", wire.DecodeDeltas([]byte("0123456789abcdef"+"\x01\x01\x00\x00"), func(*wire.Delta) bool { return true }))
	for name, bytes := range map[string]string{
		"a probe of no kind":         "\x01\x03",
		"a probe at no scale":        "\x01\x00\x09",
		"a probe of chunks":          "\x01\x01\x00\x00",
		"a probe at no level":        "\x01\x01\x08\x00",
		"a probe of no groups":       "\x01\x01\x01",
		"a probe of too many":        "\x01\x01\x01" + strings.Repeat("\x00", wire.MaxGroups+1),
		"a close with something":     "\x01\x02\x00",
		"a group that can not be":    "\x01\x01\x01\xff\xff\xff\xff\x7f",
		"a probe that ends too soon": "\x01",
	} {
		_, err := wire.DecodeProbe([]byte(bytes))
		refuse(name, err)
	}
	for name, bytes := range map[string]string{
		"an outline of no kind":     "\x01\x03\x00\x00\x00",
		"early of segments":         "\x01\x02\x00\x00\x01\x05" + raw(d1),
		"early of nothing":          "\x01\x02\x01\x00\x00",
		"early beyond the most":     "\x01\x02\x01\x80\x40\x01\x05" + raw(d1),
		"early of too many":         "\x01\x02\x01\x00\x81\x02" + strings.Repeat("\x01"+raw(d1), 257),
		"early of two groups":       "\x01\x02\x01" + strings.Repeat("\x00\x01\x05"+raw(d1), 2),
		"an outline at no level":    "\x01\x01\x08\x00\x00",
		"nodes of another size":     "\x01\x00" + metaBytes + "\x00\x00\x01\x06" + raw(d1),
		"a top that begins later":   "\x01\x00" + metaBytes + "\x00\x01\x01\x05" + raw(d1),
		"an empty node":             "\x01\x01\x00\x00\x01\x00" + raw(d1),
		"a top of too many":         "\x01\x00" + metaBytes + "\x00\x00\x81\x01" + strings.Repeat("\x01"+raw(d1), 129),
		"a group of too many":       "\x01\x01\x00\x00\x81\x02" + strings.Repeat("\x01"+raw(d1), 257),
		"too many groups":           "\x01\x01\x00" + strings.Repeat("\x00\x00", wire.MaxGroups+1),
		"lengths that are too much": "\x01\x01\x00\x00\x02" + strings.Repeat("\xff\xff\xff\xff\xff\xff\xff\xff\x7f"+raw(d1), 2),
		"nodes that end too soon":   "\x01\x01\x00\x00\x02\x01" + raw(d1),
	} {
		_, err := wire.DecodeOutline([]byte(sealed(bytes)))
		refuse(name, err)
	}
}
