package sandbox

import (
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// What a rule allows. Nothing may be executed.
const (
	readFile = ll.AccessFSReadFile
	readDir  = readFile | ll.AccessFSReadDir

	// writeDir makes special files too: one that is moved is made at its new place.
	writeDir = readDir | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSRefer |
		ll.AccessFSRemoveDir | ll.AccessFSRemoveFile |
		ll.AccessFSMakeDir | ll.AccessFSMakeReg | ll.AccessFSMakeSym |
		ll.AccessFSMakeFifo | ll.AccessFSMakeSock | ll.AccessFSMakeChar | ll.AccessFSMakeBlock
)

// least is the version of Landlock from which on a file may be renamed to another
// directory: Linux 5.19.
const least = 2

func confine(r Rules) error {
	version, err := ll.LandlockGetABIVersion()
	if err != nil || version < least { // not in this kernel, not enabled, or hidden by a container
		return ErrNone
	}
	// What resolvers talk to is theirs to say, sockets and datagrams of all kinds; who
	// looks nothing up needs neither.
	config := landlock.V11
	if r.Lookup {
		config = landlock.V8
	}
	probes := newProbes(r, version)
	if err := config.BestEffort().Restrict(r.landlock()...); err != nil {
		return err
	}
	return verify(probes)
}

// landlock returns the rules as the kernel takes them.
func (r Rules) landlock() (rules []landlock.Rule) {
	read := r.Read
	if r.Lookup {
		read = append(read[:len(read):len(read)], resolver()...)
		rules = append(rules, landlock.ConnectTCP(53))
	}
	for _, path := range read {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		var access landlock.AccessFSSet = readFile
		if info.IsDir() {
			access = readDir
		}
		rules = append(rules, landlock.PathAccess(access, path).IgnoreIfMissing())
	}
	for _, port := range r.Connect {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	return append(rules,
		landlock.PathAccess(writeDir, r.Write...),
		landlock.PathAccess(ll.AccessFSRemoveDir, r.Unmake...))
}
