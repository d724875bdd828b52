//go:build unix

package cli_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// seen is all that can be seen of an entry.
type seen struct {
	Mode         uint32
	Size         int64
	MTime, CTime string
	Ino          uint64
	Content      string // digest, or target
}

// look returns what is in dir, "." for itself.
func look(dir string) (map[string]seen, error) {
	all := make(map[string]seen)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[rel], err = lookAt(path)
		return err
	})
	return all, err
}

func lookAt(path string) (seen, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return seen{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	s := seen{Mode: uint32(st.Mode), Ino: st.Ino, MTime: stamp(st.Mtim), CTime: stamp(st.Ctim)}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.Size = st.Size
		f, err := os.Open(path)
		if err != nil {
			return s, err
		}
		defer f.Close()
		h := sha256.New()
		_, err = io.Copy(h, f)
		s.Content = fmt.Sprintf("%x", h.Sum(nil))
		return s, err
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		s.Content = target
		return s, err
	}
	return s, nil
}

func stamp(t unix.Timespec) string { return fmt.Sprintf("%d.%09d", t.Sec, t.Nsec) }

// cmdEqual: equal [-nolinks] SOURCE DESTINATION compares two trees by names,
// types, content, permission bits, times and targets, the roots' own included.
func cmdEqual(ts *testscript.TestScript, neg bool, args []string) {
	nolinks := len(args) > 0 && args[0] == "-nolinks"
	if nolinks {
		args = args[1:]
	}
	if len(args) != 2 {
		ts.Fatalf("usage: equal [-nolinks] SOURCE DESTINATION")
	}
	want, err := look(ts.MkAbs(args[0]))
	ts.Check(err)
	got, err := look(ts.MkAbs(args[1]))
	ts.Check(err)
	diff := difference(want, got, func(s seen) seen {
		s.Ino, s.CTime = 0, ""
		if nolinks && s.Mode&unix.S_IFMT == unix.S_IFLNK {
			return seen{}
		}
		return s
	})
	if (diff == "") == neg {
		ts.Fatalf("%s and %s: %s", args[0], args[1], diff)
	}
}

// difference lists in what two trees differ, as far as part keeps it.
func difference(want, got map[string]seen, part func(seen) seen) string {
	paths := make(map[string]bool)
	for p := range want {
		paths[p] = true
	}
	for p := range got {
		paths[p] = true
	}
	var lines []string
	for p := range paths {
		w, g := part(want[p]), part(got[p])
		if w != g {
			lines = append(lines, fmt.Sprintf("%q: want %+v, got %+v", p, w, g))
		}
	}
	slices.Sort(lines)
	if len(lines) > 10 {
		lines = append(lines[:10], fmt.Sprintf("and %d more", len(lines)-10))
	}
	return strings.Join(lines, "\n")
}

// cmdSnap: snap NAME DIR remembers all that can be seen of a tree.
func cmdSnap(ts *testscript.TestScript, _ bool, args []string) {
	s, err := look(ts.MkAbs(args[1]))
	ts.Check(err)
	worldOf(ts).snaps[args[0]] = s
}

// cmdSame: same NAME DIR [PATH…] compares a tree with what was remembered,
// inodes and times of change included: nothing was touched, but for the
// root's time of change, the working directory and the given paths.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	got, err := look(ts.MkAbs(args[1]))
	ts.Check(err)
	want := worldOf(ts).snaps[args[0]]
	if want == nil {
		ts.Fatalf("no snap %q", args[0])
	}
	plain := func(m map[string]seen) map[string]seen {
		out := make(map[string]seen)
		for p, s := range m {
			if p == "." {
				s.CTime = ""
			}
			if !strings.HasPrefix(p, ".sync-directory") && !slices.Contains(args[2:], p) {
				out[p] = s
			}
		}
		return out
	}
	diff := difference(plain(want), plain(got), func(s seen) seen { return s })
	if (diff == "") == neg {
		ts.Fatalf("%s: %s", args[1], diff)
	}
}

// size reads 17, 3K, 2M+1, 5M-1.
func size(ts *testscript.TestScript, s string) int64 {
	base, more := s, ""
	if i := strings.IndexAny(s, "+-"); i > 0 {
		base, more = s[:i], s[i:]
	}
	unit := int64(1)
	if n, ok := strings.CutSuffix(base, "K"); ok {
		base, unit = n, 1<<10
	} else if n, ok := strings.CutSuffix(base, "M"); ok {
		base, unit = n, 1<<20
	}
	n, err := strconv.ParseInt(base, 10, 64)
	ts.Check(err)
	if more == "" {
		return n * unit
	}
	d, err := strconv.ParseInt(more, 10, 64)
	ts.Check(err)
	return n*unit + d
}

// cmdFill: fill PATH SIZE [SEED] writes a file that does not repeat itself.
func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	seed := uint64(1)
	if len(args) > 2 {
		n, err := strconv.ParseUint(args[2], 10, 64)
		ts.Check(err)
		seed = n
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	n := size(ts, args[1])
	_, err = io.CopyN(f, stream(seed, n), n)
	ts.Check(errors.Join(err, f.Close()))
}

func noise(seed uint64, n int64) []byte {
	b := make([]byte, n)
	stream(seed, n).Read(b)
	return b
}

// stream returns what noise is made of.
func stream(seed uint64, n int64) *rand.ChaCha8 {
	return rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(n)})
}

// cmdMany: many DIR N [BYTES] makes N files in a directory.
func cmdMany(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	bytesEach := int64(5)
	if len(args) > 2 {
		bytesEach = size(ts, args[2])
	}
	for i := range n {
		content := fmt.Appendf(nil, "%05d", i)
		if bytesEach != 5 {
			content = noise(uint64(i), bytesEach)
		}
		ts.Check(os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%05d", i)), content, 0o644))
	}
}

// cmdDeep: deep DIR N makes directories in one another, with a file in the
// innermost.
func cmdDeep(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := filepath.Join(ts.MkAbs(args[0]), strings.Repeat("d/", n))
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dir, "bottom"), []byte("bottom"), 0o644))
}

// cmdMtime: mtime TIME PATH… sets times to the nanosecond, those of links
// themselves too.
func cmdMtime(ts *testscript.TestScript, _ bool, args []string) {
	t, err := time.Parse(time.RFC3339Nano, args[0])
	ts.Check(err)
	spec := unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
	for _, path := range args[1:] {
		ts.Check(unix.UtimesNanoAt(unix.AT_FDCWD, ts.MkAbs(path), []unix.Timespec{spec, spec}, unix.AT_SYMLINK_NOFOLLOW))
	}
}

// cmdMode: mode OCTAL PATH… checks permission bits.
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	for _, path := range args[1:] {
		s, err := lookAt(ts.MkAbs(path))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", s.Mode&0o7777); got != args[0] {
			ts.Fatalf("%s: mode %s, want %s", path, got, args[0])
		}
	}
}

// cmdOwn: own PATH… gives trees to whom unprivileged becomes.
func cmdOwn(ts *testscript.TestScript, _ bool, args []string) {
	if os.Getuid() != 0 {
		return
	}
	for _, path := range args {
		ts.Check(filepath.WalkDir(ts.MkAbs(path), func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, nobody, nobody)
		}))
	}
}

// cmdOdd: odd names DIR | odd fifo PATH | odd socket PATH makes what a text
// file cannot hold.
func cmdOdd(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[1])
	switch args[0] {
	case "names":
		for _, name := range oddNames {
			ts.Check(os.WriteFile(filepath.Join(path, name), []byte(name), 0o644))
			ts.Check(os.Mkdir(filepath.Join(path, "dir-"+name[:min(len(name), 251)]), 0o755))
		}
	case "fifo":
		ts.Check(unix.Mkfifo(path, 0o644))
	case "socket":
		// The path of a socket is short, so it is made elsewhere.
		dir, err := os.MkdirTemp("", "s")
		ts.Check(err)
		defer os.RemoveAll(dir)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/s", Net: "unix"})
		ts.Check(err)
		l.SetUnlinkOnClose(false)
		l.Close()
		ts.Check(os.Rename(dir+"/s", path))
	default:
		ts.Fatalf("odd %s?", args[0])
	}
}

var oddNames = []string{
	"new\nline", "not \xff\xfe utf-8", "-leading", "--delete", " spaces ", `quotes'"` + "`", "control\x01\x1b[31m\x7f", `back\slash`,
	"*", "~", "$HOME", "ünïcode", "u\u0308", "dot.", "...", "tab\t", "\u202erightleft", string(bytes.Repeat([]byte("n"), 255)),
}
