package tree

// Canon says which metadata a file system can hold. Both sides bring times to
// it before they compare or digest them, so that what cannot be stored is not
// seen as a difference again and again. The zero value holds nothing; Exact
// holds everything.
type Canon struct {
	Granularity    uint32 // of times, in nanoseconds: 1 to 2,000,000,000
	MinSec, MaxSec int64  // earliest and latest time that can be set
	LinkTimes      bool   // whether the times of links can be set
	FoldsCase      bool   // whether names that differ in letter case only are the same
}

// Exact is the canon of a file system that holds every time.
var Exact = Canon{Granularity: 1, MinSec: -1 << 62, MaxSec: 1 << 62, LinkTimes: true}

// Time returns t as the file system holds it: rounded towards the past, and
// no earlier or later than it can be.
func (c Canon) Time(t Time) Time {
	switch {
	case t.Sec < c.MinSec:
		t = Time{Sec: c.MinSec}
	case t.Sec > c.MaxSec:
		t = Time{Sec: c.MaxSec}
	}
	const second = 1_000_000_000
	if c.Granularity < second {
		t.Nsec -= t.Nsec % c.Granularity
		return t
	}
	g := int64(c.Granularity / second)
	t.Nsec = 0
	t.Sec -= ((t.Sec % g) + g) % g
	if t.Sec < c.MinSec {
		t.Sec += g
	}
	return t
}

// Valid reports whether c can be used: its fields are within their ranges.
func (c Canon) Valid() bool {
	return c.Granularity >= 1 && c.Granularity <= 2_000_000_000 && c.MinSec <= 0 && c.MaxSec >= 0
}
