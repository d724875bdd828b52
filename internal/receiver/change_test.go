package receiver_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

// changing is a session in which the receiver has asked for file 1 by its
// outline, and the test is the sender.
type changing struct {
	t      *testing.T
	conn   wire.Conn
	script *wiretest.Script
	dir    string
	ended  chan string
}

const changedSize = 300_001

func change(t *testing.T, before func(dirfs.Call) error) *changing {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.txt")
	text := "-- have --\n./ @4\nf @5 +300000\n-- want --\n./ @4\nf @6 +300001\n-- script --\n-- result --\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &changing{t: t, script: wiretest.Read(t, path), ended: make(chan string, 1)}
	p := destination(t, c.script.Part("have"), before)
	c.dir = p.dir
	mine, theirs := transport.Pipe(16)
	c.conn = theirs
	o := options()
	o.Transfers, o.Checkers = 2, 2
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { c.ended <- run(ctx, t, p, mine, false, o) }()
	for _, b := range c.script.Messages("seal") {
		c.send(b)
	}
	c.await(wire.TypeAsk)
	for _, b := range c.script.Messages("listing 1 0=.") {
		c.send(b)
	}
	c.await(wire.TypeProbe)
	return c
}

func (c *changing) send(b *wire.Buffer) { _ = c.conn.Write(b) } // the receiver may have left, as it should

// await reads until a message of that type comes, and returns its body.
func (c *changing) await(typ wire.Type) []byte {
	c.t.Helper()
	for {
		b, err := c.conn.Read()
		if err != nil {
			c.t.Fatalf("no message of type %d: %v", typ, err)
		}
		got, body, err := wire.Split(b.Bytes())
		if err != nil {
			c.t.Fatal(err)
		}
		if got == typ {
			return body
		}
	}
}

// result returns how the receiver has ended.
func (c *changing) result() string {
	c.t.Helper()
	go func() { // what it says meanwhile
		for {
			b, err := c.conn.Read()
			if err != nil {
				return
			}
			b.Free()
		}
	}()
	select {
	case r := <-c.ended:
		return r
	case <-time.After(10 * time.Second):
		c.t.Fatal("the receiver does not end")
		return ""
	}
}

func changedMeta() wire.Meta {
	return wire.Meta{Perm: 0o644, MTime: tree.Time{Sec: 6}, Size: changedSize}
}

func topOf(nodes ...delta.Node) *wire.Outline {
	return &wire.Outline{ID: 1, Kind: wire.OutlineTop, Meta: changedMeta(), Groups: []delta.Members{{Nodes: nodes}}}
}

func node(n int64) delta.Node { return delta.Node{Digest: digest.Sum([]byte{byte(n)}), Length: n} }

func fragmentOf(off int64, length int) *wire.Buffer {
	m := wire.NewDeltas()
	var none delta.Signature
	m.Add(&wire.Delta{ID: 1, Off: off, Ops: delta.Encode(nil, &none, make([]byte, length))})
	return m.Finish()
}

func end() *wire.Buffer { return wire.EncodeEnd(wire.End{ID: 1, Meta: changedMeta()}) }

// TestHostileOutline has a sender answer for a large file with what it must not:
// the session ends with 12, and the file stands as it was.
func TestHostileOutline(t *testing.T) {
	slowly := func(op string) func(dirfs.Call) error {
		return func(c dirfs.Call) error {
			if c.Op == op {
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		}
	}
	group := topOf(node(changedSize))
	group.Kind = wire.OutlineGroups
	levels := topOf(node(changedSize))
	levels.Level = 1
	whole := wire.NewDeltas()
	whole.Add(&wire.Delta{ID: 1, Whole: true, Meta: changedMeta(), Ops: []byte{0}})
	for name, c := range map[string]struct {
		slow string
		play func(c *changing)
	}{
		"groups before the top": {"", func(c *changing) { c.send(wire.EncodeOutline(group)) }},
		"groups while the old file is outlined": {"File.ReadAt", func(c *changing) {
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
			c.send(wire.EncodeOutline(group))
		}},
		"groups when everything is known": {"", func(c *changing) {
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
			c.await(wire.TypeSignature)
			c.send(wire.EncodeOutline(group))
		}},
		"a second top": {"", func(c *changing) {
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
		}},
		"groups that are not what they were": {"", func(c *changing) {
			c.send(wire.EncodeOutline(levels))
			c.await(wire.TypeProbe)
			c.send(wire.EncodeOutline(group))
		}},
		"segments that are too short":   {"", func(c *changing) { c.send(wire.EncodeOutline(topOf(node(1), node(2), node(changedSize-3)))) }},
		"an end before anything":        {"", func(c *changing) { c.send(end()) }},
		"an end after the top":          {"", func(c *changing) { c.send(wire.EncodeOutline(topOf(node(changedSize)))); c.send(end()) }},
		"an end while the file is made": {"Create", func(c *changing) { c.send(wire.EncodeOutline(topOf(node(changedSize)))); c.send(end()) }},
		"an end before what came is verified": {"", func(c *changing) {
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
			c.await(wire.TypeSignature)
			c.send(fragmentOf(0, changedSize))
			c.send(end())
		}},
		"a fragment before any is asked for": {"", func(c *changing) { c.send(fragmentOf(0, changedSize)) }},
		"a fragment that is not asked for": {"", func(c *changing) {
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
			c.await(wire.TypeSignature)
			c.send(fragmentOf(1, 10))
		}},
		"a fragment of another length": {"", func(c *changing) {
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
			c.await(wire.TypeSignature)
			c.send(fragmentOf(0, 10))
		}},
		"a delta of all of it": {"", func(c *changing) { c.send(whole.Finish()) }},
		"a chunk of it": {"", func(c *changing) {
			for _, b := range c.script.Messages("chunk 1=f 0") {
				c.send(b)
			}
		}},
		"a pack with it": {"", func(c *changing) {
			for _, b := range c.script.Messages("pack 1=f") {
				c.send(b)
			}
		}},
		"an end that voids, and then a fragment": {"", func(c *changing) {
			c.send(wire.EncodeEnd(wire.End{ID: 1, Again: true}))
			c.send(fragmentOf(0, changedSize))
		}},
		"a problem, and then its end": {"File.ReadAt", func(c *changing) {
			c.send(wire.Encode(&wire.Problem{Path: []byte("f"), Operation: "read", Cause: "x", Answers: 1}))
			c.send(end())
		}},
		"a problem while the new file is begun, and then its end": {"File.ReadAt", func(c *changing) {
			c.send(wire.EncodeOutline(topOf(node(changedSize))))
			c.send(wire.Encode(&wire.Problem{Path: []byte("f"), Operation: "read", Cause: "x", Answers: 1}))
			c.send(end())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var before func(dirfs.Call) error
			if c.slow != "" {
				before = slowly(c.slow)
			}
			s := change(t, before)
			was, err := os.ReadFile(filepath.Join(s.dir, "f"))
			if err != nil {
				t.Fatal(err)
			}
			c.play(s)
			if r := s.result(); !strings.HasPrefix(r, "12\n") {
				t.Errorf("ends with %s", r)
			}
			if now, err := os.ReadFile(filepath.Join(s.dir, "f")); err != nil || string(now) != string(was) {
				t.Errorf("the file is another now, %v", err)
			}
		})
	}
}

// TestNeverRight sends content that never matches its digest: it is asked for
// once more, then whole, and nothing of it is installed.
func TestNeverRight(t *testing.T) {
	c := change(t, nil)
	c.send(wire.EncodeOutline(topOf(node(changedSize))))
	for i := range 2 {
		signed, err := wire.DecodeSignatures(c.await(wire.TypeSignature))
		if err != nil || len(signed) != 1 || (i == 1) != (signed[0].Blocks() == 0) {
			t.Fatalf("asked for %+v, %v", signed, err)
		}
		c.send(fragmentOf(0, changedSize))
	}
	if p, err := wire.DecodeProbe(c.await(wire.TypeProbe)); err != nil || p.Kind != wire.ProbeClose {
		t.Fatalf("%+v, %v", p, err)
	}
	c.send(end())
	if what, ids, err := wire.DecodeWant(c.await(wire.TypeWant)); err != nil || what != wire.WantContent || len(ids) != 1 || ids[0] != 1 {
		t.Fatalf("wants %d of %v, %v", what, ids, err)
	}
	for _, b := range c.script.Messages("chunk 1=f 0", "end 1=f") {
		c.send(b)
	}
	c.await(wire.TypeDone)
	for _, b := range c.script.Messages("verdict 0") {
		c.send(b)
	}
	if r := c.result(); !strings.HasPrefix(r, "0\n") {
		t.Errorf("ends with %s", r)
	}
}
