package delta

import "slices"

const (
	// EarlyLevel is the level of which an outline is told of while it grows, and
	// MaxEarly how many of its nodes at most.
	EarlyLevel = 1
	MaxEarly   = 1 << 13

	// farthest is how far beyond what is told of a new content something is guessed
	// about it, and how much further on it is told of before it is known to lack
	// something.
	farthest = 64 << 20
)

// Guess says where in a new content an old one is likely to lie, while both are
// still being outlined: from nodes of the new outline, which tell of each group
// of the old content, once it is complete, whether and where the new one has it.
// What follows a group that it has most likely follows it there too. It begins
// with the guess that the content begins as it did.
type Guess struct {
	level  int              // of the nodes
	places map[Node][]int64 // where the new content has each of them
	size   int64            // of the new content
	told   int64            // how much of it is told of
	even   bool             // it is as long as the old one
	beyond int64            // farthest
	next   int              // the node of the old content that comes next
	from   int64            // and where it begins
	shift  int64            // how much further back the new content has the old one
	lost   bool             // it does not have the last node
	other  bool             // it is not what is known of the old one
}

// NewGuess returns a Guess for a new content of size bytes, of whose outline the
// nodes at the given level are told. Even says that the old one is as long: then it
// was most likely changed here and there, and a group that is lost is taken to be
// where it was, but for the changes.
func NewGuess(level int, size int64, even bool) *Guess {
	return &Guess{level: level, places: make(map[Node][]int64), size: size, even: even, beyond: farthest}
}

// Tell adds the next nodes of the new content.
func (g *Guess) Tell(nodes []Node) {
	for _, n := range nodes {
		g.places[n] = append(g.places[n], g.told)
		g.told += n.Length
	}
}

// End says that the new content turned out to be size bytes long, and that nothing more is
// told. It reports whether it goes on: nearly all was told.
func (g *Guess) End(size int64) bool {
	if g.told < size-g.beyond {
		return false
	}
	g.size, g.told = size, size
	return true
}

// Learn takes in what became known of the old content.
func (g *Guess) Learn(old *Growing) {
	nodes := old.Level(g.level)
	for ; g.next < len(nodes); g.next++ {
		n := nodes[g.next]
		places := g.places[n]
		g.other = g.other || g.told >= g.from+n.Length && !slices.Contains(places, g.from)
		if len(places) == 0 && g.told < min(g.size, g.from+n.Length+g.shift+g.beyond) {
			return // it may be told of yet
		}
		if g.lost = len(places) == 0; !g.lost && !slices.Contains(places, g.from+g.shift) {
			g.shift = places[0] - g.from
		}
		g.from += n.Length
	}
}

// Differs reports whether what became known shows that the new content is another.
func (g *Guess) Differs() bool { return g.other }

// Run returns what of length bytes from there on in the old content the new one
// is guessed to have, with a Length of 0 if that is nothing.
func (g *Guess) Run(from, length int64) Run {
	first := max(from, -g.shift)
	last := min(from+length, min(g.size, g.told+g.beyond)-g.shift)
	if g.lost && !g.even || first >= last {
		return Run{}
	}
	return Run{first, first + g.shift, last - first}
}
