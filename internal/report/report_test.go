package report_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
)

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"plain/with space-and.dots": "plain/with space-and.dots",
		"ümläut, 日本":                "ümläut, 日本",
		"":                          `""`,
		"new\nline":                 `"new\nline"`,
		"\x1b[31mred":               `"\x1b[31mred"`,
		"c1 \u009b":                 `"c1 \u009b"`,
		"turned \u202e round":       `"turned \u202e round"`,
		"zero\u200bwidth":           `"zero\u200bwidth"`,
		"no-break\u00a0space":       "\"no-break\u00a0space\"",
		"bad \xff utf-8":            `"bad \xff utf-8"`,
		`back\slash`:                `"back\\slash"`,
		`"quoted"`:                  `"\"quoted\""`,
	} {
		if got := report.Quote(s); got != want {
			t.Errorf("Quote(%q) = %s, want %s", s, got, want)
		}
	}
	if got, want := report.Clip("0123456789", 4), "0123…"; got != want {
		t.Errorf("Clip = %s, want %s", got, want)
	}
}

func TestCause(t *testing.T) {
	path := &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}
	for _, c := range []struct {
		err  error
		want string
	}{
		{path, "permission denied"},
		{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EXDEV}, "invalid cross-device link"},
		{os.NewSyscallError("flock", syscall.EIO), "input/output error"},
		{errors.New("words"), "words"},
		{fmt.Errorf("around: %w", path), "around: open x: permission denied"},
	} {
		if got := report.Cause(c.err); got != c.want {
			t.Errorf("Cause(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	var heard []string
	ps := report.NewProblems(func(p report.Problem) { heard = append(heard, p.String()) })
	if ps.Code() != fault.OK {
		t.Errorf("without problems the code is %d", ps.Code())
	}
	ps.Add(report.Problem{Path: "a\n", Operation: "read", Cause: "gone", Vanished: true})
	if ps.Code() != fault.Vanished {
		t.Errorf("after one that vanished the code is %d", ps.Code())
	}
	ps.Add(report.Problem{Path: "b", Operation: "write", Cause: "no"})
	ps.Add(report.Problem{Path: "c", Operation: "read", Cause: "gone", Vanished: true})
	if ps.Code() != fault.Partial {
		t.Errorf("after one that failed the code is %d", ps.Code())
	}
	if all, n := ps.All(); n != 3 || len(all) != 3 || len(heard) != 3 || heard[0] != `read "a\n": gone` {
		t.Errorf("%d problems, %d kept, heard %q", n, len(all), heard)
	}
}

// TestProblemsAreBounded has a peer tell of many entries, with as many words as it may.
func TestProblemsAreBounded(t *testing.T) {
	told := 0
	ps := report.NewProblems(func(report.Problem) { told++ })
	long := strings.Repeat("x", 34<<10)
	const n = 5000
	for range n {
		ps.Add(report.Problem{Path: long, Peer: true})
	}
	ps.Add(report.Problem{Path: "short"})
	kept, all := ps.All()
	bytes := 0
	for _, p := range kept {
		bytes += len(p.Path)
	}
	if all != n+1 || told != n+1 || bytes > 32<<20 || kept[len(kept)-1].Path != "short" {
		t.Errorf("%d problems, %d told, %d kept in %d bytes", all, told, len(kept), bytes)
	}
}

func TestCounters(t *testing.T) {
	var c report.Counters
	last := c.Sum()
	for name, step := range map[string]func(){
		"phase": func() { c.Set(report.Finishing) }, "scanned": func() { c.Scanned.Add(1) }, "files": func() { c.Files.Add(1) },
		"bytes": func() { c.Bytes.Add(1) }, "compared": func() { c.Compared.Add(1) }, "removed": func() { c.Removed.Add(1) }, "peer": func() { c.Peer.Add(1) },
	} {
		step()
		if sum := c.Sum(); sum <= last {
			t.Errorf("%s is no step forward", name)
		} else {
			last = sum
		}
	}
	c.TotalFiles.Add(1)
	c.TotalBytes.Add(1)
	c.Reset()
	if c.Sum() != 0 || c.TotalFiles.Load() != 0 || c.TotalBytes.Load() != 0 {
		t.Error("something is left after Reset")
	}
}
