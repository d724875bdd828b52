package syncdirectory_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	syncdirectory "github.com/sync-directory/sync-directory"
)

// must ends an example that cannot go on.
func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// exampleDirs makes a directory to give and one to take, in which something
// is missing, something is old and something is too much.
func exampleDirs() (input, output string, clean func()) {
	dir, err := os.MkdirTemp("", "example")
	must(err)
	input, output = filepath.Join(dir, "input"), filepath.Join(dir, "output")
	must(os.MkdirAll(filepath.Join(input, "sub"), 0o755))
	must(os.Mkdir(output, 0o755))
	must(os.WriteFile(filepath.Join(input, "a"), []byte("new content"), 0o644))
	must(os.WriteFile(filepath.Join(input, "sub", "b"), []byte("b"), 0o644))
	must(os.WriteFile(filepath.Join(output, "a"), []byte("old"), 0o644))
	must(os.WriteFile(filepath.Join(output, "extra"), nil, 0o644))
	return input, output, func() { must(os.RemoveAll(dir)) }
}

// Local makes one directory of this machine equal another.
func ExampleLocal() {
	input, output, clean := exampleDirs()
	defer clean()

	result, err := syncdirectory.Local(context.Background(),
		&syncdirectory.Sender{Dir: input},
		&syncdirectory.Receiver{Dir: output})
	if err != nil {
		log.Fatal(err)
	}
	c := result.Changes
	fmt.Println(c.Created, "created,", c.Replaced, "replaced,", c.Removed, "removed")

	b, err := os.ReadFile(filepath.Join(output, "a"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(b))
	// Output:
	// 2 created, 1 replaced, 1 removed
	// new content
}

// A receiver listens, a sender dials, and both learn the same digest.
func Example() {
	input, output, clean := exampleDirs()
	defer clean()
	ctx := context.Background()

	listening := make(chan net.Addr, 1)
	received := make(chan syncdirectory.Result, 1)
	go func() {
		r := &syncdirectory.Receiver{Dir: output}
		result, err := r.Listen(ctx, syncdirectory.ListenOptions{
			OnListening: func(addr net.Addr) { listening <- addr },
		})
		if err != nil {
			log.Fatal(err)
		}
		received <- result
	}()

	s := &syncdirectory.Sender{Dir: input}
	url := "ws://" + (<-listening).String()
	sent, err := s.Dial(ctx, url, syncdirectory.DialOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.Source.Files, "files, equal:", sent.Digest == (<-received).Digest)
	// Output: 2 files, equal: true
}

// What fails has a code, which the command exits with.
func ExampleCodeOf() {
	s := &syncdirectory.Sender{Dir: "/no/such/directory"}
	_, err := s.Dial(context.Background(), "ws://localhost:8080", syncdirectory.DialOptions{})
	fmt.Println(syncdirectory.CodeOf(err) == syncdirectory.BadPath, err)
	// Output: true source /no/such/directory: no such file or directory
}
