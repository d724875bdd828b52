package dirfs

// OpenPortableByPath opens a portable root whose handles rename by path, as
// on a system without renameat.
func OpenPortableByPath(path string, o Options) (Dir, error) {
	d, err := openPortable(path, o)
	if err == nil {
		d.(*portableDir).top.byPath = true
	}
	return d, err
}
