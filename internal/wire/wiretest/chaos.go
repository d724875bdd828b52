package wiretest

import (
	"bytes"
	"slices"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Chaos plays one side of a session from bytes, for fuzz targets: each step is one of its
// lines, as it is or changed, or waits for what the other side says. Two bytes begin a
// step: which line, and what becomes of it.
type Chaos struct {
	lines    []string
	messages [][]byte
}

// The first byte of a step that waits, and the second one of a step that changes nothing.
const (
	stepWaits = 0xff
	asItIs    = 0
)

// NewChaos returns a Chaos whose lines, as Script.Play has them after "send", are about the
// tree of a text. A line that makes several messages is several.
func NewChaos(about string, lines ...string) *Chaos {
	c := new(Chaos)
	speaker := Speaker(about)
	for _, line := range lines {
		for _, b := range speaker.Messages(line) {
			c.lines = append(c.lines, line)
			c.messages = append(c.messages, bytes.Clone(b.Bytes()))
			b.Free()
		}
	}
	if len(c.lines) >= stepWaits {
		panic("wiretest: too many lines")
	}
	return c
}

// Seed returns the bytes of a play of whole lines, of which "?" waits.
func (c *Chaos) Seed(play ...string) (data []byte) {
	for _, line := range play {
		if line == "?" {
			data = append(data, stepWaits, asItIs)
			continue
		}
		i := slices.Index(c.lines, line)
		if i < 0 {
			panic("wiretest: no line " + line)
		}
		for ; i < len(c.lines) && c.lines[i] == line; i++ {
			data = append(data, byte(i), asItIs)
		}
	}
	return data
}

// heard is what the other side has said.
type heard struct {
	types []wire.Type
	all   []byte
}

// answerWithin is how long a step waits for what may not come.
const answerWithin = 10 * time.Millisecond

// Play plays data on conn, and then closes it. It returns the types of all messages that
// came, and their bytes. Steps beyond a few hundred are left out.
func (c *Chaos) Play(conn wire.Conn, data []byte) (types []wire.Type, all []byte) {
	came, ended := make(chan struct{}, 1<<16), make(chan heard, 1)
	go func() {
		var h heard
		for {
			b, err := conn.Read()
			if err != nil {
				ended <- h
				return
			}
			h.types = append(h.types, wire.Type(b.Bytes()[0]))
			h.all = append(h.all, b.Bytes()...)
			b.Free()
			select {
			case came <- struct{}{}:
			default:
			}
		}
	}()
	for steps := 0; len(data) >= 2 && steps < 300; steps++ {
		which, how := data[0], data[1]
		data = data[2:]
		if which == stepWaits {
			select {
			case <-came:
			case <-time.After(answerWithin):
			}
			continue
		}
		var changed [][]byte
		changed, data = change(c.messages[int(which)%len(c.messages)], how, data)
		for _, m := range changed {
			b := wire.NewBuffer(len(m))
			b.Append(m...)
			if conn.Write(b) != nil {
				break
			}
		}
	}
	wire.CloseWith(conn, nil)
	h := <-ended
	return h.types, h.all
}

// change returns what becomes of a message, and the bytes that did not say so.
func change(m []byte, how byte, data []byte) (messages [][]byte, rest []byte) {
	if how < 128 || len(data) < 3 {
		return [][]byte{m}, data
	}
	m = bytes.Clone(m)
	at := (int(data[0]) | int(data[1])<<8) % (len(m) + 1)
	value := data[2]
	data = data[3:]
	n := 1
	switch how % 6 {
	case 0:
		if at < len(m) {
			m[at] ^= value
		}
	case 1:
		m = m[:at]
	case 2:
		m = slices.Insert(m, at, value)
	case 3: // a body of its own
		k := min(int(value), len(data))
		m = append(m[:min(2, len(m))], data[:k]...)
		data = data[k:]
	case 4:
		n = 1 + int(value)%40
	case 5: // numbers are what most is about
		for ; at < len(m) && value > 0; value >>= 1 {
			m[at] += value & 1
			at++
		}
	}
	if how&8 != 0 {
		reseal(m)
	}
	for range n {
		messages = append(messages, m)
	}
	return messages, data
}

// reseal gives a message that has a checksum the right one, which chance would never find.
func reseal(m []byte) {
	const head = 2 + digest.ChecksumSize
	if len(m) < head || m[1] != 0 {
		return
	}
	switch wire.Type(m[0]) {
	case wire.TypeListing, wire.TypePack, wire.TypeChunk, wire.TypeDelta, wire.TypeOutline:
		sum := digest.Check(m[head:])
		copy(m[2:], sum[:])
	}
}
