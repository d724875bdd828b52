package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// probe is something that is possible before the process is confined, and not after.
type probe struct {
	what string
	try  func() error
}

// newProbes returns what the rules do not allow and is possible now. Where a whole file
// system may be changed little is left to try.
func newProbes(r Rules, version int) []probe {
	var probes []probe
	if !names(r.Read, "/") && !names(r.Write, "/") {
		probes = append(probes, probe{"read /", func() error { return open("/", unix.O_RDONLY|unix.O_DIRECTORY) }})
	}
	if !names(r.Write, "/") && !names(r.Write, "/dev") {
		probes = append(probes, probe{"write to /dev/null", func() error { return open("/dev/null", unix.O_WRONLY) }})
	}
	if version >= 4 {
		probes = append(probes, probe{"listen on a port", bind})
	}
	return slices.DeleteFunc(probes, func(p probe) bool { return p.try() != nil })
}

// names reports whether one of paths is the file or directory at path.
func names(paths []string, path string) bool {
	want, err := os.Stat(path)
	return err == nil && slices.ContainsFunc(paths, func(p string) bool {
		got, err := os.Stat(p)
		return err == nil && os.SameFile(got, want)
	})
}

// refused fails unless the system refuses to do it.
func (p probe) refused() error {
	switch err := p.try(); {
	case err == nil:
		return fmt.Errorf("this process can still %s", p.what)
	case !errors.Is(err, unix.EACCES):
		return fmt.Errorf("whether this process can still %s: %w", p.what, err)
	}
	return nil
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// bind takes a port of this machine's own, and gives it back.
func bind() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return err
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	return errors.Join(err, unix.Close(fd))
}

// verify fails unless every probe is refused on several threads. The kernel is asked, since
// what said that it confines may not have done so: a library that does not know a newer
// system, a filter of system calls.
func verify(probes []probe) error {
	return onThreads(func() error {
		set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
		if err != nil || set != 1 {
			return fmt.Errorf("it had no effect: this process can still get privileges (%d, %v)", set, err)
		}
		for _, p := range probes {
			if err := p.refused(); err != nil {
				return fmt.Errorf("it had no effect: %w", err)
			}
		}
		return nil
	})
}

// onThreads calls f on as many threads as usually run Go and two more, at the same time,
// and returns the first error.
func onThreads(f func() error) error {
	errs := make([]error, runtime.GOMAXPROCS(0)+2)
	var ready, done sync.WaitGroup
	ready.Add(len(errs))
	for i := range errs {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			ready.Wait() // now each has a thread of its own
			errs[i] = f()
		})
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
