package wiretest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// show returns the next message of c, or its end, as words. A Listing that
// answers nothing, and a Pack, are shown in as many pieces as they have, since
// how many share a message may depend on time.
func show(c wire.Conn) []string {
	b, err := c.Read()
	if err != nil {
		if e := (*wire.CloseError)(nil); errors.As(err, &e) {
			return []string{strings.TrimSpace(fmt.Sprintf("close %d %s", e.Code, e.Reason))}
		}
		return []string{"close " + err.Error()}
	}
	defer b.Free()
	t, body, err := wire.Split(b.Bytes())
	if err != nil {
		return []string{err.Error()}
	}
	text, err := words(t, body)
	if err != nil {
		return []string{err.Error()}
	}
	if rest, ok := strings.CutPrefix(text, "listing 0 "); ok {
		return pieces("listing 0 ", strings.SplitAfter(rest, "] "))
	}
	if rest, ok := strings.CutPrefix(text, "pack "); ok {
		return pieces("pack ", strings.SplitAfter(rest, "\" "))
	}
	return []string{text}
}

func pieces(head string, rest []string) (all []string) {
	for _, r := range rest {
		all = append(all, head+strings.TrimSpace(r))
	}
	return all
}

func words(t wire.Type, body []byte) (string, error) {
	var w strings.Builder
	switch t {
	case wire.TypeAsk:
		questions, err := wire.DecodeAsk(body)
		w.WriteString("ask")
		for _, q := range questions {
			fmt.Fprintf(&w, " %d %s %s %d", q.Dir, orDash(q.From), orDash(q.To), q.Budget)
		}
		return w.String(), err
	case wire.TypeListing:
		answered, sections, err := wire.DecodeListing(body)
		fmt.Fprintf(&w, "listing %d", answered)
		for i := range sections {
			section(&w, &sections[i])
		}
		return w.String(), err
	case wire.TypeWant:
		what, ids, err := wire.DecodeWant(body)
		w.WriteString("want " + []string{wire.WantContent: "content", wire.WantDigest: "digest"}[what])
		for _, id := range ids {
			fmt.Fprintf(&w, " %d", id)
		}
		return w.String(), err
	case wire.TypeProve:
		ids, err := wire.DecodeProve(body)
		w.WriteString("prove")
		for _, id := range ids {
			fmt.Fprintf(&w, " %d", id)
		}
		return w.String(), err
	case wire.TypeProof:
		p, err := wire.DecodeProof(body)
		if !p.Known {
			return fmt.Sprintf("proof %d none", p.ID), err
		}
		return fmt.Sprintf("proof %d=%s", p.ID, short(p.Sum[:])), err
	case wire.TypePack:
		w.WriteString("pack")
		err := wire.DecodePack(body, func(f wire.Packed) bool {
			fmt.Fprintf(&w, " %d=%s=%s", f.ID, meta(f.Meta), brief(f.Content))
			return true
		})
		return w.String(), err
	case wire.TypeChunk:
		c, err := wire.DecodeChunk(body)
		return fmt.Sprintf("chunk %d %d %s", c.ID, c.Index, brief(c.Content)), err
	case wire.TypeEnd:
		e, err := wire.DecodeEnd(body)
		if e.Again {
			return fmt.Sprintf("end %d again", e.ID), err
		}
		return fmt.Sprintf("end %d=%s %s", e.ID, meta(e.Meta), short(e.Checksum[:])), err
	case wire.TypeSums:
		sums, err := wire.DecodeSums(body)
		w.WriteString("sums")
		for _, s := range sums {
			fmt.Fprintf(&w, " %d=%s=%s", s.ID, meta(s.Meta), short(s.Digest[:]))
		}
		return w.String(), err
	}
	m, err := wire.Decode(t, body)
	switch m := m.(type) {
	case *wire.Seal:
		c := m.Counts
		fmt.Fprintf(&w, "seal %o@%d.%d %s files=%d directories=%d links=%d opaque=%d bytes=%d incomplete=%v", m.Perm, m.Sec, m.Nsec, short(m.Digest), c.Files, c.Directories, c.Links, c.Opaque, c.Bytes, m.Incomplete)
	case *wire.Problem:
		fmt.Fprintf(&w, "problem %s %q %q vanished=%v answers=%d", m.Path, m.Operation, m.Cause, m.Vanished, m.Answers)
	case *wire.Done:
		c := m.Changes
		fmt.Fprintf(&w, "done %d %s created=%d replaced=%d touched=%d removed=%d bytes=%d", m.Code, short(m.Digest), c.Created, c.Replaced, c.Touched, c.Removed, c.Bytes)
		if c.Reused > 0 {
			fmt.Fprintf(&w, " reused=%d", c.Reused)
		}
	case *wire.Verdict:
		fmt.Fprintf(&w, "verdict %d %s", m.Code, short(m.Digest))
	}
	return w.String(), err
}

func section(w *strings.Builder, s *wire.Section) {
	fmt.Fprintf(w, " [%d %s %s", s.Dir, orDash(s.From), orDash(s.To))
	for i := range s.Ranges {
		fmt.Fprintf(w, " …%s:%d:%s", orDash(s.Ranges[i].End), s.Ranges[i].Count, short(s.Ranges[i].Digest[:]))
	}
	for i := range s.Entries {
		switch e := &s.Entries[i]; e.Type {
		case tree.File:
			fmt.Fprintf(w, " %s=%s", e.Name, meta(wire.Meta{Perm: e.Perm, MTime: e.MTime(), Size: e.Size}))
		case tree.Directory:
			fmt.Fprintf(w, " %s/=%s", e.Name, short(e.Dir.Digest[:]))
		case tree.Link:
			fmt.Fprintf(w, " %s→%s", e.Name, e.Target)
		default:
			fmt.Fprintf(w, " %s?", e.Name)
		}
	}
	w.WriteByte(']')
}

func meta(m wire.Meta) string {
	return fmt.Sprintf("%o@%d.%d+%d", m.Perm, m.MTime.Sec, m.MTime.Nsec, m.Size)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func short(d []byte) string { return fmt.Sprintf("%x", d[:4]) }

func brief(content []byte) string {
	if len(content) > 32 {
		d := digest.Sum(content)
		return fmt.Sprintf("(%d bytes %s)", len(content), short(d[:]))
	}
	return fmt.Sprintf("%q", content)
}
