package contents

import (
	"math"
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/dirfs"
)

const (
	// Few is how many bytes of unknown content are so few that they are
	// digested without being asked to.
	Few = 32 << 20
	// Any is as many as there are.
	Any = math.MaxInt64

	// opening is how many bytes could be read while a file is opened.
	opening = 4 << 10
)

// Lookup looks up what a cache knows of the content of files, while they are
// scanned, until too much is not known: then it is of no use to go on. Its
// methods are safe for concurrent use.
type Lookup struct {
	cache   *cache.Cache
	most    int64
	unknown atomic.Int64 // bytes, and what opening the files takes
	ended   atomic.Bool
	over    func()
}

// NewLookup returns a Lookup that ends when more than so many bytes are not
// known, and then calls over.
func NewLookup(c *cache.Cache, most int64, over func()) *Lookup {
	return &Lookup{cache: c, most: most, over: over}
}

// Find returns what is known of the content of a file, for Entry.Target.
func (l *Lookup) Find(info dirfs.Info) string {
	if l.ended.Load() {
		return ""
	}
	target := find(l.cache, info)
	if target == "" && l.unknown.Add(min(info.Size, Few)+opening) > l.most && l.ended.CompareAndSwap(false, true) {
		l.over()
	}
	return target
}

// End ends the lookup.
func (l *Lookup) End() { l.ended.Store(true) }

// Ended reports whether too much is not known, or that does not matter any more.
func (l *Lookup) Ended() bool { return l.ended.Load() }

// find returns what a cache knows of the content of a file, or "".
func find(c *cache.Cache, info dirfs.Info) string {
	if k, ok := cache.KeyOf(info); ok {
		return c.Find(k)
	}
	return ""
}
