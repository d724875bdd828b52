//go:build !unix

package dirfs

// DefaultHandles returns how many directories a process may hold open.
func DefaultHandles() int { return 64 }
