package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/sync-directory/sync-directory/internal/report"
)

type shouts struct{ s string }

func (s shouts) LogValue() slog.Value { return slog.StringValue(s.s) }

// TestLogger logs what does not show itself in every place that a record has, in both
// formats. The numbers in it stay numbers.
func TestLogger(t *testing.T) {
	const evil = "a\x1b[2J\n\u0085\u202e\u200b\u2028\x9b\x7f\U000e0041\ufe0f" // JSON itself lets most of that through
	for format, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var out bytes.Buffer
		log := report.Logger(slog.New(handler(&out)))
		log.With("with", evil).WithGroup("group").Info(evil,
			"string", evil, "error", errors.New(evil), "bytes", []byte(evil), "list", []string{evil},
			"valuer", shouts{evil}, slog.Group("inner", "deep", evil), "number", 7, "long", strings.Repeat(evil, 1000))
		line, ok := strings.CutSuffix(out.String(), "\n")
		if !ok || strings.ContainsFunc(line, func(r rune) bool {
			return !unicode.IsPrint(r) || r == '\ufe0f'
		}) {
			t.Errorf("%s: %+q", format, line)
		}
		if n := strings.Count(line, "202e"); n < 8 || len(line) > 4000 {
			t.Errorf("%s: %d of 8 values in %d bytes", format, n, len(line))
		}
		if format == "json" {
			var r struct {
				Msg   string
				Group struct {
					Error  string
					Number int
				}
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.Group.Number != 7 || !strings.HasPrefix(r.Group.Error, `a\x1b[2J\n`) {
				t.Errorf("%v: %+v", err, r)
			}
		}
	}
	if log := slog.New(slog.DiscardHandler); report.Logger(log) != log {
		t.Error("a log that nobody reads is worked for")
	}
}

// TestLoggerIsBounded has one thing happen ten thousand times in ten seconds, and another
// one once: the first is logged a few times, and how often it was not.
func TestLoggerIsBounded(t *testing.T) {
	var out bytes.Buffer
	h := report.Logger(slog.New(slog.NewTextHandler(&out, nil))).Handler()
	start := time.Unix(1e9, 0)
	for i := range 10_000 {
		r := slog.NewRecord(start.Add(time.Duration(i)*time.Millisecond), slog.LevelWarn, "again", 0)
		if err := h.WithAttrs(nil).Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Handle(t.Context(), slog.NewRecord(start, slog.LevelWarn, "once", 0)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "msg=again"); n < 65 || n > 75 {
		t.Errorf("logged %d times", n)
	}
	if !strings.Contains(out.String(), "suppressed=999") || !strings.Contains(out.String(), "msg=once") {
		t.Errorf("%s", out.String())
	}
}
