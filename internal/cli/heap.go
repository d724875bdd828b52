package cli

import (
	"os"
	"runtime"
	"runtime/debug"
)

// growFirst is how far the heap may grow, in percent of the runtime's least of
// 4 MiB, before anything is collected.
const growFirst = 600

// GrowFirst spares a run over a tree of usual size most of its garbage
// collections: the heap grows to 24 MiB before the first one, and after that
// goes the runtime's usual way. A tree that has not changed takes 5 % less time.
func GrowFirst() {
	if os.Getenv("GOGC") != "" {
		return // somebody knows better
	}
	type sentinel struct{ _ *sentinel }
	usual := debug.SetGCPercent(growFirst)
	runtime.SetFinalizer(new(sentinel), func(*sentinel) { debug.SetGCPercent(usual) })
}
