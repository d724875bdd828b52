package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/sync-directory/sync-directory/internal/fault"
)

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
		file, err := os.OpenFile(f.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
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
