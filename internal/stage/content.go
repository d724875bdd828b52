package stage

import (
	"errors"
	"io"
	"sync"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Put makes a new file of verified content, with its metadata, and returns
// what the system says of it afterwards. On failure nothing is left.
func (a *Area) Put(in dirfs.Dir, name string, content []byte, m wire.Meta) (dirfs.Info, error) {
	f, err := in.Create(name, m.Perm)
	if err != nil {
		return dirfs.Info{}, err
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		return dirfs.Info{}, errors.Join(err, f.Close(), in.Remove(name))
	}
	return a.seal(f, in, name, m)
}

// seal gives a file that is complete its metadata and closes it. Where the
// umask let it have its permission from the beginning, that is not set again.
func (a *Area) seal(f dirfs.File, in dirfs.Dir, name string, m wire.Meta) (info dirfs.Info, err error) {
	err = f.SetTime(a.Canon.Time(m.MTime))
	if err == nil {
		info, err = f.Info()
	}
	if err == nil && info.Perm != m.Perm {
		if err = f.Chmod(m.Perm); err == nil {
			info, err = f.Info()
		}
	}
	if err == nil && a.SyncsEach() {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return dirfs.Info{}, errors.Join(err, in.Remove(name))
	}
	return info, nil
}

// Copy makes a new file with the content of another one of the destination.
func (a *Area) Copy(from dirfs.Dir, old string, in dirfs.Dir, name string, m wire.Meta) (dirfs.Info, error) {
	src, err := from.Open(old)
	if err != nil {
		return dirfs.Info{}, err
	}
	defer src.Close()
	f, err := in.Create(name, m.Perm)
	if err != nil {
		return dirfs.Info{}, err
	}
	n, err := io.Copy(io.NewOffsetWriter(f, 0), io.NewSectionReader(src, 0, m.Size))
	if err == nil && n != m.Size {
		err = errors.New("changed while it was copied")
	}
	if err != nil {
		return dirfs.Info{}, errors.Join(err, f.Close(), in.Remove(name))
	}
	return a.seal(f, in, name, m)
}

// Large is a new file whose chunks come one by one, in about their order. Its
// methods are safe for concurrent use.
type Large struct {
	area *Area
	in   dirfs.Dir
	name string
	f    dirfs.File

	// writing is held while a chunk is written: the system lets one writer
	// at a time into a file, and those that wait for it there spin.
	writing sync.Mutex

	mu    sync.Mutex // guards parts
	parts wire.Parts
}

// Create makes a new file for chunks. In must be held until the file is
// sealed or discarded.
func (a *Area) Create(in dirfs.Dir, name string) (*Large, error) {
	f, err := in.Create(name, 0o600)
	if err != nil {
		return nil, err
	}
	return &Large{area: a, in: in, name: name, f: f}, nil
}

// Write writes one verified chunk. An error that wraps wire.ErrProtocol says
// that the chunk cannot belong there.
func (l *Large) Write(c wire.Chunk) error {
	l.mu.Lock()
	err := l.parts.Add(c.Index, int64(len(c.Content)), c.Checksum)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	l.writing.Lock()
	_, err = l.f.WriteAt(c.Content, int64(c.Index)*digest.ChunkSize)
	l.writing.Unlock()
	return err
}

// Seal verifies that the file is whole, gives it its metadata and closes it.
// Nobody may be writing.
func (l *Large) Seal(e wire.End) (dirfs.Info, error) {
	if n, size, sum, ok := l.parts.Whole(); !ok || n != e.Parts || size != e.Size || sum != e.Checksum {
		l.Discard()
		return dirfs.Info{}, wire.Errorf("a file does not match its checksum")
	}
	return l.area.seal(l.f, l.in, l.name, e.Meta)
}

// Discard removes the file.
func (l *Large) Discard() {
	// It is void: what is not removed now is cleared with the stage.
	_ = l.f.Close()
	_ = l.in.Remove(l.name)
}
