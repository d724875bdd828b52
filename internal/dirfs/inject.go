package dirfs

import "github.com/sync-directory/sync-directory/internal/tree"

// Call is what Inject tells of a call that is about to be made.
type Call struct {
	// Op is the name of the method; that of a File's method has "File."
	// before it: "Rename", "File.WriteAt".
	Op string
	// Name is the component that the call was given, or that the file was
	// opened or created by; "" for a call on the directory itself.
	Name string
	// NewName is the second component of Rename, Link and Exchange.
	NewName string
	// Mutates says that the call changes something on the disk, or makes a
	// change durable. Closing a file that Create made is such a call.
	Mutates bool
}

// Inject returns a Dir that calls before ahead of every call on d and on
// everything that is opened through it. Where before returns an error, that
// error is returned and the call is not made; only Close frees the handle all
// the same, as the system does. It is how tests fail or stop a run at every
// step; nothing else wraps a Dir. Before may be called concurrently.
func Inject(d Dir, before func(Call) error) Dir { return &injectedDir{d, before} }

// injectedDir is a Dir with a call ahead of each call.
type injectedDir struct {
	dir    Dir
	before func(Call) error
}

// unwrap returns the Dir below any injection.
func unwrap(d Dir) Dir {
	for {
		i, ok := d.(*injectedDir)
		if !ok {
			return d
		}
		d = i.dir
	}
}

// read announces a call that changes nothing.
func (d *injectedDir) read(op, name string) error {
	return d.before(Call{Op: op, Name: name})
}

// change announces a call that changes something.
func (d *injectedDir) change(op, name string) error {
	return d.before(Call{Op: op, Name: name, Mutates: true})
}

// List implements Dir.
func (d *injectedDir) List(fn func(name []byte, info Info, err error) error) error {
	if err := d.read("List", ""); err != nil {
		return err
	}
	return d.dir.List(fn)
}

// Names implements Dir.
func (d *injectedDir) Names(fn func(name []byte) bool) error {
	if err := d.read("Names", ""); err != nil {
		return err
	}
	return d.dir.Names(fn)
}

// Stat implements Dir.
func (d *injectedDir) Stat(name string) (Info, error) {
	if err := d.read("Stat", name); err != nil {
		return Info{}, err
	}
	return d.dir.Stat(name)
}

// Self implements Dir.
func (d *injectedDir) Self() (Info, error) {
	if err := d.read("Self", ""); err != nil {
		return Info{}, err
	}
	return d.dir.Self()
}

// OpenDir implements Dir.
func (d *injectedDir) OpenDir(name string) (Dir, error) {
	if err := d.read("OpenDir", name); err != nil {
		return nil, err
	}
	child, err := d.dir.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &injectedDir{child, d.before}, nil
}

// Open implements Dir.
func (d *injectedDir) Open(name string) (File, error) {
	if err := d.read("Open", name); err != nil {
		return nil, err
	}
	f, err := d.dir.Open(name)
	if err != nil {
		return nil, err
	}
	return &injectedFile{file: f, name: name, before: d.before}, nil
}

// ReadLink implements Dir.
func (d *injectedDir) ReadLink(name string) (string, error) {
	if err := d.read("ReadLink", name); err != nil {
		return "", err
	}
	return d.dir.ReadLink(name)
}

// Mkdir implements Dir.
func (d *injectedDir) Mkdir(name string, perm uint16) error {
	if err := d.change("Mkdir", name); err != nil {
		return err
	}
	return d.dir.Mkdir(name, perm)
}

// Create implements Dir.
func (d *injectedDir) Create(name string, perm uint16) (File, error) {
	if err := d.change("Create", name); err != nil {
		return nil, err
	}
	f, err := d.dir.Create(name, perm)
	if err != nil {
		return nil, err
	}
	return &injectedFile{f, name, true, d.before}, nil
}

// Symlink implements Dir.
func (d *injectedDir) Symlink(target, name string) error {
	if err := d.change("Symlink", name); err != nil {
		return err
	}
	return d.dir.Symlink(target, name)
}

// Rename implements Dir.
func (d *injectedDir) Rename(name string, to Dir, newName string) error {
	if err := d.before(Call{"Rename", name, newName, true}); err != nil {
		return err
	}
	return unwrap(d.dir).Rename(name, unwrap(to), newName)
}

// Link implements Dir.
func (d *injectedDir) Link(name string, to Dir, newName string) error {
	if err := d.before(Call{"Link", name, newName, true}); err != nil {
		return err
	}
	return unwrap(d.dir).Link(name, unwrap(to), newName)
}

// Exchange implements Dir.
func (d *injectedDir) Exchange(name string, to Dir, newName string) error {
	if err := d.before(Call{"Exchange", name, newName, true}); err != nil {
		return err
	}
	return unwrap(d.dir).Exchange(name, unwrap(to), newName)
}

// Remove implements Dir.
func (d *injectedDir) Remove(name string) error {
	if err := d.change("Remove", name); err != nil {
		return err
	}
	return d.dir.Remove(name)
}

// RemoveDir implements Dir.
func (d *injectedDir) RemoveDir(name string) error {
	if err := d.change("RemoveDir", name); err != nil {
		return err
	}
	return d.dir.RemoveDir(name)
}

// SetLinkTime implements Dir.
func (d *injectedDir) SetLinkTime(name string, t tree.Time) error {
	if err := d.change("SetLinkTime", name); err != nil {
		return err
	}
	return d.dir.SetLinkTime(name, t)
}

// Chmod implements Dir.
func (d *injectedDir) Chmod(perm uint16) error {
	if err := d.change("Chmod", ""); err != nil {
		return err
	}
	return d.dir.Chmod(perm)
}

// SetTime implements Dir.
func (d *injectedDir) SetTime(t tree.Time) error {
	if err := d.change("SetTime", ""); err != nil {
		return err
	}
	return d.dir.SetTime(t)
}

// Sync implements Dir.
func (d *injectedDir) Sync() error {
	if err := d.change("Sync", ""); err != nil {
		return err
	}
	return d.dir.Sync()
}

// TellsChanges implements Dir.
func (d *injectedDir) TellsChanges() bool { return d.dir.TellsChanges() }

// Clones implements Dir.
func (d *injectedDir) Clones() bool { return d.dir.Clones() }

// SyncsFS says what SyncFS can do here.
func (d *injectedDir) SyncsFS() bool { return d.dir.SyncsFS() }

// SyncFS implements Dir.
func (d *injectedDir) SyncFS() error {
	if err := d.change("SyncFS", ""); err != nil {
		return err
	}
	return d.dir.SyncFS()
}

// Space implements Dir.
func (d *injectedDir) Space() (Space, error) {
	if err := d.read("Space", ""); err != nil {
		return Space{}, err
	}
	return d.dir.Space()
}

// Close implements Dir.
func (d *injectedDir) Close() error {
	err := d.read("Close", "")
	if e := d.dir.Close(); err == nil {
		err = e
	}
	return err
}
