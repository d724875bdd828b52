//go:build unix

package syncdirectory

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Where a session with a destination that holds something stands.
var (
	asked    = one("seal", "?ask")
	answered = then(asked, one("listing 1 0=. 1=d"))
	wanted   = then(answered, one("?want"))
	signed   = then(answered, one("?signature"))
	probed   = then(answered, one("?probe"))
)

// Of little is changed, so that a session with a destination that holds something is
// through in few messages.
const little = `
./ @7
d/ @7
d/x @7 =new
f @7 =changed
large @5 +300000
m @5 +4000
`

// confirmed is a session of which the receiver has said what became of it.
var confirmed = then(wanted, one("pack 2=f 5=d/x", "?done"))

// elsewhere has a new directory that the destination has under another path.
const elsewhere = `
./ @7
n/ @5
n/y @5 =yy
`

var proving = then(asked, one("listing 1 0=.", "?prove"))

// uv returns a number as it is on the wire.
func uv(n uint64) string { return string(binary.AppendUvarint(nil, n)) }

// sv returns a signed one.
func sv(n int64) string { return string(binary.AppendVarint(nil, n)) }

// text returns a name, or other text, as it is on the wire.
func text(s string) string { return uv(uint64(len(s))) + s }

// raw is a message of bytes as a play has it.
func raw(message string) string { return fmt.Sprintf("raw %x", message) }

// times is a play in which something comes again and again.
func times(n int, play ...string) (all []string) {
	for range n {
		all = append(all, play...)
	}
	return all
}

// then is one play after the other.
func then(plays ...[]string) (all []string) {
	for _, p := range plays {
		all = append(all, p...)
	}
	return all
}

// one is a play of one line.
func one(lines ...string) []string { return lines }

// pad is a text of so many bytes.
func pad(n int) string { return strings.Repeat("x", n) }

// message is a message of any type and body.
func message(t wire.Type, body string) string { return raw(string([]byte{byte(t), 0}) + body) }

// flagged is one with flags.
func flagged(t wire.Type, flags byte, body string) string {
	return raw(string([]byte{byte(t), flags}) + body)
}

// sealed is a message whose body begins with its checksum.
func sealed(t wire.Type, body string) string {
	sum := digest.Check([]byte(body))
	return message(t, string(sum[:])+body)
}

// control is a control message, whatever is wrong with it.
func control(m proto.Message) string { return raw(string(wire.Encode(m).Bytes())) }

// list is a Listing that answers so many questions.
func list(answered int, sections ...string) string {
	return sealed(wire.TypeListing, uv(uint64(answered))+strings.Join(sections, ""))
}

// section is all of a directory.
func section(dir uint64, entries ...string) string {
	return "\x01" + uv(dir) + "\x00\x00" + uv(uint64(len(entries))) + strings.Join(entries, "")
}

// entry is one that shares nothing with the one before it; 0x18 says that it has its
// permission and time.
func entry(head byte, name, rest string) string {
	return string([]byte{head}) + "\x00" + text(name) + rest
}

func fileNamed(name string) string { return entry(0x19, name, "\x01") }

func dirNamed(name string) string { return entry(0x1a, name, "") }

// meta is that of a file on the wire.
func meta(perm uint64, sec int64, nsec, size uint64) string {
	return uv(perm) + sv(sec) + uv(nsec) + uv(size)
}

// packed is a Pack with one file.
func packed(id int64, meta, content string) string {
	return sealed(wire.TypePack, sv(id)+meta+content)
}

// deltaOf is a Delta with one of a whole file.
func deltaOf(id uint64, size int64, content, ops string) string {
	m := wire.NewDeltas()
	m.Add(&wire.Delta{ID: id, Whole: true, Meta: wire.Meta{Perm: 0o644, Size: size}, Sum: digest.ContentOf([]byte(content)), Ops: []byte(ops)})
	return raw(string(m.Finish().Bytes()))
}

// fragmentOf is one with one of a fragment.
func fragmentOf(id uint64, off int64, ops string) string {
	m := wire.NewDeltas()
	m.Add(&wire.Delta{ID: id, Off: off, Ops: []byte(ops)})
	return raw(string(m.Finish().Bytes()))
}

// early is an Outline that is told of while the file is read.
func early(id uint64, of delta.Members) string {
	o := &wire.Outline{ID: id, Kind: wire.OutlineEarly, Level: delta.EarlyLevel, Groups: []delta.Members{of}}
	return raw(string(wire.EncodeOutline(o).Bytes()))
}

// outline is an Outline: the top where size is not negative.
func outline(id uint64, size int64, level int, groups ...delta.Members) string {
	kind := wire.OutlineGroups
	if size >= 0 {
		kind = wire.OutlineTop
	}
	o := &wire.Outline{ID: id, Kind: kind, Meta: wire.Meta{Perm: 0o644, MTime: timeOf(7), Size: max(size, 0)}, Level: level, Groups: groups}
	return raw(string(wire.EncodeOutline(o).Bytes()))
}

// nodes are n of them that have a length together.
func nodes(first, n int, length int64) delta.Members {
	m := delta.Members{First: first}
	for i := range n {
		l := length / int64(n)
		if i == n-1 {
			l = length - l*int64(n-1)
		}
		m.Nodes = append(m.Nodes, delta.Node{Length: l, Digest: digest.Sum([]byte{byte(i), 1})})
	}
	return m
}

// literal are the operations for content as it is.
func literal(content string) string { return uv(uint64(len(content))) + content }

// zipped is a compressed message of a body that is one Zstandard frame, or not.
func zipped(t wire.Type, frame string) string { return flagged(t, 1, frame) }

// rle is a block of Zstandard that stands for n times the same byte.
func rle(n int, last bool) string {
	block := uint32(n)<<3 | 1<<1
	if last {
		block |= 1
	}
	b := binary.LittleEndian.AppendUint32(nil, block)
	return string(b[:3]) + "\x00"
}

// frame begins one that says how long its content is, by 4 bytes.
func frame(size uint32) string {
	return "\x28\xb5\x2f\xfd\xa0" + string(binary.LittleEndian.AppendUint32(nil, size))
}

// timeOf is a whole second.
func timeOf(sec int64) tree.Time { return tree.Time{Sec: sec} }

// uvText returns a number in digits.
func uvText(n uint64) string { return strconv.FormatUint(n, 10) }
