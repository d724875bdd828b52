package report

import (
	"strings"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// Quote returns a name for people: as it is where all of it shows itself, otherwise
// escaped and in double quotes, which tell it from what is around it.
func Quote(s string) string {
	if s != "" && fault.Escape(s) == s && !strings.ContainsAny(s, `"\`) && strings.TrimSpace(s) == s {
		return s
	}
	return `"` + fault.Escape(marked.Replace(s)) + `"`
}

var marked = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Clip makes words of somebody else harmless and bounds their length.
func Clip(s string, limit int) string { return fault.Clip(s, limit) }
