package receiver

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// mostBudget is how many bytes an answer may take in the first rounds, in
	// which most of what comes may turn out to be equal, and leastBudget what
	// makes a question worth asking. From cheapRounds on both double each
	// round: so much differs, or so deep.
	mostBudget  = 4 << 10
	leastBudget = 200
	cheapRounds = 6
	// nearRound is how many bytes all answers of a round may take together with
	// a near peer, and farRound with one whose answers take longer than
	// nearAnswer: there another round costs more than that many bytes.
	nearRound  = 8 << 10
	farRound   = 128 << 10
	nearAnswer = 8 * time.Millisecond
	// askBatch is how many questions are open at most.
	askBatch = wire.MaxAsks / 8
	// exploreBudget is how many bytes the answers about new directories may take
	// together, and leastExplore one of them, while the destination has
	// directories elsewhere that they, or some in them, may have been.
	exploreBudget = 64 << 10
	leastExplore  = 4 << 10
)

// descent finds out what the source is by asking about what differs only.
//
// It works in rounds: all open questions are asked, and when all answers are
// there, what they left open is asked next. What is equal is taken over from
// the destination's own tree.
type descent struct {
	s *session
	// open are the directories that are being described, by their number,
	// in the order in which they were found.
	open  map[uint64]*building
	order []*building
	// ignored are numbers of directories that turned out equal: what an
	// answer says of them beyond is passed over.
	ignored map[uint64]bool
	left    int // questions that are not answered
	room    int // bytes that all answers of a round may take together

	gone                 bool                    // the source lacks a directory that is here
	elsewhere            map[digest.Digest]*pool // directories that are here; made when it is needed
	grafted, mostGrafted uint64                  // entries of directories that are not described
	found                []found                 // new ones that may be among them
	mover                tree.Mover
	origins              tree.Origins           // of those that are
	proofs               map[uint64]*wire.Proof // that are asked for; nil until they come
}

// building is a wanted directory of which parts are known.
type building struct {
	id     uint64
	at     reach
	want   *tree.Dir
	have   *tree.Dir     // what is there, nil for a new directory
	pieces []piece       // in order, without gaps
	told   map[int]*told // what the answers of this round make of some of them
	full   bool          // of a new one: nothing in it is elsewhere
	split  bool          // of a new one: it does not fit into a budget
	level  uint64        // of a new one: what its entries take alone, where that is known
	done   bool
}

// piece is a range of names, as in wire.Section.
type piece struct {
	from, to string
	known    bool
	asked    bool
	entries  []tree.Entry // when known
	section  int          // in the index, or -1
}

// told is what takes the place of a piece. The last part is open while more of the answer
// is to come.
type told struct {
	parts []piece
	open  bool
}

// awaits returns which piece is to be answered from there on, and the part of it that is;
// false where none is. A directory may have a hundred thousand pieces.
func (b *building) awaits(from string) (i int, p piece, ok bool) {
	i, found := slices.BinarySearchFunc(b.pieces, from, func(p piece, from string) int { return strings.Compare(p.from, from) })
	if !found {
		i--
	}
	p = b.pieces[i]
	if t := b.told[i]; t != nil {
		if !t.open {
			return i, p, false
		}
		p = t.parts[len(t.parts)-1]
	}
	return i, p, !p.known && p.from == from
}

// tell notes what the part of piece i that is open has become, and what of it is open still.
func (b *building) tell(i int, parts []piece, rest *piece) {
	t := b.told[i]
	if t == nil {
		if b.told == nil {
			b.told = make(map[int]*told)
		}
		t = new(told)
		b.told[i] = t
	} else {
		t.parts = t.parts[:len(t.parts)-1]
	}
	t.parts = append(t.parts, parts...)
	if t.open = rest != nil; t.open {
		t.parts = append(t.parts, *rest)
	}
}

// settle puts what was told in the place of the pieces.
func (b *building) settle() {
	if len(b.told) == 0 {
		return
	}
	n := len(b.pieces)
	for _, t := range b.told {
		n += len(t.parts) - 1
	}
	pieces := make([]piece, 0, n)
	for i := range b.pieces {
		if t := b.told[i]; t != nil {
			pieces = append(pieces, t.parts...)
		} else {
			pieces = append(pieces, b.pieces[i])
		}
	}
	b.pieces, b.told = pieces, nil
}

// descend fills the wanted tree.
func (s *session) descend(ctx context.Context) error {
	want := digest.Digest(s.seal.Digest)
	if want == s.have.Dir.Digest && !s.have.Dir.Unproved {
		s.want.Dir = s.have.Dir
		return nil
	}
	d := &descent{s: s, open: make(map[uint64]*building), ignored: make(map[uint64]bool), room: nearRound, origins: make(tree.Origins)}
	d.mover = tree.Mover{Want: s.want.Dir, Copy: s.stays()}
	s.descent = d
	d.build(0, reach{}, s.want.Dir, s.have.Dir)
	for len(d.order) > 0 {
		for round := 1; len(d.order) > 0; round++ {
			if err := d.round(ctx, round); err != nil {
				return err
			}
		}
		if err := d.meet(ctx); err != nil {
			return err
		}
	}
	s.descent, s.origins = nil, d.origins
	s.summer.Sum(s.want.Dir)
	if s.want.Dir.Digest != want {
		return wire.Errorf("the description does not match its seal")
	}
	return nil
}

// build begins a directory that is so far down.
func (d *descent) build(id uint64, at reach, want, have *tree.Dir) *building {
	b := &building{id: id, at: at, want: want, have: have, pieces: []piece{{section: -1}}}
	if have != nil {
		want.Dev, want.Ino = have.Dev, have.Ino
	}
	d.open[id] = b
	d.order = append(d.order, b)
	return b
}

// round asks what is open and takes in the answers.
func (d *descent) round(ctx context.Context, round int) error {
	questions := d.questions()
	budget := uint64(min(max(d.room/len(questions), leastBudget), mostBudget)) << max(0, min(round-cheapRounds, 8))
	explore := uint64(max(exploreBudget/len(questions), leastExplore))
	for i := range questions {
		q := &questions[i]
		switch b := d.open[q.Dir]; {
		case b.have != nil:
			q.Budget = budget
		case b.level > 0:
			q.Budget = b.level
		case d.gone && !b.full && !b.split:
			q.Budget = explore
		} // otherwise all of it is new
	}
	began := time.Now()
	for len(questions) > 0 {
		n := min(len(questions), askBatch)
		for _, b := range wire.EncodeAsk(questions[:n]) {
			if err := d.s.conn.Write(b); err != nil {
				return err
			}
		}
		questions = questions[n:]
		for d.left = n; d.left > 0; {
			if err := d.s.message(ctx); err != nil {
				return err
			}
		}
	}
	if time.Since(began) > nearAnswer {
		d.room = farRound
	}
	return d.close()
}

func (d *descent) questions() (questions []wire.Question) {
	for _, b := range d.order {
		for i := range b.pieces {
			if p := &b.pieces[i]; !p.known {
				p.asked = true
				questions = append(questions, wire.Question{Dir: b.id, From: p.from, To: p.to})
			}
		}
	}
	return questions
}

// close puts the directories together that are complete, and keeps the rest
// for the next round.
func (d *descent) close() error {
	rest := d.order[:0]
	for _, b := range d.order {
		b.settle()
		complete := true
		for i := range b.pieces {
			p := &b.pieces[i]
			if p.asked && !p.known {
				return wire.Errorf("a question that was answered in part")
			}
			complete = complete && p.known
		}
		if !complete {
			rest = append(rest, b)
			continue
		}
		d.assemble(b)
	}
	clear(d.order[len(rest):])
	d.order = rest
	return nil
}

// assemble makes the entries of a directory of its pieces.
func (d *descent) assemble(b *building) {
	n := 0
	for i := range b.pieces {
		n += len(b.pieces[i].entries)
	}
	entries := b.pieces[0].entries
	if len(b.pieces) > 1 {
		entries = make([]tree.Entry, 0, n)
		for i := range b.pieces {
			p := &b.pieces[i]
			if p.section >= 0 {
				d.s.index.Move(p.section, len(entries))
			}
			entries = append(entries, p.entries...)
		}
		d.s.index.Settle(b.want)
	}
	b.want.Entries = entries
	b.want.Digest = digest.Digest{}
	d.gone = d.gone || b.have != nil && lacks(b.want, b.have)
	b.pieces = nil
	b.done = true
	delete(d.open, b.id)
	d.ignored[b.id] = true
}

// lacks reports whether have holds a directory that want does not.
func lacks(want, have *tree.Dir) bool {
	for i := range have.Entries {
		if e := &have.Entries[i]; e.Dir != nil && len(e.Dir.Entries) > 0 && want.Find(e.Name) == nil {
			return true
		}
	}
	return false
}

// section takes in a part of an answer.
func (d *descent) section(sec *wire.Section) error {
	b := d.open[sec.Dir]
	if b == nil {
		return d.pass(sec)
	}
	i, p, ok := b.awaits(sec.From)
	if !ok || !within(sec.To, p.to) {
		return wire.Errorf("an answer that was not asked for")
	}
	if sec.Ranges != nil {
		return d.ranges(b, i, p, sec)
	}
	if err := admit(sec, b.at, d.s.area.Canon); err != nil {
		return err
	}
	return d.entries(b, i, p, sec)
}

// reach says how far down a directory is: how many are above it, and how many bytes its
// path takes, with the slash behind it.
type reach struct{ depth, path int }

// in returns that of a directory in one.
func (r reach) in(name string) reach { return reach{r.depth + 1, r.path + len(name) + 1} }

// admit reports what is wrong with the place of a section's entries: they are
// too deep, or have the receiver's own name at the root.
func admit(sec *wire.Section, at reach, c tree.Canon) error {
	if at.depth > tree.MaxDepth {
		return wire.Errorf("directories more than %d deep", tree.MaxDepth)
	}
	for i := range sec.Entries {
		if at.path+len(sec.Entries[i].Name) > tree.MaxPath {
			return wire.Errorf("a path of more than %d bytes", tree.MaxPath)
		}
		if at.depth == 0 && c.IsReserved(sec.Entries[i].Name) {
			return wire.Errorf("an entry with the receiver's own name")
		}
	}
	return nil
}

// countable reports whether there may be n more numbers.
func (s *session) countable(n int) error {
	most := uint64(wire.MaxNumbers)
	if s.streaming {
		most = tree.MaxEntries
	}
	if s.index.Len()+uint64(n) > most+1 {
		return wire.Errorf("more than %d entries", most)
	}
	return nil
}

// within reports whether the bound a is not beyond the bound b; "" is the end.
func within(a, b string) bool { return b == "" || a != "" && a <= b }

// pass passes over what an answer says about a directory that is known by
// now. Its numbers count all the same.
func (d *descent) pass(sec *wire.Section) error {
	if !d.ignored[sec.Dir] {
		return wire.Errorf("a description of entry %d, which is no open directory", sec.Dir)
	}
	first := d.s.index.Len()
	if err := d.s.countable(len(sec.Entries)); err != nil {
		return err
	}
	d.s.index.Add(nil, 0, len(sec.Entries))
	for i := range sec.Entries {
		if sec.Entries[i].Dir != nil {
			d.ignored[first+uint64(i)] = true
		}
	}
	return nil
}

// mostRanges bounds what is kept of ranges. They are split down to single entries at
// most, so that there are fewer than twice as many as entries.
const mostRanges = 2 * tree.MaxEntries

// ranges replaces p, of piece i, by the ranges that it falls into, of which those
// that are equal here are known at once.
func (d *descent) ranges(b *building, i int, p piece, sec *wire.Section) error {
	if sec.To != p.to {
		return wire.Errorf("ranges for a part of a question")
	}
	if d.s.ranges += len(sec.Ranges); d.s.ranges > mostRanges {
		return wire.Errorf("a description in more than %d ranges", mostRanges)
	}
	pieces := make([]piece, len(sec.Ranges))
	from := sec.From
	for k := range sec.Ranges {
		g := &sec.Ranges[k]
		pieces[k] = piece{from: from, to: g.End, section: -1}
		if same := d.same(b, from, g); same != nil {
			pieces[k].known, pieces[k].entries = true, same
		}
		from = g.End
	}
	b.split = b.have == nil
	b.tell(i, pieces, nil)
	return nil
}

// same returns the destination's own entries in a range if they are the
// source's and prove it; otherwise nil.
func (d *descent) same(b *building, from string, g *wire.Range) []tree.Entry {
	if b.have == nil {
		return nil
	}
	lo, hi := b.have.Between(from, g.End)
	entries := b.have.Entries[lo:hi:hi]
	if len(entries) == 0 || d.s.summer.Range(entries).Short() != g.Digest {
		return nil
	}
	for k := range entries {
		if e := &entries[k]; e.Flags&tree.Unproved != 0 || e.Dir != nil && e.Dir.Unproved {
			return nil
		}
	}
	return entries
}

// errNothing is about a section that says nothing and is not the last of its range: of
// those there could be any number.
var errNothing = wire.Errorf("a part of a description in which nothing is")

// entries takes the entries of a section for p, of piece i, or for its beginning.
func (d *descent) entries(b *building, i int, p piece, sec *wire.Section) error {
	if len(sec.Entries) == 0 && sec.To != p.to {
		return errNothing
	}
	if err := d.s.countable(len(sec.Entries)); err != nil {
		return err
	}
	first := d.s.index.Len()
	known := piece{from: sec.From, to: sec.To, known: true, entries: sec.Entries}
	known.section = d.s.index.Add(b.want, 0, len(sec.Entries))
	var rest *piece
	if sec.To != p.to {
		rest = &piece{from: sec.To, to: p.to, asked: p.asked, section: -1}
	}
	b.tell(i, []piece{known}, rest)
	for k := range sec.Entries {
		if e := &sec.Entries[k]; e.Dir != nil {
			d.directory(b, first+uint64(k), e)
		}
	}
	return nil
}

// directory decides whether a described directory is one that is there, or
// must be asked about.
func (d *descent) directory(b *building, id uint64, e *tree.Entry) {
	e.Dir.Parent = b.want
	var have *tree.Dir
	if b.have != nil {
		if h := b.have.Find(e.Name); h != nil && h.Type == tree.Directory {
			have = h.Dir
		}
	}
	switch {
	case have != nil && !have.Unproved && !have.Closed && !e.Dir.Closed && have.Digest.Short() == e.Dir.Digest:
		e.Dir = have
		d.ignored[id] = true
	case e.Dir.Closed:
		// The source could not look into it, so what is there is of no use.
		// It keeps the digest that the source gave it.
		if have != nil {
			e.Dir.Dev, e.Dir.Ino = have.Dev, have.Ino
		}
		d.ignored[id] = true
	case have == nil && !b.full && d.find(id, b.at.in(e.Name), e.Dir):
		d.ignored[id] = true
	default:
		d.build(id, b.at.in(e.Name), e.Dir, have).full = b.full
	}
}

// listing takes in a Listing.
func (s *session) listing(body []byte) error {
	answered, sections, err := wire.DecodeListing(body)
	if err != nil {
		return err
	}
	if s.streaming {
		return s.streamed(answered, sections)
	}
	d := s.descent
	if d == nil || d.proofs != nil || answered > d.left {
		return wire.Errorf("an answer without a question")
	}
	for i := range sections {
		if err := d.section(&sections[i]); err != nil {
			return err
		}
	}
	d.left -= answered
	return nil
}
