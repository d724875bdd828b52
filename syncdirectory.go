// Package syncdirectory makes one directory equal another over one WebSocket.
//
// A Sender gives a directory, a Receiver takes one: missing and different
// files are copied, extra ones removed, at every depth. Either of them
// listens and the other one dials:
//
//	r := &syncdirectory.Receiver{Dir: "output"}
//	result, err := r.Listen(ctx, syncdirectory.ListenOptions{Port: 8080})
//
//	s := &syncdirectory.Sender{Dir: "input"}
//	result, err := s.Dial(ctx, "ws://localhost:8080", syncdirectory.DialOptions{})
//
// Local mirrors within one process. A call returns when the session has its
// verdict, or can have none, and everything that it started has ended. An
// error of nil means that both sides computed the same digest over what the
// source had and the destination now has, and that it survives a power cut;
// any other error has a Code.
//
// The package never prints and never exits. It logs to Options.Log.
package syncdirectory

import (
	"log/slog"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Version is the version of this release.
const Version = "0.1.0"

// Code says how a run ended; the command exits with it.
type Code = fault.Code

// The codes, as the command documents them.
const (
	OK          = fault.OK
	Usage       = fault.Usage
	BadVersion  = fault.Version
	BadPath     = fault.Path
	Access      = fault.Access
	Lost        = fault.Lost
	Disk        = fault.Disk
	Protocol    = fault.Protocol
	Interrupted = fault.Interrupted
	Partial     = fault.Partial
	Vanished    = fault.Vanished
	Guard       = fault.Guard
	Timeout     = fault.Timeout
	Connect     = fault.Connect
)

// CodeOf returns the code of an error that this package returned.
func CodeOf(err error) Code { return fault.Of(err, fault.Lost) }

// Problem is one entry that failed, on either side.
type Problem = report.Problem

// Counters say how far a run is, at any time.
type Counters = report.Counters

// Options are what senders and receivers have in common. The zero value is
// ready to use.
type Options struct {
	// Transfers is how many files are read or written at once, Checkers how
	// many directories are read at once; 0 is a default for this machine.
	Transfers, Checkers int
	// Checksum compares all content, not only that of files of which size
	// and time prove nothing. It is enough that one side asks for it.
	Checksum bool
	// Cache is a directory in which the digests of contents are kept between
	// runs, so that Checksum reads only what has changed since, and a sender's
	// outlines of large files that had changed; "" keeps none.
	// It is not used where it lies in one of the two directories.
	Cache string
	// WholeFile gets changed files whole, without looking for what the
	// destination has of them. It is enough that one side asks for it.
	WholeFile bool
	// MaxDelete refuses a plan that removes more entries; nil for any
	// number. The stricter one of both sides counts.
	MaxDelete *uint64
	// NoDelete removes nothing. It is enough that one side asks for it.
	NoDelete bool
	// AllowEmpty lets a source without entries empty a destination.
	AllowEmpty bool
	// Backup refuses to replace or remove anything that is not saved, since the
	// receiver has no BackupDir. It is enough that one side asks for it.
	Backup bool
	// Compression says how the sender compresses what it sends: "auto" or
	// "", by what the connection and the content turn out to be; "none";
	// "zstd" or "zstd:LEVEL", always, with a level from 1 to 22, of which 1,
	// 3, 6 and 10 begin something new. Either side may ask; "none" wins over
	// "zstd", that over "auto", the sender's level over the receiver's, which
	// counts up to 9.
	Compression string
	// Sparse leaves holes in the destination's large files where the source's
	// have some. It is enough that one side asks for it.
	Sparse bool
	// Timeout ends a run in which nothing moves for so long; 0 waits.
	Timeout time.Duration
	// Log gets what happens; nil for nothing.
	Log *slog.Logger
	// OnProblem is called with every entry that fails, one at a time; nil
	// for none. All of them are in the Result too.
	OnProblem func(Problem)
	// Counters, unless nil, are counted in while the run goes on.
	Counters *Counters
}

// Result says what a run did.
type Result struct {
	// Code is the code of the run.
	Code Code
	// Digest is the root digest in hexadecimal, over names, types, sizes,
	// times and permissions; "" where there is none to vouch for.
	Digest string
	// Source counts what the source holds.
	Source Counts
	// Changes counts what was done to the destination.
	Changes Changes
	// Problems are the entries that failed, up to 100,000 of them in 32 MiB, and
	// Failed how many there were.
	Problems []Problem
	Failed   int
	// Sent and Received are the bytes of messages with their framing.
	Sent, Received int64
	// ByContent says that all content was compared or transferred, so that
	// the equal digests prove more than names, sizes and times.
	ByContent bool
	// Compared counts the files whose content both sides compared and found
	// equal, beside those that were transferred. Receivers only.
	Compared uint64
	// Elapsed is how long the session took.
	Elapsed time.Duration
}

// Counts counts entries.
type Counts struct {
	Files, Directories, Links uint64
	Skipped                   uint64 // there, and not mirrored: links, special files
	Bytes                     uint64 // content of all files
}

// Changes counts what became of the destination.
type Changes struct {
	Created  uint64 // entries that were not there, but for those reused
	Reused   uint64 // files that were under another path: moved, or copied there
	Replaced uint64 // files and links with other content
	Touched  uint64 // entries with other metadata only
	Removed  uint64
	Bytes    uint64 // content written
	Kept     uint64 // entries that the source does not have, left by NoDelete
}

// None reports whether nothing was changed.
func (c Changes) None() bool { return c == Changes{Kept: c.Kept} }

func newCounts(c *wire.Counts) Counts {
	return Counts{Files: c.GetFiles(), Directories: c.GetDirectories(), Links: c.GetLinks(), Skipped: c.GetOpaque(), Bytes: c.GetBytes()}
}

func newChanges(c *wire.Changes) Changes {
	return Changes{Created: c.GetCreated(), Reused: c.GetReused(), Replaced: c.GetReplaced(), Touched: c.GetTouched(), Removed: c.GetRemoved(), Bytes: c.GetBytes(), Kept: c.GetKept()}
}
