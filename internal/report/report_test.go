package report_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

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
		"no-break\u00a0space":       `"no-break\u00a0space"`,
		"bad \xff utf-8":            `"bad \xff utf-8"`,
		`back\slash`:                `"back\\slash"`,
		`"quoted"`:                  `"\"quoted\""`,
		" before":                   `" before"`,
		"after ":                    `"after "`,
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

func TestCounters(t *testing.T) {
	var c report.Counters
	last := c.Sum()
	for name, step := range map[string]func(){
		"phase": func() { c.Set(report.Finishing) }, "scanned": func() { c.Scanned.Add(1) }, "files": func() { c.Files.Add(1) },
		"bytes": func() { c.Bytes.Add(1) }, "compared": func() { c.Compared.Add(1) }, "removed": func() { c.Removed.Add(1) }, "saved": func() { c.Saved.Add(1) },
	} {
		step()
		if sum := c.Sum(); sum <= last {
			t.Errorf("%s is no step forward", name)
		} else {
			last = sum
		}
	}
	if c.Peer.Add(1); c.Sum() != last {
		t.Error("what the other side says is a step forward here")
	}
	c.TotalFiles.Add(1)
	c.TotalBytes.Add(1)
	c.Reset()
	if c.Sum() != 0 || c.Peer.Load() != 0 || c.TotalFiles.Load() != 0 || c.TotalBytes.Load() != 0 {
		t.Error("something is left after Reset")
	}
}

func TestWords(t *testing.T) {
	join := errors.Join(errors.New("a"), fmt.Errorf("around: %w", errors.Join(errors.New("b"), errors.New("c"))))
	if got, want := report.Words(fault.With(fault.Disk, join)), "a; around: b\nc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := report.Cause(errors.Join(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, errors.New("b"))), "permission denied; b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestProblemsAreBounded takes in more of the other side's than anybody keeps: they are
// counted, and decide about the code.
func TestPaceRefilled(t *testing.T) {
	p := report.Pace{Burst: 10}
	at := time.Now()
	if _, ok := p.Allow(at, 10); !ok {
		t.Error("there is no room for the burst")
	}
	if _, ok := p.Allow(at, 1); ok {
		t.Error("there is room beyond it")
	}
	p.Refill(3)
	if _, ok := p.Allow(at, 4); ok {
		t.Error("there is more than was made")
	}
	if skipped, ok := p.Allow(at, 3); !ok || skipped != 2 {
		t.Errorf("got %d %v", skipped, ok)
	}
	p.Refill(100)
	if _, ok := p.Allow(at, 11); ok {
		t.Error("there is more than a burst")
	}
}

func TestProblemsAreBounded(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 32<<10)
	told := 0
	ps := report.NewProblems(func(report.Problem) { told++ })
	for range 2000 {
		ps.Add(report.FromPeer(long, strings.Repeat("o", 1<<10), "cause\x1b[2J", false))
	}
	kept, n := ps.All()
	size := 0
	for _, p := range kept {
		size += len(p.Path) + len(p.Operation) + len(p.Cause)
	}
	if n != 2000 || told != 2000 || size > 32<<20 || size < 31<<20 || ps.Code() != fault.Partial {
		t.Errorf("%d, of which %d were told and %d bytes kept, code %d", n, told, size, ps.Code())
	}
	if p := kept[0]; !p.Peer || p.Cause != `cause\x1b[2J` || len(p.Operation) > 110 {
		t.Errorf("%s of %d bytes: %q", p.Operation, len(p.Operation), p.Cause)
	}
}

func TestPace(t *testing.T) {
	p := report.Pace{Burst: 3, Rate: 2}
	at := time.Unix(1e9, 0)
	for i, c := range []struct {
		after   time.Duration
		cost    float64
		skipped int
		ok      bool
	}{
		{0, 1, 0, true}, {0, 2, 0, true}, {0, 1, 0, false}, {time.Second, 3, 0, false},
		{0, 1, 2, true}, {0, 1, 0, true}, {-time.Minute, 1, 0, false}, {2 * time.Minute, 3, 1, true}, {0, 1, 0, false},
	} {
		at = at.Add(c.after)
		if skipped, ok := p.Allow(at, c.cost); skipped != c.skipped || ok != c.ok {
			t.Errorf("%d: %d, %v", i, skipped, ok)
		}
	}
}
