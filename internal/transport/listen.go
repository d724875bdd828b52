package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// loopback is where a listener listens by default: both families, so that
// localhost works whichever one it resolves to.
var loopback = []string{"127.0.0.1", "::1"}

// Listen listens on every address at the same port; port 0 finds one that is
// free on all of them. Without addresses it listens on the loopback addresses
// of both families, or of the one that this machine has. A port that is taken
// is an error that is syscall.EADDRINUSE.
func Listen(ctx context.Context, addrs []string, port int, log *slog.Logger) ([]net.Listener, error) {
	lenient := len(addrs) == 0
	if lenient {
		addrs = loopback
	}
	// A port that is free on the first address may be taken on the second.
	const attempts = 16
	for attempt := 1; ; attempt++ {
		ls, err := listenAll(ctx, addrs, port, lenient, log)
		taken := errors.Is(err, syscall.EADDRINUSE)
		if err == nil || !taken || port != 0 || attempt == attempts {
			return ls, err
		}
	}
}

// listenAll makes one attempt at Listen. A lenient one does without addresses
// that do not exist here, but not without all.
func listenAll(ctx context.Context, addrs []string, port int, lenient bool, log *slog.Logger) ([]net.Listener, error) {
	var ls []net.Listener
	var missing error
	for _, addr := range addrs {
		l, err := listenOne(ctx, addr, port)
		if err == nil {
			ls = append(ls, l)
			port = l.Addr().(*net.TCPAddr).Port
			continue
		}
		if lenient && !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			log.Debug("not listening on an address", "address", addr, "error", err)
			missing = errors.Join(missing, err)
			continue
		}
		closeAll(ls)
		return nil, err
	}
	if len(ls) == 0 {
		return nil, missing
	}
	return ls, nil
}

// listenOne listens on exactly one address: "0.0.0.0" alone would otherwise
// mean IPv6 too.
func listenOne(ctx context.Context, addr string, port int) (net.Listener, error) {
	network := "tcp"
	if ip, err := netip.ParseAddr(addr); err == nil {
		network = "tcp6"
		if ip.Is4() {
			network = "tcp4"
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, net.JoinHostPort(addr, strconv.Itoa(port)))
	// Windows has its own number for a port that is taken.
	const wsaeAddrInUse = syscall.Errno(10048)
	if errors.Is(err, wsaeAddrInUse) {
		err = fmt.Errorf("%w: %w", err, syscall.EADDRINUSE)
	}
	return l, err
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		_ = l.Close() // it held nothing yet
	}
}
