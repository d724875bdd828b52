package tree

import (
	"slices"
	"sort"
)

// Index numbers the entries of a description in the order in which they are
// described: the root is 0, the first entry of the first section is 1. Both
// sides keep one and so agree on what a number means without sending it. It
// is not safe for concurrent use.
type Index struct {
	root     *Entry
	sections []section
	in       map[*Dir][]int // the sections of a directory
	next     uint64
}

// section says which n entries the numbers from first on stand for.
type section struct {
	first uint64
	dir   *Dir // nil for a part of the description that is not used
	at, n int
}

// NewIndex returns an index of a description of which only the root is known.
func NewIndex(root *Entry) *Index {
	return &Index{root: root, in: make(map[*Dir][]int), next: 1}
}

// Len returns how many numbers are given out.
func (x *Index) Len() uint64 { return x.next }

// Add numbers n entries of d from position at on, and returns which section
// they are; -1 where they are none, which takes no memory. With a d of nil the numbers
// stand for nothing.
func (x *Index) Add(d *Dir, at, n int) int {
	if n == 0 {
		return -1
	}
	k := len(x.sections)
	x.sections = append(x.sections, section{x.next, d, at, n})
	if d != nil {
		x.in[d] = append(x.in[d], k)
	}
	x.next += uint64(n)
	return k
}

// Move notes that section k begins at another position of its directory.
func (x *Index) Move(k, at int) { x.sections[k].at = at }

// Find returns where the entry with number id is: in which directory, at
// which position. It returns false for the root and for numbers that stand
// for nothing.
func (x *Index) Find(id uint64) (d *Dir, at int, ok bool) {
	if id == 0 || id >= x.next {
		return nil, 0, false
	}
	i := sort.Search(len(x.sections), func(i int) bool { return x.sections[i].first > id }) - 1
	s := &x.sections[i]
	return s.dir, s.at + int(id-s.first), s.dir != nil
}

// Entry returns what number id stands for and the directory that it is in,
// which is nil for the root; an entry of nil says that it stands for nothing.
func (x *Index) Entry(id uint64) (*Dir, *Entry) {
	if id == 0 {
		return nil, x.root
	}
	d, at, ok := x.Find(id)
	if !ok {
		return nil, nil
	}
	return d, &d.Entries[at]
}

// Settle puts the sections of d in the order of their positions, which ID
// relies on. It is called after the last Move in d.
func (x *Index) Settle(d *Dir) {
	slices.SortFunc(x.in[d], func(a, b int) int { return x.sections[a].at - x.sections[b].at })
}

// ID returns the number of entry i of d, and whether it has one.
func (x *Index) ID(d *Dir, i int) (uint64, bool) {
	in := x.in[d]
	k := sort.Search(len(in), func(k int) bool { return x.sections[in[k]].at > i }) - 1
	if k < 0 {
		return 0, false
	}
	s := &x.sections[in[k]]
	if i >= s.at+s.n {
		return 0, false
	}
	return s.first + uint64(i-s.at), true
}
