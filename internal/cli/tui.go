package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
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
// else is printed.
type tui struct {
	stdout, stderr io.Writer

	mu    sync.Mutex // guards stderr and shown
	shown bool       // the progress line stands there
}

func newTUI(stdout, stderr io.Writer) *tui { return &tui{stdout: stdout, stderr: stderr} }

// say prints one line to standard error.
func (t *tui) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	fmt.Fprintf(t.stderr, "sync-directory: "+format+"\n", args...)
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
	t.say("%s (exit code %d)", printable(err.Error()), code)
}

// printable keeps the line breaks of our own messages and quotes everything
// else that would not show.
func printable(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if q := report.Quote(line); q != `"`+line+`"` && line != "" && q[0] == '"' {
			lines[i] = strings.ReplaceAll(strings.Trim(q, `"`), `\"`, `"`)
		}
	}
	return strings.Join(lines, "\n  ")
}

// problem names an entry that failed.
func (t *tui) problem(p syncdirectory.Problem) {
	where := ""
	if p.Peer {
		where = " (on the other side)"
	}
	t.say("%s %s: %s%s", report.Clip(p.Operation, 100), report.Quote(p.Path), report.Clip(p.Cause, 300), where)
}

// listening says who can connect, and for a key that was just made how.
func (c *command) listening(o *syncdirectory.ListenOptions) func(net.Addr) {
	f := &c.f
	return func(addr net.Addr) {
		if f.quiet {
			return
		}
		url := f.urlOf(addr)
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
