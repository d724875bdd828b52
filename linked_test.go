//go:build unix

package syncdirectory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// TestOtherNamesStay has every file and link of a destination have a further name
// outside, and changes each in one of the ways that there are: what has the other name
// keeps its content and metadata, and is what it was. Sizes are such that files come in
// one message, in chunks, as a delta, and by outline.
func TestOtherNamesStay(t *testing.T) {
	const large = 3 << 20
	want := fmt.Sprintf(`
./ @5
content @9 =new
emptied @9
delta @9 +%d
chunks @9 +%d
outline @9 +%d
grown @9 +%d
shrunk @9 +%d
mode 600 @6 =same
time @9 =same
both 600 @9 =same
link >there @9
timed >there @9
moved/as-it-is @6 =ASIS
moved/changed 600 @6 =CHANGED
kept @6 =kept
copied @6 =TWIN
original @6 =TWIN
file/now @9 =directory
`, 64<<10, large, large, large+1000, large-1000)
	have := fmt.Sprintf(`
./ @5
content @6 =old
emptied @6 =old
delta @6 +%d
chunks @6 =small
outline @6 +%d
grown @6 +%d
shrunk @6 +%d
mode 644 @6 =same
time @6 =same
both 644 @6 =same
link >elsewhere @6
timed >there @6
as-it-is @6 =ASIS
changed 644 @6 =CHANGED
kept @6 =kept
original @6 =TWIN
file @6 =file
gone @6 =gone
`, 64<<10, large, large, large)
	// Long enough to be looked for by their digests.
	words := strings.NewReplacer("ASIS", strings.Repeat("as", 99), "CHANGED", strings.Repeat("changed", 99), "TWIN", strings.Repeat("twin", 99))
	want, have = words.Replace(want), words.Replace(have)
	for _, portable := range []bool{false, true} {
		for _, checksum := range []bool{false, true} {
			s := newScene(t, want, have)
			s.portable, s.checksum = portable, checksum
			s.edit("delta", 1000)
			s.edit("outline", large/2)
			n := 0
			for path := range read(t, s.to) {
				if info, err := os.Lstat(s.in(path)); err == nil && !info.IsDir() {
					s.ok(os.Link(s.in(path), filepath.Join(s.outside, "of-"+path)))
					n++
				}
			}
			if n != strings.Count(have, "\n")-2 {
				t.Fatalf("%d files have another name", n)
			}
			s.canary = s.look(s.outside)
			if _, received := s.run(nil, nil); received.Code != OK { // which looks at the canary
				t.Errorf("%d, %+v", received.Code, received.Problems)
			}
			if got, want := treetest.Read(t, s.to), treetest.Read(t, s.from); got != want {
				t.Errorf("there is\n%swant\n%s", got, want)
			}
		}
	}
}

// edit changes a byte of a file of the source, and leaves its time.
func (s *scene) edit(path string, at int64) {
	s.Helper()
	path = filepath.Join(s.from, path)
	info, err := os.Stat(path)
	s.ok(err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	s.ok(err)
	_, err = f.WriteAt([]byte{'!'}, at)
	s.ok(err)
	s.ok(f.Close())
	s.ok(os.Chtimes(path, info.ModTime(), info.ModTime()))
}
