package receiver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

// TestProveMany has more copies of one directory described than there may be
// questions at once.
func TestProveMany(t *testing.T) {
	var text strings.Builder
	text.WriteString("-- have --\n./ @4\na/f @5 =x\n-- want --\n./ @4\na/f @5 =x\n")
	for i := range wire.MaxAsks + 1 {
		fmt.Fprintf(&text, "z%05d/f @5 =x\n", i)
	}
	path := filepath.Join(t.TempDir(), "script.txt")
	if err := os.WriteFile(path, []byte(text.String()+"-- script --\n-- result --\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := wiretest.Read(t, path)
	p := destination(t, s.Part("have"), nil)
	mine, theirs := transport.Pipe(4)
	ended := make(chan string, 1)
	go func() { ended <- run(t.Context(), t, p, mine, false, options()) }()
	proves := make(chan int)
	go func() {
		defer close(proves)
		for {
			b, err := theirs.Read()
			if err != nil {
				return
			}
			if typ, body, err := wire.Split(b.Bytes()); err == nil && typ == wire.TypeProve {
				ids, _ := wire.DecodeProve(body)
				proves <- len(ids)
			}
			b.Free()
		}
	}()
	for _, b := range s.Messages("seal", "listing 0 0=.[-,z30000]", "listing 1 0=.[z30000,-]") {
		if err := theirs.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	open := <-proves
	for quiet := false; !quiet; {
		select {
		case n := <-proves:
			open += n
		case <-time.After(200 * time.Millisecond): // it waits for answers
			quiet = true
		}
	}
	if open > wire.MaxAsks {
		t.Errorf("%d directories are to be proved at once", open)
	}
	wire.CloseWith(theirs, nil)
	for range proves {
	}
	<-ended
}
