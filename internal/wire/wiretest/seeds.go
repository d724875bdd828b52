package wiretest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// WriteSeeds writes the seeds of a fuzz target that takes flags and a play of a Chaos. It is
// skipped without -update.
func WriteSeeds(t *testing.T, target string, flags map[string]byte, plays map[string][]byte) {
	if !*update {
		t.Skip("only with -update")
	}
	dir := filepath.Join("testdata", "fuzz", target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range plays {
		text := fmt.Sprintf("go test fuzz v1\nbyte(%q)\n[]byte(%q)\n", flags[name], data)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
