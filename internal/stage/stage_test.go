package stage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func root(t *testing.T, text string, before func(dirfs.Call) error) (string, dirfs.Dir) {
	t.Helper()
	dir := t.TempDir()
	treetest.Make(t, dir, text)
	d, err := dirfs.OpenRoot(dir, dirfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if before != nil {
		d = dirfs.Inject(d, before)
	}
	return dir, d
}

func area(t *testing.T, d dirfs.Dir) *stage.Area {
	t.Helper()
	a, err := stage.Open(d, stage.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !a.Gone() {
			a.Leave(a.Root.MTime)
		}
	})
	return a
}

func TestArea(t *testing.T) {
	dir, d := root(t, "./ @5", nil)
	a := area(t, d)
	if a.Leftover || stage.PID(d) != os.Getpid() {
		t.Errorf("leftover %v, pid %d", a.Leftover, stage.PID(d))
	}
	if ids := idsIn(t, dir); !slices.Equal(ids, []string{tree.IDName(a.ID[:])}) {
		t.Errorf("ids %q", ids)
	}
	if empty, err := a.Empty(); !empty || err != nil {
		t.Errorf("empty: %v, %v", empty, err)
	}
	if x, y := a.Next(), a.Next(); x == y {
		t.Errorf("%s twice", x)
	}
	if err := a.Barrier(); err != nil || a.SyncsEach() {
		t.Errorf("without sync: %v, each %v", err, a.SyncsEach())
	}
	if err := a.Remove(); err != nil || !a.Gone() || a.Remove() != nil {
		t.Errorf("remove: %v", err)
	}
	if err := a.Leave(tree.Time{Sec: 5}); err != nil {
		t.Errorf("leave after remove: %v", err)
	}
	if got := treetest.Read(t, dir); got != "./ 755 @5\n" {
		t.Errorf("there is\n%s", got)
	}
	if stage.PID(d) != 0 {
		t.Error("a pid where there is none")
	}
}

// idsIn returns the names that say who works in dir.
func idsIn(t *testing.T, dir string) (ids []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, tree.Reserved))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tree.IDPrefix) {
			ids = append(ids, e.Name())
		}
	}
	return ids
}

// A receiver that was killed has left its name, and does not seem to work here any more
// when another one does.
func TestIDOfTheDead(t *testing.T) {
	dir, d := root(t, "./ @5\n.sync-directory/id-00112233445566778899aabbccddeeff\n.sync-directory/pid =1", nil)
	a := area(t, d)
	if ids := idsIn(t, dir); !slices.Equal(ids, []string{tree.IDName(a.ID[:])}) {
		t.Errorf("ids %q", ids)
	}
	if err := errors.Join(a.Remove(), a.Leave(tree.Time{Sec: 5})); err != nil {
		t.Error(err)
	}
	if got := treetest.Read(t, dir); got != "./ 755 @5\n" {
		t.Errorf("there is\n%s", got)
	}
}

// Leave keeps what is staged or displaced, and nothing else.
func TestLeave(t *testing.T) {
	dir, d := root(t, "./ @5\nx", nil)
	a := area(t, d)
	if empty, _ := a.Empty(); empty {
		t.Error("a root with a file is empty")
	}
	if _, err := a.Put(a.Files, "f", []byte("staged"), wire.Meta{Perm: 0o644, Size: 6}); err != nil {
		t.Fatal(err)
	}
	if err := a.Leave(tree.Time{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	got := treetest.Read(t, dir)
	if !strings.Contains(got, "/stage/f 644 @0 =staged\n") || strings.Contains(got, "pid") || strings.Contains(got, "displaced") || !strings.HasPrefix(got, "./ 755 @5\n") {
		t.Errorf("there is\n%s", got)
	}
	if b := area(t, d); !b.Leftover || b.ID == a.ID {
		t.Errorf("leftover %v", b.Leftover)
	}
}

func TestOpenFails(t *testing.T) {
	for _, text := range []string{".sync-directory =file", ".sync-directory >/", ".sync-directory/pid/x", ".sync-directory/stage >/"} {
		dir, d := root(t, text, nil)
		before := treetest.Read(t, dir)
		if a, err := stage.Open(d, stage.Options{NoSync: true}); err == nil {
			t.Errorf("%s: opened", text)
			a.Leave(a.Root.MTime)
		} else if !strings.Contains(err.Error(), tree.Reserved) {
			t.Errorf("%s: %v", text, err)
		}
		if w := strings.Fields(text)[0]; !strings.Contains(treetest.Read(t, dir), w) {
			t.Errorf("%s has gone from\n%s", w, before)
		}
	}
}

// An error of the disk is not taken for what the file system can do.
func TestProbe(t *testing.T) {
	for op, want := range map[string]bool{"File.SetTime": false, "SetLinkTime": false, "Symlink": false} {
		_, d := root(t, "", func(c dirfs.Call) error {
			if c.Op == op {
				return syscall.EIO
			}
			return nil
		})
		if _, err := stage.Open(d, stage.Options{NoSync: true}); (err == nil) != want {
			t.Errorf("%s: %v", op, err)
		}
	}
	_, d := root(t, "", func(c dirfs.Call) error {
		if c.Op == "SetLinkTime" {
			return errors.ErrUnsupported
		}
		return nil
	})
	if a := area(t, d); a.Canon.LinkTimes || !a.Canon.Valid() {
		t.Errorf("canon %+v", a.Canon)
	}
	_, d = root(t, "", func(c dirfs.Call) error {
		if c.Op == "File.SetTime" {
			return syscall.EINVAL
		}
		return nil
	})
	if a := area(t, d); a.Canon.Granularity != 2_000_000_000 || a.Canon.MinSec != 0 || a.Canon.MaxSec != 1<<31-1 {
		t.Errorf("canon %+v", a.Canon)
	}
}

func TestPutLeavesNothing(t *testing.T) {
	for _, op := range []string{"Create", "File.WriteAt", "File.SetTime", "File.Info", "File.Chmod", "File.Close"} {
		armed := false
		dir, d := root(t, "", func(c dirfs.Call) error {
			if armed && c.Op == op && c.Name == "f" {
				return syscall.EIO
			}
			return nil
		})
		a := area(t, d)
		armed = true
		if _, err := a.Put(a.Files, "f", []byte("x"), wire.Meta{Size: 1, Perm: 0o666}); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", op, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, tree.Reserved, "stage", "f")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left %v", op, err)
		}
	}
}

func TestCopy(t *testing.T) {
	dir, d := root(t, "a @5 =hello", nil)
	a := area(t, d)
	info, err := a.Copy(d, "a", nil, a.Files, "b", wire.Meta{Perm: 0o600, MTime: tree.Time{Sec: 9}, Size: 5}, nil)
	if err != nil || info.Size != 5 || info.Perm != 0o600 || info.MTime.Sec != 9 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := a.Copy(d, "a", nil, a.Files, "c", wire.Meta{Size: 6}, nil); err == nil {
		t.Error("a file that is shorter was copied")
	}
	if _, err := a.Copy(d, "none", nil, a.Files, "c", wire.Meta{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := a.Copy(d, "a", nil, a.Files, "b", wire.Meta{Size: 5}, nil); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if got := treetest.Read(t, dir); strings.Contains(got, "stage/c") {
		t.Errorf("left in\n%s", got)
	}
	if err := a.Files.Remove("b"); err != nil {
		t.Error(err)
	}
}

func chunk(index uint64, content string) wire.Chunk {
	return wire.Chunk{Part: wire.Part{Index: index, Length: int64(len(content))}, Checksum: digest.Check([]byte(content)), Content: []byte(content)}
}

func checks(chunks ...string) digest.Checksum {
	var sums digest.Checks
	for _, c := range chunks {
		sums.Add(digest.Check([]byte(c)))
	}
	return sums.Sum()
}

func TestLarge(t *testing.T) {
	full := string(treetest.Pattern(digest.ChunkSize))
	const tail = "tail"
	end := wire.End{Meta: wire.Meta{Perm: 0o640, MTime: tree.Time{Sec: 9}, Size: int64(2*len(full) + len(tail))}, Parts: 3, Checksum: checks(full, full, tail)}
	small := end
	small.Size--
	other := end
	other.Checksum[0] ^= 1
	for _, c := range []struct {
		name   string
		chunks []wire.Chunk
		end    wire.End
		good   bool
	}{
		{"in order", []wire.Chunk{chunk(0, full), chunk(1, full), chunk(2, tail)}, end, true},
		{"out of order", []wire.Chunk{chunk(2, tail), chunk(0, full), chunk(1, full)}, end, true},
		{"twice", []wire.Chunk{chunk(0, full), chunk(0, full)}, end, false},
		{"two short ones", []wire.Chunk{chunk(0, full), chunk(1, tail), chunk(2, tail)}, end, false},
		{"the short one in the middle", []wire.Chunk{chunk(0, full), chunk(1, tail), chunk(2, full)}, end, false},
		{"one too many", []wire.Chunk{chunk(0, full), chunk(1, full), chunk(2, tail), chunk(3, full)}, end, false},
		{"just ahead enough", []wire.Chunk{chunk(1024, full)}, end, false},
		{"too far ahead", []wire.Chunk{chunk(1025, full)}, end, false},
		{"another size", []wire.Chunk{chunk(0, full), chunk(1, full), chunk(2, tail)}, small, false},
		{"another checksum", []wire.Chunk{chunk(0, full), chunk(1, full), chunk(2, tail)}, other, false},
		{"another content", []wire.Chunk{chunk(0, full), chunk(1, full), chunk(2, "TAIL")}, end, false},
		{"empty", nil, wire.End{Checksum: checks()}, true},
	} {
		dir, d := root(t, "", nil)
		a := area(t, d)
		l, err := a.Create(a.Files, "f", false)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range c.chunks {
			if err = l.Write(ch); err != nil {
				break
			}
		}
		if err != nil {
			l.Discard()
		} else {
			var info dirfs.Info
			if info, err = l.Seal(c.end); err == nil && (info.Size != c.end.Size || info.Perm != c.end.Perm) {
				t.Errorf("%s: %+v", c.name, info)
			}
		}
		if (err == nil) != c.good || err != nil && !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, tree.Reserved, "stage", "f")); (err == nil) != c.good {
			t.Errorf("%s: the file: %v", c.name, err)
		}
		_ = a.Files.Remove("f")
	}
}

// Holes read as zeros, whether they take place on the disk or not, and whether
// the file system can give them some or they must be written.
func TestLargeWithHoles(t *testing.T) {
	const size = 2*digest.ChunkSize + 100
	parts := []wire.Chunk{
		{Part: wire.Part{Index: 0, Length: digest.ChunkSize, Extents: []wire.Extent{{Off: 3, Len: 4}, {Off: 5000, Len: 2}}}, Content: []byte("dataxy")},
		{Part: wire.Part{Index: 1, Length: digest.ChunkSize + 100, Extents: []wire.Extent{}}},
	}
	want := make([]byte, size)
	copy(want[3:], "data")
	copy(want[5000:], "xy")
	var sums digest.Checks
	for range parts {
		sums.Add(digest.Checksum{})
	}
	end := wire.End{Meta: wire.Meta{Perm: 0o640, Size: size}, Parts: 2, Checksum: sums.Sum()}
	for _, c := range []struct {
		name   string
		sparse bool
		cannot bool
		least  int64 // on the disk
	}{{"sparse", true, false, 0}, {"allocated", false, false, size}, {"written", false, true, size}} {
		dir, d := root(t, "", func(call dirfs.Call) error {
			if call.Op == "File.Allocate" && c.cannot {
				return errors.ErrUnsupported
			}
			return nil
		})
		a := area(t, d)
		l, err := a.Create(a.Files, "f", c.sparse)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if err := l.Write(p); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		info, err := l.Seal(end)
		if err != nil || info.Size != size {
			t.Fatalf("%s: %+v, %v", c.name, info, err)
		}
		got, err := os.ReadFile(filepath.Join(dir, tree.Reserved, "stage", "f"))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %d bytes that are others, %v", c.name, len(got), err)
		}
		if info.Alloc < c.least || c.sparse && info.Alloc > size/2 {
			t.Errorf("%s: takes %d bytes", c.name, info.Alloc)
		}
		_ = a.Files.Remove("f")
	}
}
