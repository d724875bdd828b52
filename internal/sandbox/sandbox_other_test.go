//go:build !linux

package sandbox_test

import (
	"errors"
	"testing"

	"github.com/sync-directory/sync-directory/internal/sandbox"
)

func TestNone(t *testing.T) {
	if err := sandbox.Confine(sandbox.Rules{}); !errors.Is(err, sandbox.ErrNone) {
		t.Error(err)
	}
}
