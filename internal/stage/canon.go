package stage

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

const probeName = "probe"

// probe finds out which times the file system holds, by setting some.
func (a *Area) probe() (c tree.Canon, err error) {
	if err := absent(a.work.Remove(probeName)); err != nil {
		return c, err
	}
	f, err := a.work.Create(probeName, 0o600)
	if err != nil {
		return c, err
	}
	defer func() {
		err = errors.Join(err, f.Close(), a.work.Remove(probeName))
	}()
	_, err = a.work.Stat(strings.ToUpper(probeName))
	c.FoldsCase = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	p := prober{f: f}
	c.Granularity = p.granularity()
	c.MinSec = p.furthest(-1<<40, -62135596800, -11644473600, -1<<31, 0)
	c.MaxSec = p.furthest(1<<40, 253402300799, 15032385535, 1<<32-1, 4354819198, 1<<31-1)
	c.LinkTimes, err = a.linkTimes()
	return c, errors.Join(p.err, err)
}

type prober struct {
	f   dirfs.File
	err error
}

// stored sets a time and returns what became of it.
func (p *prober) stored(t tree.Time) (tree.Time, bool) {
	if err := p.f.SetTime(t); err != nil {
		if isDisk(err) {
			p.err = err
		}
		return t, false
	}
	info, err := p.f.Info()
	if err != nil {
		p.err = err
		return t, false
	}
	return info.MTime, true
}

// granularity returns the first of the usual ones that explains what is left
// of a time that has all digits.
func (p *prober) granularity() uint32 {
	want := tree.Time{Sec: 1_000_000_001, Nsec: 123_456_789}
	got, ok := p.stored(want)
	for _, g := range []uint32{1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000} {
		c := tree.Exact
		c.Granularity = g
		if ok && c.Time(want) == got {
			return g
		}
	}
	return 2_000_000_000
}

// furthest returns the first of the given times that can be stored. The last
// one is taken for granted.
func (p *prober) furthest(secs ...int64) int64 {
	for _, sec := range secs {
		if got, ok := p.stored(tree.Time{Sec: sec}); ok && got.Sec/2 == sec/2 {
			return sec
		}
	}
	return secs[len(secs)-1]
}

// linkTimes reports whether the time of a link can be set and read back. Any
// error but one of the disk says that it cannot.
func (a *Area) linkTimes() (bool, error) {
	const name = "probe-link"
	want := tree.Time{Sec: 1_000_000_000}
	err := a.work.Symlink("target", name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = a.work.SetLinkTime(name, want)
		info, serr := a.work.Stat(name)
		err = errors.Join(err, serr, a.work.Remove(name))
		if err == nil {
			return info.MTime == want, nil
		}
	}
	if isDisk(err) {
		return false, err
	}
	return false, nil
}
