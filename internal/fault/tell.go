package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"syscall"
)

// What goes wrong on one side is told to both, but the other side is a stranger: where
// directories are, who runs this, and which process it is are not its business. So it is
// told by what is known to be harmless, and never by err.Error(): the words of New and
// Errorf, the numbers in them, the strings in them that are marked as Told, and what the
// system calls the trouble.

// Told is a string among the arguments of New and Errorf that the other side may be told
// as well: words of ours, or a name below the root. Any other string stays here, such as
// a path from the command line, or an address.
type Told string

// text is an error whose format may be told.
type text struct {
	error
	format string
	args   []any
}

// Unwrap returns what the arguments for %w were.
func (t *text) Unwrap() []error {
	switch e := t.error.(type) {
	case interface{ Unwrap() error }:
		return []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}

// Errorf returns an error as fmt.Errorf does, of which ForPeer knows what the other side
// may be told.
func Errorf(format string, args ...any) error {
	return &text{fmt.Errorf(format, args...), format, args}
}

// ForPeer returns what the other side is told of err, otherwise where nothing is known of
// it that may be told. It names nothing of this side but entries below the root.
func ForPeer(err error, otherwise string) string {
	if said := known(err); said != "" {
		return said
	}
	switch e := err.(type) {
	case *Error:
		return ForPeer(e.Err, e.Code.String())
	case *text:
		return e.forPeer(otherwise)
	case interface{ Unwrap() error }: // whose own words may be anything
		return ForPeer(e.Unwrap(), otherwise)
	case interface{ Unwrap() []error }:
		var said []string
		for _, inner := range e.Unwrap() {
			if s := ForPeer(inner, ""); s != "" {
				said = append(said, s)
			}
		}
		if len(said) > 0 {
			return strings.Join(said, "; ")
		}
	}
	return otherwise
}

// known returns the words of an error of the system, or "".
func known(err error) string {
	if e, ok := err.(syscall.Errno); ok {
		return e.Error()
	}
	for _, e := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, fs.ErrClosed, os.ErrDeadlineExceeded,
		io.EOF, io.ErrUnexpectedEOF, io.ErrShortWrite, errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded} {
		if err == e {
			return e.Error()
		}
	}
	return ""
}

// forPeer says it once more without what stays here.
func (t *text) forPeer(otherwise string) string {
	args := make([]any, len(t.args))
	for i, arg := range t.args {
		switch a := arg.(type) {
		case error:
			args[i] = errors.New(ForPeer(a, otherwise))
		case Told:
			args[i] = a
		default:
			if args[i] = arg; !numeric(reflect.TypeOf(arg)) {
				args[i] = kept{}
			}
		}
	}
	return withoutKept.Replace(fmt.Errorf(t.format, args...).Error())
}

// numeric reports whether t is a number, which a code, a duration and a digest are too.
func numeric(t reflect.Type) bool {
	if t == nil {
		return false
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	case reflect.Array:
		return t.Elem().Kind() == reflect.Uint8
	}
	return false
}

// kept stands for what stays here. It goes with the space before it.
type kept struct{}

// Format implements fmt.Formatter, for any verb.
func (kept) Format(f fmt.State, _ rune) { fmt.Fprint(f, "\x00") }

var withoutKept = strings.NewReplacer(" \x00", "", "\x00", "")
