package wire

import "encoding/binary"

// Question asks for the entries of a directory whose names are in
// From ≤ name < To, "" being no bound.
type Question struct {
	Dir      uint64
	From, To string
	Budget   uint64 // bytes that the answer may take about; 0 for all below
}

// EncodeAsk returns Ask messages with the given questions.
func EncodeAsk(questions []Question) (messages []*Buffer) {
	var b *Buffer
	for i := range questions {
		q := &questions[i]
		if b == nil || b.Room() < 2*len(q.From)+2*len(q.To)+64 {
			b = newMessage(TypeAsk, SmallMessage)
			messages = append(messages, b)
		}
		p := binary.AppendUvarint(b.b, q.Dir)
		p = appendName(appendName(p, q.From), q.To)
		b.set(binary.AppendUvarint(p, q.Budget))
	}
	return messages
}

// DecodeAsk takes an Ask message apart.
func DecodeAsk(body []byte) (questions []Question, err error) {
	r := reader{b: body}
	for {
		q := Question{Dir: r.uvarint(), From: r.bound(), To: r.bound(), Budget: r.uvarint()}
		if q.To != "" && q.From >= q.To {
			r.fail("empty range of names")
		}
		questions = append(questions, q)
		if !r.more() {
			return questions, r.end()
		}
	}
}

// Wanted says what is wanted of a file.
type Wanted uint8

// What can be wanted.
const (
	WantContent Wanted = 1
	WantDigest  Wanted = 2
)

// EncodeWant returns Want messages for the given files.
func EncodeWant(what Wanted, ids []uint64) (messages []*Buffer) {
	return encodeIDs(TypeWant, []byte{byte(what)}, ids)
}

// DecodeWant takes a Want message apart.
func DecodeWant(body []byte) (what Wanted, ids []uint64, err error) {
	r := reader{b: body}
	what = Wanted(r.byte())
	if what != WantContent && what != WantDigest {
		r.fail("unknown kind of want")
	}
	ids = r.ids()
	return what, ids, r.end()
}
