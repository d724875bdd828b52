package dirfs

// OpenPlain opens a root as on a system without openat2.
func OpenPlain(path string, o Options) (Dir, error) {
	d, err := openNative(path, o)
	if err == nil {
		d.(*linuxDir).shared.plain.Store(true)
	}
	return d, err
}

// FD returns the descriptor of a native directory.
func FD(d Dir) int { return d.(*linuxDir).fd }
