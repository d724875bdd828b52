package stage

import (
	"errors"
	"sync"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Put makes a new file of verified content, with its metadata, and returns
// what the system says of it afterwards. On failure nothing is left.
func (a *Area) Put(in dirfs.Dir, name string, content []byte, m wire.Meta) (dirfs.Info, error) {
	f, err := create(in, name, m.Perm)
	if err != nil {
		return dirfs.Info{}, err
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		return dirfs.Info{}, errors.Join(err, f.Close(), in.Remove(name))
	}
	return a.seal(f, in, name, m)
}

// seal gives a file that is complete its metadata and closes it. Where the
// umask let it have its permission from the beginning, that is not set again: until
// it is installed it is private by the directory that it is in.
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

// Large is a new file whose chunks come one by one, in about their order. Its
// methods are safe for concurrent use.
type Large struct {
	area *Area
	in   dirfs.Dir
	name string
	f    dirfs.File

	sparse bool

	// writing is held while a chunk is written: the system lets one writer
	// at a time into a file, and those that wait for it there spin.
	writing sync.Mutex

	mu    sync.Mutex // guards the rest
	parts wire.Parts
	holes bool
}

// Create makes a new file for chunks, in which holes stay holes if it is sparse.
// In must be held until the file is sealed or discarded.
func (a *Area) Create(in dirfs.Dir, name string, sparse bool) (*Large, error) {
	f, err := create(in, name, 0o600)
	if err != nil {
		return nil, err
	}
	return &Large{area: a, in: in, name: name, f: f, sparse: sparse}, nil
}

// Write writes one verified chunk. An error that wraps wire.ErrProtocol says
// that the chunk cannot belong there.
func (l *Large) Write(c wire.Chunk) error {
	l.mu.Lock()
	err := l.parts.Add(c.Index, c.Length, c.Checksum)
	l.holes = l.holes || c.Extents != nil
	l.mu.Unlock()
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if c.Extents == nil {
		_, err = l.f.WriteAt(c.Content, c.Offset())
		return err
	}
	return l.extents(&c)
}

// extents writes the data of a chunk with holes, and unless it is sparse the
// holes as well.
func (l *Large) extents(c *wire.Chunk) error {
	if !l.sparse {
		err := l.f.Allocate(c.Offset(), c.Length)
		if errors.Is(err, errors.ErrUnsupported) {
			err = l.zeros(c.Offset(), c.Length)
		}
		if err != nil {
			return err
		}
	}
	content := c.Content
	for _, e := range c.Extents {
		if _, err := l.f.WriteAt(content[:e.Len], c.Offset()+e.Off); err != nil {
			return err
		}
		content = content[e.Len:]
	}
	return nil
}

func (l *Large) zeros(off, n int64) error {
	block := make([]byte, min(n, digest.ChunkSize))
	for end := off + n; off < end; off += int64(len(block)) {
		if _, err := l.f.WriteAt(block[:min(int64(len(block)), end-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// Seal verifies that the file is whole, gives it its metadata and closes it.
// Nobody may be writing.
func (l *Large) Seal(e wire.End) (dirfs.Info, error) {
	if n, size, sum, ok := l.parts.Whole(); !ok || n != e.Parts || size != e.Size || sum != e.Checksum {
		l.Discard()
		return dirfs.Info{}, wire.Errorf("a file does not match its checksum")
	}
	if l.holes { // it may end with one
		if err := l.f.Truncate(e.Size); err != nil {
			l.Discard()
			return dirfs.Info{}, err
		}
	}
	return l.area.seal(l.f, l.in, l.name, e.Meta)
}

// Remade gives a file that was made with File, and verified, its size and metadata
// and closes it. Nobody may be writing.
func (l *Large) Remade(m wire.Meta) (dirfs.Info, error) {
	// It is longer where the source's was when it was described, and writing began.
	if err := l.f.Truncate(m.Size); err != nil {
		l.Discard()
		return dirfs.Info{}, err
	}
	return l.area.seal(l.f, l.in, l.name, m)
}

// File returns the file itself, for content that comes in no order. Who takes
// that verifies it.
func (l *Large) File() dirfs.File { return l.f }

// Leave closes the file as far as it has come: a later session takes it up.
func (l *Large) Leave() {
	// What it lacks is found out then.
	_ = l.f.Close()
}

// Discard removes the file.
func (l *Large) Discard() {
	// It is void: what is not removed now is cleared with the stage.
	_ = l.f.Close()
	_ = l.in.Remove(l.name)
}
