package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	syncdirectory "github.com/sync-directory/sync-directory"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
)

// errNoLog is why a path is not logged to: somebody else may have put it there.
var errNoLog = errors.New("it must be a regular file that is yours, or the system's, and no link; without --log-file the log goes to standard error")

// openLog opens a file to append to, or makes it, readable for its owner alone. A link is
// not followed, and nothing but a file is written to: a FIFO would be waited for.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|logFlags, 0o600)
	if err != nil {
		if isNoLog(err) {
			err = fmt.Errorf("%w: %w", err, errNoLog)
		}
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !(info.Mode().IsRegular() && isTrusted(info)) {
		err = fmt.Errorf("%s: %w", path, errNoLog)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// problem tells people of an entry that failed, and programs in the log.
func (c *command) problem(p syncdirectory.Problem) {
	if c.t.problem(p) {
		c.log.Info("entry failed", "operation", report.Clip(p.Operation, 100), "path", report.Clip(p.Path, longest), "cause", report.Clip(p.Cause, longest), "peer", p.Peer)
	}
}

// logResult says for programs how a session ended, or what kept it from beginning.
func (c *command) logResult(r syncdirectory.Result, err error) {
	attrs := []any{
		"code", int(fault.Of(err, fault.Usage)), "digest", r.Digest, "by_content", r.ByContent,
		slog.Group("source", "files", r.Source.Files, "directories", r.Source.Directories, "links", r.Source.Links, "skipped", r.Source.Skipped, "bytes", r.Source.Bytes),
		slog.Group("changes", "created", r.Changes.Created, "reused", r.Changes.Reused, "replaced", r.Changes.Replaced,
			"touched", r.Changes.Touched, "removed", r.Changes.Removed, "kept", r.Changes.Kept, "bytes", r.Changes.Bytes),
		"failed", r.Failed, "sent", r.Sent, "received", r.Received, "seconds", r.Elapsed.Seconds(),
	}
	if err != nil {
		f := (*fault.Error)(nil)
		attrs = append(attrs, "cause", words(err), "peer", errors.As(err, &f) && f.Peer)
	}
	c.log.Info("ended", attrs...)
}

// logger returns the log that the flags ask for, and what closes it.
func (f *flags) logger(stderr io.Writer) (*slog.Logger, func() error, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, nil, usage("--log-level %q is none of debug, info, warn, error", f.logLevel)
	}
	if f.logFormat != "text" && f.logFormat != "json" {
		return nil, nil, usage("--log-format %q is neither text nor json", f.logFormat)
	}
	out, closeLog := stderr, func() error { return nil }
	if f.logFile != "" {
		file, err := openLog(f.logFile)
		if err != nil {
			return nil, nil, fault.New(fault.Usage, "--log-file: %w", err)
		}
		out = file
		closeLog = func() error {
			if err := file.Close(); err != nil {
				return fmt.Errorf("--log-file: %w", err)
			}
			return nil
		}
	}
	o := &slog.HandlerOptions{Level: level}
	if f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, o)), closeLog, nil
	}
	return slog.New(slog.NewTextHandler(out, o)), closeLog, nil
}
