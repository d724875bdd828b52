package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal returns the two ends of a pseudo-terminal of the given width.
func terminal(t *testing.T, width uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}))
	return master, slave
}

// watched is a transfer whose sender a terminal shows.
type watched struct {
	t        *testing.T
	receiver *run
	sender   *exec.Cmd
	master   *os.File
	stdout   bytes.Buffer
}

// watch begins one, and has the receiver stand still until something of it was shown.
func watch(t *testing.T, width uint16, args ...string) *watched {
	t.Helper()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	must(t, os.Mkdir(from, 0o755))
	for i := range 3 {
		must(t, os.WriteFile(filepath.Join(from, fmt.Sprint(i)), bytes.Repeat([]byte{'x'}, 30<<20), 0o644))
	}
	port, err := freePort()
	must(t, err)
	w := &watched{t: t, receiver: begin(t, "--port", fmt.Sprint(port), "--output-dir", to)}
	w.receiver.awaitListening(t, port)
	var slave *os.File
	w.master, slave = terminal(t, width)
	w.sender = exec.Command("sync-directory", append(args, "--from", from, "--to", fmt.Sprintf("ws://localhost:%d", port))...)
	w.sender.Stdout, w.sender.Stderr = &w.stdout, slave
	must(t, w.sender.Start())
	t.Cleanup(func() { _ = w.sender.Process.Kill() }) // it has ended unless something failed
	must(t, slave.Close())
	deadline := time.Now().Add(patience)
	for staged := []string(nil); len(staged) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		staged, err = filepath.Glob(filepath.Join(to, ".sync-directory", "stage", "*"))
		must(t, err)
	}
	must(t, w.receiver.cmd.Process.Signal(syscall.SIGSTOP)) // so that there is time to show something
	time.Sleep(350 * time.Millisecond)
	return w
}

// shown returns what the terminal showed to the end of the sender, and how that ended.
func (w *watched) shown() (string, error) {
	var shown bytes.Buffer
	_, _ = shown.ReadFrom(w.master) // ends with an error when nobody has the other end any more
	return shown.String(), w.sender.Wait()
}

// takenAway is what takes the progress line away.
const takenAway = "\r\x1b[K"

// On a terminal there is one progress line, which never wraps and is taken away
// before anything else is printed; what was achieved goes to standard output.
func TestProgressLine(t *testing.T) {
	const width = 40
	w := watch(t, width)
	must(t, w.receiver.cmd.Process.Signal(syscall.SIGCONT))
	all, err := w.shown()
	must(t, err)
	if code := w.receiver.ends(patience); code != 0 {
		t.Errorf("the receiver ends with %d: %s", code, w.receiver.out.String())
	}
	lines := strings.Split(all, takenAway)
	if len(lines) < 3 || lines[0] != "" || lines[len(lines)-1] != "" {
		t.Fatalf("shown: %q", lines)
	}
	for _, line := range lines {
		if len(line) >= width || strings.ContainsAny(line, "\n\x1b") {
			t.Errorf("a line of %d: %q", len(line), line)
		}
	}
	if !strings.Contains(all, " of 3 files") || !strings.Contains(all, " %  ") {
		t.Errorf("shown: %q", lines)
	}
	if !strings.HasPrefix(w.stdout.String(), "equal: 3 files") {
		t.Errorf("printed: %q", w.stdout.String())
	}
}

// What is logged stands on lines of its own.
func TestLogBesideProgress(t *testing.T) {
	w := watch(t, 80, "--retries", "0")
	must(t, w.receiver.cmd.Process.Kill())
	all, err := w.shown()
	if err == nil || !strings.Contains(all, " of 3 files") {
		t.Errorf("%v, shown: %q", err, all)
	}
	logged := 0
	for _, line := range strings.Split(all, takenAway) {
		if strings.Contains(line, "level=") {
			logged++
			if !strings.HasPrefix(line, "time=") {
				t.Errorf("shown: %q", line)
			}
		}
	}
	if logged == 0 {
		t.Errorf("nothing was logged: %q", all)
	}
	<-w.receiver.done
}
