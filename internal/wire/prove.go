package wire

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// Proof says what content is below a directory.
type Proof struct {
	ID    uint64
	Known bool
	Sum   digest.Digest // see package contents; zero where it is not known
}

// EncodeProve returns Prove messages for the given directories.
func EncodeProve(ids []uint64) (messages []*Buffer) { return encodeIDs(TypeProve, nil, ids) }

// DecodeProve takes a Prove message apart.
func DecodeProve(body []byte) (ids []uint64, err error) {
	r := reader{b: body}
	ids = r.ids()
	return ids, r.end()
}

// encodeIDs returns messages of a type that name entries, each with head first.
func encodeIDs(t Type, head []byte, ids []uint64) (messages []*Buffer) {
	perMessage := (SmallMessage - 2 - len(head)) / binary.MaxVarintLen64
	for len(ids) > 0 {
		n := min(len(ids), perMessage)
		b := newMessage(t, SmallMessage)
		p := append(b.b, head...)
		var prev uint64
		for _, id := range ids[:n] {
			p = binary.AppendVarint(p, int64(id-prev))
			prev = id
		}
		b.set(p)
		messages = append(messages, b)
		ids = ids[n:]
	}
	return messages
}

// ids reads the numbers of one or more entries, up to the end.
func (r *reader) ids() (ids []uint64) {
	var id uint64
	for {
		id += uint64(r.varint())
		ids = append(ids, id)
		if !r.more() {
			return ids
		}
	}
}

// EncodeProof returns a Proof message.
func EncodeProof(p *Proof) *Buffer {
	b := newMessage(TypeProof, 64)
	out := binary.AppendUvarint(b.b, p.ID)
	if p.Known {
		out = append(append(out, 1), p.Sum[:]...)
	} else {
		out = append(out, 0)
	}
	b.set(out)
	return b
}

// DecodeProof takes a Proof message apart.
func DecodeProof(body []byte) (p Proof, err error) {
	r := reader{b: body}
	p.ID = r.uvarint()
	switch r.byte() {
	case 0:
	case 1:
		p.Known, p.Sum = true, r.digest()
	default:
		r.fail("unknown kind of proof")
	}
	return p, r.end()
}
