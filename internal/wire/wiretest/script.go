// Package wiretest plays one side of a session from a transcript, for tests
// of the other side. A transcript has parts, each with a title of its own:
//
//	-- have --    the directory of the session that is tested, see treetest
//	-- want --    the tree that the script speaks of, where it is another
//	-- options -- words for the test
//	-- script --  "send" and "expect" lines; "leave" closes the connection early
//	-- result --  how the session ended, and what the directory is then
//
// Lines of expect that follow each other come in any order. A line of finally
// expects the end of the connection and passes over what comes before it. What
// send takes is in send.go, what expect shows in show.go.
//
// Its law: a transcript decides everything; nothing in it depends on time or
// chance. It fails the test that calls it.
package wiretest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/wire"
)

var update = flag.Bool("update", false, "rewrite what transcripts expect")

// Script is a transcript.
type Script struct {
	path  string
	parts []string // titles and texts in turns
	peer  peer
}

// Read reads a transcript.
func Read(t *testing.T, path string) *Script {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Script{path: path}
	title := ""
	var text strings.Builder
	part := func() {
		if title != "" || text.Len() > 0 {
			s.parts = append(s.parts, title, text.String())
		}
		text.Reset()
	}
	for line := range strings.Lines(string(b)) {
		if next, ok := strings.CutPrefix(line, "-- "); ok {
			part()
			title = strings.TrimSuffix(strings.TrimSpace(next), " --")
		} else {
			text.WriteString(line)
		}
	}
	part()
	want := s.Part("want")
	if want == "" {
		want = s.Part("have")
	}
	s.peer = newPeer(want)
	return s
}

// Speaker returns a Script without parts, for its Messages about the tree of a text.
func Speaker(want string) *Script { return &Script{peer: newPeer(want)} }

// Part returns the text of a part, empty where there is none.
func (s *Script) Part(title string) string {
	for i := 0; i < len(s.parts); i += 2 {
		if s.parts[i] == title {
			return s.parts[i+1]
		}
	}
	return ""
}

// Option reports whether the options hold a word.
func (s *Script) Option(word string) bool {
	return slices.Contains(strings.Fields(s.Part("options")), word)
}

// Play plays the script on c.
func (s *Script) Play(t *testing.T, c wire.Conn) {
	t.Helper()
	var out strings.Builder
	lines := strings.SplitAfter(strings.TrimSuffix(s.Part("script"), "\n"), "\n")
	for i := 0; i < len(lines); {
		line := strings.TrimSpace(lines[i])
		if rest, ok := strings.CutPrefix(line, "send "); ok {
			for _, b := range s.peer.message(strings.Fields(rest)) {
				if err := c.Write(b); err != nil {
					t.Logf("send %s: %v", rest, err)
				}
			}
		}
		if line == "leave" {
			_ = c.Close(wire.CloseAway, "") // the first close counts
		}
		if strings.HasPrefix(line, "finally") {
			s.finally(t, c, line, &out)
			i++
			continue
		}
		if !strings.HasPrefix(line, "expect") {
			out.WriteString(line + "\n")
			i++
			continue
		}
		var want, got []string
		for ; i < len(lines) && strings.HasPrefix(lines[i], "expect"); i++ {
			want = append(want, strings.TrimSpace(lines[i]))
		}
		for len(got) < len(want) {
			for _, item := range show(c) {
				got = append(got, "expect "+item)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !*update && !slices.Equal(want, got) {
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
		out.WriteString(strings.Join(got, "\n") + "\n")
	}
	s.set("script", out.String())
}

func (s *Script) finally(t *testing.T, c wire.Conn, want string, out *strings.Builder) {
	t.Helper()
	got := ""
	for !strings.HasPrefix(got, "close ") {
		got = show(c)[0]
	}
	got = "finally " + got
	if !*update && got != want {
		t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
	}
	out.WriteString(got + "\n")
}

// Result compares how the session ended with the transcript's result, or
// writes it there.
func (s *Script) Result(t *testing.T, got string) {
	t.Helper()
	if *update {
		s.set("result", got)
		var b strings.Builder
		for i := 0; i < len(s.parts); i += 2 {
			if s.parts[i] != "" {
				b.WriteString("-- " + s.parts[i] + " --\n")
			}
			b.WriteString(s.parts[i+1])
		}
		if err := os.WriteFile(s.path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want := s.Part("result"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func (s *Script) set(title, text string) {
	for i := 0; i < len(s.parts); i += 2 {
		if s.parts[i] == title {
			s.parts[i+1] = text
			return
		}
	}
	s.parts = append(s.parts, title, text)
}

// Messages returns the messages of some lines of send, without the word.
func (s *Script) Messages(lines ...string) (messages []*wire.Buffer) {
	for _, line := range lines {
		messages = append(messages, s.peer.message(strings.Fields(line))...)
	}
	return messages
}
