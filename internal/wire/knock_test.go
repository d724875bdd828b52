package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// knocks are bodies of the three messages with which two sides prove a token.
var knocks = []struct{ name, bytes string }{
	{"knock", strings.Repeat("n", 32) + "\x01"},
	{"challenge", strings.Repeat("c", 32) + "\x02" + strings.Repeat("m", 32)},
	{"response", strings.Repeat("r", 32)},
}

// TestKnocks freezes them.
func TestKnocks(t *testing.T) {
	k := wire.Knock{Role: wire.Role_SENDER}
	c := wire.Challenge{Role: wire.Role_RECEIVER}
	p := wire.Response{}
	copy(k.Nonce[:], bytes.Repeat([]byte("n"), 32))
	copy(c.Nonce[:], bytes.Repeat([]byte("c"), 32))
	copy(c.MAC[:], bytes.Repeat([]byte("m"), 32))
	copy(p.MAC[:], bytes.Repeat([]byte("r"), 32))
	for i, b := range []*wire.Buffer{wire.EncodeKnock(&k), wire.EncodeChallenge(&c), wire.EncodeResponse(&p)} {
		if want := string([]byte{byte(24 + i), 0}) + knocks[i].bytes; string(b.Bytes()) != want {
			t.Errorf("%s: got %q, want %q", knocks[i].name, b.Bytes(), want)
		}
	}
}

// TestHostileKnocks shows what is refused at the door.
func TestHostileKnocks(t *testing.T) {
	for name, decode := range map[string]func(body []byte) error{
		knocks[0].bytes: func(b []byte) error { _, err := wire.DecodeKnock(b); return err },
		knocks[1].bytes: func(b []byte) error { _, err := wire.DecodeChallenge(b); return err },
		knocks[2].bytes: func(b []byte) error { _, err := wire.DecodeResponse(b); return err },
	} {
		if err := decode([]byte(name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		for cut := range len(name) {
			if decode([]byte(name[:cut])) == nil {
				t.Errorf("%q cut to %d bytes is taken", name, cut)
			}
		}
		if decode([]byte(name+"\x00")) == nil {
			t.Errorf("%q with a byte after it is taken", name)
		}
		if len(name) > 32 {
			for _, role := range []byte{0, 3, 255} {
				b := []byte(name)
				b[32] = role
				if decode(b) == nil {
					t.Errorf("role %d is taken", role)
				}
			}
		}
	}
}
