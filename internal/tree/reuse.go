package tree

// Origin is an entry of the destination that an entry of the wanted tree is, or
// whose content it has, at another path.
type Origin struct {
	Dir   *Dir // that it is in
	Index int
	// Moves says that its path goes away and that nothing else takes it.
	Moves bool
	// Proved says that its content was compared, and Ino and CTime, unless
	// they are zero, what the system said of the file then.
	Proved bool
	Ino    uint64
	CTime  Time
	// Failed says that the source's file could not be read.
	Failed bool
	// Staged says that it is no entry of the destination, but what an earlier
	// session has staged for this very path.
	Staged bool
}

// Entry returns the entry itself.
func (o *Origin) Entry() *Entry { return &o.Dir.Entries[o.Index] }

// Path returns the path that it has now.
func (o *Origin) Path() string { return o.Dir.Join(o.Entry().Name) }

// Origins says which new directories of a wanted tree are directories that the
// destination has elsewhere.
type Origins map[*Dir]*Origin

// Graft gives to, which holds nothing, everything that from holds, in
// directories of its own. It reports whether that is possible: not where
// something below could not be examined or is neither file, directory nor link,
// nor where it would be too deep.
func Graft(to, from *Dir) bool {
	type pair struct {
		to, from *Dir
		depth    int
	}
	for stack := []pair{{to, from, to.Depth()}}; len(stack) > 0; {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if p.from.Closed || p.depth > MaxDepth {
			return false
		}
		p.to.Entries = append([]Entry(nil), p.from.Entries...)
		p.to.Digest = p.from.Digest
		for i := range p.to.Entries {
			e := &p.to.Entries[i]
			e.Flags = 0 // which are facts about the other file
			switch e.Type {
			case File, Link:
			case Directory:
				below := e.Dir
				e.Dir = &Dir{Parent: p.to, Name: e.Name}
				stack = append(stack, pair{e.Dir, below, p.depth + 1})
			default:
				return false
			}
		}
	}
	return true
}

// Copied returns the steps that copy what s moves, in place of s: Make, Point and
// Reuse.
func (s *Step) Copied() []Step {
	c := comparison{plan: new(Plan)}
	from := *s.From
	from.Moves, from.Proved = false, true
	copied := *s
	copied.From = &from
	c.put(copied)
	for len(c.stack) > 0 {
		p := c.stack[len(c.stack)-1]
		c.stack = c.stack[:len(c.stack)-1]
		c.directories(p)
	}
	return c.plan.Steps
}

// Mover decides which directories of a destination move, and which are copied.
type Mover struct {
	Want *Dir // root of the wanted tree, which is complete but for new directories
	Copy bool // everything stays where it is

	moved map[*Dir]bool
	holds map[*Dir]bool // directories that something moves out of
}

// fate is what becomes of a directory of the destination.
type fate int

const (
	changes fate = iota // it stays, with other content, or makes way
	stays               // as it is
	goes
)

// Choose returns which of some directories of the destination, all with the
// same digest, a new directory of the wanted tree shall be: one that goes, or
// one that stays as it is. It returns nil if there is no such.
func (m *Mover) Choose(candidates []*Dir) *Origin {
	var copied *Origin
	for _, d := range candidates {
		f := m.fate(d)
		if f == changes {
			continue
		}
		i, _ := d.Parent.Position(d.Name)
		o := &Origin{Dir: d.Parent, Index: i}
		if f == goes && !m.Copy && m.free(d) {
			o.Moves = true
			m.move(o)
			return o
		}
		if copied == nil {
			copied = o
		}
	}
	return copied
}

// fate finds d's path in the wanted tree.
func (m *Mover) fate(d *Dir) fate {
	var path []*Dir
	for ; d.Parent != nil; d = d.Parent {
		path = append(path, d)
	}
	want := m.Want
	for i := len(path) - 1; i >= 0; i-- {
		e := want.Find(path[i].Name)
		switch {
		case e == nil:
			return goes
		case e.Type == Opaque || e.Dir == path[i]:
			return stays
		case e.Dir == nil || e.Dir.Closed:
			return changes
		}
		want = e.Dir
	}
	return changes
}

// free reports whether nothing has moved out of d, nor with a directory that it
// is in.
func (m *Mover) free(d *Dir) bool {
	if m.holds[d] {
		return false
	}
	for ; d != nil; d = d.Parent {
		if m.moved[d] {
			return false
		}
	}
	return true
}

// move notes that a directory moves.
func (m *Mover) move(o *Origin) {
	if m.moved == nil {
		m.moved, m.holds = make(map[*Dir]bool), make(map[*Dir]bool)
	}
	e := o.Entry()
	e.Flags |= Moved
	m.moved[e.Dir] = true
	for d := o.Dir; d != nil; d = d.Parent {
		m.holds[d] = true
	}
}

// Stay takes back that the directory of o moves.
func (m *Mover) Stay(o *Origin) {
	if o.Moves {
		// What it is in may be taken to hold it: that is copied then.
		o.Entry().Flags &^= Moved
		delete(m.moved, o.Entry().Dir)
	}
}

// fileKey is what files of the same content have in common, as far as can be
// told without reading them.
type fileKey struct {
	size    int64
	mtime   Time
	content string // or this alone, where it is known
	name    string // "" for any
}

func (c *Canon) fileKey(e *Entry) fileKey {
	if e.Target != "" {
		return fileKey{content: e.Target}
	}
	return fileKey{size: e.Size, mtime: c.Time(e.MTime())}
}

// Find sets From, unless it is set, of the steps of p that fetch a file of at least
// so many bytes, to a file elsewhere in have that may have the content: one of the
// same size and time, or of the same content where that is known; rather of the
// same name, and rather one that is removed, which then moves unless copy says that
// nothing does. It returns how many it found.
func (p *Plan) Find(have *Dir, c Canon, least int64, copy bool) (found int) {
	f := finder{canon: c, least: least, files: make(map[fileKey]*files)}
	if !f.wants(p) {
		return 0
	}
	tops := make(map[*Entry]bool)
	for i := range p.Removals {
		s := &p.Removals[i]
		tops[s.Entry()] = true
		if e := s.Entry(); e.Dir != nil {
			f.below(e.Dir, !copy && e.Flags&Moved == 0, nil)
		} else {
			f.file(s.Dir, s.Index, !copy)
		}
	}
	f.below(have, false, tops)
	for i := range p.Steps {
		if s := &p.Steps[i]; f.fetches(s) {
			if s.From = f.take(s.Entry()); s.From != nil {
				found++
			}
		}
	}
	return found
}

// finder gathers files that have what steps want.
type finder struct {
	canon Canon
	least int64
	files map[fileKey]*files // of what is wanted
}

// files are those that have what some steps want, no more of them than steps.
type files struct {
	wanted int
	found  []*file
	last   *file // that was taken, and may be copied
	copied int   // how often it was
}

type file struct {
	Origin
	taken bool
}

// mostCopied is how many steps a file may be tried for that has nothing in common
// with what they want but size and time.
const mostCopied = 8

// fetches reports whether a step wants content that may be elsewhere: not
// where only the content can tell whether it is there already.
func (f *finder) fetches(s *Step) bool {
	if s.Kind != Fetch && s.Kind != Verify || s.From != nil || s.Entry().Size < f.least {
		return false
	}
	return s.Kind == Fetch || f.canon.Time(s.Have.MTime()) != f.canon.Time(s.Entry().MTime())
}

// wants notes what the steps want, and reports whether that is anything.
func (f *finder) wants(p *Plan) bool {
	for i := range p.Steps {
		s := &p.Steps[i]
		if !f.fetches(s) {
			continue
		}
		for _, k := range f.keys(s.Entry()) {
			if f.files[k] == nil {
				f.files[k] = new(files)
			}
			f.files[k].wanted++
		}
	}
	return len(f.files) > 0
}

// keys returns under what an entry is found, the best first.
func (f *finder) keys(e *Entry) [2]fileKey {
	k := f.canon.fileKey(e)
	named := k
	named.name = e.Name
	return [2]fileKey{named, k}
}

// below takes in all files below d but those of tops, with an explicit stack.
func (f *finder) below(d *Dir, moves bool, tops map[*Entry]bool) {
	type frame struct {
		d     *Dir
		moves bool
	}
	for stack := []frame{{d, moves}}; len(stack) > 0; {
		t := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for i := range t.d.Entries {
			e := &t.d.Entries[i]
			switch {
			case tops[e]:
			case e.Dir != nil:
				stack = append(stack, frame{e.Dir, t.moves && e.Flags&Moved == 0})
			default:
				f.file(t.d, i, t.moves)
			}
		}
	}
}

// file takes in entry i of d if it is a file that is wanted.
func (f *finder) file(d *Dir, i int, moves bool) {
	e := &d.Entries[i]
	if e.Type != File || e.Size < f.least {
		return
	}
	var one *file
	for _, k := range f.keys(e) {
		if have := f.files[k]; have != nil && len(have.found) < have.wanted {
			if one == nil {
				one = &file{Origin: Origin{Dir: d, Index: i, Moves: moves, Proved: e.Target != ""}}
			}
			have.found = append(have.found, one)
		}
	}
}

// take returns a file for the entry of a step, or nil. It moves once.
func (f *finder) take(e *Entry) *Origin {
	for i, k := range f.keys(e) {
		if o := f.files[k].take(i == 0 || k.content != ""); o != nil {
			return o
		}
	}
	return nil
}

// take returns one that was not taken yet, or a copy of the last that was, as often
// as need be if that is likely to have the content.
func (f *files) take(likely bool) *Origin {
	for len(f.found) > 0 {
		one := f.found[0]
		f.found = f.found[1:]
		f.last = one
		if !one.taken {
			one.taken = true
			o := one.Origin
			return &o
		}
	}
	if f.last == nil || !likely && f.copied == mostCopied {
		return nil
	}
	f.copied++
	o := f.last.Origin
	o.Moves = false
	return &o
}
