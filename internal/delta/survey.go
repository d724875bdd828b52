package delta

import "github.com/sync-directory/sync-directory/internal/digest"

// Survey finds out what of a new content is in an old one, from the outline of
// the old one and as much of the new one's as that takes. Asked for what is in
// some groups, level by level, its owner tells it.
type Survey struct {
	old  []level // of the old outline
	most int     // pieces that a content of its size can have, or nodes of a level

	level  int     // of the nodes in doubt
	pieces []Piece // the new content as far as it is known, in order
	doubts []doubt // the pieces of it that are groups the old content lacks
}

// level is what is known of the nodes of one level of the old outline.
type level struct {
	nodes []Node
	from  []int64               // where each begins
	first map[digest.Digest]int // of those with a digest
	at    map[int64]int         // the one that begins there
}

// doubt is a group of which has to be told what is in it.
type doubt struct{ piece, number int }

// Piece is a range of the new content.
type Piece struct {
	Node
	From int64 // where it lies in the old content, or -1
}

// Members are the nodes in a group, and the number of the first of them in
// their level.
type Members struct {
	First int
	Nodes []Node
}

// NewSurvey returns a Survey of a new content of size bytes, whose outline at
// that scale has top nodes at the given level. It reports whether a content can
// have such a top.
func NewSurvey(old *Outline, scale uint8, size int64, top int, nodes []Node) (*Survey, bool) {
	s := &Survey{old: make([]level, len(old.levels)), level: top, most: mostPieces(scale, size)}
	for i, nodes := range old.levels {
		s.old[i] = newLevel(nodes)
	}
	s.add(Members{0, nodes})
	return s, len(s.pieces) <= s.most
}

// mostSegments is how many segments are surveyed at most, whatever size a peer says that
// there is: at the largest scale they are of 256 TiB.
const mostSegments = 1 << 22

// mostPieces returns how many segments a content can have.
func mostPieces(scale uint8, size int64) int {
	return int(min(size/(leastSegment<<scale)+1, mostSegments))
}

// Most returns how many nodes there can be in groups that are told of together.
func (s *Survey) Most() int { return s.most }

func newLevel(nodes []Node) level {
	l := level{nodes, make([]int64, len(nodes)), make(map[digest.Digest]int, len(nodes)), make(map[int64]int, len(nodes))}
	at := int64(0)
	for i := range nodes {
		l.from[i] = at
		l.at[at] = i
		if _, ok := l.first[nodes[i].Digest]; !ok {
			l.first[nodes[i].Digest] = i
		}
		at += nodes[i].Length
	}
	return l
}

// find returns where a node lies in the old content, or -1: if it can, where
// what comes before it goes on.
func (l *level) find(n Node, next int64) int64 {
	if i, ok := l.at[next]; ok && l.nodes[i] == n {
		return next
	}
	if i, ok := l.first[n.Digest]; ok && l.nodes[i] == n {
		return l.from[i]
	}
	return -1
}

// add adds nodes of the current level.
func (s *Survey) add(m Members) {
	for i, n := range m.Nodes {
		p := Piece{n, -1}
		if s.level < len(s.old) {
			p.From = s.old[s.level].find(n, s.next())
		}
		if p.From < 0 && s.level > 0 {
			s.doubts = append(s.doubts, doubt{len(s.pieces), m.First + i})
		}
		s.pieces = append(s.pieces, p)
	}
}

// next returns where the last piece ends in the old content, or -1.
func (s *Survey) next() int64 {
	n := len(s.pieces)
	switch {
	case n == 0:
		return 0
	case s.pieces[n-1].From < 0:
		return -1
	}
	return s.pieces[n-1].From + s.pieces[n-1].Length
}

// Doubts returns the numbers of the groups of which has to be told what is in
// them, and their level; none when all is known.
func (s *Survey) Doubts() (level int, numbers []int) {
	for _, d := range s.doubts {
		numbers = append(numbers, d.number)
	}
	return s.level, numbers
}

// Resolve takes in what is in the groups that Doubts named, in that order. It
// reports whether that fits what was known of them.
func (s *Survey) Resolve(groups []Members) bool {
	if len(groups) != len(s.doubts) {
		return false
	}
	pieces, doubts := s.pieces, s.doubts
	s.pieces, s.doubts = nil, nil
	s.level--
	at := 0
	for i, d := range doubts {
		s.pieces = append(s.pieces, pieces[at:d.piece]...)
		at = d.piece + 1
		if summary, ok := summarize(groups[i].Nodes); !ok || summary != pieces[d.piece].Node {
			return false
		}
		s.add(groups[i])
	}
	s.pieces = append(s.pieces, pieces[at:]...)
	return len(s.pieces) <= s.most
}

// Pieces returns what the new content consists of, once there are no doubts:
// what the old one has, and the segments that it lacks.
func (s *Survey) Pieces() []Piece { return s.pieces }
