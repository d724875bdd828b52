//go:build unix

package syncdirectory

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What is waited for ten seconds, whatever comes meanwhile, is given up then; others get
// through before that.
func TestHostileAndSlow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes ten seconds")
	}
	var all sync.WaitGroup // they wait for the clock, all at once
	for name, f := range map[string]func(*testing.T){
		"silent after the upgrade":      silentAfterUpgrade,
		"a request of a byte at a time": slowRequest,
		"pings instead of a Hello":      pingsWithoutEnd,
	} {
		all.Go(func() { t.Run(name, f) })
	}
	all.Wait()
}

func silentAfterUpgrade(t *testing.T) {
	g := newGround(t, false)
	l := listens(t, &Receiver{Dir: g.to, NoFsync: true}, ListenOptions{KeepRunning: true})
	var silent []*wired
	for range 50 {
		w := connects(t, l.addr)
		_ = w.SetDeadline(time.Now().Add(helloWithin + patience))
		w.says(upgrading())
		w.status()
		silent = append(silent, w)
	}
	g.heals(l.url)
	for _, w := range silent {
		if code := w.closed(); code != 4005 {
			t.Fatalf("closed with %d", code)
		}
	}
}

func slowRequest(t *testing.T) {
	g := newGround(t, false)
	l := listens(t, &Receiver{Dir: g.to, NoFsync: true}, ListenOptions{KeepRunning: true})
	slow := connects(t, l.addr)
	_ = slow.SetDeadline(time.Now().Add(helloWithin + patience))
	stopped, begun := make(chan struct{}), time.Now()
	go func() {
		defer close(stopped)
		for _, b := range []byte(upgrading("X: " + pad(10_000) + "\r\n")) {
			if _, err := slow.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	g.heals(l.url)
	_, _ = io.Copy(io.Discard, slow.in) // however it ends
	if d := time.Since(begun); d > helloWithin+patience/2 {
		t.Errorf("it is let go after %v", d)
	}
	<-stopped
}

func pingsWithoutEnd(t *testing.T) {
	g := newSource(t)
	var said atomic.Int64
	url := answers(t, upgraded("{accept}", "sync-directory.v1", ""), "\x89\x00", &said)
	result, err := (&Sender{Dir: g.from}).Dial(t.Context(), url, DialOptions{Retries: -1})
	(&foul{code: Connect, says: "said nothing"}).ends(t, outcome{result, err})
}
