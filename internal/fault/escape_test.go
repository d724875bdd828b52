package fault_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sync-directory/sync-directory/internal/fault"
)

func TestEscape(t *testing.T) {
	for s, want := range map[string]string{
		"":                                "",
		"plain words, \"quoted\" \\ once": "plain words, \"quoted\" \\ once",
		"ümläut, 日本, हिन्दी, Việt, ❤": "ümläut, 日本, हिन्दी, Việt, ❤",
		"vie\u0323\u0302t":                    "vie\u0323\u0302t",
		"tab\tline\nreturn\rback\b":           `tab\tline\nreturn\rback\b`,
		"nul\x00 bell\a del\x7f":              `nul\x00 bell\a del\x7f`,
		"\x1b[31mred":                         `\x1b[31mred`,
		"\x1b]8;;http://x\x1b\\link":          `\x1b]8;;http://x\x1b\link`,
		"\x1b]52;c;aGk=\a":                    `\x1b]52;c;aGk=\a`,
		"c1 \u009b31m \u0085":                 `c1 \u009b31m \u0085`,
		"raw c1 \x9b31m":                      `raw c1 \x9b31m`,
		"overlong \xc0\xaf \xe0\x80\xaf":      `overlong \xc0\xaf \xe0\x80\xaf`,
		"surrogate \xed\xa0\x80":              `surrogate \xed\xa0\x80`,
		"cut \xe2\x82":                        `cut \xe2\x82`,
		"a replacement \uFFFD":                "a replacement \uFFFD",
		"turned \u202e round \u202c":          `turned \u202e round \u202c`,
		"\u2066isolated\u2069":                `\u2066isolated\u2069`,
		"marks \u200e\u200f\u061c":            `marks \u200e\u200f\u061c`,
		"zero\u200bwidth\u200d\u2060":         `zero\u200bwidth\u200d\u2060`,
		"\ufeffbom":                           `\ufeffbom`,
		"soft\u00adhyphen":                    `soft\u00adhyphen`,
		"lines\u2028and\u2029paragraphs":      `lines\u2028and\u2029paragraphs`,
		"no\u00a0break\u3000wide":             `no\u00a0break\u3000wide`,
		"tags\U000e0041\U000e007f":            `tags\U000e0041\U000e007f`,
		"heart❤\ufe0f and \U000e0101":         `heart❤\ufe0f and \U000e0101`,
		"fillers \u3164\u115f\uffa0":          `fillers \u3164\u115f\uffa0`,
		"joined \u034f, blank \u2800":         `joined \u034f, blank \u2800`,
		"private \ue000, none \U0010ffff":     `private \ue000, none \U0010ffff`,
		"\u0301first":                         `\u0301first`,
		"flood" + strings.Repeat("\u0301", 7): "flood" + strings.Repeat("\u0301", 4) + strings.Repeat(`\u0301`, 3),
	} {
		if got := fault.Escape(s); got != want {
			t.Errorf("Escape(%+q) = %s, want %s", s, got, want)
		}
	}
}

// TestEscapeAnything escapes bytes and runes at random: what comes out shows itself, and
// stays as it is when it is escaped once more.
func TestEscapeAnything(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		var b strings.Builder
		for range r.IntN(12) {
			switch r.IntN(4) {
			case 0:
				b.WriteByte(byte(r.Uint32()))
			case 1:
				b.WriteRune(rune(r.IntN(0x3000)))
			case 2:
				b.WriteRune(rune(r.IntN(0x110000)))
			case 3:
				b.WriteRune(0x300 + rune(r.IntN(4)))
			}
		}
		e := fault.Escape(b.String())
		if fault.Escape(e) != e {
			t.Fatalf("%+q becomes %+q and then %+q", b.String(), e, fault.Escape(e))
		}
		if !utf8.ValidString(e) || strings.ContainsFunc(e, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%+q becomes %+q", b.String(), e)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		s     string
		limit int
		want  string
	}{
		{"0123456789", 10, "0123456789"},
		{"0123456789", 4, "0123…"},
		{"üü", 3, "ü…"},
		{"\xff\xfe\xfd", 2, `\xff\xfe…`},
		{"\x1b\x1b", 1, `\x1b…`},
	} {
		if got := fault.Clip(c.s, c.limit); got != c.want {
			t.Errorf("Clip(%+q, %d) = %s, want %s", c.s, c.limit, got, c.want)
		}
	}
}
