package wire

import (
	"google.golang.org/protobuf/proto"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// Type is the first byte of a message.
type Type byte

// The types of messages. Numbers are never used again for anything else;
// 27 to 31 are kept for what doc.go names.
const (
	TypeHello    Type = 1  // control, both ways
	TypeSeal     Type = 3  // control, sender → receiver
	TypeAsk      Type = 4  // receiver → sender
	TypeListing  Type = 5  // sender → receiver
	TypeWant     Type = 6  // receiver → sender
	TypePack     Type = 7  // sender → receiver
	TypeChunk    Type = 8  // sender → receiver
	TypeEnd      Type = 9  // sender → receiver
	TypeSums     Type = 10 // sender → receiver
	TypeProblem  Type = 11 // control, both ways
	TypeDone     Type = 12 // control, receiver → sender
	TypeVerdict  Type = 13 // control, sender → receiver
	TypeProgress Type = 14 // control, both ways

	TypeSignature Type = 16 // receiver → sender
	TypeDelta     Type = 17 // sender → receiver
	TypeProbe     Type = 18 // receiver → sender
	TypeOutline   Type = 19 // sender → receiver
	TypeProve     Type = 20 // receiver → sender
	TypeProof     Type = 21 // sender → receiver
	TypeKnown     Type = 22 // control, receiver → sender
	TypeAck       Type = 23 // control, both ways

	TypeKnock     Type = 24 // dialer → listener
	TypeChallenge Type = 25 // listener → dialer
	TypeResponse  Type = 26 // dialer → listener
)

const (
	// SmallMessage bounds all messages but those with content or much to
	// tell: Listing, Pack, Chunk, Delta and Outline.
	SmallMessage = 64 << 10

	// MaxAsks and MaxWants bound how many questions and wants a receiver
	// may have unanswered.
	MaxAsks  = 1 << 16
	MaxWants = 1 << 16

	// MaxLarge is how many files may have come in part, as Chunks without an End: each
	// takes a descriptor of the receiver.
	MaxLarge = 1 << 10

	// MaxNumbers is how many numbers are given out in a session: what is asked about
	// once more gets others.
	MaxNumbers = 4*tree.MaxEntries + 1<<10
)

// flagCompressed says that what follows the head is compressed.
const flagCompressed = 1

// Split takes off the head of a message that is not compressed, or not any
// more.
func Split(message []byte) (Type, []byte, error) {
	t, err := TypeOf(message)
	if err == nil && message[1] != 0 {
		err = Errorf("message type %d is compressed", t)
	}
	if err != nil {
		return 0, nil, err
	}
	return t, message[2:], nil
}

// TypeOf returns the type of a message, compressed or not.
func TypeOf(message []byte) (Type, error) {
	if len(message) < 2 {
		return 0, Errorf("message without a head")
	}
	t, flags := Type(message[0]), message[1]
	switch t {
	case TypeListing, TypePack, TypeChunk, TypeDelta, TypeOutline:
		flags &^= flagCompressed
	default:
		if len(message) > SmallMessage {
			return 0, Errorf("message type %d too long", t)
		}
	}
	if flags != 0 {
		return 0, Errorf("message type %d with unknown flags", t)
	}
	return t, nil
}

func newMessage(t Type, capacity int) *Buffer {
	b := NewBuffer(capacity)
	b.Append(byte(t), 0)
	return b
}

// encodeControl returns a control message.
func encodeControl(t Type, m proto.Message) *Buffer {
	b := newMessage(t, 2+proto.Size(m))
	p, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(b.b, m)
	if err != nil {
		// Only invalid UTF-8 in a string field can be the reason, and
		// every string is made valid where it is set.
		panic("wire: " + err.Error())
	}
	b.set(p)
	return b
}
