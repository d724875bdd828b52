//go:build unix

package syncdirectory

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

// Hostile peers speak the protocol wrongly on purpose: hostile_sender_test.go has those
// that give, hostile_receiver_test.go those that take, hostile_http_test.go and
// hostile_frames_test.go those that do not even get so far. All of them meet a canary: a
// tree beside the directory that is worked in, and reachable from it by links and by a
// further name of one of its files.

// canary is what lies beside the directory that is worked in.
const canary = `
./ 750 @3
f 640 @4 =CANARY
sub/ 700 @5
sub/deep/ @6
sub/deep/f 600 @7 =CANARY
named @8 =CANARY
loop >.
out >../to/f
dangling >nowhere
`

// before is what the directory of a hostile case holds, beside what leads to the canary.
const before = `
./ @5
d/ @5
d/x @5 =XXXX
e/ @5
e/y @5 =yy
f @5 =old-content
large @5 +300000
m @5 +4000
`

// after is what an honest sender has, and what a hostile one says that it has.
const after = `
./ @7
d/ @7
d/x @7 =new
f @7 =changed
g @7 =added
large @7 +300001
m @7 +4001
`

// ground is where a hostile peer meets an honest one.
type ground struct {
	testing.TB
	dir, to, from, outside string
	canary, was            map[string]string // as look has them
}

// newGround makes a directory to work in, which holds nothing or before, an honest
// source, and the canary.
func newGround(t testing.TB, empty bool) *ground {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	g := &ground{TB: t, dir: dir, to: filepath.Join(dir, "to"), from: filepath.Join(dir, "from"), outside: filepath.Join(dir, "outside")}
	for d, text := range map[string]string{g.to: before, g.from: after, g.outside: canary} {
		if d == g.to && empty {
			text = "./ @5"
		}
		g.ok(os.Mkdir(d, 0o755))
		treetest.Make(t, d, text)
	}
	if !empty {
		g.ok(os.Symlink("../outside", filepath.Join(g.to, "l")))
		g.ok(os.Symlink("../../outside/f", filepath.Join(g.to, "d", "l")))
		g.ok(os.Link(filepath.Join(g.outside, "named"), filepath.Join(g.to, "shared")))
		when := time.Unix(5, 0)
		g.ok(os.Chtimes(filepath.Join(g.to, "d"), when, when))
		g.ok(os.Chtimes(g.to, when, when))
	}
	g.canary, g.was = g.look(g.outside), g.look(g.to)
	return g
}

func (g *ground) ok(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// look returns what is below dir, but for what a receiver keeps for its next run: by path
// the type, content, metadata and inode of each.
func (g *ground) look(dir string) map[string]string {
	g.Helper()
	all := make(map[string]string)
	g.ok(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel == ".sync-directory" {
			return filepath.SkipDir
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		is := fmt.Sprintf("%v %d:%d %s inode %d", info.Mode(), st.Uid, st.Gid, info.ModTime().UTC().Format(time.RFC3339Nano), st.Ino)
		switch info.Mode().Type() {
		case 0:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			is += fmt.Sprintf(" %d bytes %x", len(content), content[:min(len(content), 32)])
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			is += " to " + target
		}
		all[rel] = is
		return nil
	}))
	return all
}

// same fails unless there is below dir what was there.
func (g *ground) same(what, dir string, was map[string]string) {
	g.Helper()
	now := g.look(dir)
	for path, is := range was {
		if now[path] != is {
			g.Errorf("%s: %s was %s, is %s", what, path, is, now[path])
		}
	}
	for path, is := range now {
		if was[path] == "" {
			g.Errorf("%s: %s was made: %s", what, path, is)
		}
	}
}

// untouched fails unless neither the canary nor the directory has changed.
func (g *ground) untouched() {
	g.Helper()
	g.same("outside", g.outside, g.canary)
	g.same("the destination", g.to, g.was)
}

// recovers fails where a receiver that has ended has left anything that says that it is
// there still, or anything but what the next one takes up, which it has to.
func (g *ground) recovers() {
	g.Helper()
	entries, err := os.ReadDir(filepath.Join(g.to, ".sync-directory"))
	if os.IsNotExist(err) {
		return // and the destination is what it was
	}
	g.ok(err)
	for _, e := range entries {
		switch e.Name() {
		case "stage", "left", "displaced":
		default:
			g.Errorf(".sync-directory/%s is left", e.Name())
		}
	}
	g.heals("")
}

// forgets removes what is staged.
func (g *ground) forgets() {
	g.Helper()
	staged, err := filepath.Glob(filepath.Join(g.to, ".sync-directory", "[ls]*", "*"))
	g.ok(err)
	for _, path := range staged {
		g.ok(os.RemoveAll(path))
	}
}

// heals has an honest sender send to url, or to a receiver of its own where that is "",
// and fails unless the destination is what it has then, with nothing left, and the canary
// is what it was.
func (g *ground) heals(url string) {
	g.Helper()
	s := &Sender{Dir: g.from}
	var err error
	if url == "" {
		_, err = Local(g.Context(), s, &Receiver{Dir: g.to, NoFsync: true})
	} else {
		_, err = s.Dial(g.Context(), url, DialOptions{})
	}
	if err != nil {
		g.Errorf("an honest sender: %v", err)
	}
	var got string // a receiver that keeps running makes its working directory anew
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(time.Millisecond) {
		if got = treetest.Read(g, g.to); !strings.Contains(got, ".sync-directory") {
			break
		}
	}
	if want := treetest.Read(g, g.from); got != want {
		g.Errorf("after an honest run there is\n%swant\n%s", got, want)
	}
	g.same("outside", g.outside, g.canary)
}

// patience is how long anything may take that does not hang.
const patience = 40 * time.Second

// listening is a Receiver that listens, and what became of its sessions.
type listening struct {
	url, addr string
	sessions  chan outcome
	ended     chan outcome // the run
	stop      context.CancelFunc
}

// listens starts r.
func listens(t testing.TB, r *Receiver, o ListenOptions) *listening {
	t.Helper()
	return listensAs(t, r.Listen, o)
}

func listensAs(t testing.TB, listen func(context.Context, ListenOptions) (Result, error), o ListenOptions) *listening {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listening{sessions: make(chan outcome, 100), ended: make(chan outcome, 1), stop: cancel}
	addrs := make(chan string, 1)
	o.OnListening = func(a net.Addr) { addrs <- a.String() }
	o.OnSession = func(r Result, err error) { l.sessions <- outcome{r, err} }
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err := listen(ctx, o)
		l.ended <- outcome{result, err}
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case l.addr = <-addrs:
	case out := <-l.ended:
		t.Fatal(out.err)
	}
	l.url = "ws://" + l.addr
	return l
}

// session returns how the next session ended.
func (l *listening) session(t testing.TB) outcome {
	t.Helper()
	select {
	case out := <-l.sessions:
		return out
	case <-time.After(patience):
		t.Fatal("the session does not end")
		return outcome{}
	}
}

// end returns how the run ended.
func (l *listening) end(t testing.TB) outcome {
	t.Helper()
	select {
	case out := <-l.ended:
		return out
	case <-time.After(patience):
		t.Fatal("the receiver does not end")
		return outcome{}
	}
}

// player is a peer that does what it was told to, whatever it is answered.
type player struct {
	conn wire.Conn
	got  chan wire.Type // types of what comes
	all  []byte         // what came, for tests that search it; once ended
	err  error          // why nothing more comes, once got is closed
}

func newPlayer(conn wire.Conn) *player {
	p := &player{conn: conn, got: make(chan wire.Type, 1<<16)}
	go func() {
		defer close(p.got)
		for {
			b, err := conn.Read()
			if err != nil {
				p.err = err
				return
			}
			if len(b.Bytes()) > 0 {
				p.got <- wire.Type(b.Bytes()[0])
			}
			p.all = append(p.all, b.Bytes()...)
			b.Free()
		}
	}()
	return p
}

// await waits for a message of a type, or the end, and reports which it was.
func (p *player) await(t wire.Type) bool {
	late := time.After(patience)
	for {
		select {
		case got, ok := <-p.got:
			if !ok || got == t {
				return ok
			}
		case <-late:
			return false
		}
	}
}

// plays has p do what lines say, which are about the tree of a text; !plant is done by
// plant.
func (p *player) plays(t testing.TB, about string, lines []string, plant func()) {
	t.Helper()
	speaker := wiretest.Speaker(about)
	for i, line := range lines {
		typ, waits := awaited[line]
		switch {
		case line == "!plant":
			plant()
		case !waits:
			for _, b := range speaker.Messages(line) {
				_ = p.conn.Write(b) // the session may be over
			}
		case !p.await(typ):
			t.Errorf("%s does not come, before line %d", line[1:], i)
			return
		}
	}
}

// messages are those of one line that is about no tree.
func messages(line string) []*wire.Buffer { return wiretest.Speaker("").Messages(line) }

// over waits for the end and returns why there is one.
func (p *player) over(t testing.TB) error {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-p.got:
			if !ok {
				wire.CloseWith(p.conn, nil)
				return p.err
			}
		case <-late:
			wire.Abort(p.conn)
			t.Error("the connection does not end")
			return io.ErrNoProgress
		}
	}
}

// awaited are the types that a play can wait for, by the word for them.
var awaited = map[string]wire.Type{
	"?ask": wire.TypeAsk, "?want": wire.TypeWant, "?done": wire.TypeDone, "?signature": wire.TypeSignature, "?probe": wire.TypeProbe,
	"?prove": wire.TypeProve, "?problem": wire.TypeProblem, "?known": wire.TypeKnown,
	"?seal": wire.TypeSeal, "?listing": wire.TypeListing, "?pack": wire.TypePack, "?outline": wire.TypeOutline, "?chunk": wire.TypeChunk,
	"?end": wire.TypeEnd, "?sums": wire.TypeSums, "?delta": wire.TypeDelta, "?verdict": wire.TypeVerdict, "?proof": wire.TypeProof,
}

// locationOf says where a directory is.
func locationOf(g *ground, dir string) *wire.Location {
	g.Helper()
	root, err := dirfs.OpenRoot(dir, dirfs.Options{})
	g.ok(err)
	defer root.Close()
	return newLocation(root)
}
