//go:build unix

package syncdirectory

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// both is a foul once in an answer and once in a stream, of a Listing that has what is
// wrong about it in its sections.
func both(name, says string, sections ...string) []foul {
	return []foul{
		{name: name, play: then(asked, one(list(1, sections...))), code: Protocol, says: says},
		{name: name + ", streamed", empty: true, play: one(list(0, sections...)), code: Protocol, says: says},
	}
}

// fouls returns all of them.
func fouls() (all []foul) {
	for _, some := range [][]foul{
		foulHellos(), foulNames(), foulTypes(), foulMetadata(), foulMessages(), foulPhases(), foulAnswers(),
		foulSums(), foulCompression(), foulDeltas(), foulOutlines(), foulProofs(), foulFloods(), foulLimits(),
	} {
		all = append(all, some...)
	}
	return all
}

func foulHellos() []foul {
	hello := func(name, says string, change func(*wire.Hello)) foul {
		return foul{name: "hello: " + name, hello: change, code: Protocol, says: says, stays: true}
	}
	first := func(name, says, message string) foul {
		return foul{name: "first message: " + name, first: message, code: Protocol, says: says, stays: true}
	}
	of := func(f foul, code Code, told wire.CloseCode) foul {
		f.code, f.told = code, told
		return f
	}
	return []foul{
		hello("version 0", "hello: version", func(h *wire.Hello) { h.Version = 0 }),
		hello("lowest version 0", "hello: version", func(h *wire.Hello) { h.VersionMin = 0 }),
		hello("lowest above highest", "hello: version", func(h *wire.Hello) { h.VersionMin = 2 }),
		of(hello("version of the future", "do not fit", func(h *wire.Hello) { h.Version, h.VersionMin = 1<<32-1, 1<<32-1 }), BadVersion, 0),
		hello("no role", "hello: role", func(h *wire.Hello) { h.Role = 0 }),
		hello("role 77", "hello: role", func(h *wire.Hello) { h.Role = 77 }),
		of(hello("a receiver", "both sides are receivers", func(h *wire.Hello) {
			h.Role = wire.Role_RECEIVER
			h.Destination = &wire.Destination{Id: h.Session, Canon: &wire.Canon{Granularity: 1}}
		}), Usage, 0),
		hello("a sender with a destination", "hello: destination", func(h *wire.Hello) { h.Destination = new(wire.Destination) }),
		hello("no session", "hello: session id", func(h *wire.Hello) { h.Session = nil }),
		hello("short session", "hello: session id", func(h *wire.Hello) { h.Session = h.Session[1:] }),
		hello("long session", "hello: session id", func(h *wire.Hello) { h.Session = make([]byte, 1<<12) }),
		hello("long program", "hello: program", func(h *wire.Hello) { h.Program = pad(1025) }),
		hello("long machine", "hello: location", func(h *wire.Hello) { h.Location = &wire.Location{Machine: make([]byte, 1025)} }),
		of(hello("goes on with a session that never was", "", func(h *wire.Hello) { h.Resume = &wire.Resume{Received: 1} }), OK, 4101),
		of(hello("goes on with all there can be", "", func(h *wire.Hello) { h.Resume = &wire.Resume{Received: 1<<64 - 1} }), OK, 4101),
		hello("goes on with a short session", "hello: session id", func(h *wire.Hello) { h.Session, h.Resume = nil, new(wire.Resume) }),

		first("nothing", "without a head", raw("")),
		first("one byte", "without a head", raw("\x01")),
		first("a seal", "before hello", control(&wire.Seal{})),
		first("an ack", "before hello", control(&wire.Ack{Received: 1})),
		first("no known type", "before hello", message(99, "")),
		first("flags", "unknown flags", flagged(wire.TypeHello, 0x80, "")),
		first("compressed", "unknown flags", flagged(wire.TypeHello, 1, "")),
		first("half a field", "malformed control", message(wire.TypeHello, "\x08")),
		first("a field of another type", "hello: version", message(wire.TypeHello, "\x09\x01\x00\x00\x00\x00\x00\x00\x00")),
		first("noise", "malformed control", message(wire.TypeHello, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
		first("text that is none", "malformed control", message(wire.TypeHello, "\x22\x01\xff")),
		of(first("over 64 KiB", "", message(wire.TypeHello, pad(64<<10))), Protocol, wire.CloseTooBig),

		// The rest is let in, and has no more to say than others.
		{name: "hello: every ability", hello: func(h *wire.Hello) { h.Abilities = 1<<64 - 1 }, play: one(message(99, "")), code: Protocol, says: "type 99"},
		{name: "hello: compression of no known mode", hello: func(h *wire.Hello) { h.Compression = &wire.Compression{Mode: 77, Level: 1<<32 - 1} }, play: one(message(99, "")), code: Protocol, says: "type 99"},
		{name: "hello: fields of the future", hello: func(h *wire.Hello) { h.ProtoReflect().SetUnknown([]byte("\xfa\x3f\x03abc")) }, play: one(message(99, "")), code: Protocol, says: "type 99"},
		{name: "hello: nothing may be removed", want: little, hello: func(h *wire.Hello) { h.Policy = &wire.Policy{MaxDelete: new(uint64)} }, play: answered, code: Guard, says: "more than the 0"},
		{name: "hello: all must be saved", want: little, hello: func(h *wire.Hello) { h.Policy = &wire.Policy{Backup: true} }, play: answered, code: Guard, says: "backup"},
		{name: "hello: any number may be removed", want: little, asks: func(r *Receiver) { r.MaxDelete = new(uint64) },
			hello: func(h *wire.Hello) { h.Policy = &wire.Policy{MaxDelete: new(uint64(1<<64 - 1))} }, play: answered, code: Guard, says: "more than the 0"},
		{name: "hello: a source in the destination", about: func(g *ground, f *foul) {
			f.hello = func(h *wire.Hello) { h.Location = locationOf(g, g.to+"/e") }
		}, play: one("seal"), code: BadPath, says: "the source lies in the destination", stays: true},
	}
}

func foulNames() (all []foul) {
	for _, c := range []struct{ name, is, says string }{
		{"empty", "", "empty name"},
		{"a dot", ".", "one or two dots"},
		{"two dots", "..", "one or two dots"},
		{"a path", "a/b", "slash or a NUL"},
		{"a path upwards", "../outside/f", "slash or a NUL"},
		{"absolute", "/etc/passwd", "slash or a NUL"},
		{"a slash", "/", "slash or a NUL"},
		{"a slash at the end", "a/", "slash or a NUL"},
		{"dots and a slash", "../", "slash or a NUL"},
		{"a NUL", "a\x00b", "slash or a NUL"},
		{"a NUL at the end", "f\x00", "slash or a NUL"},
		{"too long", pad(1025), "name too long"},
		{"the receiver's own", ".sync-directory", "receiver's own name"},
	} {
		all = append(all, both("name: "+c.name, c.says, section(0, fileNamed(c.is)))...)
	}
	more := func(name, says string, sections ...string) {
		all = append(all, both("name: "+name, says, sections...)...)
	}
	more("the receiver's own, of a directory", "receiver's own name", section(0, dirNamed(".sync-directory")))
	more("the receiver's own, of a link", "receiver's own name", section(0, entry(0x1b, ".sync-directory", text("../outside"))))
	more("a length that no name has", "name too long", section(0, "\x19\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	more("a length beyond the message", "beyond the end", section(0, "\x19\x00\x7ff"))
	more("twice", "out of order", section(0, fileNamed("f"), "\x19\x01\x00\x01"))
	more("not in order", "out of order", section(0, fileNamed("g"), fileNamed("f")))
	more("shares what is not there", "shared prefix", section(0, "\x19\x05\x01f\x01"))
	more("does not say what it shares", "not shared in full", section(0, fileNamed("fa"), fileNamed("fb")))
	more("dots that are put together", "one or two dots", section(0, fileNamed("!"), fileNamed("..")))
	more("before where the part begins", "out of order", "\x01\x00"+text("g")+"\x00\x01"+fileNamed("f"))
	more("after where the part ends", "out of order", "\x01\x00\x00"+text("f")+"\x01"+fileNamed("f"))
	more("a bound upwards", "one or two dots", "\x01\x00\x00"+text("..")+"\x00")
	more("a part that ends before it begins", "empty range", "\x01\x00"+text("b")+text("a")+"\x00")

	child := func(name string, says string, parent string) {
		all = append(all, both("name: in "+name, says, section(0, parent), section(1, fileNamed("x")))...)
	}
	child("a file", "entry 1", fileNamed("f"))
	child("a link", "entry 1", entry(0x1b, "l", text("../outside")))
	child("an opaque entry", "entry 1", entry(0x04, "o", ""))
	more("in a number that was not given out", "entry 99", section(0, fileNamed("f")), section(99, fileNamed("x")))
	more("in the largest number", "entry 18446744073709551615", section(0, fileNamed("f")), section(1<<64-1, fileNamed("x")))
	all = append(all,
		foul{name: "name: in a directory that is complete, streamed", empty: true, code: Protocol, says: "out of order",
			play: one(list(0, section(0, dirNamed("d")), section(1, fileNamed("x")), section(1, fileNamed("y"))))},
		foul{name: "name: in the root once more, streamed", empty: true, code: Protocol, says: "out of order",
			play: one(list(0, section(0, fileNamed("f")), section(0, fileNamed("g"))))},
		foul{name: "name: in a closed directory, streamed", empty: true, code: Protocol, says: "out of order",
			play: one(list(0, section(0, entry(0x5a, "d", "")), section(1, fileNamed("x"))))},
	)
	return all
}

func foulTypes() (all []foul) {
	more := func(name, says, entry string) {
		all = append(all, both("type: "+name, says, section(0, entry))...)
	}
	more("0", "unknown type", entry(0x18, "f", "\x01"))
	more("what only a disk has", "unknown type", entry(0x1d, "f", "\x01"))
	more("what could not be examined", "unknown type", entry(0x1e, "f", "\x01"))
	more("7", "unknown type", entry(0x1f, "f", "\x01"))
	more("an opaque entry with bits", "bits of an opaque entry", entry(0x0c, "f", ""))
	more("a closed file", "bits of an entry", entry(0x59, "f", "\x01"))
	more("a closed link", "bits of an entry", entry(0x5b, "f", text("t")))
	more("a link with a digest", "digest of zero|bits of an entry|target|end", entry(0x3b, "f", text("t")))
	more("a directory with holes", "bits of an entry", entry(0x9a, "f", ""))
	more("a link without a target", "empty link target", entry(0x1b, "f", "\x00"))
	more("a link with a long target", "target too long", entry(0x1b, "f", text(pad(4097))))
	more("a digest of zero", "digest of zero", entry(0x3a, "f", string(make([]byte, 12))))
	more("a short digest", "beyond the end", entry(0x3a, "f", "x"))
	return all
}

func foulMetadata() (all []foul) {
	more := func(name, says, entry string) {
		all = append(all, both("metadata: "+name, says, section(0, entry))...)
	}
	more("setuid", "permission out of range", entry(0x09, "f", uv(0o4755)+"\x01"))
	more("setgid", "permission out of range", entry(0x0a, "f", uv(0o2755)))
	more("sticky", "permission out of range", entry(0x09, "f", uv(0o1000)+"\x01"))
	more("all bits", "permission out of range", entry(0x09, "f", uv(1<<64-1)+"\x01"))
	more("a permission that is said to change", "permission repeated", entry(0x09, "f", "\x00\x01"))
	more("a time that is said to change", "time repeated", entry(0x11, "f", "\x00\x00\x01"))
	more("a second of nanoseconds", "nanoseconds", entry(0x11, "f", sv(5)+uv(1e9)+"\x01"))
	more("all nanoseconds", "nanoseconds", entry(0x11, "f", sv(5)+uv(1<<64-1)+"\x01"))
	more("a size of 2^63", "size out of range", entry(0x19, "f", uv(1<<63)))
	more("a size of all bits", "size out of range", entry(0x19, "f", uv(1<<64-1)))
	seal := func(name string, m *wire.Seal) {
		all = append(all, foul{name: "metadata: seal with " + name, play: one(control(m)), code: Protocol, says: "seal: "})
	}
	d := make([]byte, 32)
	seal("setuid", &wire.Seal{Perm: 0o4755, Digest: d, Counts: new(wire.Counts)})
	seal("a second of nanoseconds", &wire.Seal{Nsec: 1e9, Digest: d, Counts: new(wire.Counts)})
	seal("a short digest", &wire.Seal{Digest: d[1:], Counts: new(wire.Counts)})
	seal("a long digest", &wire.Seal{Digest: make([]byte, 60<<10), Counts: new(wire.Counts)})
	seal("no counts", &wire.Seal{Digest: d})
	file := func(name, says, m string) {
		all = append(all, foul{name: "metadata: pack with " + name, play: then(wanted, one(packed(2, m, "x"))), code: Protocol, says: says})
	}
	file("setuid", "permission", meta(0o4755, 0, 0, 1))
	file("a second of nanoseconds", "nanoseconds", meta(0o644, 0, 1e9, 1))
	file("a size beyond the message", "beyond the end", meta(0o644, 0, 0, 2))
	file("a size of 2^63", "size out of range", meta(0o644, 0, 0, 1<<63))
	file("a size less than what is there", "after the end|message too short|malformed", meta(0o644, 0, 0, 0))
	all = append(all,
		foul{name: "metadata: more than any disk holds", play: then(asked, one(list(1, section(0, entry(0x19, "f", uv(1<<62)))))),
			want: "./ @7\n", code: Protocol, says: "does not match its seal"},
		foul{name: "metadata: more than any disk holds, streamed", empty: true, play: one(list(0, section(0, entry(0x19, "f", uv(1<<62))))), code: BadPath, says: "too small"},
		foul{name: "metadata: more than a number holds, streamed", empty: true, code: BadPath, says: "too small",
			play: one(list(0, section(0, entry(0x19, "a", uv(1<<63-1)), entry(0x19, "b", uv(1<<63-1)), entry(0x19, "c", uv(2)))))},
	)
	return all
}

func foulMessages() (all []foul) {
	more := func(name, says string, play ...string) {
		all = append(all, foul{name: "message: " + name, play: play, code: Protocol, says: says})
	}
	for _, t := range []byte{0, 2, 15, 24, 31, 32, 127, 128, 255} {
		more("type "+strconv.Itoa(int(t)), "message type", message(wire.Type(t), ""))
	}
	more("nothing", "without a head", raw(""))
	more("one byte", "without a head", raw("\x03"))
	more("a hello once more", "from a sender", control(&wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Session: make([]byte, 16)}))
	more("an ask", "from a sender", "ask 0 - - 0")
	more("a want", "from a sender", "want content 1")
	more("a prove", "from a sender", "prove 1")
	more("a done", "from a sender", "done 0")
	more("a known", "from a sender", control(&wire.Known{Contents: true}))
	more("a signature", "from a sender", message(wire.TypeSignature, "\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"))
	more("a probe", "from a sender", message(wire.TypeProbe, "\x01\x02"))
	more("a seal with flags", "unknown flags", flagged(wire.TypeSeal, 0x10, ""))
	more("a compressed seal", "unknown flags", flagged(wire.TypeSeal, 1, ""))
	more("a listing with flags", "unknown flags", flagged(wire.TypeListing, 0x82, ""))
	more("a long seal", "too long", message(wire.TypeSeal, pad(64<<10)))
	more("a long problem", "too long", message(wire.TypeProblem, pad(64<<10)))
	more("half a seal", "malformed control", message(wire.TypeSeal, "\x22\x20abc"))
	more("a problem with text that is none", "malformed control", message(wire.TypeProblem, "\x12\x01\xff"))
	more("a problem with a long path", "problem too long", message(wire.TypeProblem, "\x0a"+text(pad(32<<10+1))))
	more("an ack of what was not sent", "acknowledged", control(&wire.Ack{Received: 1 << 60}))
	more("half an ack", "malformed control", message(wire.TypeAck, "\x08"))
	more("a listing without anything", "too short|beyond the end", then(asked, one(message(wire.TypeListing, "")))...)
	more("a listing of another checksum", "checksum", then(asked, one(message(wire.TypeListing, pad(16)+"\x01"+section(0))))...)
	more("a listing without sections", "too short|kind of section", then(asked, one(sealed(wire.TypeListing, "\x01")))...)
	more("a listing with more behind", "malformed number", then(asked, one(list(1, section(0, fileNamed("f")), "x")))...)
	more("a listing of no known section", "kind of section", then(asked, one(list(1, "\x07\x00\x00\x00\x00")))...)
	more("a listing that counts to a million", "number of entries", then(asked, one(list(1, "\x01\x00\x00\x00"+uv(1e6)+fileNamed("f"))))...)
	more("a listing that counts to all", "number of entries", then(asked, one(list(1, "\x01\x00\x00\x00"+uv(1<<64-1)+fileNamed("f"))))...)
	more("a number that is too long", "malformed number", then(asked, one(list(1, "\x01\x80\x00\x00\x00\x00")))...)
	more("a number beyond 64 bits", "malformed number", then(asked, one(list(1, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00")))...)
	more("a number without an end", "malformed number", then(asked, one(list(1, "\x01\xff")))...)
	more("a pack without anything", "too short|beyond the end", then(wanted, one(message(wire.TypePack, "")))...)
	more("a pack of another checksum", "checksum", then(wanted, one(message(wire.TypePack, pad(16)+sv(2)+meta(0o644, 0, 0, 1)+"x")))...)
	more("a pack without files", "too short|malformed", then(wanted, one(sealed(wire.TypePack, "")))...)
	more("a chunk without content", "size of a chunk", then(wanted, one(sealed(wire.TypeChunk, uv(2)+"\x00\x00")))...)
	more("a chunk of no known kind", "kind of chunk", then(wanted, one(sealed(wire.TypeChunk, uv(2)+"\x00\x07x")))...)
	more("a hole of more than a GiB", "length out of range", then(wanted, one(sealed(wire.TypeChunk, uv(2)+"\x00\x01"+uv(1<<30+1)+"\x00")))...)
	more("a hole beyond any file", "beyond the end of any file|chunk", then(wanted, one(sealed(wire.TypeChunk, uv(2)+uv(1<<43-1)+"\x01"+uv(1<<30)+"\x00")))...)
	more("more extents than there may be", "too many extents", then(wanted, one(sealed(wire.TypeChunk, uv(2)+"\x00\x01"+uv(1<<19)+uv(65)+strings.Repeat("\x01\x01", 65)+pad(65))))...)
	more("extents that overlap", "extent out of range", then(wanted, one(sealed(wire.TypeChunk, uv(2)+"\x00\x01"+uv(5)+"\x02\x00\x01\x00\x01xx")))...)
	more("an extent beyond its part", "extent out of range", then(wanted, one(sealed(wire.TypeChunk, uv(2)+"\x00\x01"+uv(5)+"\x01\x04\x02xx")))...)
	more("an end of no known kind", "kind of end", then(wanted, one(message(wire.TypeEnd, "\x02\x07")))...)
	more("an end with more behind", "after the end", then(wanted, one(message(wire.TypeEnd, "\x02\x01\x00")))...)
	return all
}

func foulPhases() (all []foul) {
	more := func(name, says string, play ...string) {
		all = append(all, foul{name: "phase: " + name, play: play, code: Protocol, says: says})
	}
	stream := func(name, says string, play ...string) {
		all = append(all, foul{name: "phase: " + name + ", streamed", empty: true, play: play, code: Protocol, says: says})
	}
	more("a listing before the seal", "without a question", "listing 0 0=.")
	more("a pack before the seal", "content while none is wanted", "pack 2=f")
	more("a chunk before the seal", "content while none is wanted", "chunk 4=large 0")
	more("an end before the seal", "content while none is wanted", "end 4=large")
	more("sums before the seal", "not wanted", "sums 2=f")
	more("a verdict before the seal", "verdict before done", "verdict 0")
	more("a proof before the seal", "not asked for", "proof 1=d")
	more("an outline before the seal", "not asked for", outline(4, 300001, 0, nodes(0, 3, 300001)))
	more("a problem that answers before the seal", "not wanted", "problem f read gone answers=2")
	more("a seal twice", "second seal", "seal", "seal")
	more("a seal after the answers", "second seal", then(answered, one("?want", "seal"))...)
	more("a pack while comparing", "content while none is wanted", then(asked, one("pack 2=f"))...)
	more("a verdict while comparing", "verdict before done", then(asked, one("verdict 0"))...)
	more("a listing after all answers", "without a question", then(wanted, one("listing 0 0=."))...)
	more("an answer after all answers", "without a question", then(wanted, one("listing 1 0=."))...)
	more("a verdict before done", "verdict before done", then(wanted, one("verdict 0"))...)
	stream("an answer", "without a question", "listing 1 0=.")
	stream("ranges", "out of order", list(0, "\x02\x00\x00\x00\x02"+text("m")+"\x01"+pad(12)+"\x00\x01"+pad(12)))
	stream("content before its file is described", "not wanted", "listing 0 0=.", "pack 2=f", "pack 6=d/x")
	stream("content before anything", "content while none is wanted", "pack 2=f")
	stream("a listing after the seal", "without a question", then(one("listing 0 0=.", "seal", "listing 0 1=d"))...)
	stream("a second seal", "second seal", "listing 0 0=. 1=d", "seal", "seal")
	stream("a verdict", "verdict before done", "verdict 0")
	stream("a verdict before the content", "verdict before done", "listing 0 0=. 1=d", "seal", "verdict 0")
	stream("a proof", "not asked for", "proof 1=d")
	stream("sums", "not wanted", "listing 0 0=. 1=d", "sums 2=f")
	stream("a delta", "no signature", "listing 0 0=. 1=d", deltaOf(2, 1, "x", literal("x")))
	stream("a fragment", "none is asked for", "listing 0 0=. 1=d", fragmentOf(4, 0, literal("x")))
	stream("an outline", "not asked for", "listing 0 0=. 1=d", outline(4, 300001, 0, nodes(0, 3, 300001)))
	for _, late := range []struct{ name, says, line string }{
		{"a seal", "second seal", "seal"},
		{"a listing", "without a question", "listing 0 0=."},
		{"a pack", "content while none is wanted", "pack 2=f"},
		{"a proof", "not asked for", "proof 1=d"},
		{"sums", "not wanted", "sums 2=f"},
		{"a done", "from a sender", "done 0"},
		{"an end", "content while none is wanted", "end 2=f"},
	} {
		all = append(all, foul{name: "phase: " + late.name + " after done", want: little, gets: true, play: then(confirmed, one(late.line)), code: Protocol, says: late.says})
	}
	return all
}

// foulAnswers are answers to what was not asked, or not so.
func foulAnswers() (all []foul) {
	more := func(name, says string, play ...string) {
		all = append(all, foul{name: "answer: " + name, play: play, code: Protocol, says: says})
	}
	more("two for one question", "without a question", then(asked, one(list(2, section(0))))...)
	more("to a part of the question", "answered in part", then(asked, one(list(1, "\x01\x00\x00"+text("m")+"\x01"+fileNamed("f"))))...)
	more("to none of it", "in which nothing is", then(asked, one(list(1, "\x01\x00\x00"+text("b")+"\x00")))...)
	more("from beyond the question", "not asked for", then(asked, one(list(1, "\x01\x00"+text("b")+"\x00\x00")))...)
	more("one range", "number of ranges", then(asked, one(list(1, "\x02\x00\x00\x00\x01\x00\x01"+pad(12))))...)
	more("a million ranges", "number of ranges", then(asked, one(list(1, "\x02\x00\x00\x00"+uv(1e6)+"\x00\x01"+pad(12))))...)
	more("ranges out of order", "bounds of ranges", then(asked, one(list(1, "\x02\x00\x00\x00\x03"+text("m")+"\x01"+pad(12)+text("b")+"\x01"+pad(12)+"\x00\x01"+pad(12))))...)
	more("ranges for a part of the question", "part of a question", then(asked, one(list(1, "\x02\x00\x00"+text("m")+"\x02"+text("b")+"\x01"+pad(12)+text("m")+"\x01"+pad(12))))...)
	more("content of the root", "entry 0", then(wanted, one(packed(0, meta(0o644, 0, 0, 1), "x")))...)
	more("content of a directory", "entry 1", then(wanted, one(packed(1, meta(0o644, 0, 0, 1), "x")))...)
	more("content of a number that was not given out", "entry 99", then(wanted, one(packed(99, meta(0o644, 0, 0, 1), "x")))...)
	more("content of a negative number", "not wanted", then(wanted, one(packed(-1, meta(0o644, 0, 0, 1), "x")))...)
	more("content of a file that is asked for otherwise", "not wanted|in two ways|no signature|fragments|after its end", then(signed, one("chunk 5=m 0", "end 5=m", "pack 5=m"))...)
	more("content twice in a pack", "not wanted", then(wanted, one("pack 2=f 2=f"))...)
	more("content twice", "not wanted", then(wanted, one("pack 2=f", "pack 2=f"))...)
	more("content twice, in chunks", "came twice", then(wanted, one("chunk 2=f 0", "chunk 2=f 0"))...)
	more("content in two ways", "in two ways|not wanted", then(wanted, one("chunk 2=f 0", "pack 2=f"))...)
	more("a chunk far ahead", "of a file that has", then(wanted, one("chunk 2=f 1025"))...)
	more("a chunk after a short one", "after one that is short", then(wanted, one("chunk 2=f 0", "chunk 2=f 1"))...)
	more("a chunk after the end", "not wanted|after its end|after one that is short|does not match", then(wanted, one("chunk 2=f 0", "end 2=f", "chunk 2=f 1"))...)
	more("an end twice", "not wanted|after its end|ends twice", then(wanted, one("chunk 2=f 0", "end 2=f", "end 2=f"))...)
	more("an end of what is not wanted", "not wanted", then(wanted, one("end 1=f"))...)
	more("void of what is not wanted", "not wanted", then(wanted, one(message(wire.TypeEnd, uv(99)+"\x01")))...)
	more("a digest of what is not wanted", "not wanted", then(wanted, one("sums 1=f"))...)
	more("a digest of what is wanted", "not wanted", then(wanted, one("sums 2=f"))...)
	more("a problem with what is not wanted", "not wanted", then(wanted, one("problem f read gone answers=1"))...)
	more("a problem with what was not given out", "not wanted", then(wanted, one("problem f read gone answers=18446744073709551615"))...)
	more("a problem twice", "not wanted", then(wanted, one("problem f read gone answers=2", "problem f read gone answers=2"))...)
	more("a problem after the content", "not wanted", then(wanted, one("pack 2=f", "problem f read gone answers=2"))...)
	return all
}

// foulSums are sums and counts that lie.
func foulSums() []foul {
	return []foul{
		{name: "sum: a seal that does not match", play: then(one("seal bad", "?ask", "listing 1 0=. 1=d")), code: Protocol, says: "does not match its seal"},
		{name: "sum: of all chunks", play: then(wanted, one("chunk 2=f 0", "end 2=f bad")), code: Protocol, says: "does not match its checksum"},
		{name: "sum: a size that is not that of the chunks", play: then(wanted, one("chunk 2=f 0", "end 2=f short")), code: Protocol, says: "does not match its checksum"},
		{name: "sum: fewer chunks than came", play: then(wanted, one("chunk 2=f 0", message(wire.TypeEnd, uv(2)+"\x00"+meta(0o644, 7, 0, 7)+"\x00"+pad(16)))), code: Protocol, says: "does not match its checksum|not wanted"},
		{name: "sum: more chunks than a file has", play: then(wanted, one(message(wire.TypeEnd, uv(2)+"\x00"+meta(0o644, 7, 0, 7)+"\x02"+pad(16)))), code: Protocol, says: "more parts than chunks"},
		{name: "sum: a hundred files that nobody has", want: little, gets: true, play: then(one("seal lies"), confirmed[1:], one("verdict 0")), code: OK, says: "^$", told: wire.CloseNormal},
		{name: "sum: a verdict of another digest", want: little, gets: true, play: then(confirmed, one("verdict 0 bad")), code: Protocol, says: "the source has digest"},
		{name: "sum: a verdict of its own", want: little, gets: true, play: then(confirmed, one("verdict 12")), code: Protocol, says: "the sender's verdict"},
		{name: "sum: a verdict of no known code", want: little, gets: true, play: then(confirmed, one(control(&wire.Verdict{Code: 77, Digest: make([]byte, 32)}))), code: Protocol, says: "verdict: code"},
		{name: "sum: a verdict of a large code", want: little, gets: true, play: then(confirmed, one(control(&wire.Verdict{Code: 1<<32 - 1, Digest: make([]byte, 32)}))), code: Protocol, says: "verdict: code"},
		{name: "sum: a verdict without a digest", want: little, gets: true, play: then(confirmed, one(control(&wire.Verdict{}))), code: Protocol, says: "verdict: digest"},
		{name: "sum: contents that were not compared", play: one(control(&wire.Seal{Digest: make([]byte, 32), Counts: new(wire.Counts), Contents: true})), code: Protocol, says: "not known here"},
		{name: "sum: counts of everything", play: then(one(control(&wire.Seal{Digest: make([]byte, 32), Counts: &wire.Counts{Files: 1<<64 - 1, Directories: 1<<64 - 1, Bytes: 1<<64 - 1}}), "?ask", "listing 1 0=. 1=d")), code: Protocol, says: "does not match its seal"},
	}
}

func foulCompression() (all []foul) {
	const says = "malformed compressed"
	more := func(name, body string) {
		all = append(all,
			foul{name: "compression: " + name + ", listing", play: then(asked, one(zipped(wire.TypeListing, body))), code: Protocol, says: says},
			foul{name: "compression: " + name + ", pack", play: then(wanted, one(zipped(wire.TypePack, body))), code: Protocol, says: says})
	}
	const block = 128 << 10 // the longest
	mebibyte := strings.Repeat(rle(block, false), 7) + rle(block, true)
	more("nothing", "")
	more("noise", pad(1000))
	more("a gibibyte that is declared", frame(1<<30)+strings.Repeat(rle(block, false), 8191)+rle(block, true))
	more("four gibibytes that are declared", frame(1<<32-1)+mebibyte)
	more("a gibibyte, a byte declared", frame(1)+strings.Repeat(rle(block, false), 8191)+rle(block, true))
	more("a mebibyte declared, a byte there", frame(1<<20)+rle(1, true))
	more("nothing declared", "\x28\xb5\x2f\xfd\x00\x58"+mebibyte)
	more("two frames", frame(block)+rle(block, true)+frame(block)+rle(block, true))
	more("a frame to be skipped", "\x50\x2a\x4d\x18\x01\x00\x00\x00x")
	more("a frame to be skipped behind", frame(block)+rle(block, true)+"\x50\x2a\x4d\x18\x01\x00\x00\x00x")
	more("a dictionary", "\x28\xb5\x2f\xfd\xa1\x05"+frame(block)[5:]+rle(block, true))
	more("a window of terabytes", "\x28\xb5\x2f\xfd\x80\xff"+frame(block)[5:]+rle(block, true))
	more("bytes behind", frame(block)+rle(block, true)+"x")
	more("a checksum that is none", "\x28\xb5\x2f\xfd\xa4"+frame(block)[5:]+rle(block, true)+"abcd")
	more("blocks without an end", frame(block)+strings.Repeat(rle(1, false), 10_000))
	more("a reserved block", frame(block)+"\x07\x00\x00")
	return append(all,
		foul{name: "compression: a listing of zeros", play: then(asked, one(zipped(wire.TypeListing, frame(block)+rle(block, true)))), code: Protocol, says: "checksum"},
		foul{name: "compression: a pack of zeros", play: then(wanted, one(zipped(wire.TypePack, frame(block)+rle(block, true)))), code: Protocol, says: "checksum"},
		foul{name: "compression: although none is wanted", asks: func(r *Receiver) { r.Compression = "none" }, play: then(asked, one(zipped(wire.TypeListing, frame(block)+rle(block, true)))), code: Protocol, says: "is compressed"},
	)
}

func foulDeltas() (all []foul) {
	const size = 4001
	more := func(name, says string, lines ...string) {
		all = append(all, foul{name: "delta: " + name, play: then(signed, lines), code: Protocol, says: says})
	}
	ops := func(name, ops string) { more(name, "malformed delta", deltaOf(5, size, "x", ops)) }
	ops("nothing", "")
	ops("more than the content", literal(pad(size+1)))
	ops("less than the content", literal(pad(size-1)))
	ops("bytes that are not there", uv(size)+"x")
	ops("bytes that no memory holds", uv(1<<64-1)+"x")
	ops("more behind", literal(pad(size))+"\x00")
	ops("no blocks", "\x00\x00\x00")
	ops("a block before the first", "\x00\x01"+sv(-1))
	ops("a block before all numbers", "\x00\x01"+sv(-1<<63))
	ops("a block after the last", "\x00\x01"+sv(100_000))
	ops("a block after all numbers", "\x00\x01"+sv(1<<63-1))
	ops("more blocks than there are", "\x00"+uv(100_000)+sv(0))
	ops("all blocks there can be", "\x00"+uv(1<<64-1)+sv(0))
	ops("the same block for ever", strings.Repeat("\x00\x01"+sv(0)+"\x00\x01"+sv(-1), 1000))
	ops("a number without an end", "\xff\xff\xff")
	more("of a file that is too large", "too large a file", deltaOf(5, 1<<62, "x", ""))
	more("of another file", "no signature|not wanted", deltaOf(2, 1, "x", literal("x")))
	more("of a directory", "entry 1", deltaOf(1, 1, "x", literal("x")))
	more("of what was not given out", "entry 99", deltaOf(99, 1, "x", literal("x")))
	more("twice", "entry 5", deltaOf(5, size, pad(size), literal(pad(size))), deltaOf(5, size, pad(size), literal(pad(size))))
	more("whose content is another, again and again", "entry 5", times(3, deltaOf(5, size, "x", literal(pad(size))))...)
	more("of a fragment of a small file", "none is asked for", fragmentOf(5, 0, literal("x")))
	more("of no known kind", "kind of delta", sealed(wire.TypeDelta, uv(5)+"\x07"))
	more("of another checksum", "checksum", message(wire.TypeDelta, pad(16)+uv(5)+"\x00"))
	return all
}

func foulOutlines() (all []foul) {
	const size = 300_001
	more := func(name, says string, lines ...string) {
		all = append(all, foul{name: "outline: " + name, play: then(probed, lines), code: Protocol, says: says})
	}
	top := outline(4, size, 1, nodes(0, 1, size))
	flat := outline(4, size, 0, nodes(0, 2, size))
	more("of another file", "not asked for", outline(2, size, 0, nodes(0, 1, size)))
	more("of what was not given out", "not asked for", outline(99, size, 0, nodes(0, 1, size)))
	more("of no known kind", "kind of outline", sealed(wire.TypeOutline, uv(4)+"\x07"))
	more("at no known level", "unknown level", outline(4, size, 8, nodes(0, 1, size)))
	more("of more than its file", "not of its file", outline(4, size-1, 0, nodes(0, 1, size)))
	more("of less than its file", "not of its file", outline(4, size+1, 0, nodes(0, 1, size)))
	more("of a segment of nothing", "length out of range", outline(4, size, 0, delta.Members{Nodes: []delta.Node{{}, {Length: size}}}))
	more("of segments beyond any file", "length out of range", outline(4, size, 0, delta.Members{Nodes: []delta.Node{{Length: 1<<63 - 1}, {Length: 1<<63 - 1}}}))
	more("of a segment of 2^63", "length out of range", sealed(wire.TypeOutline, uv(4)+"\x00"+meta(0o644, 7, 0, size)+"\x00\x00\x01"+uv(1<<63)+pad(32)))
	more("that begins in the middle", "not of its file", outline(4, size, 0, nodes(1, 1, size)))
	more("of too many nodes", "too many nodes", outline(4, size, 0, nodes(0, 129, size)))
	more("of nodes that are not there", "malformed number", sealed(wire.TypeOutline, uv(4)+"\x00"+meta(0o644, 7, 0, size)+"\x00\x00\x05"))
	more("of more segments than fit", "contradicts itself", outline(4, size, 0, nodes(0, 128, size)))
	more("twice", "not asked for", top, top)
	more("groups before the top", "not asked for", outline(4, -1, 0, nodes(0, 3, size)))
	more("groups of another level", "not asked for", top, "?probe", outline(4, -1, 1, nodes(0, 3, size)))
	more("more groups than asked for", "not asked for", top, "?probe", outline(4, -1, 0, nodes(0, 3, size), nodes(0, 3, size)))
	more("groups that contradict the top", "contradicts itself", top, "?probe", outline(4, -1, 0, nodes(0, 3, size)))
	more("a group of nothing", "contradicts itself", top, "?probe", outline(4, -1, 0, delta.Members{}))
	more("a group of more than fits", "contradicts itself", outline(4, size, 1, nodes(0, 2, size)), "?probe", outline(4, -1, 0, nodes(0, 256, size)))
	more("too many groups", "too many groups|not asked for", top, "?probe", outline(4, -1, 0, manyMembers(97)...))
	more("levels without an end", "contradicts itself", outline(4, size, 7, nodes(0, 1, size)), "?probe", outline(4, -1, 6, nodes(0, 1, size)))
	more("early of another file", "not asked for", early(2, nodes(0, 1, size)))
	more("early after the top", "out of order", top, early(4, nodes(0, 1, size)))
	more("early from the middle on", "out of order", early(4, nodes(1, 1, size)))
	more("the same early twice", "out of order", early(4, nodes(0, 1, size)), early(4, nodes(0, 1, size)))
	more("early of nothing", "told early", early(4, delta.Members{}))
	more("early of more bytes than there can be", "out of order", early(4, nodes(0, 1, 1<<62)), early(4, nodes(1, 1, 1<<62)))
	more("early without an end", "told early", earlyFlood()...)
	more("early of what is not there", "malformed delta|not asked for", early(4, nodes(0, 1, 1<<62)), flat, "?signature", fragmentOf(4, 0, "\xff"))
	more("a fragment before the top", "not asked for", fragmentOf(4, 0, literal("x")))
	more("a fragment that is not asked for", "not asked for", flat, "?signature", fragmentOf(4, 12345, literal("x")))
	more("a malformed fragment", "malformed delta|not asked for", flat, "?signature", fragmentOf(4, 0, "\xff"))
	more("a chunk", "fragments are to come", flat, "chunk 4=large 0")
	more("an end before it is asked for", "before it is there", flat, "end 4=large")
	more("a pack", "in two ways|not wanted", flat, "pack 4=large")
	more("a delta of the whole", "in two ways|not wanted|no signature", deltaOf(4, 1, "x", literal("x")))
	return all
}

// earlyFlood tells early of more than anybody needs.
func earlyFlood() (lines []string) {
	for first := 0; first <= delta.MaxEarly; first += 200 {
		lines = append(lines, early(4, nodes(first, 200, 200)))
	}
	return lines
}

// manyMembers are so many groups.
func manyMembers(n int) []delta.Members {
	all := make([]delta.Members, n)
	for i := range all {
		all[i] = nodes(i, 1, 1)
	}
	return all
}

func foulProofs() (all []foul) {
	more := func(name, says string, lines ...string) {
		all = append(all, foul{name: "proof: " + name, want: elsewhere, play: then(proving, lines), code: Protocol, says: says})
	}
	more("of another", "not asked for", message(wire.TypeProof, uv(2)+"\x00"))
	more("of what was not given out", "not asked for", message(wire.TypeProof, uv(1<<64-1)+"\x00"))
	more("of the root", "not asked for", message(wire.TypeProof, uv(0)+"\x00"))
	more("of no known kind", "kind of proof", message(wire.TypeProof, uv(1)+"\x07"))
	more("half of one", "beyond the end", message(wire.TypeProof, uv(1)+"\x01"+pad(31)))
	more("twice", "not asked for", "proof 1=n none", "proof 1=n none")
	more("that lies, and content that nobody wants", "content while none is wanted", "proof 1=n bad", "pack 2=n/y")
	more("a listing instead", "without a question", "listing 1 1=n")
	more("content instead", "content while none is wanted", "pack 2=n/y")
	more("a seal instead", "second seal", "seal")
	return all
}

func foulFloods() (all []foul) {
	bad := one(message(99, ""))
	more := func(name string, flood []string) {
		all = append(all, foul{name: "flood: " + name, play: then(flood, bad), code: Protocol, says: "type 99"})
	}
	more("progress", times(5000, control(new(wire.Progress))))
	more("problems", times(2000, "problem some/path read gone"))
	more("long problems", times(200, control(&wire.Problem{Path: []byte(pad(32 << 10)), Operation: pad(1000), Cause: pad(1000)})))
	more("acks", times(5000, control(&wire.Ack{})))
	return append(all,
		foul{name: "flood: answers of nothing", play: then(asked, times(2000, list(0, "\x01\x00\x00"+text("b")+"\x00"))), code: Protocol, says: "."},
		foul{name: "flood: answers of nothing, streamed", empty: true, play: times(2000, list(0, "\x01\x00\x00"+text("b")+"\x00")), code: Protocol, says: "."},
		foul{name: "flood: files that are not complete", empty: true, want: manyFiles(1100), code: Protocol, says: "not complete",
			play: then(one("listing 0 0=."), manyChunks(1100))},
		foul{name: "flood: void, again and again", play: then(wanted, times(300, "chunk 2=f 0", "end 2=f again"), bad), code: Protocol, says: "type 99"},
	)
}

// manyFiles is a tree of so many files.
func manyFiles(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "f%04d =x\n", i)
	}
	return text.String()
}

// manyChunks are the beginnings of all of them.
func manyChunks(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("chunk %d=f%04d 0", i+1, i))
	}
	return all
}

func foulLimits() []foul {
	deep := func(depth int, name string) string {
		sections := make([]string, depth)
		for i := range sections {
			sections[i] = section(uint64(i), dirNamed(name))
		}
		return strings.Join(sections, "")
	}
	return []foul{
		{name: "limit: sizes that are nothing together", want: "a +4611686018427387904\nb +4611686018427387904\nc +4611686018427387904\nd +4611686018427387904\n",
			play: then(asked, one("listing 1 0=.")), code: BadPath, says: "too small"},
		{name: "limit: depth", play: then(asked, one(list(1, deep(16400, "d")))), code: Protocol, says: "deep|path"},
		{name: "limit: path", play: then(asked, one(list(1, deep(200, pad(255))))), code: Protocol, says: "path"},
		{name: "limit: path, streamed", empty: true, play: one(list(0, deep(200, pad(255)))), code: Protocol, says: "path"},
	}
}
