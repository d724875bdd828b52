package delta

import "github.com/sync-directory/sync-directory/internal/digest"

// Node is a segment, or a group of nodes of the level below.
type Node struct {
	// Digest is the content digest of a segment (see package digest); of a
	// group the digest of the digests and lengths of its nodes.
	Digest digest.Digest
	Length int64 // of the content in bytes
}

// Length returns how many bytes nodes are of.
func Length(nodes []Node) (n int64) {
	for i := range nodes {
		n += nodes[i].Length
	}
	return n
}

const (
	// leastGroup and MaxGroup bound how many nodes a group has, but for the
	// last one; from leastGroup on each node ends it with one chance in
	// groupChance, by its digest.
	leastGroup  = 16
	MaxGroup    = 256
	groupChance = 32
	// MaxTop is how many nodes the top level has at most, unless they cannot be
	// grouped any more.
	MaxTop = 128
	// MaxLevels bounds the levels.
	MaxLevels = 8
)

// Outline is what a content consists of.
type Outline struct {
	levels [][]Node // the segments, groups of them, and so on to the top
	first  [][]int  // for each node of a level above: its first one below
}

// NewOutline returns the outline of content that has these segments.
func NewOutline(segments []Node) *Outline {
	g := NewGrowing()
	for i := range segments {
		g.Add(segments[i])
	}
	return g.Outline()
}

// Join returns the outline of contents that come one after the other.
func Join(outlines []*Outline) *Outline {
	if len(outlines) == 1 {
		return outlines[0]
	}
	var segments []Node
	for _, o := range outlines {
		segments = append(segments, o.Level(0)...)
	}
	return NewOutline(segments)
}

// Top returns the number of the highest level; that of the segments is 0.
func (o *Outline) Top() int { return len(o.levels) - 1 }

// Level returns the nodes of a level.
func (o *Outline) Level(level int) []Node { return o.levels[level] }

// Members returns what is in node number i of a level above 0.
func (o *Outline) Members(level, i int) Members {
	first := o.first[level]
	below := o.levels[level-1]
	if i+1 < len(first) {
		below = below[:first[i+1]]
	}
	return Members{first[i], below[first[i]:]}
}
