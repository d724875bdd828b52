//go:build unix && !linux

package cli_test

import (
	"errors"
	"os"
)

// dropPrivileges refuses to test as root what only others are refused.
func dropPrivileges() error {
	if os.Getuid() == 0 {
		return errors.New("run the tests as somebody who is not root")
	}
	return nil
}
