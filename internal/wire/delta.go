package wire

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
)

const (
	// MaxFragment is the length in bytes of the longest fragment of a large file that
	// is asked for with a signature: its delta fits into a message in any case.
	MaxFragment = delta.MaxFragment
	// MaxOutlines is how many files a receiver may ask about by Probe at once,
	// and MaxProbes how many Probes and fragments it may have unanswered.
	MaxOutlines = 8
	MaxProbes   = 256
	// MaxGroups is how many groups a Probe asks for at most: the answer fits
	// into a message.
	MaxGroups = 96
	// MaxSigned is how many bytes of signatures of whole files a receiver may
	// have unanswered.
	MaxSigned = 16 << 20
)

// Signed asks for the delta of a file, or of a fragment of it, to what a signature
// is of; for its content where that is of nothing.
type Signed struct {
	ID          uint64
	Whole       bool  // the file as a whole; otherwise a fragment:
	Off, Length int64 // of the new content
	delta.Signature
}

// Signatures fills a Signature message.
type Signatures struct {
	buf *Buffer
	key uint64
}

// NewSignatures returns an empty message for signatures that have the given key.
func NewSignatures(key uint64) *Signatures {
	b := newMessage(TypeSignature, SmallMessage)
	b.set(binary.LittleEndian.AppendUint64(b.b, key))
	return &Signatures{b, key}
}

// Add adds a signature and reports whether there was room for it. In an empty
// message there is for any of up to 1 MiB.
func (m *Signatures) Add(s *Signed) bool {
	if m.buf.Room() < len(s.Sums)+64 {
		return false
	}
	b := binary.AppendUvarint(m.buf.b, s.ID)
	if s.Whole {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = binary.AppendUvarint(b, uint64(s.Off))
		b = binary.AppendUvarint(b, uint64(s.Length))
	}
	n := s.Blocks()
	b = binary.AppendUvarint(b, uint64(n))
	if n > 0 {
		b = binary.AppendUvarint(b, uint64(s.Block))
		b = binary.AppendUvarint(b, uint64(s.Tail))
		b = append(append(b, byte(s.Strong)), s.Sums...)
	}
	m.buf.set(b)
	return true
}

// Finish returns the message for sending.
func (m *Signatures) Finish() *Buffer { return m.buf }

// DecodeSignatures takes a Signature message apart. The sums are in it.
func DecodeSignatures(body []byte) (signed []Signed, err error) {
	r := reader{b: body}
	var key uint64
	if b := r.bytes(8); b != nil {
		key = binary.LittleEndian.Uint64(b)
	}
	if key%2 == 0 {
		r.fail("even key")
	}
	for {
		s := Signed{ID: r.uvarint()}
		switch r.byte() {
		case 0:
			s.Whole = true
		case 1:
			s.Off, s.Length = int64(r.atMost(MaxSize, "fragment beyond the end of any file")), int64(r.atMost(MaxFragment, "fragment too long"))
			if s.Length == 0 || s.Off > MaxSize-s.Length {
				r.fail("fragment out of range")
			}
		default:
			r.fail("unknown kind of signature")
		}
		s.Signature = r.signature()
		s.Key = key
		signed = append(signed, s)
		if !r.more() {
			return signed, r.end()
		}
	}
}

func (r *reader) signature() (s delta.Signature) {
	n := r.atMost(delta.MaxSigned/delta.LeastBlock, "too many blocks")
	if n == 0 {
		return s
	}
	s.Block = int(r.atMost(delta.MostBlock, "block too long"))
	s.Tail = int(r.atMost(delta.MostBlock, "block too long"))
	s.Strong = int(r.byte())
	if r.err == nil && (s.Block < delta.LeastBlock || s.Tail >= s.Block || s.Strong < delta.LeastStrong || s.Strong > delta.MostStrong) {
		r.fail("malformed signature")
	}
	if r.err != nil {
		return delta.Signature{}
	}
	s.Sums = r.bytes(n * uint64(delta.WeakSize+s.Strong))
	if r.err == nil && s.Shape().Size() > delta.MaxSigned {
		r.fail("signature of too much")
	}
	return s
}

// Delta is the answer to a Signed.
type Delta struct {
	ID    uint64
	Whole bool          // the file as a whole, which has Meta and Digest;
	Off   int64         // otherwise the fragment that begins here
	Meta                // of what was read
	Sum   digest.Digest // of the content of the file
	Ops   []byte        // see package delta; in the message
}

// Deltas fills a Delta message.
type Deltas struct {
	buf   *Buffer
	Count int // in the message so far
}

// deltaHead is the most that stands before the operations of a delta.
const deltaHead = 10 + 1 + packEntry + digest.Size + 10

// NewDeltas returns an empty message.
func NewDeltas() *Deltas {
	m := &Deltas{buf: newMessage(TypeDelta, MaxMessage)}
	m.buf.Extend(digest.ChecksumSize)
	return m
}

// Add adds a delta and reports whether there was room for it. In an empty message
// there is for that of a fragment, or of a file of MaxFragment bytes.
func (m *Deltas) Add(d *Delta) bool {
	if m.buf.Room() < deltaHead+len(d.Ops) {
		return false
	}
	b := binary.AppendUvarint(m.buf.b, d.ID)
	if d.Whole {
		b = appendMeta(append(b, 0), d.Meta)
		b = append(b, d.Sum[:]...)
	} else {
		b = binary.AppendUvarint(append(b, 1), uint64(d.Off))
	}
	b = binary.AppendUvarint(b, uint64(len(d.Ops)))
	m.buf.set(append(b, d.Ops...))
	m.Count++
	return true
}

// Finish completes the message and returns it for sending.
func (m *Deltas) Finish() *Buffer {
	seal(m.buf.Bytes())
	return m.buf
}

// Discard frees the message unsent.
func (m *Deltas) Discard() { m.buf.Free() }

// DecodeDeltas verifies a Delta message and calls fn for each delta in it, until
// fn returns false.
func DecodeDeltas(body []byte, fn func(*Delta) bool) error {
	r := reader{b: body}
	r.sealed()
	for {
		d := Delta{ID: r.uvarint()}
		switch r.byte() {
		case 0:
			d.Whole, d.Meta, d.Sum = true, r.meta(), r.digest()
			if d.Size > MaxFragment {
				r.fail("delta of too large a file")
			}
		case 1:
			d.Off = int64(r.atMost(MaxSize, "fragment beyond the end of any file"))
		default:
			r.fail("unknown kind of delta")
		}
		d.Ops = r.bytes(r.uvarint())
		if r.err != nil {
			return r.err
		}
		if !fn(&d) || !r.more() {
			return r.end()
		}
	}
}

// Probe asks about the outline of a large file.
type Probe struct {
	ID      uint64
	Kind    ProbeKind
	Scale   uint8 // to open: at which it is cut
	Level   int   // of the groups
	Numbers []int // of the groups that are asked for, ascending
}

// ProbeKind says what a Probe is for.
type ProbeKind byte

// The kinds of Probe. A file is opened once; groups and fragments of it may be
// asked for until it is closed, which is answered by End.
const (
	ProbeOpen   ProbeKind = 0
	ProbeGroups ProbeKind = 1
	ProbeClose  ProbeKind = 2
)

// EncodeProbe returns a Probe message.
func EncodeProbe(p *Probe) *Buffer {
	b := newMessage(TypeProbe, SmallMessage)
	out := append(binary.AppendUvarint(b.b, p.ID), byte(p.Kind))
	switch p.Kind {
	case ProbeOpen:
		out = append(out, p.Scale)
	case ProbeGroups:
		out = append(out, byte(p.Level))
		before := -1
		for _, n := range p.Numbers {
			out = binary.AppendUvarint(out, uint64(n-before-1))
			before = n
		}
	}
	b.set(out)
	return b
}

// DecodeProbe takes a Probe message apart.
func DecodeProbe(body []byte) (*Probe, error) {
	r := reader{b: body}
	p := &Probe{ID: r.uvarint(), Kind: ProbeKind(r.byte())}
	switch p.Kind {
	case ProbeOpen:
		if p.Scale = r.byte(); p.Scale > delta.MaxScale {
			r.fail("unknown scale")
		}
	case ProbeGroups:
		if p.Level = int(r.byte()); p.Level == 0 || p.Level >= delta.MaxLevels {
			r.fail("unknown level")
		}
		for before := -1; ; {
			before += 1 + int(r.atMost(maxNodes, "no such group"))
			if before > maxNodes {
				r.fail("no such group")
			}
			p.Numbers = append(p.Numbers, before)
			if len(p.Numbers) > MaxGroups {
				r.fail("too many groups")
			}
			if !r.more() {
				break
			}
		}
	case ProbeClose:
	default:
		r.fail("unknown kind of probe")
	}
	return p, r.end()
}

// maxNodes bounds the number of a node in its level.
const maxNodes = 1 << 24

// OutlineKind is what is told of an outline.
type OutlineKind byte

// What is told of an outline.
const (
	OutlineTop    OutlineKind = iota // its highest level
	OutlineGroups                    // what is in groups
	OutlineEarly                     // nodes of delta.EarlyLevel, while the file is still read
)

// Outline tells of the outline of a large file.
type Outline struct {
	ID     uint64
	Kind   OutlineKind
	Meta                   // of the top: of the file as it was opened
	Level  int             // of the nodes
	Groups []delta.Members // but for OutlineGroups: one
}

// EncodeOutline returns an Outline message. It holds the top of any outline,
// MaxGroups groups, or delta.MaxGroup nodes.
func EncodeOutline(o *Outline) *Buffer {
	b := newMessage(TypeOutline, MaxMessage)
	b.Extend(digest.ChecksumSize)
	p := append(binary.AppendUvarint(b.b, o.ID), byte(o.Kind))
	if o.Kind == OutlineTop {
		p = appendMeta(p, o.Meta)
	}
	p = append(p, byte(o.Level))
	for i := range o.Groups {
		g := &o.Groups[i]
		p = binary.AppendUvarint(p, uint64(g.First))
		p = binary.AppendUvarint(p, uint64(len(g.Nodes)))
		for j := range g.Nodes {
			p = binary.AppendUvarint(p, uint64(g.Nodes[j].Length))
			p = append(p, g.Nodes[j].Digest[:]...)
		}
	}
	b.set(p)
	seal(b.Bytes())
	return b
}

// DecodeOutline takes an Outline message apart and verifies it.
func DecodeOutline(body []byte) (*Outline, error) {
	r := reader{b: body}
	r.sealed()
	o := &Outline{ID: r.uvarint(), Kind: OutlineKind(r.byte())}
	if o.Kind > OutlineEarly {
		r.fail("unknown kind of outline")
	}
	if o.Kind == OutlineTop {
		o.Meta = r.meta()
	}
	o.Level = int(r.byte())
	if o.Level >= delta.MaxLevels || o.Kind == OutlineEarly && o.Level != delta.EarlyLevel {
		r.fail("unknown level")
	}
	total := int64(0)
	for {
		g := delta.Members{First: int(r.atMost(maxNodes, "no such node"))}
		most := uint64(delta.MaxGroup)
		if o.Kind == OutlineTop {
			most = delta.MaxTop
		}
		n := r.atMost(most, "too many nodes")
		for uint64(len(g.Nodes)) < n && r.err == nil {
			node := delta.Node{Length: int64(r.atMost(MaxSize, "length out of range")), Digest: r.digest()}
			if node.Length == 0 || node.Length > MaxSize-total {
				r.fail("length out of range")
			}
			total += node.Length
			g.Nodes = append(g.Nodes, node)
		}
		if o.Kind == OutlineEarly && (n == 0 || g.First+len(g.Nodes) > delta.MaxEarly) {
			r.fail("nothing that is told early")
		}
		if o.Groups = append(o.Groups, g); len(o.Groups) > MaxGroups {
			r.fail("too many groups")
		}
		if o.Kind != OutlineGroups || !r.more() {
			break
		}
	}
	if o.Kind == OutlineTop && r.err == nil && (total != o.Size || o.Groups[0].First != 0) {
		r.fail("an outline that is not of its file")
	}
	return o, r.end()
}
