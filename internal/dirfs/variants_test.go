//go:build linux || darwin

package dirfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// variant is one way to get a Dir. All keep the same contract.
type variant struct {
	name   string
	open   func(path string, o dirfs.Options) (dirfs.Dir, error)
	native bool // exchanges entries and syncs a file system
}

// variants are the implementations of this system, each bare and wrapped.
func variants() []variant {
	bare := append(nativeVariants(),
		variant{name: "portable", open: openPortable},
		variant{name: "portable-by-path", open: dirfs.OpenPortableByPath})
	all := bare
	for _, v := range bare {
		all = append(all, variant{v.name + "-injected", injected(v.open), v.native})
	}
	return all
}

func openPortable(path string, o dirfs.Options) (dirfs.Dir, error) {
	o.Portable = true
	return dirfs.OpenRoot(path, o)
}

func injected(open func(string, dirfs.Options) (dirfs.Dir, error)) func(string, dirfs.Options) (dirfs.Dir, error) {
	return func(path string, o dirfs.Options) (dirfs.Dir, error) {
		d, err := open(path, o)
		if err != nil {
			return nil, err
		}
		return dirfs.Inject(d, func(dirfs.Call) error { return nil }), nil
	}
}

// place is an empty directory, and the handle of it that is tested.
type place struct {
	*testing.T
	variant
	dirfs.Dir
	path string
}

// everywhere runs a test on every variant.
func everywhere(t *testing.T, test func(p *place)) {
	t.Helper()
	on(t, variants(), test)
}

// on runs a test on some variants, each with an empty directory of its own.
func on(t *testing.T, some []variant, test func(p *place)) {
	t.Helper()
	for _, v := range some {
		t.Run(v.name, func(t *testing.T) {
			path := t.TempDir()
			d := must(v.open(path, dirfs.Options{}))(t)
			defer d.Close()
			test(&place{t, v, d, path})
		})
	}
}

// must returns a function that returns v, and fails the test if err is set.
func must[V any](v V, err error) func(t testing.TB) V {
	return func(t testing.TB) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails unless err is one of want.
func wants(t testing.TB, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Fatalf("got error %v, want %v", err, want)
}

func (p *place) at(name string) string { return filepath.Join(p.path, name) }

// write makes a file beside the handle.
func (p *place) write(name, content string) {
	p.Helper()
	ok(p, os.WriteFile(p.at(name), []byte(content), 0o644))
}

// content reads a file beside the handle.
func (p *place) content(name string) string {
	p.Helper()
	return string(must(os.ReadFile(p.at(name)))(p))
}

// mkdir makes and opens a directory.
func (p *place) mkdir(name string) dirfs.Dir {
	p.Helper()
	ok(p, p.Mkdir(name, 0o700))
	d := must(p.OpenDir(name))(p)
	p.Cleanup(func() { d.Close() })
	return d
}

// create makes a file through the handle.
func (p *place) create(name, content string) {
	p.Helper()
	f := must(p.Create(name, 0o600))(p)
	must(f.WriteAt([]byte(content), 0))(p)
	ok(p, f.Close())
}

// list returns what List says.
func list(t testing.TB, d dirfs.Dir) map[string]dirfs.Info {
	t.Helper()
	got := make(map[string]dirfs.Info)
	ok(t, d.List(func(name []byte, info dirfs.Info, err error) error {
		if err != nil {
			return err
		}
		if _, twice := got[string(name)]; twice {
			t.Errorf("%q listed twice", name)
		}
		got[string(name)] = info
		return nil
	}))
	return got
}

// gone fails unless nothing has the name.
func (p *place) gone(name string) {
	p.Helper()
	if _, err := os.Lstat(p.at(name)); !errors.Is(err, fs.ErrNotExist) {
		p.Fatalf("%q: got %v, want it to be gone", name, err)
	}
}

// typeOf returns the type of an entry.
func (p *place) typeOf(name string) tree.Type {
	p.Helper()
	return must(p.Stat(name))(p).Type
}
