package receiver_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/receiver"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

// fuzzed is what the destination of FuzzReceiver holds, beside a link and a further name
// that lead outside, and wanted what its senders speak of.
const (
	fuzzed = "./ @4\nd/ @4\nd/x @4 =XX\ne/ @4\ne/y @4 =yy\nf @4 =old\nm @4 +1000\n"
	wanted = "./ @5\nd/ @5\nd/x @5 =new\nf @5 =changed\nl @5 >d\nlarge @5 +270001\nm @5 +1001\nn/ @4\nn/y @4 =yy\n"
)

// Bits of the first argument of FuzzReceiver.
const (
	fuzzEmpty = 1 << iota
	fuzzChecksum
	fuzzNoDelete
	fuzzSparse
	fuzzWhole
	fuzzLarge // the destination has the large file
)

// What the senders of FuzzReceiver may say of m and large in terms of what is there.
var (
	changedM = hexed(func() *wire.Buffer {
		content := treetest.Pattern(1001)
		m := wire.NewDeltas()
		m.Add(&wire.Delta{ID: 5, Whole: true, Meta: wire.Meta{Perm: 0o644, MTime: tree.Time{Sec: 5}, Size: 1001}, Sum: digest.ContentOf(content), Ops: literally(content)})
		return m.Finish()
	}())
	topOfLarge = hexed(wire.EncodeOutline(&wire.Outline{ID: 4, Kind: wire.OutlineTop, Meta: wire.Meta{Perm: 0o644, MTime: tree.Time{Sec: 5}, Size: 270001},
		Groups: []delta.Members{{Nodes: []delta.Node{{Length: 270001, Digest: digest.ContentOf(treetest.Pattern(270001))}}}}}))
	earlyOfLarge = hexed(wire.EncodeOutline(&wire.Outline{ID: 4, Kind: wire.OutlineEarly, Level: delta.EarlyLevel,
		Groups: []delta.Members{{Nodes: []delta.Node{{Length: 200000, Digest: digest.ContentOf(treetest.Pattern(200000))}}}}}))
	endOfLarge      = hexed(wire.EncodeEnd(wire.End{ID: 4, Meta: wire.Meta{Perm: 0o644, MTime: tree.Time{Sec: 5}, Size: 270001}}))
	fragmentOfLarge = hexed(func() *wire.Buffer {
		m := wire.NewDeltas()
		m.Add(&wire.Delta{ID: 4, Ops: literally(treetest.Pattern(270001))})
		return m.Finish()
	}())
)

// literally are the operations for content as it is.
func literally(content []byte) []byte {
	var none delta.Signature
	return delta.Encode(nil, &none, content)
}

// hexed is a message as a line.
func hexed(b *wire.Buffer) string { return fmt.Sprintf("raw %x", b.Bytes()) }

// senderChaos is what the senders of FuzzReceiver may say. In the root there are d, f, l,
// large, m and n, as entries 1 to 6; d/x is 7, n/y 8.
var senderChaos = wiretest.NewChaos(wanted,
	"seal", "seal incomplete", "seal bad",
	"listing 1 0=.", "listing 1 0=. 1=d", "listing 1 1=d", "listing 1 6=n", "listing 0 0=.", "listing 0 1=d", "listing 0 6=n", "listing 0 0=. 1=d 6=n", "listing 1 0=.{f,m}", "listing 1 0=.[-,f] 1=d", "listing 1 0=.[f,m]", "listing 1 0=.[m,-]",
	"pack 2=f", "pack 7=d/x", "pack 2=f 7=d/x", "pack 8=n/y", "pack 2=f 5=m 7=d/x 8=n/y", "pack 5=m", "pack 4=f",
	"chunk 4=large 0", "end 4=large", "end 4=large again", "end 4=large bad", "chunk 2=f 0", "end 2=f", "end 2=f again", "chunk 2=f 1",
	"sums 2=f", "sums 2=f 5=m 7=d/x", "proof 6=n", "proof 6=n none", "proof 6=n bad",
	"problem f read gone vanished answers=2", "problem f read refused answers=2", "problem f read gone",
	"verdict 0", "verdict 0 bad", "verdict 23",
	changedM, topOfLarge, fragmentOfLarge, endOfLarge,
	"raw 0801"+"28b52ffd"+"a000000200"+"020010"+"00", "raw 0e00", "raw 1600", "raw 1700", "raw 0100", "raw 6300",
	earlyOfLarge,
)

var senderSeeds = map[string][]byte{
	"compare":   senderChaos.Seed("seal", "?", "listing 1 0=. 1=d", "?", "?", "?", "proof 6=n", "?", "?", "?", "pack 2=f 7=d/x", changedM, topOfLarge, "?", "?", fragmentOfLarge, "?", "?", endOfLarge, "?", "?", "verdict 0"),
	"whole":     senderChaos.Seed("seal", "?", "listing 1 0=. 1=d", "?", "proof 6=n", "?", "pack 2=f 7=d/x", "pack 5=m", "chunk 4=large 0", "end 4=large", "?", "verdict 0"),
	"ranges":    senderChaos.Seed("seal", "?", "listing 1 0=.{f,m}", "listing 1 0=.[-,f] 1=d", "listing 1 0=.[f,m]", "listing 1 0=.[m,-]", "?", "listing 1 0=.", "?"),
	"described": senderChaos.Seed("seal", "?", "listing 1 0=. 1=d", "?", "proof 6=n none", "?", "listing 1 6=n", "?", "pack 8=n/y", "?"),
	"stream":    senderChaos.Seed("listing 0 0=. 1=d 6=n", "pack 2=f 5=m 7=d/x 8=n/y", "chunk 4=large 0", "end 4=large", "seal", "?", "verdict 0"),
	"again":     senderChaos.Seed("listing 0 0=. 1=d 6=n", "chunk 4=large 0", "end 4=large again", "chunk 4=large 0", "end 4=large", "pack 2=f 5=m 7=d/x 8=n/y", "seal incomplete", "?", "verdict 23"),
	"digests":   senderChaos.Seed("seal", "?", "listing 1 0=. 1=d", "?", "listing 1 6=n", "?", "sums 2=f 5=m 7=d/x", "?", "problem f read gone vanished answers=2", "?"),
	"early":     senderChaos.Seed("seal", "?", "listing 1 0=. 1=d", "?", "?", "?", "proof 6=n", "?", "?", "?", "pack 2=f 7=d/x", changedM, earlyOfLarge, topOfLarge, "?", "?", fragmentOfLarge, "?", "?", endOfLarge, "?", "?", "verdict 0"),
	"void":      senderChaos.Seed("seal", "?", "listing 1 0=. 1=d", "?", "proof 6=n", "?", "chunk 2=f 0", "end 2=f again", "chunk 2=f 0", "end 2=f", "?", "verdict 0 bad"),
}

var senderFlags = map[string]byte{"stream": fuzzEmpty, "again": fuzzEmpty | fuzzSparse, "digests": fuzzChecksum, "whole": fuzzWhole, "compare": fuzzLarge, "early": fuzzLarge}

// FuzzReceiver has senders say anything, in any order: a session ends, changes nothing
// outside, and nothing inside before it has found that all is right.
func FuzzReceiver(f *testing.F) {
	f.Fuzz(func(t *testing.T, flags byte, data []byte) {
		empty := flags&fuzzEmpty != 0
		have := fuzzed
		switch {
		case empty:
			have = "./ @4\n"
		case flags&fuzzLarge != 0: // which takes most of the time
			have += "large @4 +270000\n"
		}
		p := destination(t, have, nil)
		outside := outsideOf(t, p, empty)
		was, canary := treetest.Read(t, p.dir), treetest.Read(t, outside)
		o := options()
		o.Transfers, o.Checkers = 2, 2
		o.Checksum, o.Policy.NoDelete, o.Policy.Sparse, o.WholeFile = flags&fuzzChecksum != 0, flags&fuzzNoDelete != 0, flags&fuzzSparse != 0, flags&fuzzWhole != 0
		mine, theirs := transport.Pipe(2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := receiver.Run(ctx, mine, &wire.Hello{Role: wire.Role_SENDER}, receiver.Destination{Area: p.area, Handles: p.handles, Empty: empty}, o)
			ended <- err
		}()
		types, _ := senderChaos.Play(theirs, data)
		select {
		case err := <-ended:
			if !p.area.Gone() {
				if err := p.area.Leave(p.area.Root.MTime); err != nil {
					t.Error(err)
				}
			}
			if fault.Of(err, 0) == fault.Protocol && !slices.Contains(types, wire.TypeDone) && visible(treetest.Read(t, p.dir)) != visible(was) {
				t.Errorf("ends with %v, and the destination is\n%s\nnot\n%s", err, treetest.Read(t, p.dir), was)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the session does not end")
		}
		if now := treetest.Read(t, outside); now != canary {
			t.Errorf("outside there is\n%s\nnot\n%s", now, canary)
		}
	})
}

// outsideOf makes a canary beside the destination, and ways that lead to it.
func outsideOf(t *testing.T, p *place, empty bool) string {
	t.Helper()
	outside := filepath.Join(filepath.Dir(p.dir), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	treetest.Make(t, outside, "./ @3\nf @3 =CANARY\nx @3 =CANARY\n")
	if !empty {
		for _, err := range []error{
			os.Symlink("../outside", filepath.Join(p.dir, "away")),
			os.Symlink("../../outside/x", filepath.Join(p.dir, "d", "z")),
			os.Link(filepath.Join(outside, "f"), filepath.Join(p.dir, "shared")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return outside
}

// visible leaves out the working directory, the root's time, which that changes, and when
// links were made.
func visible(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, tree.Reserved) && !strings.HasPrefix(line, "./ ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestWriteSeeds writes the seeds of FuzzReceiver.
func TestWriteSeeds(t *testing.T) { wiretest.WriteSeeds(t, "FuzzReceiver", senderFlags, senderSeeds) }
