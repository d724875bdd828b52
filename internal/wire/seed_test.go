package wire_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the seeds of the fuzz targets anew")

// TestWriteSeeds writes the messages of the golden tests as seeds.
func TestWriteSeeds(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	seed := func(target string, n int, values ...string) {
		dir := filepath.Join("testdata", "fuzz", "Fuzz"+target)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		text := "go test fuzz v1\n"
		for _, v := range values {
			text += v + "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("golden-%d", n)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := func(s string) string { return fmt.Sprintf("[]byte(%q)", s) }
	for i, c := range listings {
		seed("Listing", i, b(c.bytes))
	}
	for i, c := range controls {
		seed("Decode", i, fmt.Sprintf("byte(%q)", c.typ), b(c.bytes))
	}
	seed("Split", 0, b("\x05\x00x"))
	seed("Split", 1, b("\x05\x01x"))
	seed("Split", 2, b("\x05"))
	seed("Ask", 0, b("\x00\x00\x00\x80\x20"+"\xac\x02\x01a\x02b\xff\x00"))
	seed("Ask", 1, b("\x00\x01b\x01a\x00"))
	seed("Want", 0, b("\x01\x02\x02\xd4\x04\xd1\x04"))
	seed("Want", 1, b("\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	seed("Pack", 0, b("\x0e"+metaBytes+"hello"+"\x03\x00\x00\x00\x00"))
	seed("Pack", 1, b("\x02\x00\x00\x00\x05abcd"))
	seed("Chunk", 0, b("\xac\x02\x02\x00"), b("content"))
	seed("Chunk", 1, b("\x01\x00\x01"), b("x"))
	seed("Chunk", 2, b("\x01\x02\x01\x0a\x02\x00\x02\x03\x04"), b("abcdef"))
	seed("End", 0, b("\xac\x02\x00"+metaBytes+"\x01"+raw(d1)[:16]))
	seed("Expand", 0, b("\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00x"))
	seed("Expand", 1, b("\x50\x2a\x4d\x18\x01\x00\x00\x00x"))
	seed("End", 1, b("\x01\x01"))
	seed("Sums", 0, b("\x0e"+metaBytes+raw(d1)+"\x03\x00\x00\x00\x00"+raw(d2)))
	seed("Sums", 1, b("\x02"+metaBytes+raw(d1)[1:]))
	for i, c := range knocks {
		seed("Knock", i, b(c.bytes))
	}
	for i, c := range proves {
		seed("Prove", i, b(c.bytes))
	}
	for i, c := range proofs {
		seed("Proof", i, b(c.bytes))
	}
	seed("Proof", len(proofs), b("\x01\x02"+raw(d1)))
	for i, c := range signatures {
		seed("Signatures", i, b(c.bytes))
	}
	for i, c := range deltas {
		seed("Deltas", i, b(c.bytes))
	}
	for i, c := range probes {
		seed("Probe", i, b(c.bytes))
	}
	for i, c := range outlines {
		seed("Outline", i, b(c.bytes))
	}
}
