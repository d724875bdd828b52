package report

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Logger returns a logger that hands over to l what others may have chosen (their words,
// names of files, errors that quote either) escaped and clipped, whatever l makes of it.
// Who calls it need not think of that. And since others also choose how often something
// happens, of one and the same message no more gets through than a burst of 60 and then
// one a second; the next one that does says how many were suppressed.
func Logger(l *slog.Logger) *slog.Logger {
	if l.Handler() == slog.DiscardHandler {
		return l
	}
	return slog.New(handler{l.Handler(), &paces{of: make(map[string]*Pace)}})
}

// longest is how many bytes of a value are logged.
const longest = 1 << 10

// paces has the pace of each message. Messages are words of this program, so there are
// a few of them.
type paces struct {
	mu sync.Mutex // guards of
	of map[string]*Pace
}

func (ps *paces) message(m string) *Pace {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.of[m]
	if p == nil {
		p = &Pace{Burst: 60, Rate: 1}
		ps.of[m] = p
	}
	return p
}

type handler struct {
	slog.Handler
	paces *paces
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	at := r.Time
	if at.IsZero() {
		at = time.Now()
	}
	suppressed, ok := h.paces.message(r.Message).Allow(at, 1)
	if !ok {
		return nil
	}
	clean := slog.NewRecord(r.Time, r.Level, Clip(r.Message, longest), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(cleaned(a))
		return true
	})
	if suppressed > 0 {
		clean.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.Handler.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(all(attrs)), h.paces}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.paces}
}

func all(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = cleaned(a)
	}
	return clean
}

// cleaned returns a with a value in which nothing is hidden. Numbers and times stay what
// they are.
func cleaned(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindGroup:
		a.Value = slog.GroupValue(all(v.Group())...)
	case slog.KindString:
		a.Value = slog.StringValue(Clip(v.String(), longest))
	case slog.KindAny:
		a.Value = slog.StringValue(Clip(fmt.Sprint(v.Any()), longest))
	}
	return a
}
