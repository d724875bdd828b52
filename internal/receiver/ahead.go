package receiver

import (
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ahead is what is made of a new file while the old one is outlined. What is read
// for the outline is written to where the new file is guessed to have it, by the
// top of the new outline. This proves nothing: what is right is known when the
// plan is there, and the rest is overwritten then.
type ahead struct {
	top   atomic.Pointer[wire.Outline] // set by the session once there is a file
	guess *delta.Guess                 // the outliner's, once top is set
	made  delta.Made                   // the outliner's, then the session's
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
	if a.guess == nil {
		top := a.top.Load()
		if top == nil {
			return
		}
		a.guess = delta.NewGuess(top.Level, top.Groups[0].Nodes)
	}
	a.guess.Learn(known)
}

// writeAlong writes a range of the old file to where it is guessed to belong. It
// is a supply.Along.
func (c *change) writeAlong(off int64, content []byte) error {
	if c.ahead.guess == nil {
		return nil
	}
	r := c.ahead.guess.Run(off, int64(len(content)))
	if r.Length == 0 {
		return nil
	}
	_, err := c.file.File().WriteAt(content[r.From-off:][:r.Length], r.Off)
	if err == nil {
		c.ahead.made.Add(r)
	}
	return err
}
