package sender_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

// fuzzed is the source of FuzzSender. In the root there are d, f, l, large and m, as
// entries 1 to 5; d/x is 6, d/y 7.
const fuzzed = "./ @5\nd/ @5\nd/x @5 =x\nd/y @5 =y\nf @5 =content\nl @5 >../outside/secret\nlarge @5 +270001\nm @5 +1001\n"

// hexed is a message as a line.
func hexed(b *wire.Buffer) string { return fmt.Sprintf("raw %x", b.Bytes()) }

// signed asks by a signature of what is nearly there.
func signed(s wire.Signed, old []byte) string {
	m := wire.NewSignatures(12345)
	if old != nil {
		s.Signature = delta.Sign(old, delta.BlockFor(len(old)), 12345, len(old))
	}
	m.Add(&s)
	return hexed(m.Finish())
}

// What the receivers of FuzzSender may ask in other words than those of a script.
var (
	signedM    = signed(wire.Signed{ID: 5, Whole: true}, treetest.Pattern(1000))
	signedNone = signed(wire.Signed{ID: 5, Whole: true}, nil)
	fragment   = signed(wire.Signed{ID: 4, Off: 1000, Length: 5000}, treetest.Pattern(5000))
	openLarge  = hexed(wire.EncodeProbe(&wire.Probe{ID: 4, Kind: wire.ProbeOpen}))
	openM      = hexed(wire.EncodeProbe(&wire.Probe{ID: 5, Kind: wire.ProbeOpen}))
	groups     = hexed(wire.EncodeProbe(&wire.Probe{ID: 4, Kind: wire.ProbeGroups, Level: 1, Numbers: []int{0, 2}}))
	closeLarge = hexed(wire.EncodeProbe(&wire.Probe{ID: 4, Kind: wire.ProbeClose}))
)

// receiverChaos is what the receivers of FuzzSender may say.
var receiverChaos = wiretest.NewChaos(fuzzed,
	"ask 0 - - 0", "ask 0 - - 60", "ask 0 - - 200", "ask 0 f m 0", "ask 1 - - 0", "ask 0 a b 0 1 - - 0", "prove 1", "prove 0", "prove 1 1",
	"want content 2", "want content 4", "want content 2 4 5 6 7", "want digest 2", "want digest 2 4 5 6 7", "want content 3",
	signedM, signedNone, fragment, openLarge, openM, groups, closeLarge,
	"done 0", "done 0 bad", "done 23", "problem f write refused", "raw 0e00", "raw 16000801", "raw 1600", "raw 1700", "raw 17000801", "raw 0100", "raw 6300",
)

var receiverSeeds = map[string][]byte{
	"noop":     receiverChaos.Seed("?", "done 0", "?"),
	"all":      receiverChaos.Seed("?", "ask 0 - - 0", "?", "want content 2 4 5 6 7", "?", "?", "?", "done 0", "?"),
	"digests":  receiverChaos.Seed("?", "ask 0 - - 200", "?", "prove 1", "?", "ask 1 - - 0", "?", "want digest 2 4 5 6 7", "?", "?", "?", "?", "?", "want content 2", "?", "done 0", "?"),
	"ranges":   receiverChaos.Seed("?", "ask 0 - - 60", "?", "ask 0 f m 0", "ask 0 a b 0 1 - - 0", "?", "done 0 bad", "?"),
	"delta":    receiverChaos.Seed("?", "ask 0 - - 0", "?", signedM, "?", signedNone, "?", "done 0", "?"),
	"outline":  receiverChaos.Seed("?", "ask 0 - - 0", "?", openLarge, "?", signedM, "?", fragment, "?", fragment, "?", closeLarge, "?", "done 0", "?"),
	"stream":   receiverChaos.Seed("?", "?", "?", "?", "?", "done 0", "?"),
	"cached":   receiverChaos.Seed("raw 16000801", "?", "done 0", "?"),
	"problems": receiverChaos.Seed("?", "problem f write refused", "raw 0e00", "done 23", "?"),
}

// Bits of the first argument of FuzzSender.
const (
	fuzzEmpty = 1 << iota
	fuzzChecksum
	fuzzCached
	fuzzZstd
)

var receiverFlags = map[string]byte{"stream": fuzzEmpty, "ranges": fuzzChecksum, "cached": fuzzCached, "problems": fuzzZstd}

// FuzzSender has receivers say anything, in any order: a session ends, and nothing is sent
// that was not described.
func FuzzSender(f *testing.F) {
	dir := f.TempDir()
	source, outside := filepath.Join(dir, "source"), filepath.Join(dir, "outside")
	for d, text := range map[string]string{source: fuzzed, outside: "secret @3 =SECRET\nf @3 =SECRET\n"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			f.Fatal(err)
		}
		treetest.Make(f, d, text)
	}
	was := treetest.Read(f, dir)
	root, err := dirfs.OpenRoot(source, dirfs.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, flags byte, data []byte) {
		h := dirfs.NewHandles(root, 8)
		defer h.Close()
		o := options()
		o.Transfers, o.Checkers = 2, 2
		o.Checksum, o.Cached = flags&fuzzChecksum != 0, flags&fuzzCached != 0
		peer := receiverHello(flags&fuzzEmpty != 0)
		if flags&fuzzZstd != 0 {
			peer.Abilities, peer.Compression = uint64(wire.AbilityZstd), &wire.Compression{Mode: wire.Compression_ZSTD}
		}
		mine, theirs := transport.Pipe(2)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = sender.Run(t.Context(), mine, peer, h, o) // however it ends
		}()
		_, all := receiverChaos.Play(theirs, data)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the session does not end")
		}
		if bytes.Contains(all, []byte("SECRET")) {
			t.Error("what was not described was sent")
		}
		if now := treetest.Read(t, dir); now != was {
			t.Errorf("there is\n%s\nnot\n%s", now, was)
		}
	})
}

// TestWriteSeeds writes the seeds of FuzzSender.
func TestWriteSeeds(t *testing.T) { wiretest.WriteSeeds(t, "FuzzSender", receiverFlags, receiverSeeds) }
