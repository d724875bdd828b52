package sender

import (
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// The levels of Zstandard where none is asked for. A link that is far is slower
// than 200 MB/s, at which farLevel still compresses, and saves a tenth of the
// bytes of source code more; a link that is near may need twice that speed, and
// most likely needs no compression, which then is found out the sooner.
const nearLevel, farLevel = 1, 7

// compression returns what the Hellos agree on: who decides, and what
// compresses where that is ever done.
func compression(mine *wire.Compression, peer *wire.Hello, roundTrip time.Duration) (*governor, *wire.Compressor) {
	c := wire.Agreed(mine, peer)
	switch c.Mode {
	case wire.Compression_NONE:
		return fixedGovernor(false), nil
	case wire.Compression_ZSTD:
		return fixedGovernor(true), wire.NewCompressor(c.Level)
	}
	g := newGovernor(roundTrip)
	level := uint32(nearLevel)
	if g.on {
		level = farLevel
	}
	return g, wire.NewCompressor(level)
}

// tell sends a description. It is compressed wherever content ever is: it is
// short, and names shrink well.
func (s *session) tell(b *wire.Buffer) error {
	if s.compressor != nil {
		b = s.compressor.Compress(b)
	}
	return s.conn.Write(b)
}

// breaks returns how many connections the session has lost so far.
func (s *session) breaks() int64 {
	if p, ok := s.conn.(wire.Patient); ok {
		return p.Breaks()
	}
	return 0
}

// send sends content, of which the making began at began,
// compressed where that pays.
func (s *session) send(b *wire.Buffer, began time.Time) error {
	m := sample{plain: int64(len(b.Bytes()))}
	compress, try := s.governor.next(m.plain)
	if compress || try {
		start := time.Now()
		if try {
			m.squeezed, m.became = s.compressor.Try(b, trialLength)
		} else {
			b = s.compressor.Compress(b)
			m.squeezed, m.became = m.plain, int64(len(b.Bytes()))
		}
		m.compress = time.Since(start)
		if try {
			began = began.Add(m.compress)
		}
	}
	m.wire = int64(len(b.Bytes()))
	broken := s.breaks()
	start := time.Now()
	err := s.conn.Write(b)
	end := time.Now()
	m.blocks, m.spent = end.Sub(start), end.Sub(began)
	if s.breaks() == broken { // otherwise the wait was not for the link
		s.governor.sent(compress, m)
	}
	return err
}
