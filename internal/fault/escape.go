package fault

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes text that somebody else has chosen harmless for a terminal and a log: the
// other side's words, a web server's, the name of a file. What does not show itself is
// written as in a Go string: control characters, line breaks, direction marks, spaces that
// are no plain ones, what has no width, invalid UTF-8, and all but a few of the marks that
// are drawn over one and the same letter. The result is one line, and to escape it once
// more changes nothing.
func Escape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	var room [16]byte
	marks := marksPerLetter // none to begin with: it would be drawn over what comes before
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && n == 1:
			const digits = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(digits[s[i]>>4])
			b.WriteByte(digits[s[i]&15])
		case hidden(r) || marks > marksPerLetter:
			q := strconv.AppendQuoteRuneToASCII(room[:0], r)
			b.Write(q[1 : len(q)-1])
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// marksPerLetter is how many marks a letter of any living language has, with some to
// spare: more of them only paint over the lines above and below.
const marksPerLetter = 4

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// hidden reports whether r does not show itself.
func hidden(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) || r == blank
}

// blank is a pattern of Braille without a dot, which looks like a space.
const blank = '\u2800'

// Clip escapes s and leaves out what is beyond limit bytes of it, where it then says so.
func Clip(s string, limit int) string {
	if len(s) <= limit {
		return Escape(s)
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return Escape(s[:limit]) + "…"
}
