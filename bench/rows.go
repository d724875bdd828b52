//go:build linux

package main

import "time"

// row is one kind of work. The first tool is ours, and the second the one that
// it is compared with.
type row struct {
	name   string
	what   string
	source func(dir string) error        // lays the source out
	have   bool                          // the destination has it all already
	change func(dir string, n int) error // changes the source before each run
	tools  []tool
	slow   bool // over a link of 50 ms and 100 Mbit/s
	disk   bool // on a disk
	long   bool
	reach  float64 // the ratio to reach
	why    string  // what the profile says, where it takes longer than that, or than rsync
}

// The link of the slow rows.
const (
	slowDelay = 25 * time.Millisecond // one way
	slowRate  = 100e6 / 8
)

const largeProfile = "Each run has another version, which both sides read, cut and digest with BLAKE3, and the receiver writes, with both cores busy; of one whose outline the sender has kept the insertion takes 0.58 of rsync's time. Freeing the old version, an eighth of a second for a GiB, waits for the last of that."

func rows() []row {
	return []row{
		// First, since a disk that has just lost many files is slow.
		{name: "durable", what: "the Go source onto ext4, durable (rsync: no sync)", source: goSource, disk: true, tools: []tool{ours(), rsync(), flushed(), rsync("--fsync")}, reach: 0.70},
		{name: "cold", what: "40,000 small files into nothing", source: many(40_000), tools: []tool{ours(), ours("--no-sandbox"), rsync(), tar, cp}, reach: 0.45, why: "Both cores are busy, for four fifths of the time in the system: opening, copying, making files. A tenth of the sender's time, and a fifteenth of the receiver's, is Landlock, which looks from each file that is opened upwards, the sender's to the root of the file system."},
		{name: "noop", what: "40,000 small files, nothing changed", source: many(40_000), have: true, tools: []tool{ours(), rsync()}, reach: 0.30},
		{name: "big", what: "one file of 1 GiB into nothing", source: large, tools: []tool{ours(), rsync(), tar, cp}, reach: 0.60},
		{name: "source", what: "the Go source into nothing", source: goSource, tools: []tool{ours(), ours("--compress=none"), rsync(), tar, cp}},
		{name: "slow-source", what: "the Go source over 50 ms and 100 Mbit/s", source: goSource, slow: true, tools: []tool{ours(), rsync(), ours("--compress=none"), ours("--compress=zstd"), rsync("-z")}, reach: 0.30},
		{name: "slow-noop", what: "40,000 files over the same link, nothing changed", source: many(40_000), have: true, slow: true, tools: []tool{ours(), rsync()}, reach: 0.15},
		{name: "insert", what: "a byte inserted in the middle of 1 GiB", source: large, have: true, change: insertByte, tools: []tool{ours(), rsync()}, reach: 0.60, why: largeProfile},
		{name: "scattered", what: "a thousand bytes changed all over 1 GiB", source: large, have: true, change: scatter, tools: []tool{ours(), rsync()}, why: largeProfile + " What lies around each change is read again, and summed block by block, on both sides."},
		{name: "pages", what: "a thousand pages of 4 KiB rewritten in 1 GiB", source: large, have: true, change: pages, tools: []tool{ours(), rsync()}, why: largeProfile + " What lies around each change is read again, and summed block by block, on both sides."},
		{name: "members", what: "a hundred parts of 1 GiB replaced, of other lengths", source: large, have: true, change: members, tools: []tool{ours(), rsync()}, why: largeProfile},
		{name: "append", what: "lines appended to 1 GiB", source: large, have: true, change: appendLines, tools: []tool{ours(), rsync()}, why: largeProfile},
		{name: "rename", what: "half of 40,000 files under another directory name", source: many(40_000), have: true, change: renameHalf, tools: []tool{ours(), rsync()}, reach: 0.30, why: "The receiver opens, reads and digests half of the files, with both cores, and rsync has a third of a GB to send; with the kernel's source, of which more moves, it is a quarter."},
		{name: "swap", what: "two large files of 512 MiB with each other's names", source: twins, have: true, change: swapTwins, tools: []tool{ours(), rsync()}},
		{name: "edit", what: "one in a hundred of 40,000 files with a line more", source: many(40_000), have: true, change: editMany, tools: []tool{ours(), rsync()}, reach: 0.60},
		{name: "checksum", what: "40,000 files compared by content again", source: many(40_000), have: true, tools: []tool{ours("--checksum"), rsync("-c")}, reach: 0.25},
		{name: "checksum-cold", what: "the same, with nothing known", source: many(40_000), have: true, tools: []tool{uncached(), rsync("-c")}, reach: 0.70, why: "A quarter of the processor's time is BLAKE3, where rsync takes XXH3, a tenth of the sender's is Landlock, and nearly all of the rest opening, examining and reading; both cores are busy throughout."},
		{name: "wide", what: "a folder of 200,000 files, nothing changed", source: wide(200_000), have: true, tools: []tool{ours(), rsync()}},
		{name: "million", what: "a million files, nothing changed", source: many(1_000_000), have: true, long: true, tools: []tool{ours(), rsync()}},
		{name: "million-one", what: "a million files, one changed", source: many(1_000_000), have: true, change: changeOne, long: true, tools: []tool{ours(), rsync()}},
	}
}
