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

	mu    sync.Mutex   // guards guess
	guess *delta.Guess // nil until there is a file

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
	if c.top != nil || next.First != a.nodes {
		return wire.Errorf("an early outline of entry %d that is out of order", o.ID)
	}
	a.nodes += len(next.Nodes)
	n := delta.Length(next.Nodes)
	if a.nodes > delta.MaxEarly || n > wire.MaxSize-a.bytes {
		return wire.Errorf("an early outline of entry %d that is too long", o.ID)
	}
	a.bytes += n
	if c.old == nil {
		s.writeAhead(t, next.First == 0, t.step.Entry().Size, o)
	}
	return nil
}

// writeAhead has what is read of the old file written ahead from now on, by what
// is told of the new one, which is size bytes long: afresh, or beside what was told
// before. Where the file system can share content instead, that is left to copying. A
// file that can not be made has failed, which is told at its end.
func (s *session) writeAhead(t *target, afresh bool, size int64, told *wire.Outline) {
	c := t.change
	if s.area.Files.Clones() {
		return
	}
	if c.file == nil {
		file, err := t.open(s)
		if file == nil {
			s.note(t, err)
			return
		}
		t.leave()
		c.file = file
	}
	a := &c.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if afresh {
		a.guess = delta.NewGuess(told.Level, size, a.even)
	}
	a.guess.Tell(told.Groups[0].Nodes)
}

// learn takes in what became known of the old file.
func (a *ahead) learn(known *delta.Growing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guess != nil {
		a.guess.Learn(known)
	}
}

// place returns where a range of the old file is guessed to belong, if anywhere.
func (a *ahead) place(off, length int64) (r delta.Run, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guess == nil || a.doubts && !a.guess.Differs() {
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
