package sender

// bits is a set of small numbers.
type bits []uint64

// add adds i and reports whether it was not in the set.
func (b *bits) add(i uint64) bool {
	for uint64(len(*b)) <= i/64 {
		*b = append(*b, 0)
	}
	w, m := &(*b)[i/64], uint64(1)<<(i%64)
	if *w&m != 0 {
		return false
	}
	*w |= m
	return true
}
