package sender_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// supplied streams a source of which a file changes whenever it is read, so
// many times, and returns the types of messages and the code of the end.
func supplied(t *testing.T, size string, times int64, change func(path string) error) (types string, code fault.Code) {
	dir := t.TempDir()
	treetest.Make(t, dir, "./ @5\nf @6 "+size)
	var reads atomic.Int64
	h := handles(t, dir, func(c dirfs.Call) error {
		if c.Op == "File.ReadAt" && reads.Add(1) <= times {
			return change(filepath.Join(dir, "f"))
		}
		return nil
	})
	mine, theirs := transport.Pipe(0)
	o := options()
	ended := make(chan fault.Code)
	go func() {
		_, err := sender.Run(t.Context(), mine, receiverHello(true), h, o)
		ended <- fault.Worse(fault.Of(err, 99), o.Problems.Code())
	}()
	done := false
	for answered := false; ; {
		b, err := theirs.Read()
		if err != nil {
			return types, <-ended
		}
		typ, body, err := wire.Split(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		word := map[wire.Type]string{wire.TypePack: "pack", wire.TypeChunk: "chunk", wire.TypeEnd: "end", wire.TypeProblem: "problem"}[typ]
		if e, err := wire.DecodeEnd(body); typ == wire.TypeEnd && err == nil && e.Again {
			word = "again"
		}
		if word != "" {
			types += word + " "
		}
		answered = answered || word == "pack" || word == "end" || word == "problem"
		done = done || typ == wire.TypeSeal
		b.Free()
		if answered && done && typ != wire.TypeVerdict {
			if err := theirs.Write(wire.Encode(&wire.Done{Code: 24, Digest: make([]byte, 32), Changes: &wire.Changes{}})); err != nil {
				t.Fatal(err)
			}
			answered = false
		}
	}
}

func TestChangingFiles(t *testing.T) {
	append1 := func(path string) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString("x")
		return err
	}
	for _, c := range []struct {
		name, size string
		times      int64
		change     func(string) error
		types      string
	}{
		{"small, once", "=hello", 1, append1, "pack"},
		{"small, always", "=hello", 99, append1, "problem"},
		{"large, once", "+2500000", 1, append1, "chunk chunk chunk again chunk chunk chunk end"},
		{"large, always", "+300000", 99, append1, "chunk again chunk again chunk problem"},
		{"large, shrinks", "+300000", 1, func(path string) error { return os.Truncate(path, 5) }, "again chunk end"},
		{"small, grows beyond a message", "=x", 1, func(path string) error { return os.Truncate(path, 2<<20) }, "chunk chunk end"},
		{"vanishes", "=hello", 99, func(path string) error { return os.ErrNotExist }, "problem"},
	} {
		types, code := supplied(t, c.size, c.times, c.change)
		if strings.TrimSpace(types) != c.types || code != fault.Vanished {
			t.Errorf("%s: %s, code %d", c.name, types, code)
		}
	}
}

// The end of a session is not kept waiting by a file that is being digested.
func TestInterruptedDigest(t *testing.T) {
	var reads atomic.Int64
	mine, theirs := transport.Pipe(1)
	h := source(t, "./ @5\nf @6 +9000000", func(c dirfs.Call) error {
		if c.Op == "File.ReadAt" && reads.Add(1) == 2 {
			wire.CloseWith(theirs, fault.New(fault.Interrupted, "stop"))
			for {
				if err := mine.Write(wire.NewBuffer(0)); err != nil {
					break
				}
			}
		}
		return nil
	})
	ended := make(chan error)
	o := options()
	go func() { _, err := sender.Run(t.Context(), mine, receiverHello(false), h, o); ended <- err }()
	for _, m := range []func() *wire.Buffer{nil, func() *wire.Buffer { return wire.EncodeAsk([]wire.Question{{}})[0] }, nil, func() *wire.Buffer { return wire.EncodeWant(wire.WantDigest, []uint64{1})[0] }} {
		if m == nil {
			if _, err := theirs.Read(); err != nil {
				t.Fatal(err)
			}
		} else if err := theirs.Write(m()); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; fault.Of(err, 99) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
	if problems, _ := o.Problems.All(); len(problems) != 0 {
		t.Errorf("an entry is blamed: %v", problems)
	}
}
