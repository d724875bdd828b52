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

// On a terminal there is one progress line, which never wraps and is taken away
// before anything else is printed; what was achieved goes to standard output.
func TestProgressLine(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	must(t, os.Mkdir(from, 0o755))
	for i := range 3 {
		must(t, os.WriteFile(filepath.Join(from, fmt.Sprint(i)), bytes.Repeat([]byte{'x'}, 30<<20), 0o644))
	}
	port, err := freePort()
	must(t, err)
	receiver := begin(t, "--port", fmt.Sprint(port), "--output-dir", to)
	receiver.awaitListening(t, port)
	const width = 40
	master, slave := terminal(t, width)
	cmd := exec.Command("sync-directory", "--from", from, "--to", fmt.Sprintf("ws://localhost:%d", port))
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, slave
	must(t, cmd.Start())
	must(t, slave.Close())
	deadline := time.Now().Add(patience)
	for staged := []string(nil); len(staged) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		staged, err = filepath.Glob(filepath.Join(to, ".sync-directory", "stage", "*"))
		must(t, err)
	}
	must(t, receiver.cmd.Process.Signal(syscall.SIGSTOP)) // so that there is time to show something
	time.Sleep(350 * time.Millisecond)
	must(t, receiver.cmd.Process.Signal(syscall.SIGCONT))
	var shown bytes.Buffer
	_, _ = shown.ReadFrom(master) // ends with an error when nobody has the other end any more
	must(t, cmd.Wait())
	if code := receiver.ends(patience); code != 0 {
		t.Errorf("the receiver ends with %d: %s", code, receiver.out.String())
	}
	lines := strings.Split(shown.String(), "\r\x1b[K")
	if len(lines) < 3 || lines[0] != "" || lines[len(lines)-1] != "" {
		t.Fatalf("shown: %q", lines)
	}
	for _, line := range lines {
		if len(line) >= width || strings.ContainsAny(line, "\n\x1b") {
			t.Errorf("a line of %d: %q", len(line), line)
		}
	}
	if all := shown.String(); !strings.Contains(all, " of 3 files") || !strings.Contains(all, " %  ") {
		t.Errorf("shown: %q", lines)
	}
	if !strings.HasPrefix(stdout.String(), "equal: 3 files") {
		t.Errorf("printed: %q", stdout.String())
	}
}
