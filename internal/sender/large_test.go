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
	send := func() (chunk int64, last, ok, ended bool) {
		if chunk, ok, ended = l.take(); ok && chunk > 0 {
			last = l.done(chunk, digest.ChunkSize, digest.Checksum{}, nil)
		}
		return chunk, last, ok, ended
	}
	for want := int64(0); want <= wire.MaxLead/2; want++ {
		if chunk, last, ok, _ := send(); chunk != want || last || !ok {
			t.Fatalf("chunk %d, want %d, last %v, ok %v", chunk, want, last, ok)
		}
	}
	if _, _, ok, ended := send(); ok || ended {
		t.Errorf("more, with the first one missing: %v, ended %v", ok, ended)
	}
	if l.done(0, digest.ChunkSize, digest.Checksum{}, nil) {
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
	for range 3 {
		l.take()
	}
	if l.done(1, digest.ChunkSize, digest.Checksum{}, errors.New("broken")) {
		t.Error("ended with chunks in hand")
	}
	if _, ok, ended := l.take(); ok || !ended {
		t.Error("goes on")
	}
	if l.done(0, digest.ChunkSize, digest.Checksum{}, nil) || !l.done(2, digest.ChunkSize, digest.Checksum{}, nil) {
		t.Error("the last in hand does not end it")
	}
}
