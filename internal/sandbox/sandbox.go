// Package sandbox confines this process to what it works with.
//
// Its laws: it is for a command, which has its process for itself, and never for a
// library; it holds for all threads, and for good; and whatever says that it is done has
// made sure of it. What was opened before stays open.
package sandbox

import "errors"

// ErrNone says that the system has nothing to confine a process with.
var ErrNone = errors.New("this system has no Landlock")

// Rules say what the process may still do with files and with the network. A path, in
// which links are followed, means what is there now, wherever that is moved.
type Rules struct {
	// Read are files and directories that may be read, with all that is in them. What is
	// not there is passed over.
	Read []string
	// Write are directories in which everything may be read and changed.
	Write []string
	// Unmake are directories in which empty directories may be removed, at any depth.
	Unmake []string
	// Connect are the TCP ports to which connections may be made.
	Connect []uint16
	// Lookup lets names of hosts be looked up.
	Lookup bool
}

// Confine gives up all that the rules do not name, to execute programs and to listen on
// ports among it. It fails with ErrNone where nothing can be given up; after another error
// some of it may be.
//
// No kernel knows of everything, and older ones know less: that something is there can be
// seen everywhere, times and permissions can be set of what belongs to the user, and
// sockets of Multipath TCP connect and listen.
func Confine(r Rules) error { return confine(r) }
