package tree

// Compare returns the plan that makes of the root have the root want. Both
// may share directories, which are equal then. Times are compared as c says.
// Origins are the new directories that have has elsewhere, of the same digest and
// proved content; what moves has its flag.
//
// Different means type, size, time, permission and link target. A file of
// the same size is fetched only after its content was compared: when its time
// is another, and when its time proves nothing.
//
// The roots' own metadata is not part of the plan: working in a directory
// changes its time, so it is always set at the end.
func Compare(have, want *Entry, c Canon, origins Origins) *Plan {
	cmp := comparison{canon: c, origins: origins, loses: make(map[*Entry]*Dir), plan: new(Plan)}
	if have.Dir.Closed {
		cmp.plan.Blocked = append(cmp.plan.Blocked, Step{Dir: want.Dir, Index: -1})
		return cmp.plan
	}
	// An explicit stack, so that a deep tree costs heap and no stack.
	cmp.stack = append(cmp.stack, pair{have: have.Dir, want: want.Dir})
	for len(cmp.stack) > 0 {
		p := cmp.stack[len(cmp.stack)-1]
		cmp.stack = cmp.stack[:len(cmp.stack)-1]
		cmp.directories(p)
	}
	for i := range cmp.plan.Steps {
		if s := &cmp.plan.Steps[i]; s.Kind == Move {
			s.Within = cmp.loses[s.From.Entry()]
		}
	}
	return cmp.plan
}

// pair is a wanted directory and what is there, nil where it is new; then it may
// have an equal one elsewhere.
type pair struct{ have, want, equal *Dir }

type comparison struct {
	canon   Canon
	origins Origins
	loses   map[*Entry]*Dir // what moves out of a directory that stays
	plan    *Plan
	stack   []pair
}

// directories compares the entries of two directories in one merge.
func (c *comparison) directories(p pair) {
	have, want := p.have, p.want
	var there []Entry
	if have != nil {
		there = have.Entries
	}
	first := len(c.stack)
	h := 0
	for w := range want.Entries {
		for h < len(there) && there[h].Name < want.Entries[w].Name {
			c.remove(have, h, want)
			h++
		}
		step := Step{Dir: want, Index: w}
		if h < len(there) && there[h].Name == want.Entries[w].Name {
			step.Have = &there[h]
			h++
			if want.Entries[w].Type != Opaque && step.Displaces() && c.blocked(have, h-1) {
				continue
			}
		}
		if p.equal != nil {
			step.From = &Origin{Dir: p.equal, Index: w, Proved: true}
		}
		c.entry(step)
	}
	for ; h < len(there); h++ {
		c.remove(have, h, want)
	}
	// The stack gives back the last first: turn, to go on in name order.
	for i, j := first, len(c.stack)-1; i < j; i, j = i+1, j-1 {
		c.stack[i], c.stack[j] = c.stack[j], c.stack[i]
	}
}

func (c *comparison) remove(have *Dir, i int, want *Dir) {
	s := Step{Kind: Remove, Dir: have, Index: i, Within: want, Have: &have.Entries[i]}
	if s.Have.Flags&Moved != 0 {
		c.loses[s.Have] = want
	}
	if c.blocked(have, i) {
		return
	}
	c.plan.Removals = append(c.plan.Removals, s)
}

// blocked reports whether something of entry i of have could not be examined,
// so that the entry can neither go nor make way, and adds that to the plan.
func (c *comparison) blocked(have *Dir, i int) bool {
	before := len(c.plan.Blocked)
	c.block(have, i)
	if d := have.Entries[i].Dir; d != nil {
		for stack := []*Dir{d}; len(stack) > 0; {
			d := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for i := range d.Entries {
				c.block(d, i)
				if below := d.Entries[i].Dir; below != nil {
					stack = append(stack, below)
				}
			}
		}
	}
	return len(c.plan.Blocked) > before
}

// block adds entry i of have to what is blocked if it is what could not be
// examined.
func (c *comparison) block(have *Dir, i int) {
	e := &have.Entries[i]
	if e.Type == Unknown || e.Dir != nil && e.Dir.Closed {
		c.plan.Blocked = append(c.plan.Blocked, Step{Dir: have, Index: i, Have: e})
	}
}

// entry compares one wanted entry with what is there.
func (c *comparison) entry(s Step) {
	want, have := s.Entry(), s.Have
	switch {
	case want.Type == Opaque:
	case have != nil && have.Type == Unknown:
		c.plan.Blocked = append(c.plan.Blocked, s)
	case have == nil:
		c.put(s)
	case want.Type == Directory && want.Dir.Closed:
		// The source could not read it. That may be what its permission
		// says, and must not become true here; and what is there does not
		// make way for what nobody knows.
	case have.Type != want.Type && have.Dir != nil && have.Dir.Closed:
		// It could be moved out of the way, but never removed after that.
		c.plan.Blocked = append(c.plan.Blocked, s)
	case have.Type != want.Type:
		c.put(s)
	case want.Type == Directory:
		c.directory(s)
	case want.Type == Link:
		if have.Target != want.Target {
			c.put(s)
		} else if c.canon.LinkTimes && !c.sameTime(have, want) {
			if have.Flags&Shared != 0 {
				c.put(s)
			} else {
				c.add(Touch, s)
			}
		}
	case have.Size != want.Size:
		c.put(s)
	case have.Target != "" && want.Target != "":
		if have.Target != want.Target {
			c.put(s)
		} else if have.Perm != want.Perm || !c.sameTime(have, want) {
			c.add(Touch, s)
		}
	case have.Target != want.Target || have.Flags&Unproved != 0 || !c.sameTime(have, want):
		c.fetch(Verify, s)
	case have.Perm != want.Perm:
		c.add(Touch, s)
	}
}

// put plans something that is not there, or not of this kind.
func (c *comparison) put(s Step) {
	want, from := s.Entry(), s.From
	switch want.Type {
	case File:
		if from != nil {
			c.fetch(Reuse, s)
			return
		}
		c.fetch(Fetch, s)
	case Link:
		s.From = nil
		c.add(Point, s)
	case Directory:
		if from == nil {
			from = c.origins[want.Dir]
		}
		s.From = nil
		p := pair{want: want.Dir}
		if from != nil {
			if from.Moves {
				s.From = from
				c.add(Move, s)
				return
			}
			p.equal = from.Entry().Dir
		}
		c.add(Make, s)
		c.stack = append(c.stack, p)
	}
}

func (c *comparison) fetch(k Kind, s Step) {
	c.add(k, s)
	c.plan.Files++
	c.plan.Bytes += s.Entry().Size
}

func (c *comparison) directory(s Step) {
	want, have := s.Entry(), s.Have
	if have.Dir.Closed {
		c.plan.Blocked = append(c.plan.Blocked, s)
		return
	}
	if have.Perm != want.Perm || !c.sameTime(have, want) {
		c.add(Touch, s)
	}
	if want.Dir != have.Dir {
		c.stack = append(c.stack, pair{have: have.Dir, want: want.Dir})
	}
}

func (c *comparison) add(k Kind, s Step) {
	s.Kind = k
	c.plan.Steps = append(c.plan.Steps, s)
}

func (c *comparison) sameTime(a, b *Entry) bool {
	return c.canon.Time(a.MTime()) == c.canon.Time(b.MTime())
}
