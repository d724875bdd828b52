package wire

import (
	"cmp"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	// MaxLevel is the highest level of Zstandard.
	MaxLevel = 22
	// defaultLevel is what the zstd command takes too.
	defaultLevel = 3

	// maxPeerLevel bounds what a peer can ask for: from 10 on an encoder takes
	// 34 MiB instead of 6.
	maxPeerLevel = 9

	// leastCompressed is the length in bytes from which on a message is
	// worth trying, and leastGain the part of it that must be gained.
	leastCompressed = 512
	leastGain       = 16
)

// ParseCompression reads auto, none, zstd or zstd:LEVEL.
func ParseCompression(s string) (*Compression, error) {
	c := new(Compression)
	name, level, leveled := strings.Cut(s, ":")
	switch {
	case s == "auto":
		return c, nil
	case s == "none":
		c.Mode = Compression_NONE
		return c, nil
	case name != "zstd":
		return nil, fmt.Errorf("compression %q is not one of auto, none, zstd, zstd:LEVEL", s)
	}
	c.Mode = Compression_ZSTD
	if leveled {
		n, err := strconv.ParseUint(level, 10, 8)
		if err != nil || n < 1 || n > MaxLevel {
			return nil, fmt.Errorf("compression level %q is not 1 to %d", level, MaxLevel)
		}
		c.Level = uint32(n)
	}
	return c, nil
}

// Agreed returns how a sender compresses, from its own wish and its peer's
// Hello: not at all if one side wants that or the peer cannot take it, otherwise
// as one of them asks for. The level is the sender's own, or else the peer's as
// far as that costs no more memory than usual, and 0 where it is left open. A
// mode that is not known is no wish.
func Agreed(mine *Compression, peer *Hello) *Compression {
	theirs := peer.GetCompression()
	if theirs.GetMode() > Compression_ZSTD || theirs.GetMode() < 0 {
		theirs = nil
	}
	c := &Compression{Mode: max(mine.GetMode(), theirs.GetMode())}
	switch {
	case mine.GetMode() == Compression_NONE || theirs.GetMode() == Compression_NONE || Ability(peer.GetAbilities())&AbilityZstd == 0:
		c.Mode = Compression_NONE
	case c.Mode == Compression_ZSTD:
		c.Level = cmp.Or(mine.GetLevel(), min(theirs.GetLevel(), maxPeerLevel), defaultLevel)
	}
	return c
}

// Compressor compresses messages. It is safe for concurrent use.
type Compressor struct{ enc *zstd.Encoder }

// NewCompressor returns a Compressor. Of the levels four differ: 1, 3, 6 and 10
// begin one.
func NewCompressor(level uint32) *Compressor {
	atOnce := runtime.GOMAXPROCS(0) // more would wait for a processor
	if level > maxPeerLevel {
		atOnce = 1
	}
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(int(level))),
		zstd.WithEncoderConcurrency(atOnce),
		zstd.WithEncoderCRC(false), // the message has a checksum of its own
		zstd.WithWindowSize(1<<20), // of a message
	)
	if err != nil {
		panic("wire: " + err.Error()) // options that do not exist
	}
	return &Compressor{enc}
}

// Compress returns a message compressed where that makes it shorter, or b
// itself where not. It takes b over.
func (c *Compressor) Compress(b *Buffer) *Buffer {
	plain := b.Bytes()
	if len(plain) < leastCompressed {
		return b
	}
	out := NewBuffer(min(len(plain)+1<<10, MaxMessage))
	out.Append(plain[0], plain[1]|flagCompressed)
	out.set(c.enc.EncodeAll(plain[2:], out.b))
	if len(out.Bytes()) > len(plain)-len(plain)/leastGain {
		out.Free()
		return b
	}
	b.Free()
	return out
}

// Try compresses the first bytes of a message, at most the given number, and
// returns how many they were and what they became. The message stays as it is.
func (c *Compressor) Try(b *Buffer, most int) (plain, became int64) {
	p := b.Bytes()[2:]
	p = p[:min(len(p), most)]
	out := NewBuffer(len(p) + 1<<10)
	defer out.Free()
	return int64(len(p)), int64(len(c.enc.EncodeAll(p, out.b)))
}

// Compressed reports whether a message is, and may be.
func Compressed(message []byte) bool {
	_, err := TypeOf(message)
	return err == nil && message[1]&flagCompressed != 0
}

// Expander undoes what a Compressor did. It is safe for concurrent use.
type Expander struct{ dec *zstd.Decoder }

// NewExpander returns an Expander.
func NewExpander() *Expander {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(MaxMessage),
		zstd.WithDecodeAllCapLimit(true),
	)
	if err != nil {
		panic("wire: " + err.Error()) // options that do not exist
	}
	return &Expander{dec}
}

// Expand returns the message that Compress was given, of one that is
// Compressed. It takes b over, also when it fails.
func (e *Expander) Expand(b *Buffer) (*Buffer, error) {
	defer b.Free()
	message := b.Bytes()
	var head zstd.Header
	if err := head.Decode(message[2:]); err != nil || head.Skippable || !head.HasFCS || head.FrameContentSize > MaxMessage-2 || !oneFrame(message[2:], &head) {
		return nil, Errorf("malformed compressed message")
	}
	out := NewBuffer(2 + int(head.FrameContentSize))
	out.Append(message[0], message[1]&^flagCompressed)
	p, err := e.dec.DecodeAll(message[2:], out.b)
	if err != nil || len(p) != len(out.b)+int(head.FrameContentSize) {
		out.Free()
		return nil, Errorf("malformed compressed message")
	}
	out.set(p)
	return out, nil
}

// oneFrame reports whether a frame ends where b does: the decoder would go on
// with others. Source: RFC 8878, section 3.1.1.
func oneFrame(b []byte, head *zstd.Header) bool {
	b = b[head.HeaderSize:]
	for last := false; !last; {
		if len(b) < 3 {
			return false
		}
		block := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		size := int(block >> 3)
		if block>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		if last = block&1 != 0; len(b)-3 < size {
			return false
		}
		b = b[3+size:]
	}
	if head.HasCheckSum {
		return len(b) == 4
	}
	return len(b) == 0
}
