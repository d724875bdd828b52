package delta

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// Growing is the outline of a content that is known from its beginning to
// somewhere. Since groups end by content, those that are complete are the same
// in the end.
type Growing struct {
	levels [][]Node
	first  [][]int
	above  []grouper // of the nodes of each level
}

// NewGrowing returns the outline of nothing.
func NewGrowing() *Growing {
	g := new(Growing)
	g.grow()
	return g
}

func (g *Growing) grow() {
	g.levels = append(g.levels, nil)
	g.first = append(g.first, nil)
	g.above = append(g.above, grouper{h: digest.NewHasher()})
}

// Add adds the next segment.
func (g *Growing) Add(segment Node) { g.add(0, segment) }

func (g *Growing) add(level int, n Node) {
	if level == len(g.levels) {
		g.grow()
	}
	g.levels[level] = append(g.levels[level], n)
	if level+1 < MaxLevels && g.above[level].add(&n) {
		g.close(level)
	}
}

// close ends a group with the last node of a level.
func (g *Growing) close(level int) {
	first := len(g.levels[level]) - g.above[level].count
	g.add(level+1, g.above[level].end())
	g.first[level+1] = append(g.first[level+1], first)
}

// Level returns the nodes of a level that are complete.
func (g *Growing) Level(level int) []Node {
	if level >= len(g.levels) {
		return nil
	}
	return g.levels[level]
}

// Outline returns the outline, whose content has ended. Nothing can be added
// any more.
func (g *Growing) Outline() *Outline {
	o := new(Outline)
	for level := 0; ; level++ {
		o.levels, o.first = append(o.levels, g.levels[level]), append(o.first, g.first[level])
		if len(g.levels[level]) <= MaxTop || level+1 == MaxLevels {
			return o
		}
		if g.above[level].count > 0 {
			g.close(level)
		}
	}
}

// grouper makes groups of nodes that come one after the other.
type grouper struct {
	h      *digest.Hasher
	length int64
	count  int // of the nodes that no group has yet
}

// add adds a node, and reports whether it is the last one of a group.
func (g *grouper) add(n *Node) bool {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(n.Length))
	g.h.Write(n.Digest[:])
	g.h.Write(number[:])
	g.length += n.Length
	g.count++
	return g.count == MaxGroup || g.count >= leastGroup && n.Digest[0]%groupChance == 0
}

// end returns the group of the nodes that were added.
func (g *grouper) end() Node {
	n := Node{g.h.Sum(), g.length}
	g.h.Reset()
	g.length, g.count = 0, 0
	return n
}

// summarize returns the group of nodes, if they are those of one.
func summarize(nodes []Node) (Node, bool) {
	g := grouper{h: digest.NewHasher()}
	for i := range nodes {
		if g.add(&nodes[i]) && i+1 < len(nodes) {
			return Node{}, false
		}
	}
	return g.end(), len(nodes) > 0
}
