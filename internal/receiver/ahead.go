package receiver

import (
	"sync"
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ahead is what is made of a new file while the old one is outlined. What is read
// for the outline is written to where the new file is guessed to have it, by the
// top of the new outline. This proves nothing: what is right is known when the
// plan is there, and the rest is overwritten then.
type ahead struct {
	doubts bool                         // the old content may be the new one: nothing is written before it is not
	top    atomic.Pointer[wire.Outline] // set by the session once there is a file

	mu    sync.Mutex   // guards guess
	guess *delta.Guess // nil until top is set

	// writing is held while something is written, so that what comes later is
	// later in made. The system lets one writer at a time into a file anyway.
	writing sync.Mutex
	// Guarded by writing, then the session's once the old file is outlined.
	made   delta.Made
	failed error // why writing did
}

// writeAhead has what is read of the old file written ahead from now on. Where the
// file system can share content instead, that is left to copying. A file that can
// not be made has failed, which is told at its end.
func (s *session) writeAhead(t *target) {
	if s.area.Files.Clones() {
		return
	}
	file, err := t.open(s)
	if file == nil {
		s.note(t, err)
		return
	}
	t.leave()
	t.change.file = file
	t.change.ahead.top.Store(t.change.top)
}

// learn takes in what became known of the old file.
func (a *ahead) learn(known *delta.Growing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guess == nil {
		top := a.top.Load()
		if top == nil {
			return
		}
		a.guess = delta.NewGuess(top.Level, top.Groups[0].Nodes)
	}
	a.guess.Learn(known)
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
