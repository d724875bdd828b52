//go:build !unix

package cache

import "os"

// private is for systems that tell owners; elsewhere the directory is one of the
// user's own.
func private(string) error { return nil }

func openPrivate(path string) (*os.File, error) { return os.Open(path) }
