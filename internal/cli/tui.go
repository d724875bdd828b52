package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	syncdirectory "github.com/sync-directory/sync-directory"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
)

// tui is how the program sounds. Its rules: what a run achieved goes to
// standard output; what went wrong, where it listens and how far it is go to
// standard error. Messages begin with the program's name and a small letter
// and have no full stop; names are quoted where they hold anything that a
// terminal would not show. The progress line is taken away before anything
// else is printed. Whatever is in a line, and whoever chose it, it stays one line
// and does nothing to a terminal; and how much others can make it say is bounded.
type tui struct {
	stdout, stderr io.Writer

	mu    sync.Mutex // guards stderr and shown
	shown bool       // the progress line stands there

	theirs   report.Pace  // of the bytes of problems of the other side
	untold   atomic.Int64 // of them, in a session, those for which there was no room
	sessions report.Pace  // that failed, and not by this side
}

func newTUI(stdout, stderr io.Writer) *tui {
	return &tui{
		stdout: stdout, stderr: stderr,
		// A hundred thousand entries with paths of ordinary length, in one session or in
		// the sessions of a few hours.
		theirs:   report.Pace{Burst: 16 << 20, Rate: 4 << 10},
		sessions: report.Pace{Burst: 60, Rate: 1},
	}
}

// say prints one line to standard error.
func (t *tui) say(format string, args ...any) {
	t.print(fault.Escape(fmt.Sprintf(format, args...)))
}

// print prints what is harmless to standard error.
func (t *tui) print(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	fmt.Fprintf(t.stderr, "sync-directory: %s\n", line)
}

// Write writes lines of a log to standard error.
func (t *tui) Write(lines []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	return t.stderr.Write(lines)
}

// clear takes the progress line away. mu must be held.
func (t *tui) clear() {
	if t.shown {
		fmt.Fprint(t.stderr, "\r\x1b[K")
		t.shown = false
	}
}

func (t *tui) failed(err error) {
	code := fault.Of(err, fault.Usage)
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Peer {
		t.say("the other side: %s (exit code %d)", report.Clip(f.Error(), 1000), code)
		return
	}
	t.print(fmt.Sprintf("%s (exit code %d)", words(err), code))
}

// longest is how many bytes of an error are printed: of a path as long as the system
// takes one all.
const longest = 5000

// words returns what an error says. Only what is wrong with the command line takes more
// than one line: there all words are the user's or our own.
func words(err error) string {
	if fault.Of(err, fault.Usage) != fault.Usage {
		return report.Clip(report.Words(err), longest)
	}
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = report.Clip(lines[i], longest)
	}
	return strings.Join(lines, "\n  ")
}

// problem names an entry that failed: each of this side, and of the other side as many
// as anybody reads. It reports whether it did.
func (t *tui) problem(p syncdirectory.Problem) bool {
	if !p.Peer {
		t.say("%s %s: %s", p.Operation, report.Quote(p.Path), p.Cause)
		return true
	}
	path := p.Path[:min(len(p.Path), longest)]
	if len(path) < len(p.Path) {
		path += "…"
	}
	line := fault.Escape(fmt.Sprintf("%s %s: %s (on the other side)", report.Clip(p.Operation, 100), report.Quote(path), report.Clip(p.Cause, 300)))
	if _, ok := t.theirs.Allow(time.Now(), float64(len(line))); !ok {
		t.untold.Add(1)
		return false
	}
	t.print(line)
	return true
}

// rest says how many problems of the other side there were no room for in the session
// that has ended.
func (t *tui) rest() {
	if n := t.untold.Swap(0); n > 0 {
		t.say("and %s more on the other side", humanize.Comma(n))
	}
}

// session says how a session ended at a listener that goes on, of those that failed by
// their peers as many as anybody reads. It reports whether it did.
func (t *tui) session(r syncdirectory.Result, err error, f *flags) bool {
	t.rest()
	t.theirs.Refill(64 << 10) // what one peer makes us print does not hide what the next one has to tell
	t.summary(r, f)
	if err == nil {
		return true
	}
	if theirs(err) {
		skipped, ok := t.sessions.Allow(time.Now(), 1)
		if !ok {
			return false
		}
		if skipped > 0 {
			t.say("%s more sessions failed meanwhile", humanize.Comma(int64(skipped)))
		}
	}
	t.failed(err)
	return true
}

// theirs reports whether a session may have failed because whoever connected wanted it
// to.
func theirs(err error) bool {
	f := (*fault.Error)(nil)
	if !errors.As(err, &f) || f.Peer {
		return true
	}
	switch f.Code {
	case fault.Disk, fault.Partial, fault.Vanished, fault.Guard, fault.Interrupted:
		return false
	}
	return true
}

// listening says who can connect, and for a key that was just made how.
func (c *command) listening(o *syncdirectory.ListenOptions) func(net.Addr) {
	f := &c.f
	return func(addr net.Addr) {
		url := f.urlOf(addr)
		c.log.Info("listening", "url", url)
		if f.quiet && !f.selfSigned && f.port > 0 {
			return // what the other side is to be given is known
		}
		where := url
		if len(f.listen) > 0 {
			where += " (" + strings.Join(f.listen, ", ") + ")"
		}
		who := "this machine only"
		switch {
		case o.Token != "" && o.Exposed():
			who = "everybody who has the token"
		case o.Token != "":
			who = "this machine only, and with the token"
		case o.Exposed():
			who = "ANYBODY who reaches it can connect, WITHOUT ANY PROOF (--insecure)"
		case len(f.listen) == 0:
			who += "; for others make a token (sync-directory token FILE) and give it to both sides, or forward a port with ssh"
		}
		c.t.say("listening on %s, %s", where, who)
		if id := c.identity.Load(); id != nil && id.made != nil {
			more := ""
			if o.Token != "" {
				more = " --token-file FILE"
			}
			if o.EndToEnd {
				more += " --e2e"
			}
			c.t.say("the other side: %s%s", id.other(url), more)
		}
	}
}

// progress shows how far the run is, ten times a second, until the function
// that it returns is called.
func (t *tui) progress(c *syncdirectory.Counters, f *flags) (stop func()) {
	file, ok := t.stderr.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	if f.quiet || !terminal && !f.alwaysProgress {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		p := meter{c: c, start: time.Now()}
		for {
			select {
			case <-done:
				t.mu.Lock()
				t.clear()
				t.mu.Unlock()
				return
			case <-tick.C:
				width := 80
				if terminal {
					if w, _, err := term.GetSize(int(file.Fd())); err == nil {
						width = w
					}
				}
				t.show(p.line(time.Now()), width)
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (t *tui) show(line string, width int) {
	if line == "" {
		return
	}
	if len(line) >= width {
		line = line[:max(0, width-1)]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.stderr, "\r\x1b[K%s", line)
	t.shown = true
}

// meter makes progress lines of counters.
type meter struct {
	c     *syncdirectory.Counters
	start time.Time // of the phase in which bytes move
	begun bool
}

// line returns what is going on: nothing while waiting.
func (m *meter) line(now time.Time) string {
	c := m.c
	switch phase := report.Phase(c.Phase.Load()); phase {
	case report.Waiting:
		return ""
	case report.Scanning, report.Comparing:
		return fmt.Sprintf("%s: %s entries", phase, humanize.Comma(c.Scanned.Load()))
	case report.Finishing:
		return fmt.Sprintf("finishing: %s removed", humanize.Comma(c.Removed.Load()))
	}
	if !m.begun {
		m.begun, m.start = true, now
	}
	files, bytes := c.Files.Load(), c.Bytes.Load()
	elapsed := now.Sub(m.start).Seconds()
	rate := 0.0
	if elapsed > 0.2 {
		rate = float64(bytes) / elapsed
	}
	line := fmt.Sprintf("%s files, %s", humanize.Comma(files), humanize.Bytes(uint64(bytes)))
	if total := c.TotalBytes.Load(); total > 0 {
		line = fmt.Sprintf("%3d %%  %s of %s files, %s of %s", min(100, 100*bytes/total),
			humanize.Comma(files), humanize.Comma(c.TotalFiles.Load()), humanize.Bytes(uint64(bytes)), humanize.Bytes(uint64(total)))
		if rate > 0 {
			left := time.Duration(float64(total-min(total, bytes)) / rate * float64(time.Second))
			return line + fmt.Sprintf(", %s/s, %v left", humanize.Bytes(uint64(rate)), left.Round(time.Second))
		}
	}
	if rate > 0 {
		line += fmt.Sprintf(", %s/s", humanize.Bytes(uint64(rate)))
	}
	return line
}
