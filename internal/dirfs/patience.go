package dirfs

import (
	"errors"
	"syscall"
	"time"
)

// attempts is how often a call is made that finds too many files open, the last one
// after a third of a second: others may have closed theirs by then.
const attempts = 6

// Patiently makes a call that opens something, and again a few times where too many
// files are open, in this process or on this machine.
func Patiently[T any](open func() (T, error)) (T, error) {
	for n := 0; ; n++ {
		got, err := open()
		if n == attempts-1 || !isTooMany(err) {
			return got, err
		}
		time.Sleep(10 * time.Millisecond << n)
	}
}

// isTooMany reports whether err says that too many files are open.
func isTooMany(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
