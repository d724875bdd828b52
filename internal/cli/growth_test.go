//go:build unix

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// peakMemory returns the most memory that an ended process had, in bytes.
func peakMemory(r *run) int64 {
	most := r.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if runtime.GOOS == "linux" {
		most <<= 10
	}
	return most
}

// TestMemoryGrowth mirrors a tree of many entries that has not changed: what
// that takes of memory grows with it by no more than a million entries may cost
// on either side.
func TestMemoryGrowth(t *testing.T) {
	const (
		million = 256 << 20 // bytes for a million entries and all else
		dirs    = 500
	)
	files := 200
	if testing.Short() {
		files = 40
	}
	dir, err := os.MkdirTemp(memory(), "growth")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	when := time.Unix(1e9, 0)
	for _, root := range []string{in, out} {
		for i := range dirs {
			at := filepath.Join(root, fmt.Sprintf("directory-%d", i))
			must(t, os.MkdirAll(at, 0o755))
			for j := range files {
				path := filepath.Join(at, fmt.Sprintf("file-%d.txt", j))
				f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
				must(t, err)
				must(t, f.Close())
				must(t, os.Chtimes(path, when, when))
			}
		}
	}
	port, err := freePort()
	must(t, err)
	mirror := func(from, to string) (sender, receiver int64) {
		r := begin(t, "--port", fmt.Sprint(port), "--output-dir", to)
		r.awaitListening(t, port)
		s := begin(t, "--from", from, "--to", fmt.Sprintf("ws://localhost:%d", port))
		if code, other := s.ends(time.Minute), r.ends(time.Minute); code != 0 || other != 0 {
			t.Fatalf("the sender ends with %d, the receiver with %d: %s%s", code, other, s.out.String(), r.out.String())
		}
		return peakMemory(s), peakMemory(r)
	}
	empty := filepath.Join(dir, "empty")
	must(t, os.Mkdir(empty, 0o755))
	sender, receiver := mirror(empty, filepath.Join(dir, "nothing"))
	base := max(sender, receiver)
	sender, receiver = mirror(in, out)
	entries := int64(dirs * (files + 1))
	for side, most := range map[string]int64{"sender": sender, "receiver": receiver} {
		each := max(0, most-base) / entries
		t.Logf("the %s takes %d KiB, %d bytes for each of %d entries", side, most>>10, each, entries)
		if base+1e6*each > million && !raceDetector {
			t.Errorf("the %s would take %d MiB for a million entries", side, (base+1e6*each)>>20)
		}
	}
}
