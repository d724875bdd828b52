package tree

import (
	"fmt"
	"iter"
	"strings"
)

// Kind says what a step of a plan does.
type Kind uint8

const (
	// Make makes a directory.
	Make Kind = 1 + iota
	// Fetch gets a file's content from the source.
	Fetch
	// Verify compares a file's content with the source's: equal size does
	// not prove it. What differs is fetched, the rest touched where needed.
	Verify
	// Move moves a directory that the destination has elsewhere here.
	Move
	// Reuse takes the content of a file that the destination has elsewhere.
	Reuse
	// Point makes a link.
	Point
	// Touch sets metadata only.
	Touch
	// Remove removes an entry and all below it.
	Remove
)

var kindNames = [...]string{Make: "make", Fetch: "fetch", Verify: "verify", Move: "move", Reuse: "reuse", Point: "link", Touch: "touch", Remove: "remove"}

// String returns the verb for k.
func (k Kind) String() string { return kindNames[k] }

// Step is one thing to do.
type Step struct {
	Kind Kind
	// Dir and Index say which entry it is about: of the wanted tree, for
	// Remove of the one that is there. An Index of -1 is Dir itself.
	Dir   *Dir
	Index int
	// Within is, for Remove and Move, the wanted directory that loses the
	// entry; nil if it goes as a whole.
	Within *Dir
	// Have is what is there under that name now, or nil. Where its type is
	// another it is displaced: it waits, out of the way, for the removals.
	Have *Entry
	// From is, for Move and Reuse, what the entry is or has the content of;
	// for Fetch and Verify what may have its content, if there is anything.
	From *Origin
}

// Entry returns the entry that the step is about.
func (s *Step) Entry() *Entry { return &s.Dir.Entries[s.Index] }

// Path returns the path of the entry that the step is about.
func (s *Step) Path() string {
	if s.Index < 0 {
		return s.Dir.Path()
	}
	return s.Dir.Join(s.Entry().Name)
}

// Displaces reports whether something of another type is in the way.
func (s *Step) Displaces() bool { return s.Have != nil && s.Have.Type != s.Entry().Type }

// Plan says how to make one tree of another.
type Plan struct {
	// Steps come a directory before what is in it.
	Steps []Step
	// Removals come after all steps; each is the top of what goes.
	Removals []Step
	// Blocked are entries that could not be examined at the destination, so
	// that it is not known what would have to be done.
	Blocked []Step
	// Files and Bytes count what is fetched or reused, taking every Verify
	// for one.
	Files uint64
	Bytes int64
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps)+len(p.Removals)+len(p.Blocked) == 0 }

// String lists the plan, one step a line.
func (p *Plan) String() string {
	var b strings.Builder
	for _, steps := range [][]Step{p.Steps, p.Removals} {
		for i := range steps {
			s := &steps[i]
			fmt.Fprintf(&b, "%s %q", s.Kind, s.Path())
			if s.From != nil {
				fmt.Fprintf(&b, " from %q", s.From.Path())
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Removed counts the entries that go: those below removals and below what is
// displaced, each one. What moves does not go.
func (p *Plan) Removed() (n uint64) {
	for i := range p.Removals {
		n += p.Removals[i].Have.Entries()
	}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Index >= 0 && s.Displaces() {
			n += s.Have.Entries()
		}
	}
	return n
}

// Replaces reports whether the content of a file, or a link, may give way to another.
func (s *Step) Replaces() bool {
	if s.Index < 0 || s.Have == nil || s.Displaces() {
		return false
	}
	switch s.Kind {
	case Fetch, Verify, Reuse, Point:
		return true
	}
	return false
}

// Entries returns how many entries e is: itself and all below it, as far as
// they are known, but for what moves elsewhere.
func (e *Entry) Entries() (n uint64) {
	if e.Flags&Moved != 0 {
		return 0
	}
	for range e.Dir.All() {
		n++
	}
	return n + 1
}

// All yields the entries below d with their directories, a directory before what is in
// it, but for what moves elsewhere. It does not recurse.
func (d *Dir) All() iter.Seq2[*Dir, *Entry] {
	return func(yield func(*Dir, *Entry) bool) {
		if d == nil {
			return
		}
		for stack := []*Dir{d}; len(stack) > 0; {
			d := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for i := range d.Entries {
				e := &d.Entries[i]
				if e.Flags&Moved != 0 {
					continue
				}
				if !yield(d, e) {
					return
				}
				if e.Dir != nil {
					stack = append(stack, e.Dir)
				}
			}
		}
	}
}
