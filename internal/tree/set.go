package tree

// Set is a set of numbers that an Index gave out. The zero value is empty.
type Set []uint64

// Add adds id and reports whether it was not in the set.
func (s *Set) Add(id uint64) bool {
	for uint64(len(*s)) <= id/64 {
		*s = append(*s, 0)
	}
	w, bit := &(*s)[id/64], uint64(1)<<(id%64)
	if *w&bit != 0 {
		return false
	}
	*w |= bit
	return true
}

// Has reports whether id is in the set.
func (s *Set) Has(id uint64) bool {
	i := id / 64
	return i < uint64(len(*s)) && (*s)[i]>>(id%64)&1 == 1
}
