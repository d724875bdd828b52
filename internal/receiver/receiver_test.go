package receiver_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/receiver"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a destination.
type place struct {
	dir     string
	area    *stage.Area
	handles *dirfs.Handles
}

// destination makes a directory to receive into, whose calls before sees.
func destination(t *testing.T, text string, before func(dirfs.Call) error) *place {
	p := &place{dir: filepath.Join(t.TempDir(), "d")}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	treetest.Make(t, p.dir, text)
	root, err := dirfs.OpenRoot(p.dir, dirfs.Options{})
	if err == nil && before != nil {
		root = dirfs.Inject(root, before)
	}
	if err == nil {
		p.area, err = stage.Open(root, stage.Options{NoSync: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	p.handles = dirfs.NewHandles(root, 8)
	t.Cleanup(func() {
		p.handles.Close()
		if !p.area.Gone() {
			p.area.Leave(p.area.Root.MTime)
		}
		root.Close()
	})
	return p
}

func options() receiver.Options {
	return receiver.Options{Transfers: 1, Checkers: 1, Log: slog.New(slog.DiscardHandler),
		Counters: new(report.Counters), Problems: report.NewProblems(nil)}
}

// run runs a session and returns how it ended, and what is there then.
func run(ctx context.Context, t *testing.T, p *place, c wire.Conn, empty bool, o receiver.Options) string {
	_, err := receiver.Run(ctx, c, &wire.Hello{Role: wire.Role_SENDER}, receiver.Destination{Area: p.area, Handles: p.handles, Empty: empty}, o)
	result := fmt.Sprintf("%d\n", fault.Worse(fault.Of(err, 99), o.Problems.Code()))
	if err != nil {
		result += err.Error() + "\n"
	}
	problems, _ := o.Problems.All()
	for _, problem := range problems {
		result += problem.String() + "\n"
	}
	if !p.area.Gone() {
		if err := p.area.Leave(p.area.Root.MTime); err != nil {
			t.Error(err)
		}
	}
	for line := range strings.Lines(treetest.Read(t, p.dir)) {
		if !strings.HasPrefix(line, tree.Reserved) { // what is staged for the next run
			result += line
		}
	}
	return result
}

func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := wiretest.Read(t, path)
			p := destination(t, s.Part("have"), nil)
			if c := p.area.Canon; c.Granularity != tree.Exact.Granularity || !c.LinkTimes {
				t.Skip("the disk does not hold all times")
			}
			o := options()
			o.Checksum = s.Option("checksum")
			if s.Option("uncompressed") {
				o.Compression = &wire.Compression{Mode: wire.Compression_NONE}
			}
			o.Policy.NoDelete = s.Option("no-delete")
			if s.Option("max-delete-1") {
				o.Policy.MaxDelete = new(uint64(1))
			}
			mine, theirs := transport.Pipe(0)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			ended := make(chan string)
			go func() { ended <- run(ctx, t, p, mine, s.Option("empty"), o) }()
			s.Play(t, theirs)
			s.Result(t, <-ended)
			wire.CloseWith(theirs, nil)
			if _, err := os.Lstat(filepath.Join(filepath.Dir(p.dir), "outside")); err == nil {
				t.Error("something was made outside")
			}
		})
	}
}
