//go:build unix && !linux

package cli_test

import "errors"

// filtered takes nothing from where there is nothing.
func filtered([]string) error { return errors.ErrUnsupported }

func hasLandlock() bool { return false }
