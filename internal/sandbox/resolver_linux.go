package sandbox

import (
	"os"
	"path/filepath"
)

// resolver returns what is read to look up a name, by Go's resolver or the C library's.
func resolver() []string {
	paths := []string{
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/mdns.allow",
		// The C library loads a library for each source of names.
		"/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib",
	}
	// A resolv.conf that somebody keeps up to date is another file each time. In /etc
	// itself that would be all of it, and with the rights of root all secrets there.
	if path, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil {
		if dir := filepath.Dir(path); dir != "/etc" || os.Geteuid() != 0 {
			paths = append(paths, dir)
		}
	}
	return paths
}
