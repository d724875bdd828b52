package syncdirectory

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// side is one side of a session and what it tells.
type side struct {
	mu       sync.Mutex // guards problems
	problems []Problem
	outcome
}

func (s *side) hear(p Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, p)
}

// of returns the problems that happened on this side, or on the other one, as a sentence each.
func (s *side) of(peer bool) (all []string) {
	for _, p := range s.problems {
		if p.Peer == peer {
			all = append(all, p.String())
		}
	}
	slices.Sort(all)
	return all
}

// mirrorTelling mirrors and returns what each side has to say.
func mirrorTelling(t *testing.T, s *giver, r *taker) (source, destination *side) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	source, destination = new(side), new(side)
	s.OnProblem, r.OnProblem = source.hear, destination.hear
	a, b := newPipe()
	var ended sync.WaitGroup
	ended.Go(func() {
		l, err := greet(ctx, s, a)
		if err != nil {
			source.err = err
			return
		}
		source.result, source.err = carry(ctx, s, l)
	})
	l, err := welcome(b, func(*wire.Hello) (*wire.Hello, error) { return r.hello() })
	if err != nil {
		wire.CloseWith(b, err)
		destination.err = err
	} else {
		destination.result, destination.err = carry(ctx, r, l)
	}
	ended.Wait()
	if ctx.Err() != nil {
		t.Fatalf("hangs: %v, %v", source.err, destination.err)
	}
	return source, destination
}

// TestBothSidesTellTheSame has each row of the outcomes come true, with a path in the
// system's error that is nobody else's business. What failed, and why, is told alike on both
// sides, and the other one hears nothing of that path.
func TestBothSidesTellTheSame(t *testing.T) {
	const private = "/home/private/"
	for _, c := range outcomes {
		if c.code == OK {
			continue
		}
		t.Run(fmt.Sprintf("%s %s %v", c.side, strings.ReplaceAll(c.call, "*", "any"), c.err), func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			grow(t, from, faultyWant...)
			grow(t, to, faultyHave...)
			age(t, from, aged)
			age(t, to, aged)
			var failed atomic.Int64
			f := &faults{of: func(call dirfs.Call) bool {
				return matches(call, c.call) && (c.times == 0 || failed.Add(1) <= c.times)
			}, always: true, err: c.err, where: private}
			source, destination := f, (*faults)(nil)
			if c.side == "destination" {
				source, destination = nil, f
			}
			s, r, err := openFaulty(t, from, to, source, destination)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			here, there := mirrorTelling(t, s, r)
			if c.side == "destination" {
				here, there = there, here
			}
			if err := r.close(); err != nil && destination == nil {
				t.Error(err)
			}
			if CodeOf(here.err) != c.code || CodeOf(there.err) != c.code {
				t.Errorf("codes: here %v, there %v", here.err, there.err)
			}
			if got, want := there.of(true), here.of(false); !slices.Equal(got, want) {
				t.Errorf("there is told\n%q of what failed here\n%q", got, want)
			}
			all := append(there.of(true), there.err.Error())
			for _, told := range all {
				if strings.Contains(told, private) || strings.Contains(told, dir) {
					t.Errorf("there is told %q", told)
				}
			}
			known := strings.Join(append(here.of(false), here.err.Error()), "\n")
			if strings.Contains(known, c.err.Error()) && !strings.Contains(strings.Join(all, "\n"), c.err.Error()) {
				t.Errorf("there is told %q, here %q", all, known)
			}
		})
	}
}
