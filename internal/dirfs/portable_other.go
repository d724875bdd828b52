//go:build !linux && !darwin

package dirfs

import "errors"

// sysInfo knows nothing more here.
func sysInfo(*Info, any) {}

// space is not known here.
func space(int) (Space, error) { return Space{}, errors.ErrUnsupported }
