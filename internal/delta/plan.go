package delta

import (
	"cmp"
	"slices"
)

const (
	// MaxFragment is the length in bytes of the longest fragment of a gap.
	MaxFragment = 960 << 10
	// around is how much more of the old content is signed on either side of
	// where a fragment must lie if all that was changed in a gap is at one place.
	around = 16 << 10
	// elsewhere is how many bytes that no run is of are signed as well, for
	// each fragment of a gap that is longer than what was in its place: it may
	// have moved.
	elsewhere = 2 << 20
)

// Span is a range of the old content.
type Span struct{ Off, Length int64 }

func (s Span) end() int64 { return s.Off + s.Length }

// Gap is a range of segments of the new content that the old one lacks.
type Gap struct {
	Off, Length int64
	Segments    []Node

	// What of the old content follows what precedes the gap, and precedes what
	// follows it: the same, unless its neighbours have changed their order.
	head, tail Span
}

// Plan says how the new content is made: of runs, and of what is in the gaps.
type Plan struct {
	Runs []Run
	Gaps []Gap
	idle []Span // of the old content, that no run is of
}

// NewPlan returns the plan for a content of these pieces and an old one of size
// bytes.
func NewPlan(pieces []Piece, size int64) *Plan {
	p := new(Plan)
	at, old := int64(0), int64(0) // old: where the last run ends in the old content
	open := false
	for _, piece := range pieces {
		if piece.From < 0 {
			if !open {
				p.Gaps = append(p.Gaps, Gap{Off: at, head: Span{Off: old}})
				open = true
			}
			g := &p.Gaps[len(p.Gaps)-1]
			g.Length += piece.Length
			g.Segments = append(g.Segments, piece.Node)
		} else {
			if open {
				p.Gaps[len(p.Gaps)-1].between(piece.From, size)
				open = false
			}
			p.Runs = appendRun(p.Runs, Run{piece.From, at, piece.Length})
			old = piece.From + piece.Length
		}
		at += piece.Length
	}
	if open {
		p.Gaps[len(p.Gaps)-1].between(size, size)
	}
	p.idle = idle(p.Runs, size)
	return p
}

// Same reports whether the plan is to leave an old content of size bytes as it is.
func (p *Plan) Same(size int64) bool {
	return len(p.Gaps) == 0 && len(p.Runs) == 1 && p.Runs[0] == Run{Length: size}
}

// between notes where what follows a gap begins in the old content.
func (g *Gap) between(next, size int64) {
	if next >= g.head.Off {
		g.head.Length = next - g.head.Off
		g.tail = g.head
		return
	}
	g.head.Length = min(g.Length, size-g.head.Off)
	g.tail = Span{max(0, next-g.Length), min(next, g.Length)}
}

// idle returns what no run is of, up to elsewhere bytes.
func idle(runs []Run, size int64) (spans []Span) {
	used := slices.Clone(runs)
	slices.SortFunc(used, func(a, b Run) int { return cmp.Compare(a.From, b.From) })
	used = append(used, Run{From: size})
	at, left := int64(0), int64(elsewhere)
	for _, r := range used {
		if n := min(r.From-at, left); n > 0 {
			spans = append(spans, Span{at, n})
			left -= n
		}
		at = max(at, r.From+r.Length)
	}
	return spans
}

// Fragment is a range of the new content, with what of the old one it may have
// something in common.
type Fragment struct {
	Off, Length int64
	Signed      []Span
}

// Fragments are those of some gaps, one after the other.
type Fragments struct {
	gaps []Gap
	idle []Span
	off  int64 // in the first gap
}

// Fragments returns those of all gaps.
func (p *Plan) Fragments() *Fragments { return &Fragments{gaps: p.Gaps, idle: p.idle} }

// FragmentsOf returns those of gaps in which nothing of the old content is to be
// looked for.
func FragmentsOf(gaps []Gap) *Fragments {
	bare := slices.Clone(gaps)
	for i := range bare {
		bare[i].head, bare[i].tail = Span{}, Span{}
	}
	return &Fragments{gaps: bare}
}

// Next returns the next one, if there is any.
func (f *Fragments) Next() (Fragment, bool) {
	if len(f.gaps) == 0 {
		return Fragment{}, false
	}
	g := &f.gaps[0]
	one := Fragment{Off: g.Off + f.off, Length: min(MaxFragment, g.Length-f.off)}
	one.Signed = g.signed(f.off, one.Length, f.idle)
	if f.off += one.Length; f.off == g.Length {
		f.gaps, f.off = f.gaps[1:], 0
	}
	return one, true
}

// signed returns what a fragment at off in the gap may have in common with the
// old content: what lies as far from the beginning of what was in place of the
// gap, or from its end, and what is idle.
func (g *Gap) signed(off, length int64, idle []Span) []Span {
	spans := join(g.head.around(off, length), g.tail.around(off+g.tail.Length-g.Length, length))
	if g.head == g.tail && g.head.Length < g.Length-g.Length/8 {
		for _, s := range idle {
			if s.Off >= g.head.end() || s.end() <= g.head.Off {
				spans = append(spans, s)
			}
		}
	}
	return spans
}

// around returns the part of s around a range of it.
func (s Span) around(off, length int64) Span {
	from := max(s.Off, s.Off+off-around)
	return Span{from, max(0, min(s.end(), s.Off+off+length+around)-from)}
}

// join returns two ranges, as one where they meet.
func join(a, b Span) (spans []Span) {
	if a.Off > b.Off {
		a, b = b, a
	}
	if a.Length > 0 && b.Length > 0 && b.Off <= a.end() {
		a.Length = max(a.Length, b.end()-a.Off)
		b.Length = 0
	}
	for _, s := range []Span{a, b} {
		if s.Length > 0 {
			spans = append(spans, s)
		}
	}
	return spans
}
