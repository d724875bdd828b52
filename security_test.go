package syncdirectory

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/linksim"
	"github.com/sync-directory/sync-directory/internal/transport/transporttest"
)

// guarded is a receiver with security that goes on until it is ended.
type guarded struct {
	t       *testing.T
	address string
	scheme  string
	dir     string
	end     func() // and what it returned is checked
}

func serveGuarded(t *testing.T, o ListenOptions) *guarded {
	t.Helper()
	g := &guarded{t: t, dir: t.TempDir(), scheme: "ws"}
	if o.TLS != nil {
		g.scheme = "wss"
	}
	ctx, cancel := context.WithCancel(t.Context())
	addresses, done := make(chan string, 1), make(chan error, 1)
	o.KeepRunning = true
	o.Addresses = []string{"127.0.0.1"}
	o.OnListening = func(a net.Addr) { addresses <- a.String() }
	go func() {
		_, err := (&Receiver{Dir: g.dir, NoFsync: true}).Listen(ctx, o)
		done <- err
	}()
	select {
	case g.address = <-addresses:
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	g.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; CodeOf(err) != Interrupted {
			t.Errorf("the receiver ended with %v", err)
		}
	})
	t.Cleanup(g.end)
	return g
}

// send mirrors a directory with one file, whose content it returns.
func (g *guarded) send(o DialOptions) (string, error) {
	g.t.Helper()
	from, text := g.t.TempDir(), fmt.Sprint(time.Now().UnixNano())
	if err := os.WriteFile(filepath.Join(from, "f"), []byte(text), 0o644); err != nil {
		g.t.Fatal(err)
	}
	_, err := (&Sender{Dir: from}).Dial(g.t.Context(), g.scheme+"://"+g.address, o)
	return text, err
}

// wantLetIn shows that an honest sender comes through.
func (g *guarded) wantLetIn(o DialOptions) {
	g.t.Helper()
	text, err := g.send(o)
	if err != nil {
		g.t.Fatalf("not let in: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(g.dir, "f")); err != nil || string(got) != text {
		g.t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

// wantRefused shows that a sender is not let in, for a reason, and changes nothing.
func (g *guarded) wantRefused(o DialOptions, reason string) {
	g.t.Helper()
	before, _ := os.ReadFile(filepath.Join(g.dir, "f"))
	_, err := g.send(o)
	if CodeOf(err) != Access || !strings.Contains(fmt.Sprint(err), reason) {
		g.t.Errorf("got %d %v, want 5 and %q", CodeOf(err), err, reason)
	}
	if after, _ := os.ReadFile(filepath.Join(g.dir, "f")); string(after) != string(before) {
		g.t.Error("the destination was changed")
	}
}

// secureEnds are configurations of TLS for both ends.
func secureEnds(t *testing.T) (listener, dialer *tls.Config) {
	t.Helper()
	authority, err := transporttest.NewCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := transporttest.NewCertificate(authority)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{*c}}, &tls.Config{RootCAs: transporttest.Pool(authority)}
}

const noToken, impostor = "the token is missing, or not the one here", "does not have the token"

func TestTokens(t *testing.T) {
	t.Parallel()
	token, other := NewToken(), NewToken()
	listener, dialer := secureEnds(t)
	for name, secure := range map[string]bool{"ws": false, "wss": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with := func(s Security) Security {
				if secure {
					s.TLS = dialer
				}
				return s
			}
			o := ListenOptions{Security: Security{Token: token}}
			if secure {
				o.TLS = listener
			}
			g := serveGuarded(t, o)
			g.wantRefused(DialOptions{Security: with(Security{})}, noToken)
			g.wantRefused(DialOptions{Security: with(Security{Token: other})}, impostor)
			g.wantRefused(DialOptions{Security: with(Security{Token: other, EndToEnd: true})}, impostor)
			g.wantLetIn(DialOptions{Security: with(Security{Token: token})})
			g.wantLetIn(DialOptions{Security: with(Security{Token: token, EndToEnd: true})})
			g.end()
			o.EndToEnd = true
			g = serveGuarded(t, o)
			g.wantLetIn(DialOptions{Security: with(Security{Token: token, EndToEnd: true})})
			g.wantRefused(DialOptions{Security: with(Security{})}, "asks for a token")
			if secure {
				g.wantRefused(DialOptions{Security: with(Security{Token: token})}, "TLS inside")
			}
			g.end()
			o.Security = Security{TLS: o.TLS}
			g = serveGuarded(t, o)
			g.wantRefused(DialOptions{Security: with(Security{Token: token})}, "token")
			g.wantRefused(DialOptions{Security: with(Security{Token: token, EndToEnd: true})}, "this listener has no token")
			g.wantLetIn(DialOptions{Security: with(Security{})})
		})
	}
}

// TestGuessing shows that every wrong guess takes its time, that guessers end nothing,
// and that who knows the token does not wait for them.
func TestGuessing(t *testing.T) {
	t.Parallel()
	token := NewToken()
	g := serveGuarded(t, ListenOptions{Security: Security{Token: token}})
	var guessing sync.WaitGroup
	var slowest, fastest time.Duration
	var mu sync.Mutex
	for range 8 {
		guessing.Go(func() {
			start := time.Now()
			_, err := (&Sender{Dir: g.t.TempDir()}).Dial(t.Context(), "ws://"+g.address, DialOptions{})
			took := time.Since(start)
			if CodeOf(err) != Access {
				t.Errorf("a guess ends with %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
			if fastest == 0 || took < fastest {
				fastest = took
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	g.wantLetIn(DialOptions{Security: Security{Token: token}})
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("who knows the token took %v", took)
	}
	guessing.Wait()
	if fastest < time.Second || slowest < 4*time.Second {
		t.Errorf("guesses took %v to %v, want 1 s and more each time", fastest, slowest)
	}
	g.wantLetIn(DialOptions{Security: Security{Token: token}})
}

// TestEavesdropper shows what somebody on the way sees of a session with a token: not
// the names, not the content. The sender listens, since what a dialer says is masked.
func TestEavesdropper(t *testing.T) {
	t.Parallel()
	const name, secret = "name-of-the-file", "what-nobody-else-may-read"
	for _, token := range []string{"", NewToken()} {
		from, to := t.TempDir(), t.TempDir()
		if err := os.WriteFile(filepath.Join(from, name), []byte(secret), 0o644); err != nil {
			t.Fatal(err)
		}
		addresses, done := make(chan string, 1), make(chan error, 1)
		go func() {
			_, err := (&Sender{Dir: from, Options: Options{Compression: "none"}}).Listen(t.Context(), ListenOptions{
				Addresses: []string{"127.0.0.1"}, OnListening: func(a net.Addr) { addresses <- a.String() }, Security: Security{Token: token}})
			done <- err
		}()
		var mu sync.Mutex
		var heard []byte
		link, err := linksim.Start(<-addresses, linksim.Link{Tap: func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, p...)
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&Receiver{Dir: to, NoFsync: true}).Dial(t.Context(), "ws://"+link.Addr(), DialOptions{Security: Security{Token: token}})
		link.Close()
		if err = errors.Join(err, <-done); err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{name, secret} {
			if seen := bytes.Contains(heard, []byte(what)); seen != (token == "") {
				t.Errorf("with a token %t: %s is seen %t", token != "", what, seen)
			}
		}
	}
}

// TestSecretSessionGoesOn shows that a session with a token outlives its connection,
// and that each connection proves the token anew.
func TestSecretSessionGoesOn(t *testing.T) {
	t.Parallel()
	token := NewToken()
	listener, dialer := secureEnds(t)
	for name, c := range map[string]struct{ listener, dialer Security }{
		"TLS inside":    {Security{Token: token}, Security{Token: token}},
		"the challenge": {Security{Token: token, TLS: listener}, Security{Token: token, TLS: dialer}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := serveGuarded(t, ListenOptions{Security: c.listener})
			link, err := linksim.Start(g.address, linksim.Link{Rate: 40 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer link.Close()
			from := t.TempDir()
			if err := os.WriteFile(filepath.Join(from, "large"), make([]byte, 24<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				if err := os.WriteFile(filepath.Join(from, fmt.Sprint(i)), []byte(fmt.Sprint(i)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				for t.Context().Err() == nil {
					if up, _, _ := link.Counts(); up > 4<<20 {
						link.Reset()
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			_, err = (&Sender{Dir: from, Options: Options{Compression: "none"}}).Dial(t.Context(), g.scheme+"://"+link.Addr(), DialOptions{Security: c.dialer})
			<-cut
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestNobodyInWithoutToken shows that a listener that others reach is not begun without
// something that tells them apart.
func TestNobodyInWithoutToken(t *testing.T) {
	for _, addresses := range [][]string{{"0.0.0.0"}, {"127.0.0.1", "::"}, {"192.0.2.1"}, {"example.org"}, {""}} {
		r := &Receiver{Dir: filepath.Join(t.TempDir(), "none")}
		_, err := r.Listen(t.Context(), ListenOptions{Addresses: addresses})
		if CodeOf(err) != Usage {
			t.Errorf("%q: got %v", addresses, err)
		}
		if _, err := os.Stat(r.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: the directory was made", addresses)
		}
	}
	for _, o := range []ListenOptions{{Security: Security{Token: "short"}}, {Security: Security{EndToEnd: true}}} {
		if _, err := (&Receiver{Dir: t.TempDir()}).Listen(t.Context(), o); CodeOf(err) != Usage {
			t.Errorf("got %v", err)
		}
	}
	if _, err := (&Sender{Dir: t.TempDir()}).Dial(t.Context(), "ws://localhost:1", DialOptions{Security: Security{Token: "short"}}); CodeOf(err) != Usage {
		t.Errorf("got %v", err)
	}
}

// TestOldTLS shows that nothing below TLS 1.3 is spoken, whatever a configuration says.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	listener, dialer := secureEnds(t)
	listener.MinVersion = tls.VersionTLS10
	chosen := listener.Clone()
	listener.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
	g := serveGuarded(t, ListenOptions{Security: Security{TLS: listener}})
	old := dialer.Clone()
	old.MaxVersion, old.ServerName = tls.VersionTLS12, "localhost"
	if c, err := tls.Dial("tcp", g.address, old); err == nil {
		c.Close()
		t.Error("a dialer with TLS 1.2 was let in")
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: listener.Certificates, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake() // which the dialer ends
			_ = c.Close()
		}
	}()
	_, err = (&Sender{Dir: t.TempDir()}).Dial(t.Context(), "wss://"+l.Addr().String(), DialOptions{ConnectTimeout: time.Second, Security: Security{TLS: dialer}})
	if CodeOf(err) != Access {
		t.Errorf("a listener with TLS 1.2: got %v", err)
	}
}
