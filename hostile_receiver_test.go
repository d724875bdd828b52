//go:build unix

package syncdirectory

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// given is the source of the hostile receivers.
const given = `
./ @7
d/ @7
d/x @7 =new
a0 @7 =0
a1 @7 =1
a2 @7 =2
a3 @7 =3
a4 @7 =4
a5 @7 =5
a6 @7 =6
a7 @7 =7
a8 @7 =8
a9 @7 =9
f @7 =changed
l @7 >../outside/secret
large @7 +300001
m @7 +4001
p other
z/ @7
`

// The numbers that all of it is described with, when the root is asked about without a
// budget.
const (
	numberOfA     = 1 // the first of ten
	numberOfD     = 11
	numberOfF     = 12
	numberOfLink  = 13
	numberOfLarge = 14
	numberOfM     = 15
	numberOfFIFO  = 16
	numberOfZ     = 17
	numberOfX     = 18
)

// secret is what lies beside the source, and must never be sent.
const secret = "SECRET-that-nobody-described"

// grab is what a hostile receiver does, and what must become of it.
type grab struct {
	name  string
	empty bool                // it says that it holds nothing, and is streamed to
	hello func(h *wire.Hello) // changes its Hello
	first string              // the first message instead of it, if any
	about func(*ground, *Sender)
	// plant is done where the play says !plant.
	plant func(g *ground)
	play  []string // as of a foul

	code Code
	says string
	told wire.CloseCode
}

func (f *grab) as() *foul { return &foul{name: f.name, code: f.code, says: f.says, told: f.told} }

// newSource makes a source with what leads out of it.
func newSource(t testing.TB) *ground {
	t.Helper()
	g := newGround(t, true)
	g.ok(os.RemoveAll(g.from))
	g.ok(os.Mkdir(g.from, 0o755))
	treetest.Make(t, g.from, given)
	g.ok(os.WriteFile(filepath.Join(g.outside, "secret"), []byte(secret), 0o600))
	g.ok(os.WriteFile(filepath.Join(g.outside, "x"), []byte(secret), 0o600))
	g.canary, g.was = g.look(g.outside), g.look(g.from)
	return g
}

// begin opens a session as the receiver.
func (f *grab) begin(conn wire.Conn, dials bool) *player {
	id := []byte("0123456789abcdef")
	h := &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_RECEIVER, Program: "hostile", Session: id,
		Destination: &wire.Destination{Id: id, Empty: f.empty, Canon: wire.NewCanon(tree.Exact)}}
	if f.hello != nil {
		f.hello(h)
	}
	if !dials {
		if b, err := conn.Read(); err == nil {
			b.Free()
		}
	}
	if f.first != "" {
		for _, b := range messages(f.first) {
			_ = conn.Write(b) // which it may refuse before it has it all
		}
	} else {
		_ = conn.Write(wire.Encode(h))
	}
	if f.play != nil && dials {
		if b, err := conn.Read(); err == nil {
			b.Free()
		}
	}
	if a, ok := conn.(wire.Admitter); ok {
		a.Admit()
	}
	return newPlayer(conn)
}

// does has the peer do what it does, and returns what came and why the connection ended.
func (f *grab) does(g *ground, conn wire.Conn, dials bool) (all []byte, err error) {
	g.Helper()
	p := f.begin(conn, dials)
	p.plays(g, given, f.play, func() { f.plant(g) })
	err = p.over(g)
	return p.all, err
}

// sender returns the sender that is to be robbed.
func (f *grab) sender(g *ground) *Sender {
	s := &Sender{Dir: g.from, Links: true}
	s.Compression = "none"
	if f.about != nil {
		f.about(g, s)
	}
	return s
}

// kept fails if anything came that was not described, or the source or the canary is not
// what it was.
func (f *grab) kept(g *ground, all []byte) {
	g.Helper()
	if bytes.Contains(all, []byte("SECRET")) || bytes.Contains(all, []byte("CANARY")) {
		g.Error("the sender has sent what it did not describe")
	}
	g.same("outside", g.outside, g.canary)
	if f.plant == nil {
		g.same("the source", g.from, g.was)
	}
}

// ended fails unless the sender ended as it should.
func (f *grab) ended(g *ground, result Result, err error) {
	g.Helper()
	f.as().ends(g, outcome{result, err})
}

// isTold fails unless the peer is told why.
func (f *grab) isTold(g *ground, err error) {
	g.Helper()
	f.as().isTold(g, err)
}

// Each hostile receiver is dialled by a sender. It is refused for what it does, and told
// so; it gets nothing that was not described to it, and nothing is changed.
func TestHostileReceivers(t *testing.T) {
	all := grabs()
	if len(all) < 30 {
		t.Errorf("%d cases are too few", len(all))
	}
	t.Logf("%d cases", len(all))
	for _, f := range some(all) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := newSource(t)
			var got []byte
			var end error
			handled := make(chan struct{})
			url := serveRaw(t, func(conn wire.Conn) {
				defer close(handled)
				got, end = f.does(g, conn, false)
			})
			result, err := f.sender(g).Dial(t.Context(), url, DialOptions{Retries: -1, ConnectTimeout: patience})
			<-handled
			f.ended(g, result, err)
			f.isTold(g, end)
			f.kept(g, got)
		})
	}
}

// A sender that listens fares no worse.
func TestHostileReceiversThatDial(t *testing.T) {
	for _, f := range some(grabs()) {
		if f.first != "" || f.hello != nil && f.play == nil {
			continue // otherwise the sender waits for another one, as below
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := newSource(t)
			l := sends(t, f.sender(g), ListenOptions{KeepRunning: true})
			got, end := f.does(g, dialRaw(t, l.url), true)
			out := l.session(t)
			f.ended(g, out.result, out.err)
			f.isTold(g, end)
			f.kept(g, got)
		})
	}
}

// A sender that listens meets those who cannot be let in, and then an honest receiver.
func TestHostileReceiversInTurn(t *testing.T) {
	t.Parallel()
	g := newSource(t)
	l := sends(t, &Sender{Dir: g.from}, ListenOptions{})
	for _, f := range grabs() {
		if f.first == "" && (f.hello == nil || f.play != nil) {
			continue
		}
		got, end := f.does(g, dialRaw(t, l.url), true)
		f.isTold(g, end)
		f.kept(g, got)
	}
	if _, err := (&Receiver{Dir: g.to, NoFsync: true}).Dial(t.Context(), l.url, DialOptions{}); err != nil {
		t.Error(err)
	}
	if out := l.end(t); out.err != nil {
		t.Error(out.err)
	}
}

// sends starts s.
func sends(t testing.TB, s *Sender, o ListenOptions) *listening {
	t.Helper()
	return listensAs(t, s.Listen, o)
}

// refusedGrab is one that ends with fault 12.
func refusedGrab(name, says string, play ...string) grab {
	return grab{name: name, play: play, code: Protocol, says: says}
}

func grabs() (all []grab) {
	for _, some := range [][]grab{grabHellos(), grabQuestions(), grabWants(), grabSignatures(), grabProbes(), grabEnds(), grabMessages(), grabPlants()} {
		all = append(all, some...)
	}
	return all
}

// know is a session in which everything is described.
var know = one("?seal", "ask 0 - - 0", "?listing")

func grabHellos() []grab {
	hello := func(name, says string, change func(*wire.Hello)) grab {
		return grab{name: "hello: " + name, hello: change, code: Protocol, says: says}
	}
	first := func(name, says, message string) grab {
		return grab{name: "first message: " + name, first: message, code: Protocol, says: says}
	}
	of := func(f grab, code Code, told wire.CloseCode) grab {
		f.code, f.told = code, told
		return f
	}
	canon := func(c *wire.Canon) func(*wire.Hello) { return func(h *wire.Hello) { h.Destination.Canon = c } }
	return []grab{
		hello("version 0", "hello: version", func(h *wire.Hello) { h.Version = 0 }),
		of(hello("version of the future", "do not fit", func(h *wire.Hello) { h.Version, h.VersionMin = 9, 9 }), BadVersion, 0),
		of(hello("a sender", "both sides are senders", func(h *wire.Hello) { h.Role, h.Destination = wire.Role_SENDER, nil }), Usage, 0),
		hello("no destination", "hello: destination", func(h *wire.Hello) { h.Destination = nil }),
		hello("a destination without an id", "destination id", func(h *wire.Hello) { h.Destination.Id = nil }),
		hello("a destination with a long id", "destination id", func(h *wire.Hello) { h.Destination.Id = make([]byte, 17) }),
		hello("a backup on a long machine", "location of the backup", func(h *wire.Hello) { h.Destination.Backup = &wire.Location{Machine: make([]byte, 1025)} }),
		hello("no canon", "canon", canon(nil)),
		hello("times of no size", "canon", canon(&wire.Canon{})),
		hello("times of ages", "canon", canon(&wire.Canon{Granularity: 1<<32 - 1})),
		hello("times that begin in the future", "canon", canon(&wire.Canon{Granularity: 1, MinSec: 1, MaxSec: 2})),
		hello("times that end in the past", "canon", canon(&wire.Canon{Granularity: 1, MinSec: -2, MaxSec: -1})),
		of(first("over 64 KiB", "", message(wire.TypeHello, pad(64<<10))), Protocol, wire.CloseTooBig),
		first("no known type", "before hello", message(99, "")),
		first("a want", "before hello", "want content 1"),
		first("noise", "malformed control", message(wire.TypeHello, "\xff\xff\xff")),
		{name: "hello: all times there are", hello: canon(&wire.Canon{Granularity: 2e9, MinSec: -1 << 63, MaxSec: 1<<63 - 1}), play: one("?seal", message(99, "")), code: Protocol, says: "type 99"},
		{name: "hello: every ability and policy", play: one("?seal", message(99, "")), code: Protocol, says: "type 99", hello: func(h *wire.Hello) {
			h.Abilities, h.Checksum, h.WholeFile, h.Progress, h.Cached = 1<<64-1, true, true, true, true
			h.Policy = &wire.Policy{MaxDelete: new(uint64), NoDelete: true, AllowEmpty: true, Sparse: true, Backup: true}
			h.Compression = &wire.Compression{Mode: 99, Level: 1<<32 - 1}
		}},
		{name: "hello: a destination in the source", play: []string{}, code: BadPath, says: "lies in the source", about: func(g *ground, s *Sender) {
			g.ok(os.Mkdir(filepath.Join(g.from, "z", ".sync-directory"), 0o700))
			g.ok(os.WriteFile(filepath.Join(g.from, "z", ".sync-directory", tree.IDName([]byte("0123456789abcdef"))), nil, 0o600))
			g.was = g.look(g.from)
		}},
	}
}

func grabQuestions() (all []grab) {
	more := func(name, says string, play ...string) {
		all = append(all, refusedGrab("ask: "+name, says, play...))
	}
	after := func(name, says, line string) { more(name, says, append(know[:3:3], line)...) }
	after("of a file", "no described directory", "ask 12 - - 0")
	after("of a link", "no described directory", "ask 13 - - 0")
	after("of a FIFO", "no described directory", "ask 16 - - 0")
	after("of what was not given out", "no described directory", "ask 99 - - 0")
	after("of the largest number", "no described directory", "ask 18446744073709551615 - - 0")
	more("of what was not told of", "no described directory", "?seal", "ask 1 - - 0")
	after("from upwards", "one or two dots", message(wire.TypeAsk, "\x00"+text("..")+"\x00\x00"))
	after("to a path", "slash", message(wire.TypeAsk, "\x00\x00"+text("a/b")+"\x00"))
	after("backwards", "empty range", message(wire.TypeAsk, "\x00"+text("b")+text("a")+"\x00"))
	after("of a long name", "too long", message(wire.TypeAsk, "\x00"+text(pad(1025))+"\x00\x00"))
	after("half a question", "too short|malformed", message(wire.TypeAsk, "\x00"))
	after("nothing", "malformed|too short", message(wire.TypeAsk, ""))
	after("before the wants are through", "out of phase", "want content 12")
	all[len(all)-1].play = append(all[len(all)-1].play, "ask 0 - - 0")
	all[len(all)-1].name = "ask: after a want"
	more("again and again", "again and again", append([]string{"?seal"}, times(100, "ask 0 - - 0")...)...)
	more("of a stream", "out of phase", "ask 0 - - 0")
	all[len(all)-1].empty = true
	for _, id := range []struct{ name, id string }{{"a file", "12"}, {"a link", "13"}, {"a FIFO", "16"}, {"what was not given out", "99"}} {
		after("to prove "+id.name, "no described directory|entry "+id.id, "prove "+id.id)
	}
	after("to prove what is in another", "in another|proved|entry", "prove 11 0")
	after("to prove twice", "twice|proved|entry", "prove 11 11")
	more("to prove in a stream", "out of phase", "prove 0")
	all[len(all)-1].empty = true
	return all
}

func grabWants() (all []grab) {
	more := func(name, says string, lines ...string) {
		all = append(all, refusedGrab("want: "+name, says, append(know[:3:3], lines...)...))
	}
	for _, what := range []string{"content", "digest"} {
		more(what+" of the root", "no described file", "want "+what+" 0")
		more(what+" of a directory", "no described file", "want "+what+" 11")
		more(what+" of a link", "no described file", "want "+what+" 13")
		more(what+" of a FIFO", "no described file", "want "+what+" 16")
		more(what+" of what was not given out", "no described file", "want "+what+" 99")
		more(what+" of the largest number", "no described file", "want "+what+" 18446744073709551615")
		more(what+" twice", "wanted twice", "want "+what+" 12", "want "+what+" 12")
		more(what+" twice at once", "wanted twice", "want "+what+" 12 12")
	}
	more("of no known kind", "kind of want", message(wire.TypeWant, "\x03\x18"))
	more("nothing", "malformed|kind of want", message(wire.TypeWant, "\x01"))
	more("in a long form", "malformed", message(wire.TypeWant, "\x01\x98\x00"))
	more("of everything at once", "too long", message(wire.TypeWant, "\x01"+pad(64<<10)))
	all = append(all,
		refusedGrab("want: before the seal is answered", "no described file", "?seal", "want content 1"),
		grab{name: "want: of a stream", empty: true, play: one("want content 1"), code: Protocol, says: "out of phase"})
	return all
}

// signedAs is a Signature of a whole file, or whatever else of it.
func signedAs(key byte, rest string) string {
	return message(wire.TypeSignature, string([]byte{key, 0, 0, 0, 0, 0, 0, 0})+rest)
}

func grabSignatures() (all []grab) {
	more := func(name, says string, lines ...string) {
		all = append(all, refusedGrab("signature: "+name, says, append(know[:3:3], lines...)...))
	}
	m := uv(numberOfM) + "\x00"
	more("with an even key", "even key", signedAs(2, m+"\x00"))
	more("with a key of 0", "even key", signedAs(0, m+"\x00"))
	more("of nothing", "too short|beyond|malformed|even", message(wire.TypeSignature, ""))
	more("of blocks of nothing", "malformed signature", signedAs(1, m+uv(1)+uv(0)+uv(0)+"\x08"+pad(12)))
	more("of short blocks", "malformed signature", signedAs(1, m+uv(1)+uv(63)+uv(0)+"\x08"+pad(12)))
	more("of blocks of 2^40", "block too long", signedAs(1, m+uv(1)+uv(1<<40)+uv(0)+"\x08"+pad(12)))
	more("of 2^40 blocks", "too many blocks", signedAs(1, m+uv(1<<40)+uv(64)+uv(0)+"\x08"+pad(12)))
	more("of all blocks", "too many blocks", signedAs(1, m+uv(1<<64-1)+uv(64)+uv(0)+"\x08"+pad(12)))
	more("of a tail as long as a block", "malformed signature", signedAs(1, m+uv(1)+uv(64)+uv(64)+"\x08"+pad(12)))
	more("with sums of nothing", "malformed signature", signedAs(1, m+uv(1)+uv(64)+uv(0)+"\x00"+pad(12)))
	more("with long sums", "malformed signature", signedAs(1, m+uv(1)+uv(64)+uv(0)+"\x09"+pad(13)))
	more("with sums that are not there", "beyond the end", signedAs(1, m+uv(1000)+uv(64)+uv(0)+"\x08"+pad(12)))
	more("of no known kind", "kind of signature", signedAs(1, uv(numberOfM)+"\x07"))
	more("of a directory", "no described file", signedAs(1, uv(numberOfD)+"\x00\x00"))
	more("of a link", "no described file", signedAs(1, uv(numberOfLink)+"\x00\x00"))
	more("of what was not given out", "no described file", signedAs(1, uv(1<<40)+"\x00\x00"))
	more("twice", "wanted twice", signedAs(1, m+"\x00"+m+"\x00"))
	more("of a fragment of what is not open", "not open", signedAs(1, uv(numberOfLarge)+"\x01"+uv(0)+uv(10)+"\x00"))
	open := message(wire.TypeProbe, uv(numberOfLarge)+"\x00\x00")
	fragment := func(off, n uint64) string {
		return signedAs(1, uv(numberOfLarge)+"\x01"+uv(off)+uv(n)+"\x00")
	}
	more("of a fragment of nothing", "out of range", open, "?outline", fragment(0, 0))
	more("of a fragment that is too long", "too long", open, "?outline", fragment(0, 1<<20+1))
	more("of a fragment beyond the end", "beyond the end", open, "?outline", fragment(300_000, 2))
	more("of a fragment far beyond the end", "out of range|beyond the end", open, "?outline", fragment(1<<63-1, 1))
	more("of the same fragment, again and again", "again and again", append([]string{open, "?outline"}, times(40, fragment(0, 60_000))...)...)
	return all
}

func grabProbes() (all []grab) {
	more := func(name, says string, lines ...string) {
		all = append(all, refusedGrab("probe: "+name, says, append(know[:3:3], lines...)...))
	}
	probe := func(id uint64, rest string) string { return message(wire.TypeProbe, uv(id)+rest) }
	open := probe(numberOfLarge, "\x00\x00")
	more("at no known scale", "unknown scale", probe(numberOfLarge, "\x00\x09"))
	more("of no known kind", "kind of probe", probe(numberOfLarge, "\x07"))
	more("of a directory", "no described file", probe(numberOfD, "\x00\x00"))
	more("of a link", "no described file", probe(numberOfLink, "\x00\x00"))
	more("of a FIFO", "no described file", probe(numberOfFIFO, "\x00\x00"))
	more("of what was not given out", "no described file", probe(1<<64-1, "\x00\x00"))
	more("twice", "wanted twice", open, "?outline", open)
	more("of groups before it is open", "not open", probe(numberOfLarge, "\x01\x01\x00"))
	more("close before it is open", "not open", probe(numberOfLarge, "\x02"))
	more("of groups of level 0", "unknown level", open, "?outline", probe(numberOfLarge, "\x01\x00\x00"))
	more("of groups of level 8", "unknown level", open, "?outline", probe(numberOfLarge, "\x01\x08\x00"))
	more("of groups of a level that there is not", "no such group", open, "?outline", probe(numberOfLarge, "\x01\x05\x00"))
	more("of groups beyond all", "no such group", open, "?outline", probe(numberOfLarge, "\x01\x01"+uv(1<<40)))
	more("of too many groups", "too many groups", open, "?outline", probe(numberOfLarge, "\x01\x01"+strings.Repeat("\x00", 97)))
	more("of no group", "malformed", open, "?outline", probe(numberOfLarge, "\x01\x01"))
	var many []string
	for i := range uint64(9) {
		many = append(many, probe(numberOfA+i, "\x00\x00"))
	}
	more("of nine at once", "large files open", many...)
	return all
}

func grabEnds() (all []grab) {
	more := func(name, says string, lines ...string) {
		all = append(all, refusedGrab("done: "+name, says, lines...))
	}
	d := make([]byte, 32)
	more("with another digest", "the destination has digest", "?seal", "done 0 bad")
	all[len(all)-1].told = 1000
	more("over contents that were not compared", "not compared", "?seal", control(&wire.Done{Digest: d, Changes: new(wire.Changes), Contents: true}))
	more("with no known code", "done: code", "?seal", control(&wire.Done{Code: 77, Digest: d, Changes: new(wire.Changes)}))
	more("with a large code", "done: code", "?seal", control(&wire.Done{Code: 1<<32 - 1, Digest: d, Changes: new(wire.Changes)}))
	more("with a short digest", "done: digest", "?seal", control(&wire.Done{Digest: d[1:], Changes: new(wire.Changes)}))
	more("without changes", "done: changes", "?seal", control(&wire.Done{Digest: d}))
	all = append(all,
		grab{name: "done: with a code of its own", play: one("?seal", "done 12"), code: Protocol, says: "the receiver's outcome", told: 1000},
		grab{name: "done: that the disk is full", play: one("?seal", "done 11"), code: Disk, says: "the receiver's outcome", told: 1000})
	return all
}

func grabMessages() (all []grab) {
	more := func(name, says string, lines ...string) {
		all = append(all, refusedGrab("message: "+name, says, append([]string{"?seal"}, lines...)...))
	}
	for name, t := range map[string]wire.Type{
		"a seal": wire.TypeSeal, "a listing": wire.TypeListing, "a pack": wire.TypePack, "a chunk": wire.TypeChunk, "an end": wire.TypeEnd, "sums": wire.TypeSums,
		"a delta": wire.TypeDelta, "an outline": wire.TypeOutline, "a proof": wire.TypeProof, "a verdict": wire.TypeVerdict, "a hello": wire.TypeHello, "type 31": 31, "type 0": 0, "type 255": 255,
	} {
		more(name, "from a receiver|unknown", message(t, ""))
	}
	more("nothing", "without a head", raw(""))
	more("a want with flags", "unknown flags", flagged(wire.TypeWant, 0x40, "\x01\x18"))
	more("a compressed want", "unknown flags", flagged(wire.TypeWant, 1, frame(2)+rle(2, true)))
	more("what is known, unasked", "not asked", control(&wire.Known{Contents: true}))
	more("an ack of what was not sent", "acknowledged", control(&wire.Ack{Received: 1 << 62}))
	more("a flood of progress", "type 99", append(times(5000, control(new(wire.Progress))), message(99, ""))...)
	more("a flood of problems", "type 99", append(times(2000, "problem some/path write refused"), message(99, ""))...)
	more("a problem with a long path", "problem too long", message(wire.TypeProblem, "\x0a"+text(pad(32<<10+1))))
	return all
}

// grabPlants are files that become something else between their description and their
// being wanted, by who has a hand in the source: the sender does not follow, nor wait.
func grabPlants() (all []grab) {
	more := func(name, path string, id uint64, plant func(g *ground, path string)) {
		for _, how := range []struct{ name, wants string }{
			{"content", "want content " + uvText(id)},
			{"digest", "want digest " + uvText(id)},
			{"delta", signedAs(1, uv(id)+"\x00\x00")},
			{"outline", message(wire.TypeProbe, uv(id)+"\x00\x00")},
		} {
			all = append(all, grab{
				name:  "planted: " + name + ", wanted by its " + how.name,
				plant: func(g *ground) { plant(g, filepath.Join(g.from, path)) },
				play:  append(know[:3:3], "!plant", how.wants, "?problem", "done 24", "?verdict"),
				code:  Vanished, says: "vanished", told: 1000,
			})
		}
	}
	instead := func(make func(path string) error) func(*ground, string) {
		return func(g *ground, path string) {
			g.ok(os.Rename(path, g.dir+"/away"))
			g.ok(make(path))
		}
	}
	more("a link to a secret", "f", numberOfF, instead(func(path string) error { return os.Symlink("../outside/secret", path) }))
	more("a link to a secret, of a large file", "large", numberOfLarge, instead(func(path string) error { return os.Symlink("../outside/secret", path) }))
	more("a FIFO", "f", numberOfF, instead(func(path string) error { return syscall.Mkfifo(path, 0o644) }))
	more("a socket", "f", numberOfF, instead(listenAt))
	more("a directory", "f", numberOfF, instead(func(path string) error { return os.Mkdir(path, 0o755) }))
	// The directory that was described is held, and what is in it is what was: its content
	// may come, and nothing else.
	held := func(name string, plant func(g *ground, path string)) {
		for how, wants := range map[string]string{
			"?pack": "want content " + uvText(numberOfX), "?sums": "want digest " + uvText(numberOfX),
			"?delta": signedAs(1, uv(numberOfX)+"\x00\x00"), "?outline": message(wire.TypeProbe, uv(numberOfX)+"\x00\x00"),
		} {
			all = append(all, grab{
				name:  "planted: " + name + ", " + how[1:],
				plant: func(g *ground) { plant(g, filepath.Join(g.from, "d")) },
				play:  append(know[:3:3], "!plant", wants, how, message(99, "")), code: Protocol, says: "type 99",
			})
		}
	}
	held("a link in the place of its directory", instead(func(path string) error { return os.Symlink("../outside", path) }))
	held("another directory in the place of its own", func(g *ground, path string) {
		g.ok(os.Rename(path, g.dir+"/away"))
		g.ok(os.Mkdir(path, 0o755))
		g.ok(os.WriteFile(filepath.Join(path, "x"), []byte(secret), 0o600))
	})
	if os.Geteuid() == 0 {
		more("a device", "f", numberOfF, instead(func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o644, 1<<8|5) }))
	}
	return all
}

// listenAt leaves a socket.
func listenAt(path string) error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	short := filepath.Join(dir, "s") // since a socket's path is short
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return errors.Join(l.Close(), os.Rename(short, path))
}
