package sender

import (
	"errors"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// A worker that is stuck in one read does not let the others run so far ahead
// that the receiver would take the rest for broken.
func TestLargeWaitsForTheLatest(t *testing.T) {
	const chunks = 2000
	l := &large{file: &supply.File{Meta: wire.Meta{Size: chunks * digest.ChunkSize}}}
	whole := func(chunk uint64) wire.Part { return wire.Part{Index: chunk, Length: digest.ChunkSize} }
	send := func() (chunk int64, last, ok, ended bool) {
		p, ok, ended := l.take()
		if ok && p.Index > 0 {
			last = l.done(p, digest.Checksum{}, nil)
		}
		return int64(p.Index), last, ok, ended
	}
	for want := int64(0); want <= wire.MaxLead/2; want++ {
		if chunk, last, ok, _ := send(); chunk != want || last || !ok {
			t.Fatalf("chunk %d, want %d, last %v, ok %v", chunk, want, last, ok)
		}
	}
	if _, _, ok, ended := send(); ok || ended {
		t.Errorf("more, with the first one missing: %v, ended %v", ok, ended)
	}
	if l.done(whole(0), digest.Checksum{}, nil) {
		t.Error("the first one was the last one")
	}
	var last bool
	n := wire.MaxLead/2 + 1
	for ok := true; ok; n++ {
		_, last, ok, _ = send()
		if last {
			break
		}
	}
	if n != chunks-1 || !last {
		t.Errorf("%d chunks, last %v", n+1, last)
	}
	if _, _, ok, ended := send(); ok || !ended {
		t.Errorf("more than all: %v, ended %v", ok, ended)
	}
}

// After a chunk that failed no more are read, and who has one in his hands
// ends the file.
func TestLargeFails(t *testing.T) {
	l := &large{file: &supply.File{Meta: wire.Meta{Size: 10 * digest.ChunkSize}}}
	var parts []wire.Part
	for range 3 {
		p, _, _ := l.take()
		parts = append(parts, p)
	}
	if l.done(parts[1], digest.Checksum{}, errors.New("broken")) {
		t.Error("ended with chunks in hand")
	}
	if _, ok, ended := l.take(); ok || !ended {
		t.Error("goes on")
	}
	if l.done(parts[0], digest.Checksum{}, nil) || !l.done(parts[2], digest.Checksum{}, nil) {
		t.Error("the last in hand does not end it")
	}
}
