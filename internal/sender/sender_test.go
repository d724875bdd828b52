package sender_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiverHello is what the scripted receiver said.
func receiverHello(empty bool) *wire.Hello {
	id := []byte("0123456789abcdef")
	return &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_RECEIVER, Session: id,
		Destination: &wire.Destination{Id: id, Empty: empty, Canon: wire.NewCanon(tree.Exact)}}
}

// source is a directory to send, whose calls before sees.
func source(t *testing.T, text string, before func(dirfs.Call) error) *dirfs.Handles {
	dir := t.TempDir()
	treetest.Make(t, dir, text)
	return handles(t, dir, before)
}

func handles(t *testing.T, dir string, before func(dirfs.Call) error) *dirfs.Handles {
	root, err := dirfs.OpenRoot(dir, dirfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if before != nil {
		root = dirfs.Inject(root, before)
	}
	h := dirfs.NewHandles(root, 8)
	t.Cleanup(func() { h.Close(); root.Close() })
	return h
}

func options() sender.Options {
	return sender.Options{Links: true, Transfers: 1, Checkers: 1, Log: slog.New(slog.DiscardHandler),
		Counters: new(report.Counters), Problems: report.NewProblems(nil)}
}

func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := wiretest.Read(t, path)
			h := source(t, s.Part("have"), nil)
			mine, theirs := transport.Pipe(0)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			o := options()
			o.Links = !s.Option("skip-links")
			o.Nested = s.Option("nested")
			ended := make(chan string)
			go func() {
				_, err := sender.Run(ctx, mine, receiverHello(s.Option("empty")), h, o)
				result := fmt.Sprintf("%d\n", fault.Worse(fault.Of(err, 99), o.Problems.Code()))
				if err != nil {
					result += err.Error() + "\n"
				}
				problems, _ := o.Problems.All()
				for _, p := range problems {
					result += p.String() + "\n"
				}
				ended <- result
			}()
			s.Play(t, theirs)
			s.Result(t, <-ended)
			wire.CloseWith(theirs, nil)
		})
	}
}
