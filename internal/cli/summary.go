package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	syncdirectory "github.com/sync-directory/sync-directory"
	"github.com/sync-directory/sync-directory/internal/fault"
)

// summary prints what a session achieved. A session that never got so far
// prints nothing: the error says it all.
func (t *tui) summary(r syncdirectory.Result, f *flags) {
	if f.quiet || r.Code != fault.OK && r.Code != fault.Partial && r.Code != fault.Vanished {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	var b strings.Builder
	state := "equal"
	if n := r.Changes.Kept; n > 0 {
		state = fmt.Sprintf("equal but for %s kept here (--no-delete)", plural(n, "entry", "entries"))
		if f.from != "" {
			state = strings.Replace(state, "here", "there", 1)
		}
	}
	if r.Digest == "" {
		state = fmt.Sprintf("NOT equal, %s failed", plural(uint64(r.Failed), "entry", "entries"))
	}
	fmt.Fprintf(&b, "%s: %s\n", state, sourceLine(r.Source))
	fmt.Fprintf(&b, "changed: %s\n", changesLine(r.Changes))
	fmt.Fprintf(&b, "%s sent, %s received, in %s\n", humanize.Bytes(uint64(r.Sent)), humanize.Bytes(uint64(r.Received)), r.Elapsed.Round(10*time.Millisecond))
	if r.Digest != "" {
		fmt.Fprintf(&b, "tree digest %s (%s)\n", r.Digest, proof(r))
	}
	if _, err := fmt.Fprint(t.stdout, b.String()); err != nil {
		fmt.Fprintf(t.stderr, "sync-directory: %v\n", err)
	}
}

func sourceLine(c syncdirectory.Counts) string {
	s := fmt.Sprintf("%s, %s", plural(c.Files, "file", "files"), plural(c.Directories, "directory", "directories"))
	if c.Links > 0 {
		s += ", " + plural(c.Links, "link", "links")
	}
	s += ", " + humanize.Bytes(c.Bytes)
	if c.Skipped > 0 {
		s += fmt.Sprintf("; %s skipped (links, special files)", humanize.Comma(int64(c.Skipped)))
	}
	return s
}

func changesLine(c syncdirectory.Changes) string {
	if c.None() {
		return "nothing"
	}
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{{c.Created, "created"}, {c.Reused, "reused"}, {c.Replaced, "replaced"}, {c.Touched, "touched"}, {c.Removed, "removed"}} {
		if p.n > 0 {
			parts = append(parts, humanize.Comma(int64(p.n))+" "+p.what)
		}
	}
	return strings.Join(append(parts, humanize.Bytes(c.Bytes)+" written"), ", ")
}

// proof says what the equal digests prove. Content that was transferred was
// verified against what the sender read; what was not is the same by size and
// time, unless all content was compared.
func proof(r syncdirectory.Result) string {
	if r.ByContent {
		return "proved by content"
	}
	return "proved by content for what was transferred, by size and time for the rest"
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		many = one
	}
	return humanize.Comma(int64(n)) + " " + many
}
