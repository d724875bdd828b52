// Package fault names the ways in which a run fails: the numbers are exit
// codes of the command, cross the wire, and are never used again for anything
// else. They follow rsync's where it has one.
//
// Its law: a code exists only because somebody acts on it. Trouble with a
// single entry is data, not a fault; it ends up in the code of the whole run.
//
// It also knows how one side speaks to the other: ForPeer says what may be told, and
// Escape makes what was heard harmless.
package fault

import (
	"errors"
	"fmt"
	"slices"
)

// Code says how a run ended. 0 is success.
type Code uint8

// The codes.
const (
	OK          Code = 0
	Usage       Code = 1  // the command line makes no sense
	Version     Code = 2  // no version of the protocol that both speak
	Path        Code = 3  // source or destination cannot be used
	Access      Code = 5  // not let in
	Lost        Code = 10 // connection lost and not regained; state unknown
	Disk        Code = 11 // the destination's disk failed as a whole
	Protocol    Code = 12 // the peer broke the protocol
	Interrupted Code = 20 // by a signal
	Partial     Code = 23 // some entries failed; nothing was removed
	Vanished    Code = 24 // some source files vanished or kept changing
	Guard       Code = 25 // a guard refused the plan
	Timeout     Code = 30 // no progress for too long
	Connect     Code = 35 // no connection within the time for it
)

// order lists the codes, the one that wins over all later ones first.
var order = [...]Code{Usage, Version, Path, Access, Interrupted, Guard, Protocol, Disk, Lost, Timeout, Connect, Partial, Vanished, OK}

// Worse returns the one of a and b that a run with both ends with. A code that
// is not known, of a later version, is worse than success only.
func Worse(a, b Code) Code {
	for _, c := range order {
		if c != OK && (c == a || c == b) {
			return c
		}
	}
	return max(a, b)
}

// Known reports whether c is one of the codes.
func (c Code) Known() bool { return slices.Contains(order[:], c) }

// String returns what c means in a few words.
func (c Code) String() string {
	switch c {
	case OK:
		return "success"
	case Usage:
		return "usage"
	case Version:
		return "versions do not fit"
	case Path:
		return "source or destination cannot be used"
	case Access:
		return "not let in"
	case Lost:
		return "connection lost"
	case Disk:
		return "the destination's disk failed"
	case Protocol:
		return "protocol broken"
	case Interrupted:
		return "interrupted"
	case Partial:
		return "some entries failed"
	case Vanished:
		return "some source files vanished or kept changing"
	case Guard:
		return "refused by a guard"
	case Timeout:
		return "no progress"
	case Connect:
		return "no connection"
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Error is an error that decides the code of the run.
type Error struct {
	Code Code
	Err  error
	// Peer says that it happened on the other side, which reported it.
	Peer bool
}

// Error returns the cause.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error with the given code. Of its arguments the other side is told
// numbers and what is Told.
func New(c Code, format string, args ...any) error {
	return &Error{Code: c, Err: Errorf(format, args...)}
}

// Peer returns the error of a run that failed on the other side, as that has put it.
func Peer(c Code, words string) error {
	if words == "" {
		words = c.String()
	}
	return &Error{Code: c, Err: errors.New(Escape(words)), Peer: true}
}

// With gives err the code c, unless it has one. A nil err stays nil.
func With(c Code, err error) error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	return &Error{Code: c, Err: err}
}

// Doing gives err the code c and says what was tried, unless err has a code. A nil err stays
// nil.
func Doing(c Code, what string, err error) error {
	if e := (*Error)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	return New(c, "%s: %w", Told(what), err)
}

// Of returns the code of err: OK for nil, otherwise for what has none.
func Of(err error, otherwise Code) Code {
	if err == nil {
		return OK
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return otherwise
}
