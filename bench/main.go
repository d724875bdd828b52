//go:build linux

// Command bench measures sync-directory beside rsync, tar through a pipe and
// cp, in turn and on the same work, and writes what it found to docs/bench: a
// table, a plot, and all runs.
//
//	go run ./bench [-runs N] [-rows NAME,…] [-dir DIR] [-out DIR] [-long]
//
// Rows that are not measured are kept from the report before, if that is of the
// same machine.
//
// It needs rsync, and Linux for the memory that children took.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == measuredWord {
		os.Exit(measure(os.Args[2:]))
	}
	log.SetFlags(0)
	runs := flag.Int("runs", 5, "measured runs of each tool, after one that warms up")
	only := flag.String("rows", "", "the rows to measure, separated by commas (default all)")
	dir := flag.String("dir", "", "where the inputs and results lie (default /dev/shm, or the temporary directory)")
	disk := flag.String("disk", os.TempDir(), "where the durable row lies: a disk, not memory")
	out := flag.String("out", "docs/bench", "where the report goes")
	long := flag.Bool("long", false, "measure the rows with a million entries too")
	flag.Parse()
	if err := run(*runs, *only, *dir, *disk, *out, *long); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(runs int, only, dir, disk, out string, long bool) error {
	if dir == "" {
		if dir = "/dev/shm"; !isDir(dir) {
			dir = os.TempDir()
		}
	}
	work, err := os.MkdirTemp(dir, "sync-directory-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Setenv("XDG_STATE_HOME", filepath.Join(work, "state")); err != nil { // what is known of contents
		return err
	}
	onDisk, err := os.MkdirTemp(disk, "sync-directory-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(onDisk)
	b := &bench{work: work, disk: onDisk, binary: filepath.Join(work, "sync-directory"), runs: runs}
	if err := b.build(); err != nil {
		return err
	}
	report := &report{Machine: machine(), Runs: runs, Limits: limits(work)}
	for _, r := range rows() {
		if only != "" && !slices.Contains(strings.Split(only, ","), r.name) || only == "" && r.long && !long {
			continue
		}
		result, err := b.measure(r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		report.Rows = append(report.Rows, result)
		fmt.Println(result.line())
	}
	report.keep(out)
	return report.write(out)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
