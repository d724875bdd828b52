//go:build unix && !linux

package cli_test

import "github.com/rogpeppe/go-internal/testscript"

func canImmutable() bool { return false }

func cmdImmutable(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("not here") }
