//go:build linux

package syncdirectory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	syncdirectory "github.com/sync-directory/sync-directory"
)

// descriptors returns how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// goSource returns a directory of the Go distribution's own source.
func goSource(t *testing.T, sub string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("SKIPPED: no go command: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return dir
}

// pairOf runs a sender and a receiver over a socket until both have ended.
func pairOf(s *syncdirectory.Sender, r *syncdirectory.Receiver, sctx, rctx context.Context) (sent, received syncdirectory.Result, serr, rerr error) {
	listening, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		received, rerr = r.Listen(rctx, syncdirectory.ListenOptions{
			OnListening: func(a net.Addr) { listening <- "ws://" + a.String() },
		})
	}()
	select {
	case url := <-listening:
		sent, serr = s.Dial(sctx, url, syncdirectory.DialOptions{})
	case <-done:
		return sent, received, errors.New("no receiver"), rerr
	}
	<-done
	return sent, received, serr, rerr
}

// TestCancelInTransfer cancels one side while a large file is on its way: it
// returns promptly, the other side learns it, and nothing leaks.
func TestCancelInTransfer(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	big := filepath.Join(from, "big")
	if err := os.WriteFile(big, make([]byte, 512<<20), 0o644); err != nil { // no hole
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "big"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, side := range []string{"sender", "receiver"} {
		t.Run(side, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			before := descriptors(t)
			counters := new(syncdirectory.Counters)
			s, r := &syncdirectory.Sender{Dir: from}, &syncdirectory.Receiver{Dir: to, NoFsync: true}
			r.Counters = counters
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			rctx, rstop := context.WithCancel(t.Context())
			defer rstop()
			var when time.Time
			go func() {
				for counters.Bytes.Load() < 4<<20 {
					time.Sleep(time.Millisecond)
				}
				when = time.Now()
				if side == "receiver" {
					rstop()
					return
				}
				stop()
				time.Sleep(500 * time.Millisecond) // a receiver goes on listening
				rstop()
			}()
			_, _, serr, rerr := pairOf(s, r, ctx, rctx)
			if d := time.Since(when); d > 1500*time.Millisecond {
				t.Errorf("returned after %v", d)
			}
			if syncdirectory.CodeOf(serr) != syncdirectory.Interrupted || syncdirectory.CodeOf(rerr) != syncdirectory.Interrupted {
				t.Errorf("sender %v, receiver %v", serr, rerr)
			}
			if b, err := os.ReadFile(filepath.Join(to, "big")); string(b) != "old" {
				t.Errorf("%.10q %v", b, err)
			}
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors, before %d", after, before)
			}
		})
	}
	// The receiver can be used again afterwards.
	if err := os.Truncate(big, 1<<20); err != nil {
		t.Fatal(err)
	}
	s, r := &syncdirectory.Sender{Dir: from}, &syncdirectory.Receiver{Dir: to}
	if _, _, serr, rerr := pairOf(s, r, t.Context(), t.Context()); serr != nil || rerr != nil {
		t.Error(serr, rerr)
	}
	if entries, err := os.ReadDir(to); len(entries) != 1 || err != nil {
		t.Error(entries, err)
	}
}

// TestCancelAnywhere cancels sessions at random moments. None hangs, and the
// next run to its end makes the directories equal.
func TestCancelAnywhere(t *testing.T) {
	from := goSource(t, "net")
	to := filepath.Join(t.TempDir(), "to")
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	before := descriptors(t)
	n := 60
	if testing.Short() {
		n = 10
	}
	cancelled := 0
	for i := range n {
		if i%10 == 0 {
			if err := os.RemoveAll(to); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(random.IntN(60_000))*time.Microsecond)
		s, r := &syncdirectory.Sender{Dir: from}, &syncdirectory.Receiver{Dir: to, NoFsync: true}
		var err error
		if i%2 == 0 {
			_, err = syncdirectory.Local(ctx, s, r)
		} else {
			_, _, _, err = pairOf(s, r, ctx, ctx)
		}
		stop()
		switch code := syncdirectory.CodeOf(err); code {
		case syncdirectory.OK:
		case syncdirectory.Interrupted:
			cancelled++
		default:
			t.Errorf("%v: %v", code, err)
		}
	}
	t.Logf("%d of %d were cancelled in time", cancelled, n)
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
	s, r := &syncdirectory.Sender{Dir: from}, &syncdirectory.Receiver{Dir: to}
	if _, err := syncdirectory.Local(t.Context(), s, r); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("diff", "-r", from, to).CombinedOutput(); err != nil {
		t.Errorf("%v: %.1000s", err, out)
	}
}

// TestNothingChanged: a run that finds nothing to do costs few bytes, however
// large the tree.
func TestNothingChanged(t *testing.T) {
	sub := ""
	if testing.Short() {
		sub = "net"
	}
	from, to := goSource(t, sub), filepath.Join(t.TempDir(), "to")
	s, r := &syncdirectory.Sender{Dir: from}, &syncdirectory.Receiver{Dir: to, NoFsync: true}
	first, _, serr, rerr := pairOf(s, r, t.Context(), t.Context())
	if serr != nil || rerr != nil {
		t.Fatal(serr, rerr)
	}
	// Times and times of change are further apart than what makes content be
	// compared, since the source was not written just now.
	again, received, serr, rerr := pairOf(s, r, t.Context(), t.Context())
	if serr != nil || rerr != nil {
		t.Fatal(serr, rerr)
	}
	if n := again.Sent + again.Received; n > 1300 || n != received.Sent+received.Received {
		t.Errorf("%d bytes, as the receiver counts %d", n, received.Sent+received.Received)
	}
	if !again.Changes.None() || again.Digest != first.Digest || again.Source != first.Source {
		t.Errorf("first %+v\nagain %+v", first, again)
	}
	t.Logf("%s in %v, again in %v with %d bytes", fmt.Sprint(first.Source), first.Elapsed, again.Elapsed, again.Sent+again.Received)
}
