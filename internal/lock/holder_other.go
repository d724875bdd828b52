//go:build !linux

package lock

// Holder returns the process that holds the lock of the directory at path, or
// 0 where the system does not say.
func Holder(string) int { return 0 }
