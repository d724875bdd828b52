package wire_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// packOf is a Pack of one file.
func packOf(content []byte) *wire.Buffer {
	p := wire.NewPack()
	copy(p.Add(1, wire.Meta{Size: int64(len(content))}), content)
	return p.Finish()
}

func TestCompress(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, wire.MaxPacked)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	text := bytes.Repeat([]byte("all work and no play "), wire.MaxPacked/21)
	c, e := wire.NewCompressor(3), wire.NewExpander()
	for _, v := range []struct {
		name    string
		content []byte
		shorter bool
	}{
		{"empty", nil, false},
		{"short", text[:400], false},
		{"text", text, true},
		{"noise", noise, false},
		{"half noise", append(bytes.Clone(noise[:200_000]), text[:200_000]...), true},
		{"nearly all noise", append(bytes.Clone(noise[:200_000]), text[:5000]...), false},
	} {
		b := packOf(v.content)
		plain := bytes.Clone(b.Bytes())
		b = c.Compress(b)
		if got := wire.Compressed(b.Bytes()); got != v.shorter {
			t.Errorf("%s: compressed: %v", v.name, got)
		}
		if !v.shorter {
			if !bytes.Equal(b.Bytes(), plain) {
				t.Errorf("%s: changed", v.name)
			}
			b.Free()
			continue
		}
		if _, _, err := wire.Split(b.Bytes()); err == nil {
			t.Errorf("%s: is split although it is compressed", v.name)
		}
		if len(b.Bytes()) > len(plain)*15/16 {
			t.Errorf("%s: %d bytes of %d", v.name, len(b.Bytes()), len(plain))
		}
		b, err := e.Expand(b)
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if !bytes.Equal(b.Bytes(), plain) {
			t.Errorf("%s: comes back as something else", v.name)
		}
		b.Free()
	}
}

// A peer cannot make us hold more than a message, whatever its frame says.
func TestExpandRefuses(t *testing.T) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	frame := func(n int) []byte { return enc.EncodeAll(make([]byte, n), nil) }
	good := frame(1000)
	var unsized bytes.Buffer
	w, err := zstd.NewWriter(&unsized)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a stream, which does not say how long it is
		if _, err := w.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	lies := bytes.Clone(good)
	lies[sizeAt(t, good)]++
	skip := []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}
	e := wire.NewExpander()
	for name, body := range map[string][]byte{
		"nothing":              nil,
		"noise":                []byte("no frame at all, and rather long"),
		"over a message":       frame(wire.MaxMessage - 1),
		"a bomb":               frame(100 << 20),
		"without a size":       unsized.Bytes(),
		"another size":         lies,
		"cut":                  good[:len(good)-1],
		"two frames":           append(bytes.Clone(good), good...),
		"bytes after":          append(bytes.Clone(good), 'x'),
		"an empty frame after": append(bytes.Clone(good), frame(0)...),
		"a blank after":        append(bytes.Clone(good), skip...),
		"skippable":            skip,
		"a frame and a blank":  append(append(bytes.Clone(good), skip...), good...),
	} {
		b := wire.NewBuffer(wire.MaxMessage)
		b.Append(byte(wire.TypePack), 1)
		b.Append(body...)
		if !wire.Compressed(b.Bytes()) {
			t.Fatalf("%s: not compressed", name)
		}
		_, err := e.Expand(b)
		refused(t, "compressed: "+name, err)
	}
	if b, err := e.Expand(func() *wire.Buffer {
		b := wire.NewBuffer(wire.MaxMessage)
		b.Append(byte(wire.TypePack), 1)
		b.Append(frame(wire.MaxMessage - 2)...)
		return b
	}()); err != nil || len(b.Bytes()) != wire.MaxMessage {
		t.Errorf("just as long as a message: %v", err)
	}
	for name, m := range map[string]string{"a control message": "\x0c\x01", "another flag": "\x07\x03", "no head": "\x07"} {
		if wire.Compressed([]byte(m)) {
			t.Errorf("%s counts as compressed", name)
		}
	}
}

// sizeAt returns where a frame of 256 bytes and more states its content size.
func sizeAt(t *testing.T, frame []byte) int {
	var h zstd.Header
	if err := h.Decode(frame); err != nil || !h.HasFCS || h.FrameContentSize != 1000 {
		t.Fatalf("%+v, %v", h, err)
	}
	return h.HeaderSize - 2
}

func FuzzExpand(f *testing.F) {
	e := wire.NewExpander()
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > wire.MaxMessage-2 {
			return
		}
		b := wire.NewBuffer(wire.MaxMessage)
		b.Append(byte(wire.TypeChunk), 1)
		b.Append(body...)
		if b, err := e.Expand(b); err == nil {
			if n := len(b.Bytes()); n > wire.MaxMessage || wire.Compressed(b.Bytes()) {
				t.Errorf("expands to %d bytes", n)
			}
			b.Free()
		}
	})
}

func TestAgreed(t *testing.T) {
	parse := func(s string) *wire.Compression {
		c, err := wire.ParseCompression(s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		mine, theirs string
		able         bool
		mode         wire.Compression_Mode
		level        uint32
	}{
		{"auto", "auto", true, wire.Compression_AUTO, 0},
		{"auto", "auto", false, wire.Compression_NONE, 0},
		{"zstd", "none", true, wire.Compression_NONE, 0},
		{"none", "zstd:9", true, wire.Compression_NONE, 0},
		{"auto", "zstd", true, wire.Compression_ZSTD, 3},
		{"zstd:7", "auto", true, wire.Compression_ZSTD, 7},
		{"zstd:7", "zstd:19", true, wire.Compression_ZSTD, 7},
		{"auto", "zstd:19", true, wire.Compression_ZSTD, 9},
		{"zstd:19", "zstd:1", true, wire.Compression_ZSTD, 19},
	} {
		h := &wire.Hello{Compression: parse(c.theirs)}
		if c.able {
			h.Abilities = uint64(wire.Abilities)
		}
		if got := wire.Agreed(parse(c.mine), h); got.Mode != c.mode || got.Level != c.level {
			t.Errorf("%s and %s: %v", c.mine, c.theirs, got)
		}
	}
	for _, s := range []string{"", "gzip", "zstd:", "zstd:0", "zstd:23", "zstd:x", "auto:1", "none:1", "zstd:-1"} {
		if _, err := wire.ParseCompression(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}
