package sender_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// A receiver that asks for the ranges of the same directory again and again has so many
// entries digested, and no more.
func TestRangesAgain(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "some-file-%d\n", i)
	}
	mine, theirs := transport.Pipe(0)
	h := source(t, text.String(), nil)
	ended := make(chan error)
	go func() {
		_, err := sender.Run(t.Context(), mine, receiverHello(false), h, options())
		ended <- err
	}()
	if _, err := theirs.Read(); err != nil { // the seal
		t.Fatal(err)
	}
	go func() {
		for {
			b, err := theirs.Read()
			if err != nil {
				return
			}
			b.Free()
		}
	}()
	ask := make([]wire.Question, 100)
	for i := range ask {
		ask[i].Budget = 200
	}
	for range 100 {
		for _, b := range wire.EncodeAsk(ask) {
			if theirs.Write(b) != nil {
				break // it has ended
			}
		}
	}
	select {
	case err := <-ended:
		if fault.Of(err, 99) != fault.Protocol || !strings.Contains(err.Error(), "again and again") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it answers for ever")
	}
	wire.CloseWith(theirs, nil)
}

// A receiver that takes no answers is not waited for: what it sends while its
// questions are open ends the session.
func TestOutOfPhase(t *testing.T) {
	ask := func(n int) []*wire.Buffer {
		questions := make([]wire.Question, n)
		for i := range questions {
			questions[i] = wire.Question{From: "x"}
		}
		return wire.EncodeAsk(questions)
	}
	for _, c := range []struct {
		name     string
		messages []*wire.Buffer
		words    string
	}{
		{"too many questions", ask(wire.MaxAsks + 200), "questions at once"},
		{"a want before the answers", append(ask(200), wire.EncodeWant(wire.WantContent, []uint64{1})...), "a want that is out of phase"},
		{"done before the answers", append(ask(200), wire.Encode(&wire.Done{Digest: make([]byte, 32), Changes: &wire.Changes{}})), "done before everything was answered"},
	} {
		mine, theirs := transport.Pipe(0)
		h := source(t, "a", nil)
		ended := make(chan error)
		go func() {
			_, err := sender.Run(t.Context(), mine, receiverHello(false), h, options())
			ended <- err
		}()
		if _, err := theirs.Read(); err != nil { // the seal
			t.Fatal(err)
		}
		for _, b := range c.messages {
			if err := theirs.Write(b); err != nil {
				break // it has ended
			}
		}
		if err := <-ended; fault.Of(err, 99) != fault.Protocol || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A receiver that takes no content has so many wants taken in, and no more.
func TestTooManyWants(t *testing.T) {
	const n = wire.MaxWants/3 + 1000 // each in three ways
	dir := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mine, theirs := transport.Pipe(0)
	ended := make(chan error, 1)
	go func() {
		_, err := sender.Run(t.Context(), mine, receiverHello(false), handles(t, dir, nil), options())
		ended <- err
	}()
	await := func(typ wire.Type) {
		for got := wire.Type(0); got != typ; {
			b, err := theirs.Read()
			if err != nil {
				t.Fatal(err)
			}
			got = wire.Type(b.Bytes()[0])
			b.Free()
		}
	}
	await(wire.TypeSeal)
	send := func(messages ...*wire.Buffer) {
		for _, b := range messages {
			_ = theirs.Write(b) // the session may be over
		}
	}
	send(wire.EncodeAsk([]wire.Question{{}})...)
	for listed := 0; listed < n; {
		b, err := theirs.Read()
		if err != nil {
			t.Fatal(err)
		}
		_, sections, err := wire.DecodeListing(b.Bytes()[2:])
		if err != nil {
			t.Fatal(err)
		}
		for i := range sections {
			listed += len(sections[i].Entries)
		}
	}
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = uint64(i + 1)
	}
	send(wire.EncodeWant(wire.WantContent, ids)...)
	send(wire.EncodeWant(wire.WantDigest, ids)...)
	for m := wire.NewSignatures(1); len(ids) > 0; m = wire.NewSignatures(1) {
		for len(ids) > 0 && m.Add(&wire.Signed{ID: ids[0], Whole: true}) {
			ids = ids[1:]
		}
		send(m.Finish())
	}
	select {
	case err := <-ended:
		if fault.Of(err, 99) != fault.Protocol || !strings.Contains(err.Error(), "wants at once") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it takes all of them")
	}
	wire.CloseWith(theirs, nil)
}
