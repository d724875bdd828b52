package delta

import "github.com/sync-directory/sync-directory/internal/digest"

// Survey finds out what of a new content is in an old one, from the outline of
// the old one and as much of the new one's as that takes. Asked for what is
// below some nodes, level by level, its owner tells it.
type Survey struct {
	where []map[digest.Digest]int64 // of each level of old: where its nodes lie

	level  int     // of the nodes in doubt
	pieces []Piece // the new content as far as it is known, in order
	doubts []doubt // the pieces of it that are groups the old content lacks
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

// NewSurvey returns a Survey of a new content whose outline has top nodes at
// the given level.
func NewSurvey(old *Outline, level int, top []Node) *Survey {
	s := &Survey{where: make([]map[digest.Digest]int64, len(old.levels)), level: level}
	for i, nodes := range old.levels {
		s.where[i] = places(nodes)
	}
	s.add(Members{0, top})
	return s
}

// places returns where nodes lie.
func places(nodes []Node) map[digest.Digest]int64 {
	m := make(map[digest.Digest]int64, len(nodes))
	at := int64(0)
	for i := range nodes {
		m[nodes[i].Digest] = at
		at += nodes[i].Length
	}
	return m
}

// add adds nodes of the current level.
func (s *Survey) add(m Members) {
	for i, n := range m.Nodes {
		p := Piece{n, -1}
		if s.level < len(s.where) {
			if at, ok := s.where[s.level][n.Digest]; ok {
				p.From = at
			}
		}
		if p.From < 0 && s.level > 0 {
			s.doubts = append(s.doubts, doubt{len(s.pieces), m.First + i})
		}
		s.pieces = append(s.pieces, p)
	}
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
		if summary, _ := group(groups[i].Nodes); len(summary) != 1 || summary[0] != pieces[d.piece].Node {
			return false
		}
		s.add(groups[i])
	}
	s.pieces = append(s.pieces, pieces[at:]...)
	return true
}

// Pieces returns what the new content consists of, once there are no doubts:
// what the old one has, and the segments that it lacks.
func (s *Survey) Pieces() []Piece { return s.pieces }
