package wire

import (
	"bytes"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// Ability is a bit of Hello.abilities: something that both sides must have
// before it is used.
type Ability uint64

// The abilities of this version.
const (
	AbilityZstd Ability = 1 << 0 // takes compressed messages
)

// Abilities are all that this package has.
const Abilities = AbilityZstd

const (
	idSize    = 16
	maxText   = 1 << 10
	maxSecret = 1 << 10
)

// Encode returns m, a control message, for sending.
func Encode(m proto.Message) *Buffer {
	switch m := m.(type) {
	case *Hello:
		return encodeControl(TypeHello, m)
	case *Seal:
		return encodeControl(TypeSeal, m)
	case *Problem:
		m.Operation, m.Cause = clip(m.Operation), clip(m.Cause)
		m.Path = m.Path[:min(len(m.Path), tree.MaxPath)]
		return encodeControl(TypeProblem, m)
	case *Done:
		return encodeControl(TypeDone, m)
	case *Verdict:
		return encodeControl(TypeVerdict, m)
	case *Progress:
		return encodeControl(TypeProgress, m)
	case *Known:
		return encodeControl(TypeKnown, m)
	case *Ack:
		return encodeControl(TypeAck, m)
	}
	panic("wire: not a control message")
}

// clip makes s valid UTF-8 and bounds its length.
func clip(s string) string { return clipTo(s, maxText) }

func clipTo(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-3], "") + "..."
	}
	return s
}

// Decode takes a control message apart and checks it.
func Decode(t Type, body []byte) (proto.Message, error) {
	var m interface {
		proto.Message
		check() string
	}
	switch t {
	case TypeHello:
		m = new(Hello)
	case TypeSeal:
		m = new(Seal)
	case TypeProblem:
		m = new(Problem)
	case TypeDone:
		m = new(Done)
	case TypeVerdict:
		m = new(Verdict)
	case TypeProgress:
		m = new(Progress)
	case TypeKnown:
		m = new(Known)
	case TypeAck:
		m = new(Ack)
	default:
		return nil, Errorf("unknown message type %d", t)
	}
	if err := proto.Unmarshal(body, m); err != nil {
		return nil, Errorf("malformed control message of type %d", t)
	}
	if what := m.check(); what != "" {
		return nil, Errorf("%s", what)
	}
	return m, nil
}

func (m *Hello) check() string {
	switch {
	case m.Version == 0 || m.VersionMin == 0 || m.VersionMin > m.Version:
		return "hello: version"
	case m.Role != Role_SENDER && m.Role != Role_RECEIVER:
		return "hello: role"
	case len(m.Program) > maxText:
		return "hello: program too long"
	case len(m.Session) != idSize:
		return "hello: session id"
	case len(m.GetLocation().GetMachine()) > maxSecret:
		return "hello: location"
	case (m.Role == Role_RECEIVER) != (m.Destination != nil):
		return "hello: destination"
	case m.Destination != nil:
		return m.Destination.check()
	}
	return ""
}

// Same reports whether a directory with the given identity on this machine is
// the one that the peer works in.
func (m *Location) Same(here *Location, dev, ino uint64) bool {
	return len(here.GetMachine()) > 0 && bytes.Equal(m.GetMachine(), here.GetMachine()) &&
		ino != 0 && m.Device == dev && m.Inode == ino
}

func (m *Destination) check() string {
	switch {
	case len(m.Id) != idSize:
		return "hello: destination id"
	case m.Canon == nil || !m.Canon.Tree().Valid():
		return "hello: canon"
	case len(m.GetBackup().GetMachine()) > maxSecret:
		return "hello: location of the backup"
	}
	return ""
}

// Tree returns the canon as package tree has it.
func (m *Canon) Tree() tree.Canon {
	return tree.Canon{Granularity: m.GetGranularity(), MinSec: m.GetMinSec(), MaxSec: m.GetMaxSec(), LinkTimes: m.GetLinkTimes(), FoldsCase: m.GetFoldsCase()}
}

// NewCanon returns c as a Hello carries it.
func NewCanon(c tree.Canon) *Canon {
	return &Canon{Granularity: c.Granularity, MinSec: c.MinSec, MaxSec: c.MaxSec, LinkTimes: c.LinkTimes, FoldsCase: c.FoldsCase}
}

func (m *Progress) check() string { return "" }

func (m *Ack) check() string { return "" }

func (m *Known) check() string { return "" }

func (m *Seal) check() string {
	switch {
	case m.Perm > tree.MaxPerm || m.Nsec > maxNsec:
		return "seal: metadata of the root"
	case len(m.Digest) != digest.Size:
		return "seal: digest"
	case m.Counts == nil:
		return "seal: counts"
	}
	return ""
}

func (m *Problem) check() string {
	if len(m.Path) > tree.MaxPath || len(m.Operation) > maxText || len(m.Cause) > maxText {
		return "problem too long"
	}
	return ""
}

func (m *Done) check() string {
	switch {
	case m.Code > 255 || !fault.Code(m.Code).Known():
		return "done: code"
	case len(m.Digest) != digest.Size:
		return "done: digest"
	case m.Changes == nil:
		return "done: changes"
	}
	return ""
}

func (m *Verdict) check() string {
	switch {
	case m.Code > 255 || !fault.Code(m.Code).Known():
		return "verdict: code"
	case len(m.Digest) != digest.Size:
		return "verdict: digest"
	}
	return ""
}
