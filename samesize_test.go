//go:build unix

package syncdirectory

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// sameSize are directories with a large file of the same size in each.
type sameSize struct {
	from, to string
	old      []byte
}

func newSameSize(t *testing.T, old, content []byte) sameSize {
	t.Helper()
	dir := t.TempDir()
	s := sameSize{filepath.Join(dir, "from"), filepath.Join(dir, "to"), old}
	for path, b := range map[string][]byte{s.from: content, s.to: old} {
		grow(t, path)
		if err := os.WriteFile(filepath.Join(path, "large"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Unix(1e9, 0)
	if err := os.Chtimes(filepath.Join(s.from, "large"), long, long); err != nil {
		t.Fatal(err)
	}
	return s
}

// check fails unless the destination has that content, and the source's time.
func (s sameSize) check(t *testing.T, content []byte) {
	t.Helper()
	path := filepath.Join(s.to, "large")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file is not what it should be, %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.ModTime().Unix() != 1e9 {
		t.Errorf("its time is %v, %v", info.ModTime(), err)
	}
}

// TestSameSize mirrors a large file of which only its content tells whether it
// differs. Either side reads it once: where it does, that has told what; where it does
// not, the file stays.
func TestSameSize(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	old := noise(r, 65<<20)
	edited := func(at ...int) []byte {
		b := bytes.Clone(old)
		for _, off := range at {
			b[off] ^= 0x55
		}
		return b
	}
	const each = 7 << 10 // bytes for a change at one place
	for _, c := range []struct {
		name    string
		content []byte
		most    int64 // bytes that cross the wire
	}{
		{"nothing", old, each},
		{"the first byte", edited(0), 2 * each},
		{"the last byte", edited(len(old) - 1), 2 * each},
		{"bytes all over", edited(1<<20, 9<<20, 33<<20, 64<<20), 6 * each},
		{"moved by one", append(bytes.Clone(old[1:]), 0), 3 * each},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSameSize(t, old, c.content)
			before := inode(t, filepath.Join(s.to, "large"))
			var read, compared Counters
			result, err := Local(t.Context(),
				&Sender{Dir: s.from, Options: Options{Counters: &read}},
				&Receiver{Dir: s.to, NoFsync: true, Options: Options{Counters: &compared}})
			if err != nil {
				t.Fatal(err)
			}
			s.check(t, c.content)
			same := bytes.Equal(old, c.content)
			if kept := inode(t, filepath.Join(s.to, "large")) == before; kept != same {
				t.Errorf("the old file stays: %v", kept)
			}
			if want := (Changes{Touched: 1}); same && (result.Changes != want || result.Compared != 1) {
				t.Errorf("%+v, %d compared", result.Changes, result.Compared)
			}
			if want := (Changes{Replaced: 1, Bytes: uint64(len(old))}); !same && (result.Changes != want || result.Compared != 0) {
				t.Errorf("%+v, %d compared", result.Changes, result.Compared)
			}
			if n := result.Sent + result.Received; n > c.most {
				t.Errorf("%d bytes crossed the wire", n)
			}
			for side, n := range map[string]int64{"sender": read.Compared.Load(), "receiver": compared.Compared.Load()} {
				if n > int64(len(old)+len(old)/8) {
					t.Errorf("the %s reads %d bytes", side, n)
				}
			}
		})
	}
}

// TestSameSizeMeanwhile has the file that seems to be the same change while it is
// compared, or not be readable: what the source has is there in the end.
func TestSameSizeMeanwhile(t *testing.T) {
	old := noise(rand.New(rand.NewPCG(4, 4)), 65<<20)
	none := func(dirfs.Call) error { return nil }
	fails := func(op string) func(string) func(dirfs.Call) error {
		return func(string) func(dirfs.Call) error {
			return func(c dirfs.Call) error {
				if c.Op == op && c.Name == "large" {
					return errors.New("broken")
				}
				return nil
			}
		}
	}
	for name, c := range map[string]struct {
		destination func(to string) func(dirfs.Call) error
		code        Code
		ending      bool // what is done to the destination when the sender ends the file
	}{
		"changed": {func(to string) func(dirfs.Call) error {
			return nth(t, "File.Info", "large", 2, func() error { return scribble(filepath.Join(to, "large"), 19<<20) })
		}, OK, false},
		"changed then":      {func(string) func(dirfs.Call) error { return none }, OK, true},
		"unreadable":        {fails("File.ReadAt"), OK, false},
		"not to be touched": {fails("File.SetTime"), Partial, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSameSize(t, old, old)
			source := none
			if c.ending { // which it is told after it was opened and outlined
				source = nth(t, "File.Info", "large", 3, func() error { return scribble(filepath.Join(s.to, "large"), 19<<20) })
			}
			sent, received := mirrorInjected(t, s.from, s.to, source, c.destination(s.to))
			if CodeOf(sent) != c.code || CodeOf(received) != c.code {
				t.Fatalf("sender: %v, receiver: %v", sent, received)
			}
			if c.code == OK {
				s.check(t, old)
			}
		})
	}
}

// TestSameSizeSaved leaves a large file alone whose content turns out to be another, where
// it would have to be saved and there is no place for that.
func TestSameSizeSaved(t *testing.T) {
	old := noise(rand.New(rand.NewPCG(5, 5)), 65<<20)
	s := newSameSize(t, old, append(bytes.Clone(old[1:]), 0))
	_, err := Local(t.Context(), &Sender{Dir: s.from, Options: Options{Backup: true}}, &Receiver{Dir: s.to, NoFsync: true})
	if CodeOf(err) != Partial {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(s.to, "large")); err != nil || !bytes.Equal(got, old) {
		t.Errorf("the file has changed, %v", err)
	}
}
