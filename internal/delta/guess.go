package delta

import "slices"

// Guess says where in a new content an old one is likely to lie, while the old one
// is still being outlined: from the top of the new outline, which tells of each
// group of the old content, once it is complete, whether and where the new one
// has it. What follows a group that it has most likely follows it there too. It
// begins with the guess that the content begins as it did.
type Guess struct {
	level  int              // of the nodes of the top
	places map[Node][]int64 // where the new content has each of them
	size   int64            // of the new content
	next   int              // the node of the old content that comes next
	from   int64            // and where it begins
	shift  int64            // how much further back the new content has the old one
	lost   bool             // it does not have the last node
	other  bool             // it is not what is known of the old one
}

// NewGuess returns a Guess for a new content whose outline has these nodes at
// the given level, its top.
func NewGuess(level int, top []Node) *Guess {
	g := &Guess{level: level, places: make(map[Node][]int64, len(top))}
	for _, n := range top {
		g.places[n] = append(g.places[n], g.size)
		g.size += n.Length
	}
	return g
}

// Learn takes in what became known of the old content.
func (g *Guess) Learn(old *Growing) {
	nodes := old.Level(g.level)
	for ; g.next < len(nodes); g.next++ {
		n := nodes[g.next]
		places := g.places[n]
		g.other = g.other || !slices.Contains(places, g.from)
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
	last := min(from+length, g.size-g.shift)
	if g.lost || first >= last {
		return Run{}
	}
	return Run{first, first + g.shift, last - first}
}
