package stage_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// write makes a file where nothing is.
func write(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// FuzzTakeUp has anything in the working directory, under any names: it is taken up or
// discarded, and nothing else is touched.
func FuzzTakeUp(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		kept := filepath.Join(dir, "kept")
		if err := os.WriteFile(kept, []byte("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
		root, err := dirfs.OpenRoot(dir, dirfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		a, err := stage.Open(root, stage.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range bytes.Split(data, []byte{'\n'}) {
			if tree.CheckName(string(name)) != nil || len(name) > 200 || i > 30 {
				continue
			}
			at := filepath.Join(dir, tree.Reserved, []string{"stage", "left"}[i%2], string(name))
			switch i / 2 % 3 {
			case 0:
				err = write(at, name)
			case 1:
				err = os.MkdirAll(filepath.Join(at, string(name)), 0o700)
			case 2:
				err = os.Symlink("../../kept", at)
			}
			if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTDIR) {
				t.Fatal(err)
			}
		}
		if err := a.TakeUp(); err != nil {
			t.Errorf("take up: %v", err)
		}
		staged, err := os.ReadDir(filepath.Join(dir, tree.Reserved, "stage"))
		if err != nil || len(staged) > 0 {
			t.Errorf("%d entries are staged still, %v", len(staged), err)
		}
		if err := a.Leave(a.Root.MTime); err != nil {
			t.Errorf("leave: %v", err)
		}
		if b, err := os.ReadFile(kept); err != nil || string(b) != "kept" {
			t.Errorf("what was beside it is %q, %v", b, err)
		}
	})
}
