package report

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote makes a string of another process, or a file name, harmless for a
// terminal and a log: control and invisible characters, direction marks and
// invalid UTF-8 are escaped, and then the whole is in double quotes. Plain
// strings stay as they are.
func Quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return s
	}
	return strconv.QuoteToGraphic(s)
}

// hidden reports whether r does not show itself, or is what quoting uses.
func hidden(r rune) bool {
	return r == '"' || r == '\\' || r != ' ' && !unicode.IsGraphic(r) || r != ' ' && unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Cf, r)
}

// Clip quotes s and bounds its length.
func Clip(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return Quote(s)
}
