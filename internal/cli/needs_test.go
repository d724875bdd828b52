//go:build unix

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// needs returns the path of a program that is a Debian package of the same name, as
// scripts/setup installs it. Where CI is set a test must not do without; elsewhere it is
// skipped, and says so.
func needs(t *testing.T, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	// Servers are where an ordinary user's PATH does not lead.
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", program)); err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: scripts/setup installs it", program)
	}
	t.Skipf("SKIPPED: %s is not installed: scripts/setup installs it", program)
	return ""
}
