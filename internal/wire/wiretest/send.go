package wiretest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// peer makes messages about a tree. Files are named as id=path.
type peer struct {
	root     *tree.Entry
	contents map[string][]byte
	summer   *tree.Summer
}

func newPeer(text string) peer {
	p := peer{root: treetest.Parse(text), contents: treetest.Contents(text), summer: tree.NewSummer(tree.Exact)}
	p.summer.Sum(p.root.Dir)
	return p
}

// message returns the messages of one line:
//
//	seal [bad] [incomplete] [lies]   lies: counts that are not true
//	listing ANSWERED SECTION …   SECTION is id=path[from,to] or id=path{end,end}
//	pack FILE …, chunk FILE INDEX [bad], end FILE [again|bad|short], sums FILE …
//	proof DIRECTORY [none|bad]   DIRECTORY is id=path
//	problem PATH OPERATION CAUSE [vanished] [answers=ID]
//	verdict CODE [bad], done CODE [bad]
//	ask ID FROM TO BUDGET …      "-" is no bound
//	want content|digest ID …, prove ID …
//	raw HEX
//	compressed …                 any of those, compressed
func (p *peer) message(w []string) []*wire.Buffer {
	has := func(word string) bool { return strings.Contains(" "+strings.Join(w[1:], " ")+" ", " "+word+" ") }
	one := func(b *wire.Buffer) []*wire.Buffer { return []*wire.Buffer{b} }
	switch w[0] {
	case "seal":
		counts := &wire.Counts{Files: uint64(len(p.contents))}
		if has("lies") {
			counts.Files += 9
		}
		return one(wire.Encode(&wire.Seal{Perm: uint32(p.root.Perm), Sec: p.root.Sec, Nsec: p.root.Nsec,
			Digest: bad(p.root.Dir.Digest, has("bad")), Counts: counts, Incomplete: has("incomplete")}))
	case "verdict":
		return one(wire.Encode(&wire.Verdict{Code: uint32(number(w[1])), Digest: bad(p.summer.Root(p.root), has("bad"))}))
	case "done":
		return one(wire.Encode(&wire.Done{Code: uint32(number(w[1])), Digest: bad(p.summer.Root(p.root), has("bad")), Changes: new(wire.Changes)}))
	case "problem":
		m := &wire.Problem{Path: []byte(w[1]), Operation: w[2], Cause: w[3], Vanished: has("vanished")}
		if id, ok := strings.CutPrefix(w[len(w)-1], "answers="); ok {
			m.Answers = number(id)
		}
		return one(wire.Encode(m))
	case "listing":
		return one(p.listing(number(w[1]), w[2:]))
	case "pack":
		m := wire.NewPack()
		for _, f := range w[1:] {
			id, path := cut(f)
			copy(m.Add(id, p.meta(path)), p.contents[path])
		}
		return one(m.Finish())
	case "chunk":
		id, path := cut(w[1])
		return one(p.chunk(id, path, number(w[2]), has("bad")))
	case "end":
		id, path := cut(w[1])
		e := wire.End{ID: id, Again: has("again")}
		if !e.Again {
			e.Meta = p.meta(path)
			e.Parts, e.Checksum = p.joined(id, path)
			if has("bad") {
				e.Checksum[0] ^= 1
			}
		}
		if has("short") {
			e.Size--
		}
		return one(wire.EncodeEnd(e))
	case "sums":
		var sums []wire.Sum
		for _, f := range w[1:] {
			id, path := cut(f)
			sums = append(sums, wire.Sum{ID: id, Meta: p.meta(path), Digest: digest.ContentOf(p.contents[path])})
		}
		return one(wire.EncodeSums(sums))
	case "proof":
		id, path := cut(w[1])
		m := wire.Proof{ID: id, Known: !has("none")}
		if m.Known {
			m.Sum = digest.Digest(bad(p.proof(path), has("bad")))
		}
		return one(wire.EncodeProof(&m))
	case "ask":
		var questions []wire.Question
		for w := w[1:]; len(w) > 0; w = w[4:] {
			questions = append(questions, wire.Question{Dir: number(w[0]), From: bound(w[1]), To: bound(w[2]), Budget: number(w[3])})
		}
		return wire.EncodeAsk(questions)
	case "want":
		what := wire.WantContent
		if w[1] == "digest" {
			what = wire.WantDigest
		}
		return wire.EncodeWant(what, numbers(w[2:]))
	case "prove":
		return wire.EncodeProve(numbers(w[1:]))
	case "compressed":
		messages := p.message(w[1:])
		for i, b := range messages {
			if messages[i] = wire.NewCompressor(1).Compress(b); !wire.Compressed(messages[i].Bytes()) {
				panic("wiretest: too short to be compressed")
			}
		}
		return messages
	case "raw":
		raw, err := hex.DecodeString(strings.Join(w[1:], ""))
		if err != nil {
			panic(err)
		}
		b := wire.NewBuffer(len(raw))
		b.Append(raw...)
		return one(b)
	}
	panic("wiretest: send " + w[0])
}

// chunk returns a chunk of a file; the content of a bad one is another.
func (p *peer) chunk(id uint64, path string, index uint64, bad bool) *wire.Buffer {
	b, _ := p.sealed(id, path, index, bad)
	return b
}

func (p *peer) sealed(id uint64, path string, index uint64, bad bool) (*wire.Buffer, digest.Checksum) {
	var content []byte
	if all := p.contents[path]; index*digest.ChunkSize < uint64(len(all)) {
		content = all[index*digest.ChunkSize:]
		content = content[:min(len(content), digest.ChunkSize)]
	} else {
		content = []byte("beyond the end")
	}
	c, place := wire.NewChunk(id, wire.Part{Index: index, Length: int64(len(content))})
	copy(place, content)
	if bad {
		place[0] ^= 1
	}
	return c.Finish()
}

// joined returns how many chunks a file has and the checksum over theirs.
func (p *peer) joined(id uint64, path string) (uint64, digest.Checksum) {
	var sums digest.Checks
	n := digest.Chunks(int64(len(p.contents[path])))
	for i := range n {
		b, sum := p.sealed(id, path, uint64(i), false)
		b.Free()
		sums.Add(sum)
	}
	return uint64(n), sums.Sum()
}

// proof returns the digest of the content of all files in a directory and below.
func (p *peer) proof(path string) digest.Digest {
	h := digest.NewHasher()
	var walk func(path string, d *tree.Dir)
	walk = func(path string, d *tree.Dir) {
		for i := range d.Entries {
			e := &d.Entries[i]
			at := strings.TrimPrefix(path+"/"+e.Name, "./")
			switch e.Type {
			case tree.Directory:
				walk(at, e.Dir)
			case tree.File:
				sum := digest.ContentOf(p.contents[at])
				h.Write(sum[:])
			}
		}
	}
	walk(path, treetest.Find(p.root, path).Dir)
	return h.Sum()
}

func (p *peer) meta(path string) wire.Meta {
	e := treetest.Find(p.root, path)
	return wire.Meta{Perm: e.Perm, MTime: e.MTime(), Size: int64(len(p.contents[path]))}
}

func (p *peer) listing(answered uint64, sections []string) *wire.Buffer {
	l := wire.NewListing(48 << 10)
	for _, s := range sections {
		at := strings.IndexAny(s+"[", "[{")
		id, path := cut(s[:at])
		d := treetest.Find(p.root, path).Dir
		bounds := strings.Split(strings.Trim(s[at:], "[]{}"), ",")
		if !strings.HasPrefix(s[at:], "{") {
			if len(bounds) == 1 {
				bounds = []string{"-", "-"}
			}
			lo, hi := d.Between(bound(bounds[0]), bound(bounds[1]))
			l.Entries(id, bound(bounds[0]), bound(bounds[1]), d.Entries[lo:hi])
			continue
		}
		var ranges []wire.Range
		from := ""
		for _, end := range append(bounds, "-") {
			lo, hi := d.Between(from, bound(end))
			ranges = append(ranges, wire.Range{End: bound(end), Count: uint64(hi - lo), Digest: p.summer.Range(d.Entries[lo:hi])})
			from = end
		}
		l.Ranges(id, "", "", ranges)
	}
	return l.Finish(int(answered))
}

func bad(d digest.Digest, is bool) []byte {
	if is {
		d[0] ^= 1
	}
	return d[:]
}

func bound(w string) string {
	if w == "-" {
		return ""
	}
	return w
}

func number(w string) uint64 {
	n, err := strconv.ParseUint(w, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("wiretest: %v", err))
	}
	return n
}

func numbers(words []string) (ids []uint64) {
	for _, w := range words {
		ids = append(ids, number(w))
	}
	return ids
}

func cut(f string) (uint64, string) {
	id, path, ok := strings.Cut(f, "=")
	if !ok {
		panic("wiretest: " + f)
	}
	return number(id), path
}
