//go:build !linux

package dirfs

// openNative has nothing better here than what works everywhere.
func openNative(path string, o Options) (Dir, error) { return openPortable(path, o) }
