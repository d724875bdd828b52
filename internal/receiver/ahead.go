package receiver

import (
	"sync"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ahead is what is made of a new file while the old one is outlined. What is read
// for the outline is written to where the new file is guessed to have it, by what
// the sender has told of the new outline so far. This proves nothing: what is right
// is known when the plan is there, and the rest is overwritten then.
type ahead struct {
	doubts bool // the old content may be the new one: nothing is written before it is not
	even   bool // it is as long

	// What the sender told of early; the session's.
	nodes int
	bytes int64

	mu      sync.Mutex   // guards what follows
	guess   *delta.Guess // nil until something is told, and where nothing is to be written
	differs bool         // the old content is not the new one
	open    bool         // there is a file

	// writing is held while something is written, so that what comes later is
	// later in made. The system lets one writer at a time into a file anyway.
	writing sync.Mutex
	// Guarded by writing, then the session's once the old file is outlined.
	made   delta.Made
	failed error // why writing did
}

// outlinedEarly takes in what is known of a file that the sender still reads.
func (s *session) outlinedEarly(t *target, o *wire.Outline) error {
	c, next := t.change, &o.Groups[0]
	a := &c.ahead
	n := delta.Length(next.Nodes)
	if c.top != nil || next.First != a.nodes || n > wire.MaxSize-a.bytes {
		return wire.Errorf("an early outline of entry %d that is out of order", o.ID)
	}
	a.nodes += len(next.Nodes)
	a.bytes += n
	if s.writesAhead(c) {
		a.tell(o.Level, t.step.Entry().Size, next.Nodes)
		if !a.doubts {
			s.openAhead(t, c)
		}
	}
	return nil
}

// writesAhead reports whether anything is written ahead: the old file is still read, and the
// file system can not share content with it, which is better left to copying.
func (s *session) writesAhead(c *change) bool {
	return c.old == nil && c.survey == nil && c.plan == nil && !s.area.Files.Clones()
}

// openAhead makes the file, unless it is there. One that can not be made has failed, which is
// told at its end.
func (s *session) openAhead(t *target, c *change) {
	if c.file != nil {
		return
	}
	file, err := t.open(s)
	if file == nil {
		s.note(t, err)
		return
	}
	t.leave()
	c.file = file
	c.ahead.mu.Lock()
	defer c.ahead.mu.Unlock()
	c.ahead.open = true
}

// tell takes in the next nodes of the new outline, of a content that seems to be size bytes
// long.
func (a *ahead) tell(level int, size int64, nodes []delta.Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guess == nil {
		a.guess = delta.NewGuess(level, size, a.even)
	}
	a.guess.Tell(nodes)
}

// tellTop takes in the top of the new outline. What was told early is finer, and kept where it
// is of nearly all.
func (a *ahead) tellTop(top *wire.Outline) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guess == nil || !a.guess.End(top.Size) {
		a.guess = delta.NewGuess(top.Level, top.Size, a.even)
		a.guess.Tell(top.Groups[0].Nodes)
	}
}

// learn takes in what became known of the old file, and reports whether that shows for the
// first time that it differs.
func (a *ahead) learn(known *delta.Growing) (differs bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guess == nil {
		return false
	}
	a.guess.Learn(known)
	differs = !a.differs && a.guess.Differs()
	a.differs = a.differs || differs
	return differs
}

// place returns where a range of the old file is guessed to belong, if anywhere.
func (a *ahead) place(off, length int64) (r delta.Run, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guess == nil || !a.open {
		return r, false
	}
	r = a.guess.Run(off, length)
	return r, r.Length > 0
}

// writeAlong writes a range of the old file to where it is guessed to belong. It
// is a supply.Along, whose errors are also kept in failed.
func (c *change) writeAlong(off int64, content []byte) error {
	a := &c.ahead
	r, ok := a.place(off, int64(len(content)))
	if !ok {
		return nil
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	_, err := c.file.File().WriteAt(content[r.From-off:][:r.Length], r.Off)
	if err == nil {
		a.made.Add(r)
	} else if a.failed == nil {
		a.failed = err
	}
	return err
}
