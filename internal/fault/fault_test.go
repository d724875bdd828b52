package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/fault"
)

func TestWorse(t *testing.T) {
	order := []fault.Code{fault.Usage, fault.Version, fault.Path, fault.Access, fault.Interrupted, fault.Guard, fault.Protocol,
		fault.Disk, fault.Lost, fault.Timeout, fault.Connect, fault.Partial, fault.Vanished, 99, fault.OK}
	for i, a := range order {
		for j, b := range order {
			if got, want := fault.Worse(a, b), order[min(i, j)]; got != want {
				t.Errorf("Worse(%d, %d) = %d, want %d", a, b, got, want)
			}
		}
		if a != 99 && strings.HasPrefix(a.String(), "code") {
			t.Errorf("code %d has no words", a)
		}
	}
	if got := fault.Code(99).String(); got != "code 99" {
		t.Errorf("got %q", got)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	e := fault.New(fault.Disk, "write: %w", cause)
	again := fault.With(fault.Lost, fmt.Errorf("wrapped: %w", e))
	if fault.Of(again, fault.Lost) != fault.Disk || !errors.Is(again, cause) || again.Error() != "wrapped: write: cause" {
		t.Errorf("got %v", again)
	}
	if fault.With(fault.Disk, nil) != nil || fault.Of(nil, fault.Disk) != fault.OK || fault.Of(cause, fault.Path) != fault.Path {
		t.Error("no error has a code, or one without has another than asked for")
	}
	if fault.Doing(fault.Disk, "try", nil) != nil || fault.Doing(fault.Lost, "try", e) != e {
		t.Error("what was tried is said of no error, or of one that has a code")
	}
	if got := fault.Doing(fault.Disk, "try", cause); fault.Of(got, fault.Lost) != fault.Disk || !errors.Is(got, cause) || got.Error() != "try: cause" {
		t.Errorf("got %v", got)
	}
	if got := fault.With(fault.Disk, cause); fault.Of(got, fault.Lost) != fault.Disk {
		t.Errorf("got %v", got)
	}
}
