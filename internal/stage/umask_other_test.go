//go:build !unix

package stage_test

func umask(int) func() { return func() {} }
