//go:build unix

package cli_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// run is one process of the command and what it printed.
type run struct {
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan struct{} // closed when it has ended
}

func begin(t *testing.T, args ...string) *run {
	t.Helper()
	return beginWith(t, nil, args...)
}

// beginWith begins a process that has some variables of its own in its environment.
func beginWith(t *testing.T, env []string, args ...string) *run {
	t.Helper()
	r := &run{cmd: exec.Command("sync-directory", args...), done: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), env...)
	r.start(t)
	return r
}

// start starts the process, which does not outlive the test.
func (r *run) start(t *testing.T) {
	t.Helper()
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	must(t, r.cmd.Start())
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait() // ProcessState says it
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.done
	})
}

// ends waits for the end of a process and returns its exit code, or -1 when it
// is killed because it does not end in time.
func (r *run) ends(within time.Duration) int {
	select {
	case <-r.done:
	case <-time.After(within):
		_ = r.cmd.Process.Kill()
		<-r.done
		return -1
	}
	return r.cmd.ProcessState.ExitCode()
}

// TestSignalAtAnyMoment interrupts one side at a random moment of a run that
// scans, compares, transfers, removes and confirms. Whoever is interrupted
// ends within a second with 20, unless it was done; every path then is as it
// was or as it shall be; and the next run heals.
func TestSignalAtAnyMoment(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir, err := os.MkdirTemp(memory(), "signal")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	at := func(name string) string { return filepath.Join(dir, name) }
	few := 300
	for i := range few {
		one := func(root, kind, content string, n int) {
			path := filepath.Join(at(root), fmt.Sprint(kind, i%20), fmt.Sprint(i))
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, make([]byte, n), 0o644))
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString(content)
			must(t, err)
			must(t, f.Close())
			when := time.Unix(int64(1e9+len(root)), 0)
			must(t, os.Chtimes(path, when, when))
		}
		one("in", "new", "new", 2000)
		one("in", "both", "new", 300_000)
		one("old", "both", "old", 300_000)
		one("old", "extra", "old", 10)
	}
	before, err := look(at("old"))
	must(t, err)
	want, err := look(at("in"))
	must(t, err)
	rounds := 30
	if testing.Short() {
		rounds = 6
	}
	port, err := freePort()
	must(t, err)
	url := fmt.Sprintf("ws://localhost:%d", port)
	start := func() (receiver, sender *run) {
		receiver = begin(t, "--port", fmt.Sprint(port), "--output-dir", at("out"))
		receiver.awaitListening(t, port)
		return receiver, begin(t, "--from", at("in"), "--to", url)
	}
	// What the other side may end with. A receiver goes on listening when its
	// sender leaves, and then is stopped; who has got everything is done.
	allowed := map[string]map[int][]int{
		"sender":   {0: {0}, 20: {0, 20}},
		"receiver": {0: {0}, 20: {10, 20, 35}}, // 35: it was not connected yet
	}
	var took time.Duration
	codes := make(map[string]int)
	for round := range rounds {
		must(t, os.RemoveAll(at("out")))
		had := before
		if round%3 == 2 { // what is streamed into nothing
			must(t, os.Mkdir(at("out"), 0o755))
			had = map[string]seen{}
		} else if out, err := exec.Command("cp", "-a", at("old"), at("out")).CombinedOutput(); err != nil {
			t.Fatalf("cp: %s", out)
		}
		receiver, sender := start()
		begun := time.Now()
		if round == 0 { // how long it takes when nothing happens
			if a, b := sender.ends(patience), receiver.ends(patience); a != 0 || b != 0 {
				t.Fatalf("codes %d and %d: %s%s", a, b, sender.out.String(), receiver.out.String())
			}
			took = time.Since(begun)
			continue
		}
		victim, other := sender, receiver
		who := "sender"
		if round%2 == 0 {
			victim, other, who = receiver, sender, "receiver"
		}
		signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[r.IntN(3)]
		time.Sleep(time.Duration(r.Int64N(int64(took))))
		_ = victim.cmd.Process.Signal(signal) // it may have ended
		code := victim.ends(1500 * time.Millisecond)
		if code != 20 && code != 0 && !victim.early() {
			t.Errorf("round %d: %v to the %s: exit code %d\n%s", round, signal, who, code, victim.out.String())
		}
		if who == "sender" && code != 0 { // the receiver goes on listening, or has got it all
			time.Sleep(20 * time.Millisecond)
			_ = other.cmd.Process.Signal(syscall.SIGTERM)
		}
		rest := other.ends(patience)
		if early := victim.early(); !early && !slices.Contains(allowed[who][code], rest) {
			t.Errorf("round %d: %v to the %s, which ends with %d, and the other with %d:\n%s", round, signal, who, code, rest, other.out.String())
		}
		codes[fmt.Sprintf("%s %d, the other %d", who, code, rest)]++
		if _, err := os.Lstat(filepath.Join(at("out"), ".sync-directory", "pid")); err == nil {
			t.Errorf("round %d: the PID file is left", round)
		}
		now, err := look(at("out"))
		must(t, err)
		for path, s := range now {
			if s.Mode&unix.S_IFMT == unix.S_IFREG && !strings.HasPrefix(path, ".sync-directory/") && s.Content != had[path].Content && s.Content != want[path].Content {
				t.Errorf("round %d: %s is torn", round, path)
			}
		}
		complete := true // so that removing may have begun
		for path, s := range want {
			complete = complete && now[path].Content == s.Content && now[path].Mode&unix.S_IFMT == s.Mode&unix.S_IFMT
		}
		for path := range had {
			if _, there := now[path]; !there && (!complete || want[path] != (seen{})) {
				t.Errorf("round %d: %s is missing", round, path)
			}
		}
		if round%4 > 1 {
			continue
		}
		receiver, sender = start()
		if a, b := sender.ends(patience), receiver.ends(patience); a != 0 || b != 0 {
			t.Errorf("round %d: the next run ends with %d and %d: %s%s", round, a, b, sender.out.String(), receiver.out.String())
		}
		check(t, "healed", want, at("out"))
	}
	t.Logf("a run takes %v; %v", took, codes)
}

func (r *run) awaitListening(t *testing.T, port int) {
	t.Helper()
	for deadline := time.Now().Add(patience); !listens(port); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens: %s", r.out.String())
		}
	}
}

// listens reports whether somebody answers at a port. Connections can be made before that,
// while a listener still gets ready.
func listens(port int) bool {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // where it fails the rest does
	_, _ = fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_, err = conn.Read(make([]byte, 1))
	return err == nil || errors.Is(err, io.EOF) // who speaks TLS has nothing to say to that
}

// early reports whether a signal came before the program was ready to take it.
func (r *run) early() bool {
	status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && r.out.String() == "" && status.Signal() != syscall.SIGKILL
}
