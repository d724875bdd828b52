package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/sandbox"
)

// What is given up is given up for good, so that each case has a process: this test binary
// once more, in which these variables say what to do, and where.
const (
	caseVar = "SANDBOX_TEST_CASE"
	dirVar  = "SANDBOX_TEST_DIR"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(caseVar); name != "" {
		os.Exit(inside(name, os.Getenv(dirVar)))
	}
	os.Exit(m.Run())
}

// jail is a process that is confined, or about to be.
type jail struct {
	dir     string
	threads []chan func() // that were there before
	failed  bool
}

// cases are what a process may and may not do, with the version of Landlock from which on
// that is so.
var cases = []struct {
	name    string
	version int
	run     func(j *jail)
}{
	{"outside nothing is read or changed", 3, outside},
	{"what may be read is not changed", 3, readOnly},
	{"inside everything is done", 2, insideWorks},
	{"what is open stays open", 3, staysOpen},
	{"directories are removed where they may be, and nothing else", 2, unmakes},
	{"a file may be read, and not what is beside it", 2, singleFile},
	{"what is missing cannot be read", 2, missing},
	{"the root of the file system may be read only", 2, rootReadOnly},
	{"the root of the file system may be changed", 4, rootWritable},
	{"nothing is executed", 2, executes},
	{"no port is connected to nor listened on", 4, noNetwork},
	{"some ports are connected to", 4, dials},
	{"no other process gets signals", 6, signals},
}

func TestConfine(t *testing.T) {
	version, err := ll.LandlockGetABIVersion()
	if err != nil {
		t.Skipf("SKIPPED: this system has no Landlock: %v", err)
	}
	if errata, _ := ll.LandlockGetErrata(); version > 5 && errata&2 == 0 {
		version = 5 // signals between threads of one process would be refused, so that none are
	}
	t.Logf("version %d of Landlock", version)
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			if version < c.version {
				t.Skipf("SKIPPED: this kernel has version %d of Landlock, and this is new in %d", version, c.version)
			}
			dir := t.TempDir()
			for _, path := range []string{"read/sub/file", "write/a/file", "write/b/file", "saved/file", "outside/file", "unmake/full/file"} {
				must(os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755))
				must(os.WriteFile(filepath.Join(dir, path), []byte("content"), 0o644))
			}
			for _, path := range []string{"outside/empty", "unmake/empty", "unmake/deep/er"} {
				must(os.MkdirAll(filepath.Join(dir, path), 0o755))
			}
			must(os.Symlink("write", filepath.Join(dir, "alias")))
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), caseVar+"="+c.name, dirVar+"="+dir)
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// inside runs a case in this process.
func inside(name, dir string) int {
	j := &jail{dir: dir}
	var ready sync.WaitGroup
	for range 6 {
		thread := make(chan func())
		j.threads = append(j.threads, thread)
		ready.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			for f := range thread {
				f()
			}
		}()
	}
	ready.Wait()
	for _, c := range cases {
		if c.name == name {
			c.run(j)
		}
	}
	if j.failed {
		return 1
	}
	return 0
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (j *jail) at(path string) string { return filepath.Join(j.dir, path) }

// confine confines this process, to paths below j.dir where they are relative.
func (j *jail) confine(r sandbox.Rules) {
	for _, paths := range [][]string{r.Read, r.Write, r.Unmake} {
		for i, path := range paths {
			if !filepath.IsAbs(path) {
				paths[i] = j.at(path)
			}
		}
	}
	must(sandbox.Confine(r))
}

// wants fails unless f, on every thread that was there before and on this one, comes to one
// of the errors; nil is success. It is called with a number of its own.
func (j *jail) wants(what string, f func(n int) error, want ...error) {
	check := func(n int) {
		err := f(n)
		for _, w := range want {
			if err == w || w != nil && errors.Is(err, w) {
				return
			}
		}
		j.failed = true
		fmt.Printf("%s, thread %d: got %v, want %v\n", what, n, err, want)
	}
	for n, thread := range j.threads {
		done := make(chan struct{})
		thread <- func() { defer close(done); check(n) }
		<-done
	}
	check(len(j.threads))
}

// refused fails unless the system refuses f.
func (j *jail) refused(what string, f func(n int) error) {
	j.wants(what, f, syscall.EACCES, syscall.EXDEV) // the latter for moves of what else could be moved
}

func (j *jail) works(what string, f func(n int) error) { j.wants(what, f, nil) }

func read(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func list(path string) error {
	_, err := os.ReadDir(path)
	return err
}

func create(path string) error { return os.WriteFile(path, []byte("new"), 0o644) }

// changes are ways to change what is in dir, which holds file, and perhaps empty.
func (j *jail) changes(dir string) map[string]func(n int) error {
	file := j.at(dir + "/file")
	named := func(name string, n int) string { return j.at(fmt.Sprint(dir, "/", name, n)) }
	return map[string]func(n int) error{
		"create":      func(n int) error { return create(named("new", n)) },
		"write":       func(int) error { return open(file, unix.O_WRONLY) },
		"truncate":    func(int) error { return os.Truncate(file, 1) },
		"remove":      func(int) error { return unix.Unlink(file) },
		"rename":      func(n int) error { return os.Rename(file, named("renamed", n)) },
		"mkdir":       func(n int) error { return os.Mkdir(named("made", n), 0o755) },
		"rmdir":       func(int) error { return unix.Rmdir(j.at(dir + "/empty")) },
		"symlink":     func(n int) error { return os.Symlink("target", named("link", n)) },
		"link":        func(n int) error { return os.Link(file, named("linked", n)) },
		"fifo":        func(n int) error { return unix.Mkfifo(named("fifo", n), 0o644) },
		"take":        func(n int) error { return os.Rename(file, j.at(fmt.Sprint("write/taken", n))) },
		"take a name": func(n int) error { return os.Link(file, j.at(fmt.Sprint("write/named", n))) },
		"put":         func(n int) error { return os.Rename(j.at("write/a/file"), named("put", n)) },
	}
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

func outside(j *jail) {
	must(os.MkdirAll(j.at("outside/empty"), 0o755))
	j.confine(sandbox.Rules{Read: []string{"read"}, Write: []string{"write"}})
	j.refused("read", func(int) error { return read(j.at("outside/file")) })
	j.refused("list", func(int) error { return list(j.at("outside")) })
	j.refused("list above", func(int) error { return list(j.dir) })
	j.refused("read through a link", func(n int) error {
		link := j.at(fmt.Sprint("write/out", n))
		return errors.Join(os.Symlink(j.at("outside/file"), link), read(link))
	})
	for what, f := range j.changes("outside") {
		j.refused(what, f)
	}
	j.works("look", func(int) error { _, err := os.Lstat(j.at("outside/file")); return err })
}

func readOnly(j *jail) {
	j.confine(sandbox.Rules{Read: []string{"read"}, Write: []string{"write"}})
	j.works("read", func(int) error { return read(j.at("read/sub/file")) })
	j.works("list", func(int) error { return list(j.at("read")) })
	must(unix.Access(j.at("read/sub"), unix.W_OK)) // it is not the permission that refuses
	for what, f := range j.changes("read/sub") {
		if what != "rmdir" {
			j.refused(what, f)
		}
	}
}

func insideWorks(j *jail) {
	j.confine(sandbox.Rules{Read: []string{"read"}, Write: []string{"alias", "saved"}})
	path := func(n int) string { return j.at(fmt.Sprint("write/thread", n)) }
	for _, step := range []struct {
		what string
		do   func(dir string) error
	}{
		{"mkdir", func(dir string) error { return os.MkdirAll(dir+"/sub/deeper", 0o700) }},
		{"create", func(dir string) error { return create(dir + "/sub/file") }},
		{"write", func(dir string) error { return create(dir + "/sub/file") }},
		{"truncate", func(dir string) error { return os.Truncate(dir+"/sub/file", 1) }},
		{"read", func(dir string) error { return read(dir + "/sub/file") }},
		{"list", func(dir string) error { return list(dir + "/sub") }},
		{"rename to another directory", func(dir string) error { return os.Rename(dir+"/sub/file", dir+"/file") }},
		{"link in another directory", func(dir string) error { return os.Link(dir+"/file", dir+"/sub/again") }},
		{"link in another one that may be changed", func(dir string) error { return os.Link(dir+"/file", j.at("saved/"+filepath.Base(dir))) }},
		{"move a directory", func(dir string) error { return os.Rename(dir+"/sub/deeper", dir+"/deeper") }},
		{"exchange", func(dir string) error {
			return unix.Renameat2(unix.AT_FDCWD, dir+"/sub", unix.AT_FDCWD, dir+"/file", unix.RENAME_EXCHANGE)
		}},
		{"symlink", func(dir string) error { return os.Symlink("/etc/passwd", dir+"/link") }},
		{"rename a link", func(dir string) error { return os.Rename(dir+"/link", dir+"/deeper/link") }},
		{"fifo", func(dir string) error { return unix.Mkfifo(dir+"/fifo", 0o600) }},
		{"rename a fifo", func(dir string) error { return os.Rename(dir+"/fifo", dir+"/deeper/fifo") }},
		{"chmod", func(dir string) error { return os.Chmod(dir+"/deeper", 0o700) }},
		{"times", func(dir string) error { return os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0)) }},
		{"remove all", os.RemoveAll},
	} {
		j.works(step.what, func(n int) error { return step.do(path(n)) })
	}
}

func staysOpen(j *jail) {
	log, err := os.OpenFile(j.at("outside/log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(err)
	j.confine(sandbox.Rules{Write: []string{"write"}})
	j.works("log", func(int) error { _, err := log.WriteString("a line\n"); return err })
	j.refused("log anew", func(int) error { return open(j.at("outside/log"), unix.O_WRONLY) })
}

func unmakes(j *jail) {
	j.confine(sandbox.Rules{Unmake: []string{"unmake"}})
	j.wants("full", func(int) error { return unix.Rmdir(j.at("unmake/full")) }, syscall.ENOTEMPTY)
	j.refused("file", func(int) error { return unix.Unlink(j.at("unmake/full/file")) })
	j.refused("elsewhere", func(int) error { return unix.Rmdir(j.at("outside/empty")) })
	j.refused("make", func(n int) error { return os.Mkdir(j.at(fmt.Sprint("unmake/", n)), 0o755) })
	j.refused("list", func(int) error { return list(j.at("unmake")) })
	if err := errors.Join(unix.Rmdir(j.at("unmake/empty")), unix.Rmdir(j.at("unmake/deep/er"))); err != nil {
		j.failed = true
		fmt.Println("empty:", err)
	}
}

func singleFile(j *jail) {
	must(os.WriteFile(j.at("outside/other"), nil, 0o644))
	j.confine(sandbox.Rules{Read: []string{"outside/file"}})
	j.works("read", func(int) error { return read(j.at("outside/file")) })
	j.refused("beside it", func(int) error { return read(j.at("outside/other")) })
	j.refused("write", func(int) error { return open(j.at("outside/file"), unix.O_WRONLY) })
}

func missing(j *jail) {
	j.confine(sandbox.Rules{Read: []string{"not/there"}, Write: []string{"write"}})
	j.refused("read", func(int) error { return read(j.at("outside/file")) })
}

func rootReadOnly(j *jail) {
	j.confine(sandbox.Rules{Read: []string{"/"}, Write: []string{"write"}})
	j.works("read", func(int) error { return read(j.at("outside/file")) })
	j.refused("create", func(n int) error { return create(j.at(fmt.Sprint("outside/new", n))) })
	j.works("create inside", func(n int) error { return create(j.at(fmt.Sprint("write/new", n))) })
}

func rootWritable(j *jail) {
	j.confine(sandbox.Rules{Write: []string{"/"}})
	j.works("create", func(n int) error { return create(j.at(fmt.Sprint("outside/new", n))) })
	j.refused("listen", listen)
}

func executes(j *jail) {
	j.confine(sandbox.Rules{Read: []string{"/"}, Write: []string{"write"}})
	j.refused("execute", func(int) error { return exec.Command("/proc/self/exe").Run() })
}

// listen listens as before Go took to another kind of TCP, of which Landlock does not know.
func listen(int) error {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	l, err := c.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err == nil {
		err = l.Close()
	}
	return err
}

// dial connects to where l listens.
func dial(l net.Listener) func(int) error {
	return func(int) error {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
}

// port returns somebody to connect to, and the port.
func port() (net.Listener, uint16) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	return l, uint16(l.Addr().(*net.TCPAddr).Port)
}

func noNetwork(j *jail) {
	l, _ := port()
	j.works("connect before", dial(l))
	j.confine(sandbox.Rules{Write: []string{"write"}})
	j.refused("connect", dial(l))
	j.refused("listen", listen)
	j.refused("names of hosts", func(int) error { return read("/etc/hosts") })
}

func dials(j *jail) {
	to, allowed := port()
	other, _ := port()
	j.confine(sandbox.Rules{Read: []string{"read"}, Connect: []uint16{allowed}, Lookup: true})
	j.works("connect", dial(to))
	j.refused("connect elsewhere", dial(other))
	j.refused("listen", listen)
	j.works("names of hosts", func(int) error { return read("/etc/hosts") })
	for _, preferGo := range []bool{true, false} {
		j.works("look up", func(int) error {
			_, err := (&net.Resolver{PreferGo: preferGo}).LookupHost(context.Background(), "localhost")
			return err
		})
	}
}

func signals(j *jail) {
	parent := os.Getppid()
	j.works("signal before", func(int) error { return unix.Kill(parent, 0) })
	j.confine(sandbox.Rules{Write: []string{"write"}})
	j.wants("signal", func(int) error { return unix.Kill(parent, 0) }, syscall.EPERM)
	j.works("signal itself", func(int) error { return unix.Kill(os.Getpid(), 0) })
}
