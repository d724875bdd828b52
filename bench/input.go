//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// seed makes the inputs the same in every run.
const seed = 1

// words is what the content of made files consists of: it shrinks to about a
// quarter, as source code does.
func words(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = fmt.Appendf(b, "%x %d\n", r.Uint32N(4096), len(b)%1000)
	}
	return b[:n]
}

// many lays out n files in directories of about twenty, a few levels deep, with
// the sizes of source code: half of them below 4 KB, a few up to 200 KB. A
// million of them are empty.
func many(n int) func(string) error {
	return func(dir string) error {
		r := rand.New(rand.NewPCG(seed, 0))
		pool := words(r, 1<<20)
		when := time.Unix(1_600_000_000, 123_456_789)
		for i := range n {
			sub := filepath.Join(dir, fmt.Sprintf("d%02d/e%02d/f%d", i/20%37, i/740%41, i/30340))
			if i%20 == 0 || i < 20 {
				if err := os.MkdirAll(sub, 0o755); err != nil {
					return err
				}
			}
			size := int(200 + 4000*r.ExpFloat64()*r.ExpFloat64()*4)
			size = min(size, 200_000)
			if n > 100_000 {
				size = 0 // the number is what counts, and memory
			}
			from := r.IntN(len(pool) - size)
			if err := put(filepath.Join(sub, fmt.Sprintf("file-%d.c", i)), pool[from:from+size], when); err != nil {
				return err
			}
		}
		return nil
	}
}

// wide lays out n files in one directory.
func wide(n int) func(string) error {
	return func(dir string) error {
		for i := range n {
			if err := put(filepath.Join(dir, fmt.Sprintf("file-%d", i)), []byte("x"), time.Unix(1_600_000_000, 0)); err != nil {
				return err
			}
		}
		return nil
	}
}

// put makes a file that is older than its directory, so that its time proves
// something.
func put(path string, content []byte, when time.Time) error {
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, when, when)
}

// large lays out a file of 1 GiB, a megabyte at a time: what this process takes
// at most would be told of those that it starts.
func large(dir string) error { return fileOf(filepath.Join(dir, "large"), 1<<10, seed) }

// twins lays out two files of half a GiB, a day apart: rsync compares seconds.
func twins(dir string) error {
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	day := time.Unix(1_600_000_000, 0)
	return errors.Join(fileOf(one, 1<<9, 1), fileOf(two, 1<<9, 2),
		os.Chtimes(one, day, day), os.Chtimes(two, day.AddDate(0, 0, 1), day.AddDate(0, 0, 1)))
}

// fileOf makes a file of so many MiB.
func fileOf(path string, n int, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	pool := words(r, 1<<20)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for range n {
		k := r.IntN(len(pool))
		if _, err := f.Write(pool[k:]); err != nil {
			return err
		}
		if _, err := f.Write(pool[:k]); err != nil {
			return err
		}
	}
	return f.Close()
}

// goSource copies the source of the Go toolchain.
func goSource(dir string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	return exec.Command("cp", "-a", filepath.Join(strings.TrimSpace(string(root)), "src")+"/.", dir).Run()
}

// changeOne changes one file, each time to something else.
func changeOne(dir string, n int) error {
	return put(filepath.Join(dir, "d00/e00/f0/file-0.c"), fmt.Appendf(nil, "change %d", n), time.Unix(1_700_000_000+int64(n), 0))
}

// rewrite makes the large file anew, by f, of what it was.
func rewrite(dir string, f func(old io.ReadSeeker, next io.Writer) error) error {
	path := filepath.Join(dir, "large")
	old, err := os.Open(path)
	if err != nil {
		return err
	}
	defer old.Close()
	next, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	return errors.Join(f(old, next), next.Close(), os.Rename(path+".new", path))
}

// insertByte inserts a byte in the middle of the large file.
func insertByte(dir string, n int) error {
	return rewrite(dir, func(old io.ReadSeeker, next io.Writer) error {
		_, err := io.Copy(next, io.MultiReader(io.LimitReader(old, 1<<29), strings.NewReader(string(rune('a'+n%26))), old))
		return err
	})
}

// inLarge calls f with the large file, for writing.
func inLarge(dir string, f func(*os.File) error) error {
	large, err := os.OpenFile(filepath.Join(dir, "large"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f(large), large.Close())
}

// scatter changes a thousand bytes of the large file.
func scatter(dir string, n int) error {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	return inLarge(dir, func(f *os.File) error {
		for range 1000 {
			if _, err := f.WriteAt([]byte{byte(r.Uint32())}, r.Int64N(1<<30)); err != nil {
				return err
			}
		}
		return nil
	})
}

// pages rewrites a thousand pages of the large file, as a database does.
func pages(dir string, n int) error {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	return inLarge(dir, func(f *os.File) error {
		for range 1000 {
			if _, err := f.WriteAt(words(r, 4<<10), r.Int64N(1<<18)<<12); err != nil {
				return err
			}
		}
		return nil
	})
}

// members replaces a hundred parts of the large file, of 20 KB each, by others of
// 10 to 30 KB, as members of an archive are.
func members(dir string, n int) error {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	return rewrite(dir, func(old io.ReadSeeker, next io.Writer) error {
		for range 100 {
			if _, err := io.CopyN(next, old, 10<<20-100_000); err != nil {
				return err
			}
			if _, err := next.Write(words(r, 10_000+r.IntN(20_000))); err != nil {
				return err
			}
			if _, err := old.Seek(20_000, io.SeekCurrent); err != nil {
				return err
			}
		}
		_, err := io.Copy(next, old)
		return err
	})
}

// appendLines appends a thousand lines to the large file.
func appendLines(dir string, n int) error {
	return inLarge(dir, func(f *os.File) error {
		_, err := f.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = f.Write(words(rand.New(rand.NewPCG(seed, uint64(n))), 10_000))
		}
		return err
	})
}

// editMany appends a line to every hundredth file.
func editMany(dir string, n int) error {
	i := 0
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if i++; i%100 != 0 {
			return nil
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(f, "a line more, %d\n", n)
		return errors.Join(err, f.Close())
	})
}

// renameHalf gives every other directory at the top another name.
func renameHalf(dir string, n int) error {
	entries, err := os.ReadDir(dir)
	for i, e := range entries {
		if i%2 == 0 && err == nil {
			err = os.Rename(filepath.Join(dir, e.Name()), filepath.Join(dir, fmt.Sprintf("r%d-%d", n, i)))
		}
	}
	return err
}

// swapTwins gives each of two files the other one's name.
func swapTwins(dir string, _ int) error {
	one, two, spare := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "spare")
	return errors.Join(os.Rename(one, spare), os.Rename(two, one), os.Rename(spare, two))
}
