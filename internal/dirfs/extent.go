package dirfs

import (
	"errors"
	"io"
	"math"
	"syscall"
)

// extent says what looking for data from off on has found.
func extent(off, from, to int64, err error, name string) (int64, int64, error) {
	switch {
	case err == nil:
		return from, to, nil
	case errors.Is(err, syscall.ENXIO):
		return 0, 0, io.EOF
	case errors.Is(err, syscall.EIO):
		return 0, 0, fail("seek", name, err)
	}
	return off, math.MaxInt64, nil // the system does not say
}
