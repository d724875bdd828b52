package tree_test

import (
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

func sum(text string, c tree.Canon) digest.Digest {
	root := treetest.Parse(text)
	tree.NewSummer(c).Sum(root.Dir)
	return root.Dir.Digest
}

var coarse = tree.Canon{Granularity: 1_000_000_000, MinSec: -1 << 31, MaxSec: 1<<31 - 1}

// The bytes that a digest covers are part of the protocol: the literals here
// never change.
func TestSumGolden(t *testing.T) {
	for _, c := range []struct {
		name, text string
		canon      tree.Canon
		want       string // what is digested, as bytes
	}{
		{"empty", "", tree.Exact, ""},
		{"file", "ab 640 @258.000000003 +772", tree.Exact,
			"\x01" + "\x02ab" + "\xa0\x01" + "\x02\x01\x00\x00\x00\x00\x00\x00" + "\x03\x00\x00\x00" + "\x04\x03\x00\x00\x00\x00\x00\x00"},
		{"file before 1970", "a 0 @-2", tree.Exact,
			"\x01" + "\x01a" + "\x00\x00" + "\xfe\xff\xff\xff\xff\xff\xff\xff" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"time that cannot be held", "a 0 @7.9", coarse,
			"\x01" + "\x01a" + "\x00\x00" + "\x07\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"link with time", "l >xyz @1", tree.Exact,
			"\x03" + "\x01l" + "\x03xyz" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00"},
		{"link without", "l >xyz @1", coarse, "\x03" + "\x01l" + "\x03xyz"},
		{"opaque", "a opaque", tree.Exact, ""},
		{"other", "a other", tree.Exact, "\x05\x01a"},
		{"unknown", "a unknown", tree.Exact, "\x06\x01a"},
		{"empty directory", "d/ 755 @1", tree.Exact,
			"\x02" + "\x01d" + "\xed\x01" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + of("")},
		{"closed directory", "d/ 755 @1 closed", tree.Exact,
			"\x82" + "\x01d" + "\xed\x01" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + of("")},
		{"long name", strings.Repeat("n", 200) + " other", tree.Exact, "\x05\xc8\x01" + strings.Repeat("n", 200)},
		{"in order", "b other\na unknown", tree.Exact, "\x06\x01a\x05\x01b"},
	} {
		if got, want := sum(c.text, c.canon), digest.Sum([]byte(c.want)); got != want {
			t.Errorf("%s: got %s, want %s", c.name, got, want)
		}
	}
}

func of(b string) string { d := digest.Sum([]byte(b)); return string(d[:]) }

// These freeze the hash too.
func TestSumHex(t *testing.T) {
	text := "./ 750 @5.5\na 644 @1000.123456789 +5\nd/ 700 @2\nd/l >t @3\nd/o opaque\ne/ closed @4\nu unknown\n"
	root := treetest.Parse(text)
	s := tree.NewSummer(tree.Exact)
	got := s.Root(root).String()
	if want := "542e423c6f6b2452475177c35cb5a8bd37400cb5119cc257689d0ab8e566ce40"; got != want {
		t.Errorf("root: got %s, want %s", got, want)
	}
	if got, want := root.Dir.Digest.String(), "1b776af7bcae023aac29a6de2cc8f2f0c587312ee7bf7f9e4b881981c0fe5d3e"; got != want {
		t.Errorf("directory: got %s, want %s", got, want)
	}
	if got, want := s.Range(root.Dir.Entries[:2]).String(), "e8daffeaebb0624713faf41482a05bd9a9aca5c5a859028a8f42e9becfa5f4db"; got != want {
		t.Errorf("range: got %s, want %s", got, want)
	}
	if got, want := s.Range(nil).String(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"; got != want {
		t.Errorf("nothing: got %s, want %s", got, want)
	}
}

func TestSumDiffers(t *testing.T) {
	const base = "d/f 644 @5 +9\nd/l >t @6"
	for _, c := range []struct {
		name, text string
		same       bool
	}{
		{"the same", base, true},
		{"opaque beside", base + "\nd/o opaque\no opaque", true},
		{"order of lines", "d/l >t @6\nd/f 644 @5 +9", true},
		{"size", "d/f 644 @5 +8\nd/l >t @6", false},
		{"time", "d/f 644 @5.1 +9\nd/l >t @6", false},
		{"permission", "d/f 645 @5 +9\nd/l >t @6", false},
		{"target", "d/f 644 @5 +9\nd/l >u @6", false},
		{"link time", "d/f 644 @5 +9\nd/l >t @7", false},
		{"name", "d/g 644 @5 +9\nd/l >t @6", false},
		{"directory name", "e/f 644 @5 +9\ne/l >t @6", false},
		{"directory time", "d/ @9\n" + base, false},
		{"directory permission", "d/ 700\n" + base, false},
		{"closed", "d/ closed\n" + base, false},
		{"unknown beside", base + "\nd/o unknown", false},
		{"other beside", base + "\nd/o other", false},
		{"empty directory beside", base + "\nd/o/", false},
	} {
		if got := sum(c.text, tree.Exact) == sum(base, tree.Exact); got != c.same {
			t.Errorf("%s: equal is %v, want %v", c.name, got, c.same)
		}
	}
}

// A renamed directory, or one with another time, keeps its digest.
func TestSumOwnNameAndTime(t *testing.T) {
	root := treetest.Parse("a/ 700 @1\na/x/f +3\nb/ 755 @2\nb/x/f +3")
	tree.NewSummer(tree.Exact).Sum(root.Dir)
	if a, b := root.Dir.Find("a").Dir, root.Dir.Find("b").Dir; a.Digest != b.Digest {
		t.Errorf("%s and %s differ", a.Digest, b.Digest)
	}
}

func TestRootCoversItself(t *testing.T) {
	s := tree.NewSummer(tree.Exact)
	base := s.Root(treetest.Parse("./ 755 @5\na"))
	for name, text := range map[string]string{"permission": "./ 700 @5\na", "time": "./ 755 @6\na", "inside": "./ 755 @5\nb"} {
		if s.Root(treetest.Parse(text)) == base {
			t.Errorf("another %s gives the same digest", name)
		}
	}
}

func TestUnproved(t *testing.T) {
	root := treetest.Parse("a/b/f unproved\nc/d/f")
	tree.NewSummer(tree.Exact).Sum(root.Dir)
	for path, want := range map[string]bool{"": true, "a": true, "a/b": true, "c": false, "c/d": false} {
		d := root.Dir
		for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
			d = d.Find(name).Dir
		}
		if d.Unproved != want {
			t.Errorf("%q: unproved is %v, want %v", path, d.Unproved, want)
		}
	}
}

func TestChanged(t *testing.T) {
	root := treetest.Parse("a/b/f +1\nc/g +2")
	s := tree.NewSummer(tree.Exact)
	before := s.Root(root)
	b := root.Dir.Find("a").Dir.Find("b").Dir
	c := root.Dir.Find("c").Dir.Digest
	b.Find("f").Size = 7
	b.Changed()
	if !root.Dir.Digest.IsZero() || !b.Parent.Digest.IsZero() || !b.Digest.IsZero() {
		t.Error("a digest above is still known")
	}
	if root.Dir.Find("c").Dir.Digest != c {
		t.Error("a digest beside was forgotten")
	}
	if got, want := s.Root(root), s.Root(treetest.Parse("a/b/f +7\nc/g +2")); got != want || got == before {
		t.Errorf("got %s, want %s, before it was %s", got, want, before)
	}
	b.Changed()
	b.Changed() // twice is once
}

// Wide directories are digested piece by piece.
func TestSumWide(t *testing.T) {
	var entries []tree.Entry
	var want []byte
	for i := range 5000 {
		name := "entry-with-a-rather-long-name-" + string(rune('a'+i/676)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
		entries = append(entries, tree.Entry{Name: name, Type: tree.Other})
		want = append(append(want, 5, byte(len(name))), name...)
	}
	if got := tree.NewSummer(tree.Exact).Range(entries); got != digest.Sum(want) {
		t.Errorf("got %s, want %s", got, digest.Sum(want))
	}
}
