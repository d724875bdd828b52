//go:build unix

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/linksim"
)

// A session goes on between two processes, whatever becomes of the connection, and
// after what becomes of the receiver.
type broken struct {
	t                *testing.T
	in, out          string
	port             int
	link             *linksim.Proxy
	receiver, sender *run
}

const brokenSize = 64 << 20

// breaking begins a session over a link that takes a second for it.
func breaking(t *testing.T, link linksim.Link) *broken {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "resume")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	x := &broken{t: t, in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out")}
	must(t, os.MkdirAll(filepath.Join(x.in, "sub"), 0o755))
	for i := range 200 {
		must(t, os.WriteFile(fmt.Sprintf("%s/sub/%d", x.in, i), []byte(strings.Repeat(fmt.Sprint(i), 20_000)), 0o644))
	}
	b := make([]byte, brokenSize)
	for i := range b {
		b[i] = byte(i*i>>9 + i>>3)
	}
	must(t, os.WriteFile(filepath.Join(x.in, "large"), b, 0o644))
	x.port, err = freePort()
	must(t, err)
	x.receive()
	link.Rate = 80 << 20
	x.link, err = linksim.Start(fmt.Sprintf("127.0.0.1:%d", x.port), link)
	must(t, err)
	t.Cleanup(x.link.Close)
	x.sender = begin(t, "--from", x.in, "--to", "ws://"+x.link.Addr(), "--compress", "none")
	return x
}

func (x *broken) receive() {
	x.receiver = begin(x.t, "--port", fmt.Sprint(x.port), "--output-dir", x.out, "--no-fsync")
	x.receiver.awaitListening(x.t, x.port)
}

func (x *broken) passed(n int64) {
	x.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if up, down, _ := x.link.Counts(); up+down >= n {
			return
		}
	}
	x.t.Fatalf("%d bytes do not pass\n%s%s", n, x.sender.out.String(), x.receiver.out.String())
}

// succeeds waits for the end of both, which is a good one.
func (x *broken) succeeds(within time.Duration) {
	x.t.Helper()
	a, b := x.sender.ends(within), x.receiver.ends(patience)
	if a != 0 || b != 0 {
		x.t.Fatalf("the sender ends with %d, the receiver with %d\n%s\n%s", a, b, x.sender.out.String(), x.receiver.out.String())
	}
	want, err := look(x.in)
	must(x.t, err)
	check(x.t, "the end", want, x.out)
}

// sentAgain returns how much more went over the link than the content is.
func (x *broken) sentAgain() int64 {
	up, down, _ := x.link.Counts()
	files := int64(brokenSize)
	for i := range 200 {
		files += 20_000 * int64(len(fmt.Sprint(i)))
	}
	return up + down - files
}

func (x *broken) said(r *run, what string) {
	x.t.Helper()
	if !strings.Contains(r.out.String(), what) {
		x.t.Errorf("%q is not in\n%s", what, r.out.String())
	}
}

// TestResumedProcesses breaks the connection of two processes in several ways.
func TestResumedProcesses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		link   linksim.Link
		breaks func(x *broken)
		within time.Duration
		slow   bool
	}{
		{"resets", linksim.Link{}, func(x *broken) {
			for i := range int64(3) {
				x.passed(15 << 20 * (i + 1))
				x.link.Reset()
			}
		}, patience, false},
		{"a restarted proxy", linksim.Link{}, func(x *broken) {
			x.passed(20 << 20)
			x.link.Down()
			time.Sleep(700 * time.Millisecond)
			must(x.t, x.link.Up())
		}, patience, false},
		{"a suspended sender, and a proxy that ends what is idle", linksim.Link{Idle: 500 * time.Millisecond}, func(x *broken) {
			x.passed(20 << 20)
			must(x.t, x.sender.cmd.Process.Signal(syscall.SIGSTOP))
			time.Sleep(1500 * time.Millisecond)
			must(x.t, x.sender.cmd.Process.Signal(syscall.SIGCONT))
		}, patience, false},
		// As the intervals of a connection are for users: it takes half a minute.
		{"a black hole", linksim.Link{}, func(x *broken) {
			x.passed(20 << 20)
			x.link.Freeze()
		}, 35 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.slow && !*long {
				t.Skip("takes half a minute: -long")
			}
			x := breaking(t, c.link)
			c.breaks(x)
			x.succeeds(c.within)
			x.said(x.sender, "connected again")
			x.said(x.receiver, "connected again")
			if again := x.sentAgain(); again > 16<<20 {
				t.Errorf("%d bytes were sent more than once", again)
			}
		})
	}
}

// TestCutAtTheEnd cuts the connection of two processes in the last messages, which are
// Done and the Verdict, and in the farewell: both know how it ended.
func TestCutAtTheEnd(t *testing.T) {
	t.Parallel()
	session := func(t *testing.T, cut int64) int64 {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
		for _, d := range []string{in, out} {
			must(t, os.Mkdir(d, 0o755))
		}
		must(t, os.WriteFile(filepath.Join(in, "new"), []byte("new"), 0o644))
		must(t, os.WriteFile(filepath.Join(out, "extra"), []byte("extra"), 0o644))
		port, err := freePort()
		must(t, err)
		receiver := begin(t, "--port", fmt.Sprint(port), "--output-dir", out)
		receiver.awaitListening(t, port)
		link, err := linksim.Start(fmt.Sprintf("127.0.0.1:%d", port), linksim.Link{Cut: cut, Once: true})
		must(t, err)
		defer link.Close()
		sender := begin(t, "--from", in, "--to", "ws://"+link.Addr())
		if a, b := sender.ends(patience), receiver.ends(patience); a != 0 || b != 0 {
			t.Errorf("the sender ends with %d, the receiver with %d\n%s\n%s", a, b, sender.out.String(), receiver.out.String())
		}
		want, err := look(in)
		must(t, err)
		check(t, "the end", want, out)
		up, down, _ := link.Counts()
		return up + down
	}
	all := session(t, 0)
	for before := int64(0); before < 240; before += 24 {
		t.Run(fmt.Sprint(before, " bytes before"), func(t *testing.T) {
			t.Parallel() // they mostly wait
			session(t, all-before)
		})
	}
}

// TestKilledReceiverGoesOn kills the receiver and starts it again: the sender that is
// waiting goes on with it, and what was staged is not sent again.
func TestKilledReceiverGoesOn(t *testing.T) {
	t.Parallel()
	x := breaking(t, linksim.Link{})
	x.passed(50 << 20)
	must(t, x.receiver.cmd.Process.Kill())
	x.receiver.ends(patience)
	time.Sleep(300 * time.Millisecond)
	x.receive()
	x.succeeds(patience)
	x.said(x.sender, "beginning another")
	if again := x.sentAgain(); again > 24<<20 {
		t.Errorf("%d bytes were sent more than once", again)
	}
}

// TestLostSenderYields kills the sender: the receiver waits for it, but not when
// another one comes.
func TestLostSenderYields(t *testing.T) {
	t.Parallel()
	x := breaking(t, linksim.Link{})
	x.passed(20 << 20)
	must(t, x.sender.cmd.Process.Kill())
	x.sender.ends(patience)
	x.sender = begin(t, "--from", x.in, "--to", "ws://"+x.link.Addr(), "--compress", "none")
	x.succeeds(10 * time.Second)
	x.said(x.receiver, "waiting for the other side")
}

// TestNoRetries gives up at once when that is asked for.
func TestNoRetries(t *testing.T) {
	t.Parallel()
	x := breaking(t, linksim.Link{})
	must(t, x.sender.cmd.Process.Kill())
	x.sender.ends(patience)
	x.sender = begin(t, "--from", x.in, "--to", "ws://"+x.link.Addr(), "--compress", "none", "--retries", "0")
	up, down, _ := x.link.Counts()
	x.passed(up + down + 20<<20)
	x.link.Reset()
	if code := x.sender.ends(5 * time.Second); code != 10 {
		t.Errorf("code %d: %s", code, x.sender.out.String())
	}
	x.said(x.sender, "run again")
	must(t, x.receiver.cmd.Process.Signal(syscall.SIGTERM))
	if code := x.receiver.ends(5 * time.Second); code != 20 {
		t.Errorf("code %d: %s", code, x.receiver.out.String())
	}
}
