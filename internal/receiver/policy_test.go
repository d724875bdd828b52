package receiver_test

import (
	"testing"

	"github.com/sync-directory/sync-directory/internal/receiver"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func TestStricter(t *testing.T) {
	few, many := uint64(1), uint64(9)
	for _, c := range []struct {
		name     string
		mine     receiver.Policy
		peer     *wire.Policy
		max      *uint64
		noDelete bool
		mayEmpty bool
	}{
		{"none", receiver.Policy{MaxDelete: &few}, nil, &few, false, false},
		{"mine is stricter", receiver.Policy{MaxDelete: &few, NoDelete: true}, &wire.Policy{MaxDelete: &many}, &few, true, false},
		{"the peer's is stricter", receiver.Policy{MaxDelete: &many}, &wire.Policy{MaxDelete: &few, NoDelete: true}, &few, true, false},
		{"only the peer's", receiver.Policy{}, &wire.Policy{MaxDelete: &few, AllowEmpty: true}, &few, false, true},
		{"any number", receiver.Policy{AllowEmpty: true}, &wire.Policy{}, nil, false, true},
	} {
		p := c.mine.Stricter(c.peer)
		if (p.MaxDelete == nil) != (c.max == nil) || p.MaxDelete != nil && *p.MaxDelete != *c.max || p.NoDelete != c.noDelete || p.AllowEmpty != c.mayEmpty {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
	if p := (receiver.Policy{}).Stricter(&wire.Policy{Backup: true}); !p.Backup {
		t.Error("the peer asks for a backup in vain")
	}
}
