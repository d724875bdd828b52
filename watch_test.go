package syncdirectory

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sync-directory/sync-directory/internal/report"
)

// TestWatch shows what counts as progress: what is done here, and what the other side says
// that it does, but that not for ever.
func TestWatch(t *testing.T) {
	for name, c := range map[string]struct {
		moves func(*Counters)
		ends  time.Duration // after which the session is ended; 0 for not at all
	}{
		"nothing":                 {func(*Counters) {}, time.Minute},
		"something is read":       {func(c *Counters) { c.Compared.Add(1) }, 0},
		"the other side says so":  {func(c *Counters) { c.Peer.Add(1) }, believed},
		"the next phase is begun": {func(c *Counters) { c.Phase.Store(int32(report.Finishing)) }, time.Minute},
		"both, one after another": {func(c *Counters) { c.Peer.Add(1); c.Scanned.Add(1) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := Options{Timeout: time.Minute, Counters: new(Counters)}
				ctx, cancel := context.WithCancelCause(t.Context())
				start := time.Now()
				stop := watch(ctx, cancel, nil, o)
				defer stop()
				for ctx.Err() == nil && time.Since(start) < 2*believed {
					c.moves(o.Counters)
					time.Sleep(30 * time.Second)
				}
				took := time.Since(start)
				if ended := ctx.Err() != nil; ended != (c.ends > 0) || ended && (took < c.ends || took > c.ends+2*time.Minute) {
					t.Errorf("ended %t after %v", ended, took)
				}
				if ctx.Err() != nil && CodeOf(context.Cause(ctx)) != Timeout {
					t.Errorf("ended by %v", context.Cause(ctx))
				}
			})
		})
	}
}
