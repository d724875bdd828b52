//go:build linux

package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// limit is what this machine can do of one thing alone.
type limit struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// limits measures what bounds a mirror. One core each, but for TCP.
func limits(dir string) []limit {
	const gib = 1 << 30
	block := make([]byte, 1<<20)
	gibs := func(what string, f func() error) limit {
		start := time.Now()
		if err := f(); err != nil {
			log.Printf("bench: %s: %v", what, err)
		}
		return limit{what, 1 / time.Since(start).Seconds(), "GiB/s"}
	}
	path := filepath.Join(dir, "limit")
	all := []limit{
		gibs("TCP on loopback, written in messages of 1 MiB", func() error { return pipe(block, gib) }),
		gibs("a file written in blocks of 1 MiB", func() error { return write(path, block, gib) }),
		gibs("the same file read again", func() error { return read(path, block) }),
		gibs("checksum (XXH3) of messages", func() error { return hash(block, gib, func(b []byte) { digest.Check(b) }) }),
		gibs("digest (BLAKE3) of chunks", func() error { return hash(block, gib, func(b []byte) { digest.Sum(b) }) }),
	}
	const files = 20_000
	start := time.Now()
	if err := create(dir, files); err != nil {
		log.Printf("bench: create: %v", err)
	}
	return append(all, limit{"files of 4 KB made by path", files / time.Since(start).Seconds(), "files/s"})
}

func pipe(block []byte, n int) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		for sent := 0; err == nil && sent < n; sent += len(block) {
			_, err = c.Write(block)
		}
		if c != nil {
			c.Close()
		}
	}()
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		if _, err := c.Read(block); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func write(path string, block []byte, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for done := 0; done < n; done += len(block) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return f.Close()
}

func read(path string, block []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer f.Close()
	for {
		if _, err := f.Read(block); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func hash(block []byte, n int, f func([]byte)) error {
	for done := 0; done < n; done += len(block) {
		f(block)
	}
	return nil
}

func create(dir string, n int) error {
	at := filepath.Join(dir, "many")
	defer os.RemoveAll(at)
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	content := make([]byte, 4000)
	for i := range n {
		if err := os.WriteFile(filepath.Join(at, fmt.Sprint(i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// machine describes where this ran.
func machine() string {
	what := fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), runtime.GOOS+"/"+runtime.GOARCH, runtime.Version())
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				return strings.TrimSpace(strings.TrimLeft(name, "\t :")) + ", " + what + ", " + kernel()
			}
		}
	}
	return what
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown kernel"
	}
	return "Linux " + strings.TrimSpace(string(b))
}
