package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/sync-directory/sync-directory/internal/fault"
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
