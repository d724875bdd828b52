package delta

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// pieces returns n segments, far shorter than those of files are.
func pieces(r *rand.Rand, n int) (segments [][]byte) {
	for range n {
		segments = append(segments, random(r, 1+r.IntN(30)))
	}
	return segments
}

func nodesOf(segments [][]byte) (nodes []Node) {
	for _, s := range segments {
		nodes = append(nodes, Node{digest.ContentOf(s), int64(len(s))})
	}
	return nodes
}

// groupsOf groups nodes as the protocol says, with all of them at hand, and
// returns the first node of each as well.
func groupsOf(nodes []Node) (groups []Node, first []int) {
	from := 0
	for i := range nodes {
		count := i + 1 - from
		if i+1 < len(nodes) && count < MaxGroup && (count < leastGroup || nodes[i].Digest[0]%groupChance != 0) {
			continue
		}
		g := grouper{h: digest.NewHasher()}
		for j := range nodes[from : i+1] {
			g.add(&nodes[from+j])
		}
		groups, first = append(groups, g.end()), append(first, from)
		from = i + 1
	}
	return groups, first
}

// TestGrowing has an outline that grows be the same as one of all segments at
// once, in the end, and at each time a beginning of it.
func TestGrowing(t *testing.T) {
	r := seeded(t)
	for _, n := range []int{0, 1, 15, 16, 128, 129, 300, 5000, 40_000, r.IntN(10_000)} {
		nodes := make([]Node, n)
		for i := range nodes {
			nodes[i].Length = 1 + r.Int64N(1<<20)
			copy(nodes[i].Digest[:], random(r, digest.Size))
			if r.IntN(2) == 0 && n%2 == 0 { // no group ends there, but by its length
				nodes[i].Digest[0] |= 1
			}
		}
		g := NewGrowing()
		var early [][]Node
		at := r.IntN(n + 1)
		for i := range nodes {
			if i == at {
				for level := range MaxLevels {
					early = append(early, slices.Clone(g.Level(level)))
				}
			}
			g.Add(nodes[i])
		}
		o := g.Outline()
		below := nodes
		for level := 1; len(below) > MaxTop; level++ {
			groups, first := groupsOf(below)
			if level > o.Top() || !slices.Equal(o.Level(level), groups) {
				t.Fatalf("%d segments: level %d differs", n, level)
			}
			for i := range groups {
				if m := o.Members(level, i); m.First != first[i] || !slices.Equal(m.Nodes, below[first[i]:first[i]+len(m.Nodes)]) {
					t.Fatalf("%d segments: the members of group %d of level %d differ", n, i, level)
				}
			}
			below = groups
		}
		if len(o.Level(o.Top())) != len(below) {
			t.Fatalf("%d segments: %d levels", n, o.Top())
		}
		for level, nodes := range early {
			if level <= o.Top() && (len(nodes) > len(o.Level(level)) || !slices.Equal(nodes, o.Level(level)[:len(nodes)])) {
				t.Fatalf("%d segments: level %d was different after %d", n, level, at)
			}
		}
	}
}

// rewrite changes a content in one of the ways in which files change, by whole
// segments.
func rewrite(r *rand.Rand, s [][]byte) [][]byte {
	if len(s) == 0 {
		return pieces(r, 10)
	}
	at := r.IntN(len(s) + 1)
	n := r.IntN(len(s) - at + 1)
	switch r.IntN(6) {
	case 0:
		return slices.Concat(s[:at], pieces(r, 1+r.IntN(5)), s[at:])
	case 1:
		return slices.Concat(s[:at], s[at+n:])
	case 2:
		return slices.Concat(s[at:], s[:at])
	case 3:
		return slices.Concat(s[:at], s[at:at+n], s[at:])
	case 4:
		c := slices.Clone(s)
		for range 1 + r.IntN(30) {
			c[r.IntN(len(c))] = random(r, 1+r.IntN(30))
		}
		return c
	default:
		return s[:max(1, at)]
	}
}

// early makes what can be guessed of the new content while the old one is
// outlined: of the new one groups are told of from the first, about so many bytes each
// time something is read, if any, and the top comes after the first late bytes.
func early(r *rand.Rand, old [][]byte, o *Outline, pace, late int, beyond int64, content []byte) (m Made) {
	all := bytes.Join(old, nil)
	size := Length(o.Level(0))
	even := size == int64(len(all))
	var guess *Guess
	if pace > 0 && o.Top() >= EarlyLevel {
		guess = NewGuess(EarlyLevel, size, even)
		guess.beyond = beyond
	}
	known, from := NewGrowing(), 0 // known: of what was read before the last time
	for read, top, told, at := 0, false, 0, int64(0); read < len(all); {
		n := min(1+r.IntN(5000), len(all)-read)
		switch {
		case !top && read >= late:
			top = true
			if guess == nil || !guess.End(size) {
				guess = NewGuess(o.Top(), size, even)
				guess.Tell(o.Level(o.Top()))
			}
		case !top && guess != nil:
			for groups := o.Level(EarlyLevel); told < len(groups) && at < int64(read*pace/2500); told++ {
				guess.Tell(groups[told : told+1])
				at += groups[told].Length
			}
		}
		if guess != nil {
			guess.Learn(known)
			if run := guess.Run(int64(read), int64(n)); run.Length > 0 {
				copy(content[run.Off:][:run.Length], all[run.From:][:run.Length])
				m.Add(run)
			}
		}
		for read += n; len(old) > 0 && from+len(old[0]) <= read; old = old[1:] {
			known.Add(nodesOf(old[:1])[0])
			from += len(old[0])
		}
	}
	return m
}

// TestGuess makes new contents by guesses first, and then what is not made yet:
// all of it is there, whatever was changed.
func TestGuess(t *testing.T) {
	r := seeded(t)
	guessed, left := int64(0), int64(0)
	for i := range 100 {
		old := pieces(r, 100+r.IntN(5000))
		segments := old
		for range r.IntN(4) {
			segments = rewrite(r, segments)
		}
		want := bytes.Join(segments, nil)
		before, after := NewOutline(nodesOf(old)), NewOutline(nodesOf(segments))
		got := make([]byte, len(want))
		late := r.IntN(2) * r.IntN(10_000)
		pace := r.IntN(3) * r.IntN(5000)
		if pace > 0 {
			late = 10 * late
		}
		made := early(r, old, after, pace, late, r.Int64N(10_000), got)

		s, _ := NewSurvey(before, 0, 1<<40, after.Top(), after.Level(after.Top()))
		for level, numbers := s.Doubts(); len(numbers) > 0; level, numbers = s.Doubts() {
			var groups []Members
			for _, n := range numbers {
				groups = append(groups, after.Members(level, n))
			}
			if !s.Resolve(groups) {
				t.Fatal("what is told does not fit")
			}
		}
		all := bytes.Join(old, nil)
		plan := NewPlan(s.Pieces(), int64(len(all)))
		for _, run := range plan.Runs {
			guessed += run.Length
		}
		for _, run := range made.Rest(plan.Runs) {
			copy(got[run.Off:][:run.Length], all[run.From:][:run.Length])
			left += run.Length
		}
		for _, g := range plan.Gaps {
			copy(got[g.Off:][:g.Length], want[g.Off:][:g.Length])
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("content %d differs", i)
		}
	}
	t.Logf("%d bytes, %d of them after the outline", guessed, left)
	if left > guessed*3/4 {
		t.Errorf("of %d bytes %d were left", guessed, left)
	}
}

// TestGuessCost leaves little to be copied where little has changed.
func TestGuessCost(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	old := pieces(r, 5000)
	size := len(bytes.Join(old, nil))
	group := 50 * 16 // bytes in a group of the top, about
	for name, c := range map[string]struct {
		segments [][]byte
		groups   int // most that are left
	}{
		"nothing":            {old, 0},
		"inserted":           {slices.Concat(old[:2500], pieces(r, 1), old[2500:]), 25},
		"taken out":          {slices.Concat(old[:2000], old[2100:]), 30},
		"at the beginning":   {slices.Concat(pieces(r, 1), old), 25},
		"only the end":       {old[4000:], 25},
		"only the beginning": {old[:1000], 5},
	} {
		after := NewOutline(nodesOf(c.segments))
		var runs []Run
		for i, off := 0, int64(0); i < len(c.segments); i++ { // what a plan at best has
			from := slices.IndexFunc(old, func(s []byte) bool { return &s[0] == &c.segments[i][0] })
			n := int64(len(c.segments[i]))
			if from >= 0 {
				runs = appendRun(runs, Run{int64(len(bytes.Join(old[:from], nil))), off, n})
			}
			off += n
		}
		const beyond = 8000
		for when, how := range map[string]struct {
			made Made
			more int64 // bytes that may be left beside
		}{
			"at once":    {early(r, old, after, 0, 0, 0, make([]byte, size+1000)), 0},
			"nearly all": {early(r, old, after, 10_000, size/2, beyond, make([]byte, size+1000)), beyond},
			"meanwhile":  {early(r, old, after, 2500, math.MaxInt, beyond, make([]byte, size+1000)), beyond},
		} {
			left := int64(0)
			for _, run := range how.made.Rest(runs) {
				left += run.Length
			}
			t.Logf("%s, told of %s: %d bytes of %d left", name, when, left, size)
			if left > int64(c.groups*group)+how.more {
				t.Errorf("%s, told of %s: %d bytes left", name, when, left)
			}
		}
	}
}

// TestMade has a later run take the place of an earlier one.
func TestMade(t *testing.T) {
	var m Made
	for _, r := range []Run{{0, 0, 100}, {100, 100, 50}, {150, 120, 50}} {
		m.Add(r)
	}
	got := m.Rest([]Run{{0, 0, 130}, {160, 130, 70}})
	want := []Run{{120, 120, 10}, {200, 170, 30}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}
