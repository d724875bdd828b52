package access

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sample = "n4zvrCCw_uWNCu_NQyV7d8v4tfP_cn3DDPtiXdhgz7g"

func TestParse(t *testing.T) {
	for _, text := range []string{sample, New(), "0123456789abcdef0123456789abcdef", strings.Repeat("0123456789", 100)} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "hunter2", "21-characters-are-few", strings.Repeat("ab", 30), sample + " ", sample + "\n", " " + sample,
		"zwölf-Zeichen-und-mehr-davon", strings.Repeat("0123456789", 103), sample[:20] + "\x00" + sample} {
		if _, err := Parse(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	if first := New(); first == New() {
		t.Error("two tokens are the same")
	}
}

// TestTokensStayHidden shows that nothing prints a token by mistake.
func TestTokensStayHidden(t *testing.T) {
	token, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%s", "%q", "%+v", "%#v", "%x", "%d"} {
		if got := fmt.Sprintf(format, token); strings.Contains(got, sample[:8]) || strings.Contains(got, hex.EncodeToString([]byte(sample[:8]))) {
			t.Errorf("%s prints %s", format, got)
		}
	}
	if got := token.LogValue().String(); strings.Contains(got, sample[:8]) {
		t.Errorf("logged as %s", got)
	}
}

// TestVectors freezes the construction of SECURITY.md.
func TestVectors(t *testing.T) {
	token, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	k := wire.Knock{Role: wire.Role_SENDER}
	c := wire.Challenge{Role: wire.Role_RECEIVER}
	for i := range k.Nonce {
		k.Nonce[i], c.Nonce[i] = byte(i), byte(0x80+i)
	}
	for what, v := range map[string]struct {
		got  []byte
		want string
	}{
		"key of the challenge": {token.key("challenge"), "d5bece27d697899985b7d4a3de918a8447986c1afe9c963aac8e6d6021ab9819"},
		"MAC of the listener":  {sum(token.mac(listener, &k, &c)), "17ee9cc458a400400908a6ddf2fac89f96a8e29e5265181cfdbb36c4d30cd539"},
		"MAC of the dialer":    {sum(token.mac(dialer, &k, &c)), "eb63bc78818ebbe0a349b05dcaa8ef48caf979bfeb388e099c95098c1bb3176d"},
		"listener in TLS":      {token.identity(listener).Public().(ed25519.PublicKey), "d1826220a175f7f25dba2ac30308b5fdca8dcd6f57475f3a8cea6f6cde51ad12"},
		"dialer in TLS":        {token.identity(dialer).Public().(ed25519.PublicKey), "a1577c4396d26dc5d43f0857e39ae82a758370303c5af70adc9c03e5d34a5486"},
	} {
		if got := hex.EncodeToString(v.got); got != v.want {
			t.Errorf("%s: got %s, want %s", what, got, v.want)
		}
	}
	if a, b := token.certificate(listener), token.certificate(listener); !bytes.Equal(a.Certificate[0], b.Certificate[0]) {
		t.Error("the certificate is another one each time")
	}
}

func sum(b [wire.SecretSize]byte) []byte { return b[:] }

// meet has both ends of a connection prove a token to each other.
func meet(t *testing.T, mine, theirs *Token) (dialling, listening error) {
	t.Helper()
	a, b := transport.Pipe(4)
	done := make(chan error, 1)
	go func() {
		err := theirs.Check(b, wire.Role_RECEIVER)
		wire.CloseWith(b, err)
		done <- err
	}()
	dialling = mine.Prove(a, wire.Role_SENDER)
	if dialling == nil {
		_, dialling = a.Read() // to the end, which says what the listener found
		dialling = wire.Fault(dialling)
	}
	wire.CloseWith(a, dialling)
	return dialling, <-done
}

func newToken(t *testing.T) *Token {
	t.Helper()
	token, err := Parse(New())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestProof(t *testing.T) {
	mine, theirs := newToken(t), newToken(t)
	if _, listening := meet(t, mine, mine); listening != nil {
		t.Errorf("the same token: %v", listening)
	}
	dialling, _ := meet(t, mine, theirs)
	if !errors.Is(dialling, ErrImpostor) {
		t.Errorf("another token: %v", dialling)
	}
}

// TestForgedProofs shows that every wrong answer has the same outcome, those among
// them that the listener has said itself.
func TestForgedProofs(t *testing.T) {
	token, other := newToken(t), newToken(t)
	for name, answer := range map[string]func(k *wire.Knock, c *wire.Challenge) *wire.Buffer{
		"nothing but zeros": func(*wire.Knock, *wire.Challenge) *wire.Buffer { return wire.EncodeResponse(new(wire.Response)) },
		"the listener's own": func(_ *wire.Knock, c *wire.Challenge) *wire.Buffer {
			return wire.EncodeResponse(&wire.Response{MAC: c.MAC})
		},
		"of another token": func(k *wire.Knock, c *wire.Challenge) *wire.Buffer {
			return wire.EncodeResponse(&wire.Response{MAC: other.mac(dialer, k, c)})
		},
		"of another nonce": func(k *wire.Knock, c *wire.Challenge) *wire.Buffer {
			c.Nonce[0]++
			return wire.EncodeResponse(&wire.Response{MAC: token.mac(dialer, k, c)})
		},
		"of other roles": func(k *wire.Knock, c *wire.Challenge) *wire.Buffer {
			k.Role = wire.Role_RECEIVER
			return wire.EncodeResponse(&wire.Response{MAC: token.mac(dialer, k, c)})
		},
		"a hello":       func(*wire.Knock, *wire.Challenge) *wire.Buffer { return wire.Encode(&wire.Hello{}) },
		"another knock": func(k *wire.Knock, _ *wire.Challenge) *wire.Buffer { return wire.EncodeKnock(k) },
		"a challenge":   func(_ *wire.Knock, c *wire.Challenge) *wire.Buffer { return wire.EncodeChallenge(c) },
		"a response that is long": func(*wire.Knock, *wire.Challenge) *wire.Buffer {
			b := wire.EncodeResponse(new(wire.Response))
			b.Append(0)
			return b
		},
		"an empty message": func(*wire.Knock, *wire.Challenge) *wire.Buffer { return wire.NewBuffer(1) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := transport.Pipe(4)
			done := make(chan error, 1)
			go func() { done <- token.Check(b, wire.Role_RECEIVER) }()
			k := &wire.Knock{Role: wire.Role_SENDER}
			if err := a.Write(wire.EncodeKnock(k)); err != nil {
				t.Fatal(err)
			}
			c, err := receive(a, wire.TypeChallenge, wire.DecodeChallenge)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Write(answer(k, &c)); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, ErrRefused) || err.Error() != ErrRefused.Error() {
				t.Errorf("got %v", err)
			}
			wire.CloseWith(a, nil)
			wire.CloseWith(b, nil)
		})
	}
}

// TestReflectedChallenge shows that a listener cannot be made to answer its own
// challenge for somebody: what it proves is of a listener.
func TestReflectedChallenge(t *testing.T) {
	token := newToken(t)
	a, b := transport.Pipe(4)
	done := make(chan error, 1)
	go func() { done <- token.Prove(a, wire.Role_SENDER) }()
	k, err := receive(b, wire.TypeKnock, wire.DecodeKnock)
	if err != nil {
		t.Fatal(err)
	}
	c := wire.Challenge{Nonce: k.Nonce, Role: wire.Role_RECEIVER}
	c.MAC = token.mac(dialer, &k, &c) // as another dialer would have said it
	if err := b.Write(wire.EncodeChallenge(&c)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrImpostor) {
		t.Errorf("got %v", err)
	}
	wire.CloseWith(a, nil)
	wire.CloseWith(b, nil)
}

// TestSlowdown shows that failures take longer and longer, and are forgiven.
func TestSlowdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Slowdown)
		took := func() time.Duration {
			start := time.Now()
			time.Sleep(300 * time.Millisecond) // what it took to fail does not matter
			s.Wait(t.Context(), start)
			return time.Since(start)
		}
		first := took()
		if first != time.Second {
			t.Errorf("the first failure takes %v", first)
		}
		last := first
		for range 20 {
			now := took()
			if now < last {
				t.Errorf("%v after %v", now, last)
			}
			last = now
		}
		if last != slowest {
			t.Errorf("after many it is %v", last)
		}
		time.Sleep(time.Hour)
		if later := took(); later > 2*time.Second {
			t.Errorf("an hour later it is %v", later)
		}
		// However many there are, so many wait.
		at := time.Now()
		var all sync.WaitGroup
		late := atomic.Int64{}
		for range 10 * mostWaiting {
			all.Go(func() {
				s.Wait(t.Context(), at)
				if time.Since(at) > 0 {
					late.Add(1)
				}
			})
		}
		all.Wait()
		if late.Load() != mostWaiting {
			t.Errorf("%d waited, want %d", late.Load(), mostWaiting)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		s.Wait(ended, start)
		if time.Since(start) != 0 {
			t.Error("it waits although nobody listens any more")
		}
	})
}
